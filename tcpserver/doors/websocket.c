#include "tcpserver/doors/websocket.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/nesting.h"
#include "common/text.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/rooms.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/event.h"
#include "tcpserver/doors/go_chat.h"
#include "tcpserver/doors/line.h"
#include "tcpserver/doors/request.h"
#include "tcpserver/doors/websocket_frame.h"
#include "tcpserver/doors/websocket_handshake.h"

enum {
	EVENT_SIZE = 102, /* about, of a message's object without its texts                  */
	LINE_SIZE = 2,    /* about, of a message's line without its texts                    */
	PERIODS = 3, /* in --peer-timeout; one that is silent for so many has vanished, one is asked after each of the
			others */
};

/* The conversation with one client. */
struct websocket {
	struct session *session;
	enum websocket_kind kind;
	struct room *room;      /* where a client wants to be that has not told its name; a reference, or NULL */
	struct reading reading; /* and from where it wants to read it */
	struct websocket_reader reader;
	struct go_chat chat;
	long long name_deadline_ms;
	long long heard_ms; /* when something came from the client last               */
	long long look_ms;  /* when to look next whether something came in the meantime */
};

/* ---- How messages look. ---- */

static size_t write_event(const void *message, char *out, size_t size)
{
	return event_write(message, false, out, size);
}

static size_t write_history(const void *message, char *out, size_t size)
{
	return event_write(message, true, out, size);
}

static size_t event_size(const struct message *message)
{
	return EVENT_SIZE + message->room_size + message->participant_size + message->text_size;
}

static size_t websocket_encode(const struct message *message, char *out, size_t size)
{
	return websocket_write_text(write_event, message, event_size(message), out, size);
}

static size_t websocket_recall(const struct message *message, char *out, size_t size)
{
	return websocket_write_text(write_history, message, event_size(message), out, size);
}

const struct format websocket_event_format = {
	.name = "websocket", .encode = websocket_encode, .recall = websocket_recall};

/* The same with fewer fields. */

static size_t write_short(const void *message, char *out, size_t size)
{
	return event_write_short(message, false, out, size);
}

static size_t write_short_history(const void *message, char *out, size_t size)
{
	return event_write_short(message, true, out, size);
}

static size_t websocket_encode_short(const struct message *message, char *out, size_t size)
{
	return websocket_write_text(write_short, message, event_size(message), out, size);
}

static size_t websocket_recall_short(const struct message *message, char *out, size_t size)
{
	return websocket_write_text(write_short_history, message, event_size(message), out, size);
}

const struct format websocket_short_format = {
	.name = "websocket-short", .encode = websocket_encode_short, .recall = websocket_recall_short};

static size_t write_telling(const void *telling, char *out, size_t size)
{
	return event_write_telling(telling, out, size);
}

static char *websocket_words(const struct telling *telling, size_t *size)
{
	*size = 0;
	return websocket_make_text(write_telling, telling, size);
}

/* The same in lines as people read them; an end of line is not part of a frame. */

static size_t write_line(const void *message, char *out, size_t size)
{
	return line_write(message, false, out, size);
}

static size_t write_old_line(const void *message, char *out, size_t size)
{
	return line_write(message, true, out, size);
}

static size_t line_size(const struct message *message)
{
	return LINE_SIZE + message->participant_size + message->text_size;
}

static size_t websocket_encode_line(const struct message *message, char *out, size_t size)
{
	return websocket_write_text(write_line, message, line_size(message), out, size);
}

static size_t websocket_recall_line(const struct message *message, char *out, size_t size)
{
	return websocket_write_text(write_old_line, message, line_size(message), out, size);
}

const struct format websocket_text_format = {
	.name = "websocket-text", .encode = websocket_encode_line, .recall = websocket_recall_line};

static char *websocket_text_words(const struct telling *telling, size_t *size)
{
	size_t line_size;
	char *line = line_door.words(telling, &line_size);
	char *frame = line == NULL ? NULL : malloc(WEBSOCKET_HEAD_SIZE_MAX + line_size);
	size_t payload = line == NULL ? 0 : line_size - 1;

	*size = 0;
	if (frame != NULL) {
		*size = websocket_write_head(frame, WEBSOCKET_TEXT, payload);
		memcpy(frame + *size, line, payload);
		*size += payload;
	}
	free(line);
	return frame;
}

/* ---- The goodbye. ---- */

static unsigned websocket_close_code(const struct session *session)
{
	static const unsigned codes[] = {
		[SESSION_LEFT] = WEBSOCKET_CLOSE_NORMAL,
		[SESSION_LOST] = WEBSOCKET_CLOSE_INTERNAL,
		[SESSION_REFUSED] = WEBSOCKET_CLOSE_REFUSED,
		[SESSION_STOPPED] = WEBSOCKET_CLOSE_GOING_AWAY,
	};

	return session->close_code != WEBSOCKET_CLOSE_NONE ? session->close_code : codes[session->end];
}

static char *websocket_goodbye(const struct session *session, size_t *size)
{
	unsigned code = websocket_close_code(session);
	size_t payload = code == WEBSOCKET_CLOSE_NO_CODE ? 0 : 2;
	char *frame = malloc(WEBSOCKET_HEAD_SIZE_MAX + payload);

	if (frame == NULL)
		return NULL;
	*size = websocket_write_head(frame, WEBSOCKET_CLOSE, payload);
	if (payload > 0) {
		frame[(*size)++] = (char)(code >> 8);
		frame[(*size)++] = (char)(code & 0xFF);
	}
	return frame;
}

/* Nobody comes in by these doors, but by that of HTTP, which calls websocket_serve(). */
const struct door websocket_event_door = {
	.name = "websocket",
	.format = &websocket_event_format,
	.many_rooms = true,
	.shows_coming = true,
	.words = websocket_words,
	.goodbye = websocket_goodbye,
};

const struct door websocket_short_door = {
	.name = "websocket-short",
	.format = &websocket_short_format,
	.shows_coming = true,
	.words = websocket_words,
	.goodbye = websocket_goodbye,
};

const struct door websocket_text_door = {
	.name = "websocket-text",
	.format = &websocket_text_format,
	.words = websocket_text_words,
	.goodbye = websocket_goodbye,
};

const struct door websocket_go_chat_door = {
	.name = "go-chat",
	.format = &go_chat_format,
	.words = go_chat_words,
	.goodbye = websocket_goodbye,
};

/* Ends the conversation with a close frame of that code. */
static void websocket_end(struct websocket *websocket, enum session_end end, unsigned code)
{
	if (session_ended(websocket->session))
		return;
	websocket->session->close_code = code;
	session_finish(websocket->session, end);
}

/* ---- What the client says. ---- */

/* A line's end belongs to it, as some programs send it along. */
static size_t without_end(const char *text, size_t size)
{
	if (size == 0 || text[size - 1] != '\n')
		return size;
	return size > 1 && text[size - 2] == '\r' ? size - 2 : size - 1;
}

/* A text of several lines becomes one. */
static void websocket_lines(struct websocket *websocket, const char *text, size_t size)
{
	char *line = malloc(TEXT_CLEAN_SIZE(size));

	if (line == NULL)
		session_error(websocket->session, "no-memory",
			"the server has no memory for this text now; it was dropped, send it again");
	else
		session_line(websocket->session, line, request_clean(text, size, line));
	free(line);
}

static void websocket_line(struct websocket *websocket, const char *text, size_t size)
{
	size = without_end(text, size);
	if (memchr(text, '\n', size) != NULL || memchr(text, '\r', size) != NULL)
		websocket_lines(websocket, text, size);
	else
		session_line(websocket->session, text, size);
}

/* Adds to the request "session" what the address said and it does not. */
static void websocket_complete_request(const struct websocket *websocket, json_t *object)
{
	const char *op = json_string_value(json_object_get(object, "op"));

	if (op == NULL || strcmp(op, "session") != 0)
		return;
	if (json_object_get(object, "room") == NULL)
		(void)json_object_set_new(object, "room", json_string(room_id(websocket->room)));
	if (websocket->reading.resumes && json_object_get(object, "after") == NULL)
		(void)json_object_set_new(object, "after", json_integer((json_int_t)websocket->reading.after));
}

/* The same in new memory; NULL when it is no object, which event_request() explains. */
static char *websocket_completed_request(const struct websocket *websocket, const char *text, size_t size)
{
	json_t *object;
	char *completed = NULL;

	if (!nesting_is_within(text, size, REQUEST_DEPTH_MAX))
		return NULL;
	object = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	websocket_complete_request(websocket, object);
	if (json_is_object(object))
		completed = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return completed;
}

/* Lets go of the room that the client waited before. */
static void websocket_end_wait(struct websocket *websocket)
{
	if (websocket->room == NULL)
		return;
	rooms_give_back(&websocket->session->talk->rooms, websocket->room);
	websocket->room = NULL;
}

/* The first request of a client that gave no name in its address. */
static void websocket_first_request(struct websocket *websocket, const char *text, size_t size)
{
	char *completed = websocket_completed_request(websocket, text, size);

	if (completed != NULL)
		event_request(websocket->session, completed, strlen(completed));
	else
		event_request(websocket->session, text, size);
	free(completed);
	websocket_end_wait(websocket);
}

static void websocket_event_text(struct websocket *websocket, const char *text, size_t size)
{
	struct session *session = websocket->session;
	bool is_request = size > 0 && text[0] == '{';

	if (session_has_name(session) && is_request) {
		event_request(session, text, size);
	} else if (session_has_name(session)) {
		websocket_line(websocket, text, size);
	} else if (is_request) {
		websocket_first_request(websocket, text, size);
	} else {
		session_error(session, "bad-request",
			"the first message has to be the request \"session\", with a \"name\"; or give ?name= in the "
			"address");
		session_finish(session, SESSION_REFUSED);
	}
}

static void websocket_pong(struct websocket *websocket, const char *payload, size_t size)
{
	char frame[WEBSOCKET_HEAD_SIZE_MAX + WEBSOCKET_CONTROL_MAX];
	size_t head = websocket_write_head(frame, WEBSOCKET_PONG, size);

	memcpy(frame + head, payload, size);
	outlet_tell(websocket->session->outlet, frame, head + size);
}

static void websocket_take(struct websocket *websocket, enum websocket_heard heard, const char *payload, size_t size)
{
	switch (heard) {
	case WEBSOCKET_HEARD_TEXT:
		if (websocket->kind == WEBSOCKET_GO_CHAT)
			go_chat_hear(&websocket->chat, websocket->session, payload, size);
		else if (websocket->kind == WEBSOCKET_LINES)
			websocket_line(websocket, payload, size);
		else
			websocket_event_text(websocket, payload, size);
		break;
	case WEBSOCKET_HEARD_PING:
		websocket_pong(websocket, payload, size);
		break;
	case WEBSOCKET_HEARD_CLOSE:
		websocket_end(websocket, SESSION_LEFT, websocket->reader.close_code);
		break;
	case WEBSOCKET_HEARD_FAULT:
		websocket_end(websocket, SESSION_REFUSED, websocket->reader.close_code);
		break;
	case WEBSOCKET_HEARD_PONG: /* that something came was noted */
	case WEBSOCKET_HEARD_NOTHING:
		break;
	}
}

static void websocket_broke(struct websocket *websocket, int error)
{
	if (error == ECONNABORTED)
		websocket->session->close_code = WEBSOCKET_CLOSE_REPLACED;
	session_break(websocket->session, error);
}

/* Whether the next frame may be looked at, now that the client has read enough of what the others brought it. */
static bool websocket_goes_on(struct websocket *websocket)
{
	int error = session_keep_pace(websocket->session);

	if (error != 0)
		websocket_broke(websocket, -error);
	return !session_ended(websocket->session);
}

static void websocket_hear(struct websocket *websocket, const char *bytes, size_t size)
{
	enum websocket_heard heard;
	const char *payload;
	size_t payload_size;

	websocket_reader_feed(&websocket->reader, bytes, size);
	while (websocket_goes_on(websocket) &&
		(heard = websocket_reader_next(&websocket->reader, &payload, &payload_size)) != WEBSOCKET_HEARD_NOTHING)
		websocket_take(websocket, heard, payload, payload_size);
	websocket->heard_ms = clock_ms(); /* now: a client that had to read first was not silent meanwhile */
}

/* ---- Time. ---- */

static long long websocket_period_ms(const struct websocket *websocket)
{
	return websocket->session->talk->peer_timeout_s * 1000LL / PERIODS;
}

static bool websocket_waits_for_name(const struct websocket *websocket)
{
	return websocket->kind <= WEBSOCKET_SHORT && !session_has_name(websocket->session);
}

static int websocket_timeout_ms(const struct websocket *websocket)
{
	long long at_ms = websocket->look_ms;
	long long left_ms;

	if (websocket_waits_for_name(websocket) && websocket->name_deadline_ms < at_ms)
		at_ms = websocket->name_deadline_ms;
	left_ms = at_ms - clock_ms();
	return left_ms < 0 ? 0 : (int)left_ms;
}

static void websocket_no_name(struct websocket *websocket)
{
	session_error(websocket->session, "name-timeout",
		"no name came within %d s; connect again and send the request \"session\" at once",
		websocket->session->talk->name_timeout_ms / 1000);
	websocket_end(websocket, SESSION_REFUSED, WEBSOCKET_CLOSE_NAME_TIMEOUT);
}

/*
 * Asks a silent client whether it is there, and gives up one from which nothing came for three periods. One that reads
 * slowly does not see the question before all that waits for it: it is asked when it has caught up, and until then TCP
 * knows whether it is there.
 */
static void websocket_look(struct websocket *websocket, long long now_ms)
{
	char ping[WEBSOCKET_HEAD_SIZE_MAX];
	long long period_ms = websocket_period_ms(websocket);

	if (outlet_is_behind(websocket->session->outlet))
		websocket->heard_ms = now_ms;
	else if (now_ms - websocket->heard_ms >= PERIODS * period_ms)
		session_break(websocket->session, ETIMEDOUT);
	else if (now_ms - websocket->heard_ms >= period_ms)
		outlet_tell(websocket->session->outlet, ping, websocket_write_head(ping, WEBSOCKET_PING, 0));
	websocket->look_ms = now_ms + period_ms;
	if (websocket->heard_ms > now_ms - period_ms)
		websocket->look_ms = websocket->heard_ms + period_ms;
}

static void websocket_silence(struct websocket *websocket)
{
	long long now_ms = clock_ms();

	if (websocket_waits_for_name(websocket) && now_ms >= websocket->name_deadline_ms)
		websocket_no_name(websocket);
	else if (now_ms >= websocket->look_ms)
		websocket_look(websocket, now_ms);
}

/* ---- The conversation. ---- */

static void websocket_begin(struct websocket *websocket, const struct websocket_start *start)
{
	static const struct door *const doors[] = {
		[WEBSOCKET_EVENTS] = &websocket_event_door,
		[WEBSOCKET_SHORT] = &websocket_short_door,
		[WEBSOCKET_LINES] = &websocket_text_door,
		[WEBSOCKET_GO_CHAT] = &websocket_go_chat_door,
	};
	char answer[WEBSOCKET_HANDSHAKE_SIZE_MAX];
	struct session *session = websocket->session;

	session_set_door(session, doors[start->kind]);
	outlet_tell(session->outlet, answer, websocket_handshake(start->key, answer));
	if (start->kind == WEBSOCKET_GO_CHAT)
		go_chat_begin(session);
	else if (start->name == NULL)
		websocket->room = start->room != NULL ? start->room : room_acquire(session->talk->lobby);
	else if (!session_come(session, start->name, start->room, &start->reading))
		session_finish(session, SESSION_REFUSED);
	websocket->heard_ms = clock_ms();
	websocket->look_ms = websocket->heard_ms + websocket_period_ms(websocket);
	websocket->name_deadline_ms = websocket->heard_ms + session->talk->name_timeout_ms;
}

void websocket_serve(struct session *session, const struct websocket_start *start)
{
	struct websocket websocket = {.session = session, .kind = start->kind, .reading = start->reading};

	websocket_reader_init(&websocket.reader, session->talk->max_line);
	websocket_begin(&websocket, start);
	if (start->early_size > 0)
		websocket_hear(&websocket, start->early, start->early_size);
	while (!session_ended(session)) {
		const char *bytes;
		ssize_t size = session_receive(session, websocket_timeout_ms(&websocket), &bytes);

		if (size > 0)
			websocket_hear(&websocket, bytes, (size_t)size);
		else if (size == 0)
			session_finish(session, SESSION_LEFT);
		else if (size == -ETIMEDOUT)
			websocket_silence(&websocket);
		else
			websocket_broke(&websocket, (int)-size);
	}
	websocket_end_wait(&websocket);
	websocket_reader_fini(&websocket.reader);
}
