#include <errno.h>
#include <string.h>

#include "common/text.h"
#include "tcpserver/journals/redis_link.h"
#include "tcpserver/journals/redis_parts.h"
#include "tcpserver/journals/redis_reply.h"

enum { LIST_PAGE = 200 };

/* An answer that is a record, or nil. Returns 0, -ENOENT, or another -errno. */
static int rooms_take_record(struct link *link, redisReply *reply, struct room_record *record)
{
	bool makes_sense;

	if (reply == NULL)
		return link->error;
	if (reply->type == REDIS_REPLY_NIL) {
		freeReplyObject(reply);
		return -ENOENT;
	}
	makes_sense = redis_reply_record(reply, record);
	freeReplyObject(reply);
	return makes_sense ? 0 : -EBADMSG; /* that room alone: the link is all right */
}

static unsigned rooms_flags(const struct room_attributes *attributes)
{
	return (attributes->listed ? 1U : 0U) | (attributes->persistent ? 2U : 0U) | (attributes->ends_with_member ? 4U : 0U);
}

int redis_open_room(struct link *link, const struct room_attributes *attributes, struct room_record *record)
{
	struct redis_command arguments = redis_link_script(link);
	char key[NAME_KEY_SIZE] = "";
	redisReply *reply;

	if (attributes->name != NULL)
		(void)name_key(attributes->name, key);
	redis_command_text(&arguments, attributes->id);
	redis_command_text(&arguments, attributes->name == NULL ? "" : attributes->name);
	redis_command_text(&arguments, key);
	redis_command_text(&arguments, attributes->creator == NULL ? "" : attributes->creator);
	redis_command_client(&arguments, attributes->creator_id);
	redis_command_text(&arguments, attributes->topic == NULL ? "" : attributes->topic);
	redis_command_number(&arguments, (uint64_t)(attributes->created_ns > 0 ? attributes->created_ns : clock_wall_ns()));
	redis_command_number(&arguments, attributes->capacity);
	redis_command_number(&arguments, rooms_flags(attributes));
	redis_command_number(&arguments, attributes->waits ? 1 : 0);
	reply = redis_link_run(link, REDIS_OPEN_ROOM, &arguments);
	if (reply == NULL || !redis_reply_is(reply, "name"))
		return rooms_take_record(link, reply, record);
	freeReplyObject(reply);
	return -EEXIST;
}

int redis_forget_room(struct link *link, const char *id)
{
	long long more = 1;

	while (more == 1) {
		struct redis_command arguments = redis_link_script(link);

		redis_command_text(&arguments, id);
		more = redis_link_run_number(link, REDIS_FORGET_ROOM, &arguments);
	}
	return more < 0 ? (int)more : 0;
}

int redis_forget_unused(struct link *link, const char *id)
{
	struct redis_command arguments = redis_link_script(link);
	long long answer;

	redis_command_text(&arguments, id);
	answer = redis_link_run_number(link, REDIS_FORGET_UNUSED, &arguments);
	return answer < 0 ? (int)answer : 0;
}

int redis_find_room(struct link *link, const char *key, const char *id, struct room_record *record)
{
	struct redis_command arguments = redis_link_script(link);

	redis_command_text(&arguments, key);
	redis_command_text(&arguments, id);
	return rooms_take_record(link, redis_link_run(link, REDIS_FIND_ROOM, &arguments), record);
}

/* A record is large, and knows where it is. */
static void rooms_move_in(struct room_record *record)
{
	record->attributes.id = record->id;
	record->attributes.name = record->name[0] == '\0' ? NULL : record->name;
	record->attributes.creator = record->creator;
	record->attributes.topic = record->topic[0] == '\0' ? NULL : record->topic;
}

/* Lists one page; '*after' becomes the id that was looked at last, "" at the end. Returns how many were found, or -errno. */
static ssize_t rooms_list_page(
	struct link *link, char after[ROOM_ID_SIZE], bool listed, struct room_record *records, size_t capacity)
{
	struct redis_command arguments = redis_link_script(link);
	const redisReply *found;
	redisReply *reply;
	ssize_t count = 0;

	redis_command_text(&arguments, after);
	redis_command_number(&arguments, listed ? 1 : 0);
	redis_command_number(&arguments, capacity);
	reply = redis_link_run(link, REDIS_LIST_ROOMS, &arguments);
	if (reply == NULL)
		return link->error;
	if (!redis_reply_is_array(reply, 2) || !redis_reply_text(reply->element[0], after, ROOM_ID_SIZE) ||
		reply->element[1]->type != REDIS_REPLY_ARRAY || reply->element[1]->elements > capacity)
		return redis_link_distrust(link, reply);
	found = reply->element[1];
	for (size_t i = 0; i < found->elements; i++) {
		if (redis_reply_record(found->element[i], &records[count]))
			rooms_move_in(&records[count++]);
	}
	freeReplyObject(reply);
	return count;
}

ssize_t redis_list_rooms(struct link *link, const char *after, bool listed, struct room_record *records, size_t capacity)
{
	char at[ROOM_ID_SIZE] = "";
	char before[ROOM_ID_SIZE];
	size_t count = 0;

	(void)strncpy(at, after, sizeof at - 1);
	while (count < capacity) {
		size_t page = capacity - count < LIST_PAGE ? capacity - count : LIST_PAGE;
		ssize_t found;

		(void)strcpy(before, at);
		found = rooms_list_page(link, at, listed, records + count, page);
		if (found < 0)
			return found;
		count += (size_t)found;
		if (at[0] == '\0' || strcmp(at, before) <= 0)
			break;
	}
	return (ssize_t)count;
}
