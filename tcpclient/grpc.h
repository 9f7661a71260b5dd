/*
 * One call of gRPC on a connection of its own: HTTP/2 by nghttp2, messages in their frames, and how the call ended.
 *
 *         grpc = grpc_begin(socket, &settings);
 *         grpc_send(grpc, message, size);
 *         while (!grpc_is_over(grpc))
 *                 poll for grpc_wanted(grpc), then grpc_work(grpc)
 *
 * Messages that come are given to 'heard' from within grpc_work(), which reads a little at a time: who cannot take more does not
 * call it, and the server waits. What the server sends is bounded: a message by GRPC_LIMIT, headers by nghttp2.
 *
 * Threads: one at a time.
 * Source: gRPC over HTTP2 (PROTOCOL-HTTP2.md).
 */
#ifndef TCPCLIENT_GRPC_H
#define TCPCLIENT_GRPC_H

#include <stdbool.h>
#include <stddef.h>

#include "common/grpc_status.h"
#include "common/net.h"
#include "common/sync.h"

enum {
	GRPC_LIMIT = 4 * 1024 * 1024, /* bytes of a message that is taken: as much as other clients of gRPC take */
	GRPC_AUTHORITY_SIZE = NET_HOST_SIZE + NET_PORT_SIZE + 3,
};

struct grpc_settings {
	const char *authority; /* the server, as in "localhost:7777" */
	const char *path;      /* as in "/rpc.ChatService/Chat"      */
	int timeout_s;         /* that the server is told; 0: none   */
	bool is_encrypted;     /* the connection below is            */
	void (*heard)(void *context, const unsigned char *message, size_t size);
	void *context;
};

struct grpc;

/* How the call ended. */
struct grpc_outcome {
	int code;                    /* enum grpc_code, or what the server made up; of a broken connection GRPC_UNAVAILABLE */
	bool is_told;                /* by the server; else the connection broke, or it does not speak gRPC                 */
	char words[GRPC_WORDS_SIZE]; /* clean; may be ""                                                                     */
};

/* The server as its clients name it. */
void grpc_authority(const struct net_place *place, char authority[GRPC_AUTHORITY_SIZE]);

/* Begins a call on 'socket', which it takes. The settings' strings are copied. */
struct grpc *grpc_begin(int socket, const struct grpc_settings *settings);
/* Ends the call, if it has not ended: what was sent and not yet written is lost. Accepts NULL. */
void grpc_close(struct grpc *grpc);

/* Queues a message; nothing is written before grpc_work(). */
void grpc_send(struct grpc *grpc, const void *message, size_t size);
/* No more messages come from us; the server may go on. */
void grpc_send_end(struct grpc *grpc);
/* Whether some of the messages that were queued has not gone into the socket. What nghttp2 answers to the server does not count. */
bool grpc_is_sending(const struct grpc *grpc);
/* When the socket last took some of them (clock_ms()); 0: never. */
long long grpc_taken_at(const struct grpc *grpc);
/* Asks the server to say that it has got what was sent until now. Its answer makes grpc_was_answered() true. */
void grpc_ask(struct grpc *grpc);
bool grpc_was_answered(const struct grpc *grpc);

int grpc_socket(const struct grpc *grpc);
/* What to poll the socket for; 'may_read' says whether messages may come. */
short grpc_wanted(const struct grpc *grpc, bool may_read);
/* Reads, if 'may_read', and writes what can be without waiting. */
void grpc_work(struct grpc *grpc, bool may_read);

/* Whether the server has said anything in HTTP/2, and when the last time (clock_ms()). */
bool grpc_was_heard(const struct grpc *grpc);
long long grpc_heard_at(const struct grpc *grpc);
bool grpc_is_over(const struct grpc *grpc);
/* The name that the server gave us, by its metadata "chat-name": clean; "" before it did. */
const char *grpc_chat_name(const struct grpc *grpc);
/* When it is over. */
const struct grpc_outcome *grpc_outcome(const struct grpc *grpc);
/* Ends the call for a reason of our own, unless it is over. */
void grpc_fail(struct grpc *grpc, enum grpc_code code, const char *words);

#endif
