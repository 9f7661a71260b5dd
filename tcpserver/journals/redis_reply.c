#include "tcpserver/journals/redis_reply.h"

#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/text.h"
#include "tcpserver/core/message.h"

enum {
	TEXT_MOST = 3 * 65535, /* bytes of a message: a line's, each byte made U+FFFD */
	RECORD_FIELDS = 11,
	ENTRY_FIELDS = 8,
	FLAG_LISTED = 1,
	FLAG_PERSISTENT = 2,
	FLAG_ENDS_WITH_MEMBER = 4,
};

static bool reply_is_text(const redisReply *reply)
{
	return (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) && reply->str != NULL;
}

bool redis_reply_is_array(const redisReply *reply, size_t count)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements == count;
}

bool redis_reply_is(const redisReply *reply, const char *text)
{
	size_t size = strlen(text);

	return reply_is_text(reply) && reply->len == size && memcmp(reply->str, text, size) == 0;
}

static bool reply_copy(const char *from, size_t from_size, char *text, size_t size)
{
	if (from_size >= size || !text_is_clean(from, from_size))
		return false;
	memcpy(text, from, from_size);
	text[from_size] = '\0';
	return true;
}

bool redis_reply_text(const redisReply *reply, char *text, size_t size)
{
	return reply_is_text(reply) && reply_copy(reply->str, reply->len, text, size);
}

bool redis_reply_id(const redisReply *reply, char id[ROOM_ID_SIZE])
{
	return redis_reply_text(reply, id, ROOM_ID_SIZE) && id[0] != '\0' && strchr(id, ' ') == NULL;
}

/* Reads digits. Returns how many; 0 when there are none, or the number is greater than 'most'. */
static size_t reply_digits(const char *text, size_t size, uint64_t most, uint64_t *number)
{
	size_t count = 0;

	*number = 0;
	for (; count < size && text[count] >= '0' && text[count] <= '9'; count++) {
		uint64_t digit = (uint64_t)(text[count] - '0');

		if (*number > (most - digit) / 10 || digit > most)
			return 0;
		*number = 10 * *number + digit;
	}
	return count;
}

bool redis_reply_number(const redisReply *reply, uint64_t most, uint64_t *number)
{
	if (reply->type == REDIS_REPLY_INTEGER) {
		*number = (uint64_t)reply->integer;
		return reply->integer >= 0 && *number <= most;
	}
	return reply_is_text(reply) && reply->len > 0 && reply_digits(reply->str, reply->len, most, number) == reply->len;
}

/* ---- Rooms. ---- */

static bool reply_client(const redisReply *reply, unsigned char client[CLIENT_ID_SIZE])
{
	char digits[2 * CLIENT_ID_SIZE + 1];

	return redis_reply_text(reply, digits, sizeof digits) && hex_read(digits, client, CLIENT_ID_SIZE);
}

static bool record_texts(redisReply *const *elements, struct room_record *record)
{
	return redis_reply_id(elements[0], record->id) && redis_reply_text(elements[1], record->name, sizeof record->name) &&
	       redis_reply_text(elements[2], record->creator, sizeof record->creator) &&
	       reply_client(elements[3], record->attributes.creator_id) &&
	       redis_reply_text(elements[4], record->topic, sizeof record->topic);
}

bool redis_reply_record(const redisReply *reply, struct room_record *record)
{
	uint64_t created;
	uint64_t capacity;
	uint64_t flags;
	uint64_t waits;
	uint64_t people;

	*record = (struct room_record){.last = 0};
	if (!redis_reply_is_array(reply, RECORD_FIELDS) || !record_texts(reply->element, record) ||
		!redis_reply_number(reply->element[5], INT64_MAX, &created) ||
		!redis_reply_number(reply->element[6], INT32_MAX, &capacity) ||
		!redis_reply_number(reply->element[7], UINT8_MAX, &flags) || !redis_reply_number(reply->element[8], 1, &waits) ||
		!redis_reply_number(reply->element[9], INT64_MAX, &record->last) ||
		!redis_reply_number(reply->element[10], INT64_MAX, &people))
		return false;
	record->attributes.id = record->id;
	record->attributes.name = record->name[0] == '\0' ? NULL : record->name;
	record->attributes.creator = record->creator;
	record->attributes.topic = record->topic[0] == '\0' ? NULL : record->topic;
	record->attributes.created_ns = created == 0 ? 1 : (int64_t)created;
	record->attributes.capacity = (size_t)capacity;
	record->attributes.listed = (flags & FLAG_LISTED) != 0;
	record->attributes.persistent = (flags & FLAG_PERSISTENT) != 0;
	record->attributes.ends_with_member = (flags & FLAG_ENDS_WITH_MEMBER) != 0;
	record->attributes.waits = waits == 1;
	record->people = (size_t)people;
	return true;
}

bool redis_reply_holder(redisReply *const *elements, struct name_holder *holder)
{
	struct name_holder found = {.server = ""};

	if (!redis_reply_text(elements[0], found.server, sizeof found.server) ||
		!redis_reply_text(elements[2], found.name, sizeof found.name) ||
		(found.server[0] != '\0' && !reply_client(elements[1], found.client)))
		return false;
	*holder = found;
	return true;
}

/* "SERVER NUMBER NAME" */
bool redis_reply_person(const redisReply *reply, char name[NAME_SIZE])
{
	const char *first = reply_is_text(reply) ? memchr(reply->str, ' ', reply->len) : NULL;
	const char *end = first == NULL ? NULL : reply->str + reply->len;
	const char *second = first == NULL ? NULL : memchr(first + 1, ' ', (size_t)(end - first - 1));

	return second != NULL && reply_copy(second + 1, (size_t)(end - second - 1), name, NAME_SIZE) && name[0] != '\0';
}

/* ---- Messages. ---- */

uint64_t redis_reply_seq(const redisReply *entry)
{
	const redisReply *id;
	uint64_t seq;
	size_t count;

	if (!redis_reply_is_array(entry, 2) || !reply_is_text(entry->element[0]))
		return 0;
	id = entry->element[0];
	count = reply_digits(id->str, id->len, INT64_MAX, &seq);
	return count > 0 && id->len == count + 2 && id->str[count] == '-' && id->str[count + 1] == '0' ? seq : 0;
}

static const redisReply *reply_field(const redisReply *fields, size_t place, const char *name)
{
	const redisReply *value = fields->element[2 * place + 1];

	return redis_reply_is(fields->element[2 * place], name) && reply_is_text(value) ? value : NULL;
}

static struct message *reply_make_message(enum message_kind kind, const char *label, const char *participant, const redisReply *text)
{
	char *clean = malloc(TEXT_CLEAN_SIZE(text->len) + 1);
	struct message *message = NULL;

	if (clean != NULL)
		message = message_create(kind, label, participant, clean, text_clean(text->str, text->len, clean));
	free(clean);
	return message;
}

struct message *redis_reply_message(const redisReply *entry, const char *label, bool *lacks_memory)
{
	uint64_t seq = redis_reply_seq(entry);
	const redisReply *fields = seq == 0 ? NULL : entry->element[1];
	char participant[NAME_SIZE];
	struct message *message;
	const redisReply *text;
	uint64_t kind;
	uint64_t at;

	*lacks_memory = false;
	if (fields == NULL || !redis_reply_is_array(fields, ENTRY_FIELDS) || reply_field(fields, 0, "kind") == NULL ||
		!redis_reply_number(fields->element[1], MESSAGE_KINDS - 1, &kind) || reply_field(fields, 1, "at") == NULL ||
		!redis_reply_number(fields->element[3], INT64_MAX, &at) || reply_field(fields, 2, "participant") == NULL ||
		!redis_reply_text(fields->element[5], participant, sizeof participant))
		return NULL;
	text = reply_field(fields, 3, "text");
	if (text == NULL || text->len > TEXT_MOST)
		return NULL;
	message = reply_make_message((enum message_kind)kind, label, participant, text);
	*lacks_memory = message == NULL;
	if (message == NULL)
		return NULL;
	message->seq = seq;
	message->at_ns = (int64_t)at;
	return message;
}

bool redis_reply_news(const char *text, size_t size, size_t *at, struct engine_news *news)
{
	const char *space = memchr(text + *at, ' ', size - *at);
	size_t length = space == NULL ? 0 : (size_t)(space - text) - *at;
	size_t digits;

	if (length == 0 || length >= ROOM_ID_SIZE || !reply_copy(text + *at, length, news->room, ROOM_ID_SIZE))
		return false;
	*at += length + 1;
	digits = reply_digits(text + *at, size - *at, INT64_MAX, &news->last);
	*at += digits;
	if (digits == 0 || (*at < size && text[*at] != ' '))
		return false;
	*at += *at < size;
	return true;
}
