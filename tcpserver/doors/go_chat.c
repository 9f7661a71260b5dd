#include "tcpserver/doors/go_chat.h"

#include <errno.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/nesting.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/json_writer.h"
#include "tcpserver/doors/request.h"
#include "tcpserver/doors/websocket.h"
#include "tcpserver/doors/websocket_frame.h"

enum {
	OBJECT_SIZE = 30,          /* about, of an object without its two texts   */
	OBJECT_DEPTH_MAX = 8,      /* brackets in brackets that a client may send */
	PAGE_MESSAGES = 64,        /* read at a time                              */
	FRAGMENT_SIZE = 32 * 1024, /* bytes of history, from which on it is sent  */
};

/* ---- How messages look. ---- */

/* An object; an action is what the line door shows of it. */
static void put_object(struct json_writer *json, const char *username, size_t username_size, const char *mark,
	const char *text, size_t text_size)
{
	json_write_open(json);
	json_write_string(json, "username", username, username_size);
	json_write_strings(json, "message", mark, text, text_size);
	json_write_close(json);
}

static void put_message(struct json_writer *json, const struct message *message)
{
	put_object(json, message->participant, message->participant_size, message->kind == MESSAGE_ACTION ? "~ " : "",
		message->text, message->text_size);
}

static bool is_shown(const struct message *message)
{
	return message->kind == MESSAGE_TEXT || message->kind == MESSAGE_ACTION;
}

static size_t write_message(const void *message, char *out, size_t size)
{
	struct json_writer json = {.out = out, .size = size};

	put_message(&json, message);
	return json.used;
}

static size_t go_chat_encode(const struct message *message, char *out, size_t size)
{
	if (is_shown(message))
		return websocket_write_text(write_message, message,
			OBJECT_SIZE + message->participant_size + message->text_size, out, size);
	if (size >= websocket_head_size(0))
		(void)websocket_write_head(out, WEBSOCKET_PONG, 0);
	return websocket_head_size(0);
}

const struct format go_chat_format = {
	.name = "go-chat", .encode = go_chat_encode, .recall = go_chat_encode, .hides_own = true};

/* ---- Words to one client. ---- */

static void put_telling(struct json_writer *json, const struct telling *telling)
{
	char username[2 * NAME_SIZE + 4] = "server";
	char code[100] = "";

	if (telling->kind == TELL_DIRECT)
		(void)snprintf(username, sizeof username, "%s -> %s", telling->participant, telling->to);
	if (telling->kind == TELL_ERROR)
		(void)snprintf(code, sizeof code, "%s: ", telling->code);
	if (telling->kind == TELL_FAREWELL)
		put_object(json, username, strlen(username), "", "the server is stopping",
			strlen("the server is stopping"));
	else
		put_object(json, username, strlen(username), code, telling->text, strlen(telling->text));
}

static size_t write_telling(const void *telling, char *out, size_t size)
{
	struct json_writer json = {.out = out, .size = size};

	put_telling(&json, telling);
	return json.used;
}

/* Go-Chat has no words for the rest; nor can its clients do what "behind" advises. */
static bool is_told(const struct telling *telling)
{
	if (telling->kind == TELL_NOTICE)
		return telling->code == NULL || strcmp(telling->code, "behind") != 0;
	return telling->kind == TELL_ERROR || telling->kind == TELL_DIRECT || telling->kind == TELL_FAREWELL;
}

char *go_chat_words(const struct telling *telling, size_t *size)
{
	*size = 0;
	return is_told(telling) ? websocket_make_text(write_telling, telling, size) : NULL;
}

/* ---- The history. ---- */

/* The one message that holds the array, as it is sent: in fragments, so that it never is in memory as a whole. */
struct array {
	struct session *session;
	struct json_writer json;
	bool begun;    /* a fragment was sent                 */
	bool has_more; /* the next object needs a comma       */
	bool no_memory;
	bool stopped; /* the client is gone, or the server stops */
};

static void array_send(struct array *array, bool ends)
{
	static const enum websocket_first_byte first[2][2] = {
		{WEBSOCKET_TEXT_BEGINS, WEBSOCKET_TEXT}, {WEBSOCKET_TEXT_GOES_ON, WEBSOCKET_TEXT_ENDS}};
	char head[WEBSOCKET_HEAD_SIZE_MAX];
	size_t size = websocket_write_head(head, first[array->begun][ends], array->json.used);

	outlet_tell(array->session->outlet, head, size);
	outlet_tell(array->session->outlet, array->json.out, array->json.used);
	array->begun = true;
	array->json.used = 0;
}

/* Makes room for 'size' more bytes in the fragment. */
static bool array_reserve(struct array *array, size_t size)
{
	size_t needed = array->json.used + size;
	char *grown;

	if (needed <= array->json.size)
		return true;
	grown = realloc(array->json.out, needed);
	if (grown == NULL) {
		array->no_memory = true;
		return false;
	}
	array->json.out = grown;
	array->json.size = needed;
	return true;
}

static void array_add(struct array *array, const struct message *message)
{
	if (!array_reserve(array, 1 + write_message(message, NULL, 0)))
		return;
	if (array->has_more)
		json_write_bytes(&array->json, ",", 1);
	put_message(&array->json, message);
	array->has_more = true;
	if (array->json.used < FRAGMENT_SIZE)
		return;
	array_send(array, false);
	array->stopped = session_send_rest(array->session, -1) != 0;
}

static bool array_goes_on(const struct array *array)
{
	return !array->no_memory && !array->stopped;
}

static void array_add_page(struct array *array, struct message *const *messages, size_t count, uint64_t last)
{
	for (size_t i = 0; i < count; i++) {
		if (array_goes_on(array) && messages[i]->seq <= last && is_shown(messages[i]))
			array_add(array, messages[i]);
		message_release(messages[i]);
	}
}

/* Adds what was said in messages 'from' to 'last'. Returns whether the journal could be read. */
static bool array_add_all(struct array *array, struct room *room, uint64_t from, uint64_t last)
{
	while (from != 0 && from <= last && array_goes_on(array)) {
		struct message *messages[PAGE_MESSAGES];
		ssize_t count = room_read(room, from, messages, PAGE_MESSAGES);

		if (count < 0)
			return false;
		from = count == 0 ? last + 1 : messages[count - 1]->seq + 1;
		array_add_page(array, messages, (size_t)count, last);
	}
	return true;
}

/* Sends the array of what was said up to message 'last'; ends it in any case, because a farewell may follow. */
static void array_send_all(struct array *array, struct room *room, uint64_t last)
{
	uint64_t from = room_find_said(room, last + 1, GO_CHAT_HISTORY_MOST);
	bool readable;

	if (!array_reserve(array, FRAGMENT_SIZE))
		return;
	json_write_bytes(&array->json, "[", 1);
	readable = from != ROOM_UNREADABLE && array_add_all(array, room, from, last);
	if (!array_reserve(array, 1))
		return;
	json_write_bytes(&array->json, "]", 1);
	array_send(array, true);
	if (!readable)
		session_error(array->session, "journal-unreadable",
			"what was said before cannot be read now; connect again later");
}

/* Why the history could not be sent to its end, as session_break() has it. */
static int go_chat_broken_by(const struct session *session)
{
	int error = outlet_error(session->outlet);

	if (error != 0)
		return error;
	/* Relaxed: it was seen before by the same thread. */
	return atomic_load_explicit(&session->talk->stopping, memory_order_relaxed) ? ECANCELED : EHOSTUNREACH;
}

void go_chat_begin(struct session *session)
{
	struct array array = {.session = session};
	struct room *lobby = session->talk->lobby;
	struct reading behind = {.resumes = true, .after = room_last_seq(lobby)};

	array_send_all(&array, lobby, behind.after);
	free(array.json.out);
	if (array.stopped) { /* what the client has said already is not heard: it is nowhere */
		session_break(session, go_chat_broken_by(session));
		return;
	}
	if (!array.no_memory && session_observe(session, room_acquire(lobby), &behind))
		return;
	session->close_code = WEBSOCKET_CLOSE_TRY_LATER;
	session_finish(session, SESSION_REFUSED);
}

/* ---- What the client sends. ---- */

static void refuse_object(struct session *session)
{
	session_error(
		session, "bad-request", "a message is a JSON object like {\"username\":\"ann\",\"message\":\"hello\"}");
}

static void refuse_username(struct session *session)
{
	session_error(session, "bad-name",
		"a username has 1 to 50 letters, digits, _ - . # and single spaces inside; the message was dropped, "
		"choose another");
}

/* Gives the client the name that it calls itself. Returns whether it has it, or one like it. */
static bool go_chat_take_name(struct go_chat *chat, struct session *session, const char *username, size_t size)
{
	char name[NAME_SIZE];

	if (size > 0 && size == strlen(chat->username) && memcmp(username, chat->username, size) == 0)
		return true;
	if (!name_make(username, size, name)) {
		refuse_username(session);
		return false;
	}
	if (strcmp(name, chat->username) == 0)
		return true;
	if (session_has_name(session))
		session_rename(session, name);
	else if (!session_appear(session, name, strlen(name)))
		refuse_username(session);
	if (!session_has_name(session) || session_ended(session))
		return false;
	memcpy(chat->username, name, sizeof name);
	return true;
}

static void go_chat_say(struct session *session, const char *text, size_t size)
{
	char *clean = malloc(TEXT_CLEAN_SIZE(size));

	if (clean == NULL) {
		session_error(session, "no-memory",
			"the server has no memory for this message now; it was dropped, send it again");
		return;
	}
	size = request_clean(text, size, clean);
	if (size > 0 && session_takes(session, size))
		session_say(session, session_place(session, ""), MESSAGE_TEXT, clean, size, 0);
	free(clean);
}

static json_t *parse(const char *text, size_t size)
{
	if (!nesting_is_within(text, size, OBJECT_DEPTH_MAX))
		return NULL;
	return json_loadb(text, size, JSON_ALLOW_NUL, NULL);
}

void go_chat_hear(struct go_chat *chat, struct session *session, const char *text, size_t size)
{
	json_t *object = parse(text, size);
	const json_t *username = json_object_get(object, "username");
	const json_t *message = json_object_get(object, "message");

	if (!json_is_string(username) || !json_is_string(message))
		refuse_object(session);
	else if (go_chat_take_name(chat, session, json_string_value(username), json_string_length(username)) &&
		 json_string_length(message) > 0)
		go_chat_say(session, json_string_value(message), json_string_length(message));
	json_decref(object);
}
