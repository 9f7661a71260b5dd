#include "tcpserver/doors/http_call.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/rooms.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/http_json.h"
#include "tcpserver/doors/json_writer.h"
#include "tcpserver/doors/room_desk.h"
#include "tcpserver/doors/stream.h"

static void view_write(struct json_writer *json, const void *context)
{
	const struct room_view *view = context;

	json_write_open(json);
	json_write_text(json, "id", view->id);
	json_write_text(json, "name", view->name);
	json_write_text(json, "topic", view->topic);
	json_write_number(json, "people", view->people);
	json_write_time(json, "created_at", view->created_ns);
	json_write_number(json, "last", view->last);
	json_write_close(json);
}

/* ---- The list. ---- */

static void list_write(struct json_writer *json, const void *context)
{
	const struct room_list *list = context;

	json_write_bytes(json, "{\"rooms\":[", 10);
	for (size_t i = 0; i < list->count; i++) {
		json_write_bytes(json, ",", i > 0);
		view_write(json, &list->views[i]);
	}
	json_write_bytes(json, "]", 1);
	json_write_raw(json, "more", list->more ? "true" : "false");
	json_write_close(json);
}

void http_rooms_list(struct http_call *call)
{
	struct room_list list;
	int error = room_desk_list(&call->session->talk->rooms, &list);

	if (error == -ENOMEM)
		http_reply_give(call->reply, 503, NULL, NULL, 0);
	else if (error != 0)
		http_reply_error(call->reply, 503, "journal-unreadable", "the journal cannot be read now; try again later");
	else
		http_reply_json(call->reply, 200, list_write, &list);
	room_desk_free(&list);
}

/* ---- One room. ---- */

static void show(struct http_call *call, unsigned status, struct room *room)
{
	struct room_view view = {.id = ""};

	room_desk_view(room, rooms_people_count(&call->session->talk->rooms, room), &view);
	http_reply_json(call->reply, status, view_write, &view);
}

void http_room_show(struct http_call *call)
{
	struct room *room = http_call_room(call, call->captures[0]);

	if (room == NULL)
		return;
	show(call, 200, room);
	http_call_leave_room(call, room);
}

void http_rooms_create(struct http_call *call)
{
	json_t *object = http_json_read(call);
	const char *name = json_string_value(json_object_get(object, "name"));
	struct room *room = NULL;

	if (object == NULL)
		return; /* the reply says why */
	if (name == NULL)
		http_reply_error(call->reply, 400, "bad-request", "the body has no string \"name\"");
	else
		room = http_call_make_room(call, name);
	if (room != NULL) {
		show(call, 201, room);
		http_reply_add(call->reply, "Location", "/rooms/%s", room_id(room));
		http_call_leave_room(call, room);
	}
	json_decref(object);
}

/* ---- Closing one. ---- */

static bool may_delete(struct http_call *call, const struct room *room)
{
	const char *id = http_field(call->request, "Chat-Session");

	switch (room_desk_may_close(call->session, room, id, http_field(call->request, "Authorization"))) {
	case ROOM_MAY_CLOSE:
		return true;
	case ROOM_STAYS:
		http_reply_error(call->reply, 403, "not-allowed", "%s always stays; nobody may close it", room_label(room));
		break;
	case ROOM_IS_OF_ANOTHER:
		http_reply_error(call->reply, 403, "not-allowed", "only who made %s, or an administrator, may close it", room_label(room));
		break;
	case ROOM_NEEDS_PROOF:
		http_reply_error(call->reply, 401, "wrong-password", "only who made %s (Chat-Session), or an administrator (Authorization), may"
			" close it", room_label(room));
		http_reply_add(call->reply, "WWW-Authenticate", "Basic realm=\"tcpchat\", charset=\"UTF-8\"");
		if (call->session->password_tries >= SESSION_PASSWORDS_MAX)
			call->reply->closes = true;
		break;
	}
	return false;
}

static void delete(struct http_call *call, struct room *room)
{
	int error = room_desk_close(call->session, room, http_field(call->request, "Authorization"));

	if (error == -ENOMEM)
		http_reply_give(call->reply, 503, NULL, NULL, 0);
	else if (error != 0)
		http_reply_error(call->reply, 503, "not-stored", "this could not be kept, and nothing was closed; try again later");
	else
		http_reply_show(call->reply, 204, NULL, "", 0);
}

void http_room_delete(struct http_call *call)
{
	struct room *room = http_call_room(call, call->captures[0]);

	if (room == NULL)
		return;
	if (may_delete(call, room))
		delete(call, room);
	http_call_leave_room(call, room);
}

/* ---- Its stream. ---- */

static bool accepts(const struct http_request *request, const char *type)
{
	const char *accept = http_field(request, "Accept");

	return accept != NULL && strcasestr(accept, type) != NULL;
}

/* In which form. Returns false when the reply says why not. */
static bool choose_kind(struct http_call *call, enum stream_kind *kind)
{
	const char *format = http_query(call->request, "format");

	if (format != NULL && strcmp(format, "sse") != 0 && strcmp(format, "jsonl") != 0 && strcmp(format, "text") != 0) {
		http_reply_error(call->reply, 400, "usage", "format has to be sse, jsonl or text");
		return false;
	}
	*kind = STREAM_TEXT;
	if (format != NULL)
		*kind = format[0] == 's' ? STREAM_EVENTS : format[0] == 'j' ? STREAM_JSON : STREAM_TEXT;
	else if (accepts(call->request, "text/event-stream"))
		*kind = STREAM_EVENTS;
	else if (accepts(call->request, "application/x-ndjson") || accepts(call->request, "application/json"))
		*kind = STREAM_JSON;
	return true;
}

/* NUMBER, or NUMBER:ROOM_ID as the ids of events are. */
static bool read_place(const char *text, struct reading *reading)
{
	const char *colon = strchr(text, ':');
	size_t size = colon == NULL ? strlen(text) : (size_t)(colon - text);
	char number[24];

	if (size >= sizeof number || (colon != NULL && !room_is_id(colon + 1)))
		return false;
	(void)snprintf(number, sizeof number, "%.*s", (int)size, text);
	if (!http_number(number, &reading->after))
		return false;
	(void)snprintf(reading->of, sizeof reading->of, "%s", colon == NULL ? "" : colon + 1);
	reading->resumes = true;
	return true;
}

/* From where: the last event that a browser had, 'after', or what is said of the past to whoever comes. */
static bool choose_reading(struct http_call *call, struct reading *reading)
{
	const char *last = http_field(call->request, "Last-Event-ID");
	const char *after = http_query(call->request, "after");
	const char *history = http_query(call->request, "history");
	uint64_t count;

	*reading = session_reading(call->session);
	if (after != NULL && !read_place(after, reading)) {
		http_reply_error(call->reply, 400, "usage", "after has to be a whole number from 0 on, or the id of an event");
		return false;
	}
	if (last != NULL && last[0] != '\0' && !read_place(last, reading)) {
		http_reply_error(call->reply, 400, "usage", "Last-Event-ID has to be the number of a message, or the id of an event");
		return false;
	}
	if (history != NULL && strcmp(history, "all") == 0) {
		reading->count = SIZE_MAX;
	} else if (history != NULL) {
		if (!http_call_number(call, "history", 0, &count))
			return false;
		reading->count = (size_t)count;
	}
	return true;
}

static void run_stream(struct session *session, const struct http_takeover *takeover, const char *early, size_t early_size)
{
	struct stream_start *start = takeover->context;

	(void)early; /* nothing that follows is listened to */
	(void)early_size;
	start->head = takeover->head == NULL ? "" : takeover->head;
	start->head_size = takeover->head == NULL ? 0 : takeover->head_size;
	stream_serve(session, start);
	free(start);
}

static void begin_stream(struct http_call *call, const struct stream_start *wanted)
{
	static const char *const types[] = {[STREAM_EVENTS] = "text/event-stream",
		[STREAM_JSON] = "application/x-ndjson",
		[STREAM_TEXT] = "text/plain; charset=utf-8"};
	struct stream_start *start;

	http_reply_show(call->reply, 200, types[wanted->kind], "", 0);
	http_reply_add(call->reply, "X-Accel-Buffering", "no"); /* a proxy shall not keep it back */
	if (strcmp(call->request->method, "HEAD") == 0) {
		http_call_leave_room(call, wanted->room);
		return;
	}
	start = malloc(sizeof *start);
	if (start == NULL) {
		http_call_leave_room(call, wanted->room);
		http_reply_give(call->reply, 503, NULL, NULL, 0);
		return;
	}
	*start = *wanted;
	call->takeover = (struct http_takeover){.run = run_stream, .context = start};
}

void http_room_stream(struct http_call *call)
{
	struct stream_start start = {.kind = STREAM_TEXT};

	if (!choose_kind(call, &start.kind) || !choose_reading(call, &start.reading))
		return;
	start.room = http_call_room(call, call->captures[0]);
	if (start.room != NULL)
		begin_stream(call, &start);
}
