#include "tcpserver/doors/event.h"

#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/command.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/session.h"
#include "tcpserver/doors/json_writer.h"
#include "tcpserver/doors/line.h"
#include "tcpserver/doors/request.h"

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

size_t event_write(const struct message *message, bool history, char *out, size_t size)
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
	if (history)
		json_write_raw(&json, "history", "true");
	json_write_close(&json);
	return json.used;
}

size_t event_write_short(const struct message *message, bool history, char *out, size_t size)
{
	struct json_writer json = {.out = out, .size = size};

	if (message->kind != MESSAGE_TEXT)
		return event_write(message, history, out, size);
	json_write_open(&json);
	json_write_number(&json, "seq", message->seq);
	json_write_string(&json, "participant", message->participant, message->participant_size);
	json_write_string(&json, "text", message->text, message->text_size);
	if (history)
		json_write_raw(&json, "history", "true");
	json_write_close(&json);
	return json.used;
}

/* Ends the line after an object of 'used' bytes, which was written if it fits. Returns its size. */
static size_t event_end_line(char *out, size_t size, size_t used)
{
	if (used < size)
		out[used] = '\n';
	return used + 1;
}

static size_t event_encode(const struct message *message, char *out, size_t size)
{
	return event_end_line(out, size, event_write(message, false, out, size));
}

static size_t event_recall(const struct message *message, char *out, size_t size)
{
	return event_end_line(out, size, event_write(message, true, out, size));
}

const struct format event_format = {.name = "event", .encode = event_encode, .recall = event_recall};

/* ---- Words to one client. ---- */

static void event_put_telling(struct json_writer *json, const struct telling *telling)
{
	static const char *const names[] = {
		[TELL_NOTICE] = "notice",
		[TELL_ERROR] = "error",
		[TELL_WELCOME] = "welcome",
		[TELL_DIRECT] = "direct",
		[TELL_PONG] = "pong",
		[TELL_SAID] = "notice",
		[TELL_ROOM_CLOSED] = "room_closed",
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
	json_write_text(json, "room_id", telling->room_id);
	if (telling->room_id != NULL) {
		json_write_number(json, "last", telling->last);
		json_write_number(json, "mark", telling->mark);
	}
	if (telling->count != 0)
		json_write_number(json, "count", telling->count);
	if (telling->created_ns != 0)
		json_write_time(json, "created_at", telling->created_ns);
	json_write_text(json, "participant", telling->participant);
	json_write_text(json, "to", telling->to);
	if (telling->kind == TELL_WELCOME)
		json_write_text(json, "protocol", "tcpchat/1");
	json_write_text(json, farewell ? "address" : "text", telling->text);
	if (farewell)
		json_write_text(json, "text", "the server is stopping");
	json_write_close(json);
}

size_t event_write_telling(const struct telling *telling, char *out, size_t size)
{
	struct json_writer json = {.out = out, .size = size};

	event_put_telling(&json, telling);
	return json.used;
}

static char *event_words(const struct telling *telling, size_t *size)
{
	size_t used = event_write_telling(telling, NULL, 0);
	char *line = malloc(used + 1);

	*size = 0;
	if (line == NULL)
		return NULL;
	(void)event_write_telling(telling, line, used);
	*size = event_end_line(line, used + 1, used);
	return line;
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

static void say_text(struct session *session, const struct request *request)
{
	struct member *place = session_place(session, request->room == NULL ? "" : request->room);
	enum message_kind kind = request->action ? MESSAGE_ACTION : MESSAGE_TEXT;

	if (place == NULL)
		session_error(session, "not-in-room", "you are not in %s; join it first", request->room);
	else
		session_say(session, place, kind, request->text, strlen(request->text), request->number);
}

static size_t request_size(const struct request *request)
{
	const char *text = request->command != NULL ? request->arguments : request->text;

	return text == NULL ? 0 : strlen(text);
}

static void run_request(struct session *session, const struct request *request)
{
	if (request->wrong != NULL)
		session_error(session, "bad-request", "%s; see the requests in PROTOCOL.md", request->wrong);
	else if (!session_takes(session, request_size(request)))
		return; /* it was told */
	else if (request->command != NULL)
		command_find(request->command)->run(session, request->arguments);
	else
		say_text(session, request);
}

/* A client without a name has to tell it first. */
static void run_first_request(struct session *session, const struct request *request)
{
	(void)session_begin_events(session);
	if (request->wrong == NULL && request->command != NULL && strcmp(request->command, "session") == 0) {
		command_session(session, request->arguments);
	} else {
		session_error(session, "bad-request", "%s; see the requests in PROTOCOL.md",
			request->wrong != NULL ? request->wrong : "the first request has to be \"session\", with a \"name\"");
	}
	if (!session_has_name(session))
		session_finish(session, SESSION_REFUSED);
}

void event_request(struct session *session, const char *line, size_t size)
{
	struct request request;

	request_read(&request, line, size);
	session->request_id = request.id;
	session->request_answered = false;
	if (session_has_name(session))
		run_request(session, &request);
	else
		run_first_request(session, &request);
	if (request.id != NULL && !session->request_answered) /* what it did shows in a room, or not at all */
		session_tell(session, &(struct telling){.kind = TELL_NOTICE, .code = "done", .request_id = request.id});
	session->request_id = NULL;
	request_fini(&request);
}
