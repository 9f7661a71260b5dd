#include "tcpserver/doors/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/message.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room.h"
#include "tcpserver/doors/event.h"
#include "tcpserver/doors/line.h"

enum { HEARTBEAT_MS = 20 * 1000 }; /* after which proxies on the way see that the stream lives */

static const char retry[] = "retry: 2000\n\n"; /* milliseconds, after which a browser connects again */
static const char heartbeat[] = ":\n\n";       /* a comment */

/* ---- How messages look. ---- */

/* The event in JSON, which 'write' makes with a line end, after its number and the id of the room: a room that was made anew
 * has other numbers. */
static size_t events_write(const char *id, const struct message *message,
	size_t (*write)(const struct message *, char *, size_t), char *out, size_t size)
{
	char before[40 + ROOM_ID_SIZE];
	size_t length = (size_t)snprintf(before, sizeof before, "id: %llu%s%s\ndata: ", (unsigned long long)message->seq,
		id[0] == '\0' ? "" : ":", id);
	bool has_room = length < size;
	size_t needed = length + write(message, has_room ? out + length : NULL, has_room ? size - length : 0) + 1;

	if (needed > size)
		return needed;
	memcpy(out, before, length);
	out[needed - 1] = '\n';
	return needed;
}

static size_t events_encode(const struct message *message, char *out, size_t size)
{
	return events_write("", message, event_format.encode, out, size);
}

static size_t events_recall(const struct message *message, char *out, size_t size)
{
	return events_write("", message, event_format.recall, out, size);
}

static size_t events_encode_in(const char *id, const struct message *message, bool history, char *out, size_t size)
{
	return events_write(id, message, history ? event_format.recall : event_format.encode, out, size);
}

static const struct format events_format = {
	.name = "sse", .encode = events_encode, .recall = events_recall, .encode_in = events_encode_in};

/* ---- Words to one client. ---- */

static char *events_words(const struct telling *telling, size_t *size)
{
	size_t event_size;
	char *event = event_door.words(telling, &event_size);
	char *words = NULL;
	int length = event == NULL ? -1 : asprintf(&words, "data: %.*s\n", (int)event_size, event);

	free(event);
	*size = length < 0 ? 0 : (size_t)length;
	return length < 0 ? NULL : words;
}

static char *json_words(const struct telling *telling, size_t *size)
{
	return event_door.words(telling, size);
}

static char *text_words(const struct telling *telling, size_t *size)
{
	return line_door.words(telling, size);
}

const struct door stream_events_door = {.name = "sse", .format = &events_format, .words = events_words};
const struct door stream_json_door = {.name = "jsonl", .format = &event_format, .words = json_words};
const struct door stream_text_door = {.name = "text", .format = &line_format, .words = text_words};

/* ---- The conversation. ---- */

static const struct door *const doors[] = {
	[STREAM_EVENTS] = &stream_events_door, [STREAM_JSON] = &stream_json_door, [STREAM_TEXT] = &stream_text_door};

/* Nothing that the client sends has a meaning any more. */
static void stream_listen(struct session *session, enum stream_kind kind)
{
	const char *ignored;
	ssize_t size = session_receive(session, HEARTBEAT_MS, &ignored);

	if (size == 0)
		session_finish(session, SESSION_LEFT);
	else if (size == -ETIMEDOUT && kind == STREAM_EVENTS && outlet_is_sent(session->outlet))
		outlet_tell(session->outlet, heartbeat, sizeof heartbeat - 1);
	else if (size < 0 && size != -ETIMEDOUT)
		session_break(session, (int)-size);
}

void stream_serve(struct session *session, const struct stream_start *start)
{
	session_set_door(session, doors[start->kind]);
	outlet_tell(session->outlet, start->head, start->head_size);
	if (start->kind == STREAM_EVENTS)
		outlet_tell(session->outlet, retry, sizeof retry - 1);
	if (!session_observe(session, start->room, &start->reading))
		session_finish(session, SESSION_REFUSED); /* the room is gone: a client that asks again learns it */
	while (!session_ended(session))
		stream_listen(session, start->kind);
}
