/*
 * A small server of gRPC: unary calls, without TLS, a thread for each connection, which serves its calls one after the other.
 *
 * Bounded: connections (GRPC_SERVER_CONNECTIONS), calls waiting on one, the bytes of a request.
 *
 * Threads: start and stop: one. Methods are called by the threads of connections.
 */
#ifndef MESSAGEAPI_GRPC_SERVER_H
#define MESSAGEAPI_GRPC_SERVER_H

#include <protobuf-c/protobuf-c.h>

#include "common/grpc_status.h"
#include "common/sync.h"

enum { GRPC_SERVER_CONNECTIONS = 64, GRPC_SERVER_REQUEST_MOST = 1024 * 1024 };

/* How a call ends: with a message, or without one. */
struct grpc_reply {
	unsigned char *bytes; /* the message with its head, owned; NULL: there is none */
	size_t size;
	enum grpc_code code;
	char words[GRPC_WORDS_SIZE];
};

struct grpc_server_method {
	const char *path;
	const ProtobufCMessageDescriptor *request;
	void (*serve)(void *connection, const ProtobufCMessage *request, struct grpc_reply *reply);
};

struct grpc_server_options {
	int socket;        /* listens; taken */
	const char *token; /* asked for in each call but those of the health; NULL: none; stays */
	const struct grpc_server_method *methods; /* ended by one without a path */
	/* What belongs to a connection, for its methods. NULL: there is no memory. */
	void *(*open)(void *context);
	void (*close)(void *connection);
	void *context;
};

struct grpc_server;

/* Returns 0 or -errno. */
int grpc_server_start(const struct grpc_server_options *options, struct grpc_server **server) MUST_CHECK;
/* Ends the connections after the calls that they serve, and waits for that. */
void grpc_server_stop(struct grpc_server *server);

void grpc_reply_message(struct grpc_reply *reply, const ProtobufCMessage *message);
void grpc_reply_code(struct grpc_reply *reply, enum grpc_code code, const char *words);

#endif
