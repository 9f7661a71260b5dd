#include <errno.h>

#include "tcpserver/core/message.h"
#include "tcpserver/journals/redis_link.h"
#include "tcpserver/journals/redis_parts.h"
#include "tcpserver/journals/redis_reply.h"

enum {
	FETCH_PAGE = 256, /* messages that are asked for at once: 50 MB, if all are as long as can be */
	LAST_PAGE = 500,
};

/* The key of what a room has. */
static void messages_add_key(struct redis_command *command, const struct link *link, const char *kind, const char *id)
{
	char key[REDIS_PREFIX_SIZE + 16 + ROOM_ID_SIZE];
	int size = snprintf(key, sizeof key, "%s%s:%s", link->engine->url.prefix, kind, id);

	redis_command_bytes(command, key, (size_t)size < sizeof key ? (size_t)size : sizeof key - 1);
}

static redisReply *messages_ask_page(struct link *link, const char *id, uint64_t from, size_t count)
{
	struct redis_command command = {0};
	redisReply *reply;

	redis_command_text(&command, "XRANGE");
	messages_add_key(&command, link, "stream", id);
	redis_command_number(&command, from);
	redis_command_text(&command, "+");
	redis_command_text(&command, "COUNT");
	redis_command_number(&command, count);
	reply = redis_link_ask(link, &command);
	if (reply == NULL || (reply->type == REDIS_REPLY_ARRAY && reply->elements <= count))
		return reply;
	(void)redis_link_distrust(link, reply);
	return NULL;
}

/* What one page gives. '*next' is where the next one begins; 0: there is none. Returns how many messages, or -errno. */
static ssize_t messages_take_page(const redisReply *reply, const char *label, uint64_t *next, size_t asked, struct message **messages)
{
	ssize_t count = 0;

	for (size_t i = 0; i < reply->elements; i++) {
		uint64_t seq = redis_reply_seq(reply->element[i]);
		bool lacks_memory = false;

		if (seq < *next) /* it is not ours, or not in order */
			continue;
		messages[count] = redis_reply_message(reply->element[i], label, &lacks_memory);
		if (lacks_memory) {
			while (count > 0)
				message_release(messages[--count]);
			return -ENOMEM;
		}
		count += messages[count] != NULL;
		*next = seq + 1;
	}
	if (reply->elements < asked)
		*next = 0;
	return count;
}

ssize_t redis_fetch(struct link *link, const char *id, const char *label, uint64_t from, struct message **messages, size_t capacity)
{
	uint64_t next = from == 0 ? 1 : from;
	size_t count = 0;

	while (count < capacity && next != 0) {
		uint64_t before = next;
		size_t page = capacity - count < FETCH_PAGE ? capacity - count : FETCH_PAGE;
		redisReply *reply = messages_ask_page(link, id, next, page);
		ssize_t got = reply == NULL ? link->error : messages_take_page(reply, label, &next, page, messages + count);

		freeReplyObject(reply);
		if (got < 0) {
			while (count > 0)
				message_release(messages[--count]);
			return got;
		}
		count += (size_t)got;
		if (next == before) /* a page of others' entries: there is nothing behind it that we could reach */
			break;
	}
	return (ssize_t)count;
}

/* ---- The last numbers. ---- */

static int messages_last_page(struct link *link, const char *const *ids, uint64_t *last, size_t count)
{
	struct redis_command arguments = redis_link_script(link);
	redisReply *reply;

	for (size_t i = 0; i < count; i++)
		redis_command_text(&arguments, ids[i]);
	reply = redis_link_run(link, REDIS_LAST, &arguments);
	if (reply == NULL)
		return link->error;
	if (!redis_reply_is_array(reply, count))
		return redis_link_distrust(link, reply);
	for (size_t i = 0; i < count; i++) {
		const redisReply *number = reply->element[i];

		if (number->type != REDIS_REPLY_INTEGER || number->integer < -2)
			return redis_link_distrust(link, reply);
		/* What nobody has forgotten, and is not there, was lost: it will be made anew, with the next message. */
		last[i] = number->integer == -1 ? UINT64_MAX : number->integer == -2 ? 0 : (uint64_t)number->integer;
	}
	freeReplyObject(reply);
	return 0;
}

int redis_last(struct link *link, const char *const *ids, uint64_t *last, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && error == 0; i += LAST_PAGE)
		error = messages_last_page(link, ids + i, last + i, count - i < LAST_PAGE ? count - i : LAST_PAGE);
	return error;
}

int redis_trim(struct link *link, const char *id, uint64_t seq)
{
	struct redis_command arguments = redis_link_script(link);
	long long answer;

	redis_command_text(&arguments, id);
	redis_command_number(&arguments, seq);
	answer = redis_link_run_number(link, REDIS_TRIM, &arguments);
	return answer < 0 ? (int)answer : 0;
}

/* ---- Marks. ---- */

int redis_set_mark(struct link *link, const char *id, const char *key, uint64_t seq)
{
	struct redis_command arguments = redis_link_script(link);

	redis_command_text(&arguments, id);
	redis_command_text(&arguments, key);
	redis_command_number(&arguments, seq);
	return (int)redis_link_run_number(link, REDIS_SET_MARK, &arguments);
}

int redis_mark(struct link *link, const char *id, const char *key, uint64_t *seq)
{
	struct redis_command command = {0};
	redisReply *reply;

	redis_command_text(&command, "HGET");
	messages_add_key(&command, link, "marks", id);
	redis_command_text(&command, key);
	reply = redis_link_ask(link, &command);
	if (reply == NULL)
		return link->error;
	if (!redis_reply_number(reply, INT64_MAX, seq))
		*seq = 0; /* there is none */
	freeReplyObject(reply);
	return 0;
}
