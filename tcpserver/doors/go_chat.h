/*
 * Go-Chat's wire on a WebSocket: the history as one array, then {"username","message"} both ways, and no echo.
 *
 * What has no place on this wire (who came, who went) is an unsolicited Pong, which means nothing (RFC 6455, 5.5.3).
 *
 * Threads: the client's own, but for the door's words and format.
 * Source: docs/PROTOCOL.md.
 */
#ifndef TCPSERVER_DOORS_GO_CHAT_H
#define TCPSERVER_DOORS_GO_CHAT_H

#include <stddef.h>

#include "common/text.h"
#include "tcpserver/core/room_log.h"

struct session;
struct telling;

enum { GO_CHAT_HISTORY_MOST = 10000 }; /* messages in the array */

extern const struct format go_chat_format;

/* As those of struct door. */
char *go_chat_words(const struct telling *telling, size_t *size);

/* What the client calls itself; its name may be another one, with a suffix. */
struct go_chat {
	char username[NAME_SIZE]; /* "": it has not said yet */
};

/* Sends the history of the lobby, and reads on behind it, unseen. A session that cannot go on is ended. */
void go_chat_begin(struct session *session);
/* The client sent a text; it may hold any UTF-8. */
void go_chat_hear(struct go_chat *chat, struct session *session, const char *text, size_t size);

#endif
