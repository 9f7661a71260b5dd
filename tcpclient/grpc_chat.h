/*
 * rpc.ChatService/Chat as a carrier (carrier.h): a thread between the call of gRPC and the socket that the connection has.
 *
 * The service does not tell a speaker what it said, nor whether it was taken, so a line counts as said, and is echoed, when it
 * has been written; and nothing is written before what was said earlier has come, and our own "Has entered the chat" (a server
 * is given a second). The name that a server of ours gives, "chat-name", is that of the echo.
 *
 * Who leaves waits until the server has acknowledged the bytes and was then silent for half a second, since a server may drop
 * what it has not looked at when the call is cancelled; after many lines the wait is longer, and a server that still takes some
 * says so, by the windows of HTTP/2. A server that keeps them shut for half a minute is given up.
 *
 * Threads: see carrier.h.
 */
#ifndef TCPCLIENT_GRPC_CHAT_H
#define TCPCLIENT_GRPC_CHAT_H

#include "tcpclient/carrier.h"

#define GRPC_CHAT_PATH "/rpc.ChatService/Chat"

/* Where to talk; borrowed as long as the carrier is used. */
struct grpc_chat {
	const char *authority; /* the server, as in "localhost:7777"     */
	const char *room;      /* its id, or its name where it has one   */
	const char *name;      /* who we are                             */
};

struct carrier grpc_chat_carrier(const struct grpc_chat *chat);

#endif
