/*
 * The WebSocket door: Chatty's wire (our events, a text frame each), the same in lines, and Go-Chat's. The HTTP door leads to it.
 *
 * What the server sends is not masked, so a frame is the same bytes for everybody: frames lie in a room's segments as lines
 * do. What a client sends is read by websocket_frame.h. docs/PROTOCOL.md says it all.
 *
 * Threads: the client's own.
 * Source: RFC 6455.
 */
#ifndef TCPSERVER_DOORS_WEBSOCKET_H
#define TCPSERVER_DOORS_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "tcpserver/core/session.h"

struct door;
struct room;

enum websocket_kind {
	WEBSOCKET_EVENTS,  /* Chatty's /chat/join                         */
	WEBSOCKET_SHORT,   /* the same with format=short, in one room at a time */
	WEBSOCKET_LINES,   /* the same with format=text; the name is given */
	WEBSOCKET_GO_CHAT, /* Go-Chat's /                                 */
};

/* Why a connection ends, as its close frame tells; the table in docs/PROTOCOL.md says after which a client connects again. */
enum websocket_close {
	WEBSOCKET_CLOSE_NONE = 0,
	WEBSOCKET_CLOSE_NORMAL = 1000,
	WEBSOCKET_CLOSE_GOING_AWAY = 1001,    /* the server stops: connect again                       */
	WEBSOCKET_CLOSE_PROTOCOL = 1002,      /* the client broke RFC 6455                             */
	WEBSOCKET_CLOSE_UNSUPPORTED = 1003,   /* a binary message                                      */
	WEBSOCKET_CLOSE_NO_CODE = 1005,       /* never sent: the client's close frame had none          */
	WEBSOCKET_CLOSE_INVALID_DATA = 1007,  /* text that is no UTF-8                                 */
	WEBSOCKET_CLOSE_REFUSED = 1008,       /* the client was told why                               */
	WEBSOCKET_CLOSE_TOO_BIG = 1009,       /* a message of more than --max-line bytes               */
	WEBSOCKET_CLOSE_INTERNAL = 1011,      /* the server failed: connect again                      */
	WEBSOCKET_CLOSE_TRY_LATER = 1013,     /* the server has no room or memory now: connect again   */
	WEBSOCKET_CLOSE_REPLACED = 4000,      /* a newer connection of the same session is here        */
	WEBSOCKET_CLOSE_NAME_TIMEOUT = 4408,  /* no name came in time                                  */
};

/* What the request that became a WebSocket asked for. */
struct websocket_start {
	enum websocket_kind kind;
	const char *key;  /* Sec-WebSocket-Key; websocket_key_is_valid() */
	const char *name; /* NULL: the first frame tells it              */
	struct room *room; /* a reference, taken; NULL: the lobby         */
	struct reading reading;
	const char *early; /* the bytes that came behind the request's header */
	size_t early_size;
};

/* Whether it is the base64 of 16 bytes. */
bool websocket_key_is_valid(const char *key);

/* Answers 101, and holds the conversation until the session has ended. Nothing of 'start' is used afterwards. */
void websocket_serve(struct session *session, const struct websocket_start *start);

extern const struct door websocket_event_door;
extern const struct door websocket_short_door;
extern const struct door websocket_text_door;
extern const struct door websocket_go_chat_door;

#endif
