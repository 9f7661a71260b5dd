#include "tcpserver/doors/http_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/room.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/json_writer.h"
#include "tcpserver/doors/websocket.h"

enum { KEY_SIZE = 25 }; /* base64 of 16 bytes, and a NUL */

void http_ping(struct http_call *call)
{
	http_reply_show(call->reply, 200, "text/plain; charset=utf-8", "pong", 4);
}

/* ---- Making a room. ---- */

static void write_created(struct json_writer *json, const void *context)
{
	const struct room *room = context;

	json_write_open(json);
	json_write_text(json, "id", room_id(room));
	json_write_text(json, "name", room_label(room));
	json_write_close(json);
}

void http_chat_create(struct http_call *call)
{
	const char *name = http_query(call->request, "name");
	struct room *room = http_call_make_room(call, name == NULL ? "" : name);

	if (room == NULL)
		return;
	http_reply_json(call->reply, 201, write_created, room);
	http_reply_add(call->reply, "Location", "/rooms/%s", room_id(room));
	http_call_leave_room(call, room);
}

/* ---- The way to a WebSocket. ---- */

/* What a WebSocket begins with, with its texts. */
struct join {
	struct websocket_start start;
	char key[KEY_SIZE];
	char name[NAME_SIZE];
};

static void refuse_upgrade(struct http_call *call, unsigned status, const char *why)
{
	http_reply_error(call->reply, status, "upgrade-required", "%s", why);
	http_reply_add(call->reply, "Sec-WebSocket-Version", "13");
	if (status != 426)
		return;
	http_reply_add(call->reply, "Upgrade", "websocket");
	http_reply_add(call->reply, "Connection", "Upgrade"); /* as RFC 9110, 7.8, wants it */
}

/* Source: RFC 6455, 4.2.1. */
bool http_call_is_upgrade(struct http_call *call)
{
	const struct http_request *request = call->request;
	const char *version = http_field(request, "Sec-WebSocket-Version");
	const char *key = http_field(request, "Sec-WebSocket-Key");

	if (!http_field_has(request, "Upgrade", "websocket") || !http_field_has(request, "Connection", "upgrade"))
		refuse_upgrade(call, 426, "this is for WebSockets; ask with Upgrade: websocket");
	else if (request->is_old || strcmp(request->method, "GET") != 0)
		refuse_upgrade(call, 400, "a WebSocket begins with a GET of HTTP/1.1");
	else if (version == NULL || strcmp(version, "13") != 0)
		refuse_upgrade(call, 426, "only version 13 of WebSockets is spoken here");
	else if (key == NULL || !websocket_key_is_valid(key))
		refuse_upgrade(call, 400, "Sec-WebSocket-Key has to be the base64 of 16 bytes");
	else if (call->origin == HTTP_ORIGIN_FOREIGN)
		http_reply_error(call->reply, 403, "foreign-origin",
			"a web page of another site may not connect; the server can allow it with --allow-origin");
	else
		return true;
	return false;
}

static void run_websocket(struct session *session, const struct http_takeover *takeover, const char *early, size_t early_size)
{
	struct join *join = takeover->context;

	join->start.early = early;
	join->start.early_size = early_size;
	websocket_serve(session, &join->start);
	free(join);
}

/* The connection becomes a WebSocket. Takes the reference to the room. */
static void take_over(struct http_call *call, const struct websocket_start *start, const char *name)
{
	struct join *join = calloc(1, sizeof *join);

	if (join == NULL) {
		if (start->room != NULL)
			room_release(start->room);
		http_reply_give(call->reply, 503, NULL, NULL, 0);
		return;
	}
	join->start = *start;
	(void)snprintf(join->key, sizeof join->key, "%s", http_field(call->request, "Sec-WebSocket-Key"));
	join->start.key = join->key;
	if (name != NULL) {
		(void)snprintf(join->name, sizeof join->name, "%s", name);
		join->start.name = join->name;
	}
	call->takeover = (struct http_takeover){.run = run_websocket, .context = join};
	call->reply->status = 101;
}

/* What the client wants to hear: events, short ones, or lines, which have no other way to tell a name. */
static bool choose_format(struct http_call *call, struct websocket_start *start)
{
	static const char *const formats[] = {
		[WEBSOCKET_EVENTS] = "json", [WEBSOCKET_SHORT] = "short", [WEBSOCKET_LINES] = "text"};
	const char *format = http_query(call->request, "format");

	start->kind = WEBSOCKET_EVENTS;
	while (format != NULL && start->kind <= WEBSOCKET_LINES && strcmp(format, formats[start->kind]) != 0)
		start->kind++;
	if (start->kind > WEBSOCKET_LINES)
		http_reply_error(call->reply, 400, "usage", "format has to be json, short or text");
	else if (start->kind == WEBSOCKET_LINES && http_query(call->request, "name") == NULL)
		http_reply_error(call->reply, 400, "usage", "format=text needs a name, as ?name=NAME&format=text");
	else
		return true;
	return false;
}

void http_chat_join(struct http_call *call)
{
	const char *text = http_query(call->request, "name");
	const char *room = http_query(call->request, "room");
	struct websocket_start start = {.kind = WEBSOCKET_EVENTS, .reading = session_reading(call->session)};
	char name[NAME_SIZE];

	if (!http_call_is_upgrade(call) || !http_call_number(call, "after", 0, &start.reading.after) ||
		!choose_format(call, &start))
		return;
	start.reading.resumes = http_query(call->request, "after") != NULL;
	if (text != NULL && !name_make(text, strlen(text), name)) {
		http_reply_error(call->reply, 400, "bad-name",
			"a name has 1 to 50 letters, digits, _ - . # and single spaces inside; choose another");
		return;
	}
	if (room != NULL && room[0] != '\0') {
		start.room = http_call_room(call, room);
		if (start.room == NULL)
			return;
	}
	take_over(call, &start, text == NULL ? NULL : name);
}

/* Go-Chat's clients come here. A browser gets the page. */
void http_root(struct http_call *call)
{
	struct websocket_start start = {.kind = WEBSOCKET_GO_CHAT};

	if (!http_field_has(call->request, "Upgrade", "websocket"))
		http_page(call);
	else if (http_call_is_upgrade(call))
		take_over(call, &start, NULL);
}
