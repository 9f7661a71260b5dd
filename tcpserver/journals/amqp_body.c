#include "tcpserver/journals/amqp_body.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/text.h"
#include "tcpserver/core/message.h"

enum { HEX_SIZE = 2 * CLIENT_ID_SIZE + 1, NUMBER_SIZE = 21, TEXT_MOST = 3 * 65535, WORD_SIZE = 16 };

static const char *const message_words[MESSAGE_KINDS] = {
	[MESSAGE_TEXT] = "message",
	[MESSAGE_ACTION] = "action",
	[MESSAGE_JOINED] = "joined",
	[MESSAGE_LEFT] = "left",
	[MESSAGE_NICK] = "nick",
	[MESSAGE_TOPIC] = "topic",
	[MESSAGE_ROOM_CLOSED] = "room_closed",
};

static const char *const other_words[] = {
	[AMQP_ROOM] = "room",
	[AMQP_FORGET] = "forget",
	[AMQP_WAITS] = "waits",
	[AMQP_BARRIER] = "barrier",
};

const char *amqp_body_word(enum message_kind kind)
{
	return message_words[kind];
}

/* ---- Writing. ---- */

static void set(json_t *object, const char *name, json_t *value)
{
	(void)json_object_set_new(object, name, value); /* what there was no memory for is missed at the end */
}

static void write_entry(json_t *object, const struct entry *entry)
{
	const struct message *message = entry->message;
	char client[HEX_SIZE];
	char number[NUMBER_SIZE];

	for (size_t i = 0; i < CLIENT_ID_SIZE; i++)
		(void)snprintf(client + 2 * i, 3, "%02x", entry->client[i]);
	(void)snprintf(number, sizeof number, "%" PRIu64, entry->number);
	set(object, "kind", json_string(message_words[message->kind]));
	set(object, "username", json_stringn(message->participant, message->participant_size));
	set(object, "message", json_stringn(message->text_size == 0 ? "" : message->text, message->text_size));
	set(object, "seq", json_integer((json_int_t)entry->seq));
	set(object, "at", json_integer(entry->at_ns));
	set(object, "server", json_string(entry->server == NULL ? "" : entry->server));
	set(object, "client", json_string(client));
	set(object, "number", json_string(number));
}

static void write_room(json_t *object, const struct room_attributes *attributes)
{
	set(object, "name", attributes->name == NULL ? json_null() : json_string(attributes->name));
	set(object, "creator", json_string(attributes->creator == NULL ? "" : attributes->creator));
	set(object, "topic", json_string(attributes->topic == NULL ? "" : attributes->topic));
	set(object, "capacity", json_integer((json_int_t)attributes->capacity));
	set(object, "listed", json_boolean(attributes->listed));
	set(object, "persistent", json_boolean(attributes->persistent));
	set(object, "pair", json_boolean(attributes->ends_with_member));
	set(object, "waits", json_boolean(attributes->waits));
	set(object, "created", json_integer(attributes->created_ns));
}

static json_t *make_object(const struct amqp_body *body)
{
	json_t *object = json_object();

	set(object, "username", json_string(""));
	set(object, "message", json_string(""));
	set(object, "tcpchat", json_integer(1));
	set(object, "session", json_string(body->session));
	set(object, "position", json_integer((json_int_t)body->position));
	if (body->kind != AMQP_MESSAGE)
		set(object, "kind", json_string(other_words[body->kind]));
	if (body->kind != AMQP_BARRIER)
		set(object, "room", json_string(body->room));
	if (body->kind == AMQP_MESSAGE)
		write_entry(object, &body->entry);
	else if (body->kind == AMQP_ROOM)
		write_room(object, &body->attributes);
	else if (body->kind == AMQP_WAITS)
		set(object, "waits", json_boolean(body->waits));
	return object;
}

char *amqp_body_write(const struct amqp_body *body, size_t *size)
{
	static const size_t fields[] = {
		[AMQP_MESSAGE] = 12, [AMQP_ROOM] = 16, [AMQP_FORGET] = 7, [AMQP_WAITS] = 8, [AMQP_BARRIER] = 6};
	json_t *object = make_object(body);
	char *text = NULL;

	if (json_object_size(object) == fields[body->kind])
		text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	*size = text == NULL ? 0 : strlen(text);
	return text;
}

/* ---- Reading. ---- */

static _Thread_local bool lacked_memory; /* while this thread read */

static void *allocate(size_t size)
{
	void *memory = malloc(size);

	if (memory == NULL)
		lacked_memory = true;
	return memory;
}

void amqp_body_start(void)
{
	json_set_alloc_funcs(allocate, free);
}

static const char no_memory[] = "there is no memory for it"; /* which is not its fault */

/* Copies a text of the object; it has to be there, and clean. */
static bool read_text(const json_t *object, const char *name, char *out, size_t size)
{
	const json_t *value = json_object_get(object, name);
	size_t length = json_string_length(value);

	if (!json_is_string(value) || length >= size || !text_is_clean(json_string_value(value), length))
		return false;
	memcpy(out, json_string_value(value), length + 1);
	return true;
}

static bool read_number(const json_t *object, const char *name, int64_t least, int64_t *out)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_integer(value) || json_integer_value(value) < least)
		return false;
	*out = json_integer_value(value);
	return true;
}

static bool read_flag(const json_t *object, const char *name, bool *out)
{
	const json_t *value = json_object_get(object, name);

	*out = json_is_true(value);
	return json_is_boolean(value);
}

/* The client and its number. */
static bool read_sender(const json_t *object, struct entry *entry)
{
	char client[HEX_SIZE];
	char number[NUMBER_SIZE];
	char *end;

	if (!read_text(object, "client", client, sizeof client) || !hex_read(client, entry->client, CLIENT_ID_SIZE) ||
		!read_text(object, "number", number, sizeof number) || number[0] < '1' || number[0] > '9')
		return false;
	entry->number = strtoull(number, &end, 10);
	return *end == '\0';
}

static const char *read_message(const json_t *object, enum message_kind kind, struct amqp_body *body)
{
	const json_t *text = json_object_get(object, "message");
	char participant[NAME_SIZE];
	struct message *message;
	int64_t seq;

	body->entry.room = body->room;
	body->entry.server = body->server;
	if (!json_is_string(text) || json_string_length(text) > TEXT_MOST ||
		!text_is_clean(json_string_value(text), json_string_length(text)))
		return "its message is no clean text";
	if (!read_text(object, "username", participant, sizeof participant))
		return "its username is no name";
	if (!read_number(object, "seq", 1, &seq) || !read_number(object, "at", 0, &body->entry.at_ns) ||
		!read_text(object, "server", body->server, sizeof body->server) || !read_sender(object, &body->entry))
		return "its seq, at, server, client or number is missing or wrong";
	message = message_create(kind, body->room, participant, json_string_value(text), json_string_length(text));
	if (message == NULL)
		return no_memory;
	message->seq = body->entry.seq = (uint64_t)seq;
	message->at_ns = body->entry.at_ns;
	body->entry.message = message;
	return NULL;
}

static const char *read_room(const json_t *object, struct amqp_body *body)
{
	struct room_attributes *attributes = &body->attributes;
	bool is_named = !json_is_null(json_object_get(object, "name"));
	int64_t capacity;

	if ((is_named && !read_text(object, "name", body->name, sizeof body->name)) ||
		!read_text(object, "creator", body->creator, sizeof body->creator) ||
		!read_text(object, "topic", body->topic, sizeof body->topic) || !read_number(object, "capacity", 0, &capacity) ||
		!read_number(object, "created", 0, &attributes->created_ns) || !read_flag(object, "listed", &attributes->listed) ||
		!read_flag(object, "persistent", &attributes->persistent) ||
		!read_flag(object, "pair", &attributes->ends_with_member) || !read_flag(object, "waits", &attributes->waits))
		return "an attribute of the room is missing or wrong";
	attributes->id = body->room;
	attributes->name = is_named ? body->name : NULL;
	attributes->creator = body->creator;
	attributes->topic = body->topic[0] == '\0' ? NULL : body->topic;
	attributes->capacity = (size_t)capacity;
	return NULL;
}

static const char *read_kind(const json_t *object, const char *word, struct amqp_body *body)
{
	for (int kind = 0; kind < MESSAGE_KINDS; kind++)
		if (strcmp(word, message_words[kind]) == 0)
			return read_message(object, (enum message_kind)kind, body);
	for (int kind = AMQP_ROOM; kind <= AMQP_BARRIER; kind++)
		if (strcmp(word, other_words[kind]) == 0)
			body->kind = (enum amqp_kind)kind;
	switch (body->kind) {
	case AMQP_ROOM:
		return read_room(object, body);
	case AMQP_WAITS:
		return read_flag(object, "waits", &body->waits) ? NULL : "its waits is missing";
	case AMQP_FORGET:
	case AMQP_BARRIER:
		return NULL;
	default:
		return "nobody knows its kind";
	}
}

static const char *read_object(const json_t *object, struct amqp_body *body)
{
	char word[WORD_SIZE];
	int64_t position;

	if (!json_is_object(object))
		return "it is no JSON object";
	if (json_integer_value(json_object_get(object, "tcpchat")) != 1)
		return "it is not from tcpserver";
	if (!read_text(object, "session", body->session, sizeof body->session) ||
		!read_number(object, "position", 1, &position) || !read_text(object, "kind", word, sizeof word))
		return "its session, position or kind is missing or wrong";
	body->position = (uint64_t)position;
	if (strcmp(word, other_words[AMQP_BARRIER]) != 0 &&
		(!read_text(object, "room", body->room, sizeof body->room) || body->room[0] == '\0'))
		return "its room is missing or wrong";
	return read_kind(object, word, body);
}

static const char *read_body(const char *bytes, size_t size, struct amqp_body *body)
{
	json_t *object;
	const char *wrong;

	if (size > AMQP_BODY_MOST)
		return "it is too large";
	lacked_memory = false;
	object = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, NULL);
	if (object == NULL)
		return lacked_memory ? no_memory : "it is no JSON";
	wrong = read_object(object, body);
	json_decref(object);
	return wrong;
}

int amqp_body_read(const char *bytes, size_t size, struct amqp_body *body, const char **wrong)
{
	*body = (struct amqp_body){.kind = AMQP_MESSAGE};
	*wrong = read_body(bytes, size, body);
	if (*wrong == NULL)
		return 0;
	amqp_body_fini(body);
	return *wrong == no_memory ? -ENOMEM : -EINVAL;
}

void amqp_body_fini(struct amqp_body *body)
{
	if (body->entry.message != NULL)
		message_release((struct message *)(uintptr_t)body->entry.message); /* its reference is ours */
	body->entry.message = NULL;
}
