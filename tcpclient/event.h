/*
 * An event, as a tcpchat server tells it in event mode: one JSON object a line (docs/PROTOCOL.md).
 *
 * The server may say anything: what is nested too deep, or is no object, is no event, and all strings are made clean.
 *
 * Threads: one at a time for an event; nothing is shared.
 */
#ifndef TCPCLIENT_EVENT_H
#define TCPCLIENT_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"
#include "tcpclient/buffer.h"

enum event_kind {
	EVENT_WELCOME,
	EVENT_MESSAGE,
	EVENT_ACTION,
	EVENT_DIRECT,
	EVENT_JOINED,
	EVENT_LEFT,
	EVENT_NICK,
	EVENT_TOPIC,
	EVENT_ROOM_CLOSED,
	EVENT_ERROR,
	EVENT_NOTICE,
	EVENT_PONG,
	EVENT_OTHER, /* of a server that knows more than we do */
};

/* Where a string is not told, it is "". */
struct event {
	enum event_kind kind;
	long long id; /* of the request that it answers; 0: none      */
	long long at; /* seconds since 1970; 0: it was not told when  */
	long long seq;   /* its number in the room; 0: it has none       */
	long long last;  /* of a room: the number of its last message    */
	long long mark;  /* and of the last that one has read            */
	bool history;    /* it was said before                           */
	const char *kind_name;
	const char *type; /* "event_type" */
	const char *code;
	const char *room;
	const char *room_id;
	const char *participant;
	const char *to;
	const char *text;
	const char *address;
	struct buffer strings; /* owned */
};

/* Reads a line into 'event', which is {0} or was read into before. Returns false when it is no event. */
bool event_read(struct event *event, const char *line, size_t size) MUST_CHECK;
void event_fini(struct event *event);

/* Adds an event, a line that was made clean, with its LF but without its "id"; nothing when it is no event any more. */
void event_write_without_id(struct buffer *out, const char *line, size_t size);

/* Adds a notice with a clean text, as a server would tell it now, with its LF. */
void event_write_notice(struct buffer *out, const char *text);

#endif
