/*
 * Streams: what is said in a room, sent for as long as the client stays, as server-sent events, lines of JSON, or lines of
 * text. Whoever reads a stream is not seen in the room, and says nothing.
 *
 * A stream is a door with a format of its own, so its records lie in the room's segments, and a slow reader reads the journal
 * like everybody. The HTTP door leads to it.
 *
 * Threads: the client's own.
 * Source: WHATWG HTML, 9.2 (server-sent events).
 */
#ifndef TCPSERVER_DOORS_STREAM_H
#define TCPSERVER_DOORS_STREAM_H

#include <stddef.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/session.h"

struct room;

enum stream_kind {
	STREAM_EVENTS, /* text/event-stream    */
	STREAM_JSON,   /* application/x-ndjson */
	STREAM_TEXT,   /* text/plain           */
};

struct stream_start {
	enum stream_kind kind;
	struct room *room; /* a reference, taken */
	struct reading reading;
	const char *head; /* what is sent before the first record */
	size_t head_size;
};

/* Holds the conversation until the session has ended. */
void stream_serve(struct session *session, const struct stream_start *start);

extern const struct door stream_events_door;
extern const struct door stream_json_door;
extern const struct door stream_text_door;

#endif
