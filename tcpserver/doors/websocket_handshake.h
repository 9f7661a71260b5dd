/*
 * The server's half of a WebSocket handshake.
 *
 * Threads: any.
 * Source: RFC 6455, 4.2.2.
 */
#ifndef TCPSERVER_DOORS_WEBSOCKET_HANDSHAKE_H
#define TCPSERVER_DOORS_WEBSOCKET_HANDSHAKE_H

#include <stddef.h>

enum {
	WEBSOCKET_ACCEPT_SIZE = 29,         /* base64 of a SHA-1, and a NUL */
	WEBSOCKET_HANDSHAKE_SIZE_MAX = 200, /* bytes of the answer          */
};

/* What proves to the client that its key was understood. */
void websocket_accept(const char *key, char accept[WEBSOCKET_ACCEPT_SIZE]);
/* The whole answer: no extension, so that compression is declined, and no subprotocol. Returns its bytes. */
size_t websocket_handshake(const char *key, char answer[WEBSOCKET_HANDSHAKE_SIZE_MAX]);

#endif
