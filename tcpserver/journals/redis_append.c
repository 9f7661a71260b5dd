/*
 * A group goes to Redis in parts, each of which is one step there and takes it a few milliseconds at most; one after the other, so that
 * what comes later in the group never has a lower number. When one of them fails after others went well, the link counts as broken: then all are
 * said again, and what was kept is found by its client and number.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tcpserver/core/message.h"
#include "tcpserver/journals/redis_link.h"
#include "tcpserver/journals/redis_parts.h"
#include "tcpserver/journals/redis_reply.h"

enum {
	PART_MOST = 250,             /* messages of a part */
	PART_BYTES = 256 * 1024,     /* and bytes, unless it is one message */
	SENT_WINDOW = 16384,         /* numbers of a client that are known, at least, and up to twice as many: more than a group has */
	SENT_S = 48 * 60 * 60,       /* for which they are known after the last one */
	WAIT_MS = 2000,              /* for replicas */
	ANSWERS = 3,                 /* numbers of the answer for each message */
};

/* Scripts count in floating point. */
#define SEQ_MOST ((UINT64_C(1) << 53) - 1)

/* What goes to Redis at once, and what it said. */
struct part {
	struct entry *entries;
	size_t count;
	redisReply *reply;
};

static bool append_is_countable(const struct entry *entry)
{
	return entry->seq <= SEQ_MOST && entry->at_least < SEQ_MOST;
}

/* ---- There. ---- */

static void append_add_key(struct redis_command *command, const char *name, size_t size)
{
	char copy[NAME_SIZE];
	char key[NAME_KEY_SIZE];
	size_t length = size < sizeof copy ? size : sizeof copy - 1;

	memcpy(copy, name, length);
	copy[length] = '\0';
	redis_command_bytes(command, key, name_key(copy, key));
}

static void append_add_entry(struct redis_command *command, const struct entry *entry)
{
	const struct message *message = entry->message;
	enum message_kind kind = message->kind;

	redis_command_text(command, entry->room);
	redis_command_client(command, entry->client);
	redis_command_number(command, entry->number);
	redis_command_number(command, kind);
	redis_command_bytes(command, message->participant, message->participant_size);
	if (kind == MESSAGE_JOINED || kind == MESSAGE_LEFT || kind == MESSAGE_NICK)
		append_add_key(command, message->participant, message->participant_size);
	else
		redis_command_text(command, "");
	if (kind == MESSAGE_NICK)
		append_add_key(command, message->text, message->text_size);
	else
		redis_command_text(command, "");
	redis_command_bytes(command, message->text, message->text_size);
	redis_command_text(command, entry->server);
	redis_command_number(command, entry->seq);
	redis_command_number(command, (uint64_t)(entry->at_ns > 0 ? entry->at_ns : 0));
	redis_command_number(command, entry->at_least);
}

static redisReply *append_say(struct link *link, const struct part *part)
{
	struct redis_command arguments = redis_link_script(link);

	redis_command_number(&arguments, link->engine->url.messages_most);
	redis_command_number(&arguments, SENT_WINDOW);
	redis_command_number(&arguments, SENT_S);
	for (size_t i = 0; i < part->count; i++) {
		if (append_is_countable(&part->entries[i]))
			append_add_entry(&arguments, &part->entries[i]);
	}
	return redis_link_run(link, REDIS_APPEND, &arguments);
}

/* ---- Rooms that Redis has lost. ---- */

static bool append_is_lost(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 && redis_reply_is(reply->element[0], "lost");
}

/* Makes a room anew, as far as its messages tell what it was like. Returns 0, or -errno. */
static int append_remake_room(struct link *link, const struct entry *entry)
{
	const char *label = entry->message->room;
	bool named = strcmp(label, entry->room) != 0;
	struct room_attributes attributes = {
		.id = entry->room, .name = named ? label : NULL, .creator = "", .listed = named, .persistent = named};
	struct room_record record;
	int error = redis_open_room(link, &attributes, &record);

	if (error != -EEXIST)
		return error;
	attributes.name = NULL; /* somebody else has made one of that name meanwhile */
	attributes.listed = false;
	return redis_open_room(link, &attributes, &record);
}

/* Redis came back without what it was told last, or without anything, while there are people in these rooms. */
static int append_remake_rooms(struct link *link, const struct part *part, const redisReply *lost)
{
	int error = 0;

	for (size_t i = 0; i < part->count && error == 0; i++) {
		bool found = false;

		for (size_t k = 1; k < lost->elements && !found; k++)
			found = redis_reply_is(lost->element[k], part->entries[i].room);
		if (found)
			error = append_remake_room(link, &part->entries[i]);
	}
	return error;
}

/* Returns 0, or -errno: then nothing of the part was kept, if the link works. */
static int append_part(struct link *link, struct part *part)
{
	int error;

	part->reply = append_say(link, part);
	if (part->reply == NULL)
		return link->error;
	if (!append_is_lost(part->reply))
		return 0;
	error = append_remake_rooms(link, part, part->reply);
	freeReplyObject(part->reply);
	part->reply = error == 0 ? append_say(link, part) : NULL;
	if (part->reply == NULL)
		return error != 0 ? error : link->error;
	return append_is_lost(part->reply) ? -EAGAIN : 0;
}

/* ---- And back. ---- */

/* The three numbers of an entry, in the ranges that they have. */
static bool append_take_kept(struct entry *entry, uint64_t seq, uint64_t at_us)
{
	bool restored = entry->seq != 0;

	if (seq == 0 || seq > SEQ_MOST || at_us > INT64_MAX / 1000)
		return false;
	entry->outcome = ENTRY_KEPT;
	entry->seq = seq;
	if (!restored)
		entry->at_ns = (int64_t)at_us * 1000;
	return true;
}

/* The next room, label and time of the list. */
static bool append_take_repeated(struct entry *entry, uint64_t seq, const redisReply *list, size_t *next)
{
	uint64_t at;

	if (list->elements - *next < ANSWERS || !redis_reply_id(list->element[*next], entry->kept_in) ||
		!redis_reply_text(list->element[*next + 1], entry->label, sizeof entry->label) ||
		!redis_reply_number(list->element[*next + 2], INT64_MAX, &at))
		return false;
	*next += ANSWERS;
	entry->outcome = ENTRY_REPEATED;
	entry->seq = seq;
	entry->at_ns = (int64_t)at;
	return seq != 0;
}

static void append_take_refused(struct entry *entry, int error)
{
	entry->outcome = ENTRY_REFUSED;
	entry->error = error == 0 ? EIO : error;
}

static bool append_take_entry(struct entry *entry, redisReply *const *answers, const redisReply *list, size_t *next)
{
	uint64_t outcome;
	uint64_t seq;
	uint64_t at;

	if (!redis_reply_number(answers[0], 2, &outcome) || !redis_reply_number(answers[1], SEQ_MOST, &seq) ||
		!redis_reply_number(answers[2], INT64_MAX, &at))
		return false;
	if (outcome == 0)
		return append_take_kept(entry, seq, at);
	if (outcome == 1)
		return append_take_repeated(entry, seq, list, next);
	append_take_refused(entry, (int)(seq & 0xFFFF));
	return true;
}

/* Fills in what became of the entries. */
static bool append_take(const struct part *part)
{
	const redisReply *reply = part->reply;
	size_t answered = 0;
	const redisReply *list;
	size_t next = 0;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0)
		return false;
	list = reply->element[reply->elements - 1];
	if (list->type != REDIS_REPLY_ARRAY)
		return false;
	for (size_t i = 0; i < part->count; i++) {
		struct entry *entry = &part->entries[i];

		if (!append_is_countable(entry)) {
			append_take_refused(entry, EFBIG);
			continue;
		}
		if (reply->elements - 1 - answered < ANSWERS || !append_take_entry(entry, reply->element + answered, list, &next))
			return false;
		answered += ANSWERS;
	}
	return answered == reply->elements - 1;
}

/* ---- The group. ---- */

static size_t append_slice(const struct entry *entries, size_t count)
{
	size_t bytes = entries[0].message->text_size;
	size_t taken = 1;

	while (taken < count && taken < PART_MOST && bytes + entries[taken].message->text_size <= PART_BYTES)
		bytes += entries[taken++].message->text_size;
	return taken;
}

/* So many replicas have all that was said so far; else it is not known what lasts. */
static int append_await_replicas(struct link *link)
{
	struct redis_command command = {0};
	redisReply *reply;
	uint64_t count = 0;

	if (link->engine->url.replicas == 0)
		return 0;
	redis_command_text(&command, "WAIT");
	redis_command_number(&command, link->engine->url.replicas);
	redis_command_number(&command, WAIT_MS);
	reply = redis_link_ask(link, &command);
	if (reply != NULL && !redis_reply_number(reply, INT64_MAX, &count))
		return redis_link_distrust(link, reply);
	freeReplyObject(reply);
	if (reply == NULL)
		return redis_link_break(link, link->error, "it does not wait for replicas");
	return count >= link->engine->url.replicas ? 0 : redis_link_break(link, -ETIMEDOUT, "too few replicas have what was said");
}

/* Says all parts. Returns 0, or -errno. */
static int append_all(struct link *link, struct entry *entries, size_t count, struct part *parts, size_t *part_count)
{
	int error = 0;

	for (size_t begun = 0; begun < count && error == 0; (*part_count)++) {
		struct part *part = &parts[*part_count];

		*part = (struct part){.entries = entries + begun, .count = append_slice(entries + begun, count - begun)};
		begun += part->count;
		error = append_part(link, part);
		if (error != 0 && *part_count > 0 && !link->broken)
			error = redis_link_break(link, error, "it took a part of a group, and not the rest");
	}
	return error != 0 ? error : append_await_replicas(link);
}

int redis_append(struct link *link, struct entry *entries, size_t count)
{
	struct part *parts = calloc(count, sizeof *parts);
	size_t part_count = 0;
	int error = parts == NULL ? -ENOMEM : append_all(link, entries, count, parts, &part_count);

	for (size_t i = 0; i < part_count; i++) {
		if (error == 0 && !append_take(&parts[i]))
			error = redis_link_break(link, -EBADMSG, "its answer makes no sense");
		freeReplyObject(parts[i].reply);
	}
	free(parts);
	return error;
}
