#include "tcpserver/doors/event.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tcpserver/core/command.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/json_writer.h"
#include "tcpserver/doors/line.h"

enum {
	DEPTH_MAX = 8,     /* of a request; the parser calls itself for each, on a small stack */
	ID_SIZE_MAX = 100, /* bytes of a request's id, as JSON                                  */
	FIELDS_MAX = 2,
};

/* ---- How messages look. ---- */

/* 'kind', and for those that Chatty had, its 'event_type'. */
static const struct {
	const char *kind;
	const char *event_type;
} kinds[MESSAGE_KINDS] = {
	[MESSAGE_TEXT] = {"message", NULL},
	[MESSAGE_ACTION] = {"action", NULL},
	[MESSAGE_JOINED] = {"joined", "participant_joined"},
	[MESSAGE_LEFT] = {"left", "participant_left"},
	[MESSAGE_NICK] = {"nick", NULL},
	[MESSAGE_TOPIC] = {"topic", NULL},
	[MESSAGE_ROOM_CLOSED] = {"room_closed", NULL},
};

static size_t event_encode(const struct message *message, char *out, size_t size)
{
	struct json_writer json = {.out = out, .size = size};

	json_write_open(&json);
	json_write_number(&json, "seq", message->seq);
	json_write_string(&json, "room", message->room, message->room_size);
	json_write_time(&json, "at", message->at_ns);
	json_write_text(&json, "event_type", kinds[message->kind].event_type);
	json_write_text(&json, "kind", kinds[message->kind].kind);
	json_write_string(&json, "participant", message->participant, message->participant_size);
	if (message->kind != MESSAGE_JOINED && message->kind != MESSAGE_ROOM_CLOSED)
		json_write_string(&json, "text", message->text, message->text_size);
	json_write_close(&json);
	json_write_bytes(&json, "\n", 1);
	return json.used;
}

const struct format event_format = {.name = "event", .encode = event_encode};

/* ---- Words to one client. ---- */

static void event_write(struct json_writer *json, const struct telling *telling)
{
	static const char *const names[] = {
		[TELL_NOTICE] = "notice",
		[TELL_ERROR] = "error",
		[TELL_WELCOME] = "welcome",
		[TELL_DIRECT] = "direct",
		[TELL_PONG] = "pong",
		[TELL_SAID] = "notice",
		[TELL_FAREWELL] = "notice",
	};
	bool farewell = telling->kind == TELL_FAREWELL;

	json_write_open(json);
	json_write_text(json, "kind", names[telling->kind]);
	json_write_time(json, "at", clock_wall_ns());
	json_write_text(json, "event_type", farewell ? "server_shutting_down" : NULL);
	json_write_text(json, "code", telling->kind == TELL_SAID ? "said" : telling->code);
	json_write_raw(json, "id", telling->request_id);
	if (telling->seq != 0)
		json_write_number(json, "seq", telling->seq);
	json_write_text(json, "room", telling->room);
	json_write_text(json, "participant", telling->participant);
	json_write_text(json, "to", telling->to);
	if (telling->kind == TELL_WELCOME)
		json_write_text(json, "protocol", "tcpchat/1");
	json_write_text(json, farewell ? "address" : "text", telling->text);
	if (farewell)
		json_write_text(json, "text", "the server is stopping");
	json_write_close(json);
	json_write_bytes(json, "\n", 1);
}

static char *event_words(const struct telling *telling, size_t *size)
{
	struct json_writer counted = {.size = 0};
	struct json_writer written = {.size = 0};

	*size = 0;
	event_write(&counted, telling);
	written.size = counted.used;
	written.out = malloc(counted.used);
	if (written.out == NULL)
		return NULL;
	event_write(&written, telling);
	*size = written.used;
	return written.out;
}

const struct door event_door = {
	.name = "event",
	.format = &event_format,
	.many_rooms = true,
	.serve = line_serve,
	.words = event_words,
	.turn_away = line_turn_away,
};

/* ---- Requests. ---- */

/* A request that is a command with its arguments in fields; a field that ends with '?' may be left out. */
struct op {
	const char *name;
	const char *command;
	const char *fields[FIELDS_MAX];
};

static const struct op ops[] = {
	{"delete_room", "delete-room", {"room"}},
	{"dm", "dm", {"to", "text"}},
	{"help", "help", {NULL}},
	{"ignore", "ignore", {"user"}},
	{"invite", "invite", {"user"}},
	{"join", "join", {"room?"}},
	{"leave", "leave", {"room?"}},
	{"new_room", "new-room", {"room?"}},
	{"nick", "nick", {"name"}},
	{"ping", "ping", {"text?"}},
	{"quit", "quit", {NULL}},
	{"rooms", "rooms", {NULL}},
	{"switch", "switch", {"room"}},
	{"topic", "topic", {"text?"}},
	{"who", "who", {"room?"}},
	{NULL, NULL, {NULL}},
};

static void bad_request(struct session *session, const char *what)
{
	session_error(session, "bad-request", "%s; see the requests in PROTOCOL.md", what);
}

/* A string of the request, made safe, in new memory; NULL without one, or without memory. */
static char *field(const json_t *request, const char *name)
{
	const json_t *value = json_object_get(request, name);
	const char *text = json_string_value(value);
	size_t size = json_string_length(value);
	char *clean;

	if (text == NULL)
		return NULL;
	clean = malloc(TEXT_CLEAN_SIZE(size) + 1);
	if (clean != NULL)
		clean[text_clean(text, size, clean)] = '\0';
	return clean;
}

/* Names go in quotes, so that they may hold spaces; the last field of a command is text. */
static char *quoted(char *name, bool is_name)
{
	char *text;

	if (!is_name || name == NULL)
		return name;
	if (strchr(name, '"') != NULL || asprintf(&text, "\"%s\"", name) < 0)
		text = NULL;
	free(name);
	return text;
}

/* Puts the fields together as a command's arguments, in new memory; NULL when one is missing. */
static char *arguments_of(const json_t *request, const struct op *op)
{
	char *arguments = strdup("");

	for (size_t i = 0; i < FIELDS_MAX && op->fields[i] != NULL && arguments != NULL; i++) {
		size_t length = strcspn(op->fields[i], "?");
		bool needed = op->fields[i][length] == '\0';
		char name[16];
		char *value;
		char *longer = NULL;

		(void)snprintf(name, sizeof name, "%.*s", (int)length, op->fields[i]);
		value = quoted(field(request, name), strcmp(name, "text") != 0 && strcmp(name, "name") != 0);
		if (value == NULL && !needed)
			continue;
		if (value != NULL && asprintf(&longer, "%s%s%s", arguments, i == 0 ? "" : " ", value) < 0)
			longer = NULL;
		free(value);
		free(arguments);
		arguments = longer;
	}
	return arguments;
}

static void run_op(struct session *session, const json_t *request, const struct op *op)
{
	char *arguments = arguments_of(request, op);

	if (arguments == NULL)
		bad_request(session, "a field of the request is missing, or no string, or has a quote in it");
	else
		command_find(op->command)->run(session, arguments);
	free(arguments);
}

/* {"op":"send","room":"lobby","text":"..."}; with "action":true as /me. */
static void run_send(struct session *session, const json_t *request)
{
	char *room = field(request, "room");
	char *text = field(request, "text");
	struct member *place = session_place(session, room == NULL ? "" : room);
	enum message_kind kind = json_is_true(json_object_get(request, "action")) ? MESSAGE_ACTION : MESSAGE_TEXT;

	if (text == NULL)
		bad_request(session, "the request has no string \"text\"");
	else if (place == NULL)
		session_error(session, "not-in-room", "you are not in %s; join it first", room);
	else if (strlen(text) > session->talk->max_line)
		session_error(session, "line-too-long", "a text may have %zu bytes; send it in parts", session->talk->max_line);
	else
		session_say(session, place, kind, text, strlen(text));
	free(text);
	free(room);
}

static void run_request(struct session *session, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "op"));

	if (name == NULL) {
		bad_request(session, "the request has no string \"op\"");
		return;
	}
	if (strcmp(name, "send") == 0) {
		run_send(session, request);
		return;
	}
	for (const struct op *op = ops; op->name != NULL; op++) {
		if (strcmp(op->name, name) == 0) {
			run_op(session, request, op);
			return;
		}
	}
	bad_request(session, "there is no such \"op\"");
}

/* Whether the brackets of 'line' are nested no deeper than a request needs. */
static bool is_shallow(const char *line, size_t size)
{
	size_t depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < size && depth <= DEPTH_MAX; i++) {
		if (in_string && line[i] == '\\')
			i++;
		else if (line[i] == '"')
			in_string = !in_string;
		else if (!in_string && (line[i] == '{' || line[i] == '['))
			depth++;
		else if (!in_string && depth > 0 && (line[i] == '}' || line[i] == ']'))
			depth--;
	}
	return depth <= DEPTH_MAX;
}

/* The id as JSON, in new memory; NULL when there is none, or it is neither a string nor a number, or too long. */
static char *id_of(const json_t *request)
{
	const json_t *id = json_object_get(request, "id");
	char *text;

	if (!json_is_string(id) && !json_is_integer(id))
		return NULL;
	text = json_dumps(id, JSON_ENCODE_ANY | JSON_COMPACT);
	if (text != NULL && strlen(text) > ID_SIZE_MAX) {
		free(text);
		text = NULL;
	}
	return text;
}

void event_request(struct session *session, const char *line, size_t size)
{
	json_t *request = is_shallow(line, size) ? json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
	char *id = id_of(request);

	session->request_id = id;
	session->request_answered = false;
	if (request == NULL)
		bad_request(session, "the line begins with { but is no JSON object");
	else
		run_request(session, request);
	if (id != NULL && !session->request_answered) /* what it did shows in a room, or not at all */
		session_tell(session, &(struct telling){.kind = TELL_NOTICE, .code = "done", .request_id = id});
	session->request_id = NULL;
	free(id);
	json_decref(request);
}
