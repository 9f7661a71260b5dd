/*
 * What a call of gRPC asks for, as its headers say it, and whether that can be given.
 *
 * Threads: the connection's.
 * Source: gRPC over HTTP2 (PROTOCOL-HTTP2.md), "Request-Headers"; RFC 9113, 8.3.1.
 */
#ifndef TCPSERVER_DOORS_GRPC_REQUEST_H
#define TCPSERVER_DOORS_GRPC_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/grpc_status.h"

struct grpc_call;

enum {
	GRPC_HEADERS_MOST = 16 * 1024, /* bytes of the fields of a request, each with 32 more (RFC 9113, 6.5.2) */
	GRPC_PATH_SIZE = 160,          /* bytes that are kept of a path, to say that there is none               */
};

struct grpc_request {
	size_t size;               /* of all fields so far                                                        */
	char path[GRPC_PATH_SIZE]; /* cut                                                                         */
	bool is_post;
	bool is_grpc;      /* by its content type                                                         */
	bool is_encoded;   /* in a way that is not identity                                               */
	bool is_too_large; /* all fields together                                                         */
	bool has_timeout;
	bool has_bad_timeout;
	long long timeout_ms;
};

/* Why a call cannot be. */
struct grpc_refusal {
	unsigned http_status; /* 200: the code and words say it to a client of gRPC */
	enum grpc_code code;
	char words[GRPC_WORDS_SIZE];
};

/* Takes one field of a request. What a method has to know goes to 'call'. */
void grpc_request_take(struct grpc_request *request, struct grpc_call *call, const char *name, size_t name_size,
	const char *value, size_t value_size);
/* Whether the call can begin, when all fields were taken. If not, 'refusal' says why. */
bool grpc_request_is_good(
	const struct grpc_request *request, const struct grpc_call *call, struct grpc_refusal *refusal);
/* Reads a field grpc-timeout: up to eight digits and a unit. A part of a millisecond is a whole one. */
bool grpc_timeout_read(const char *value, size_t size, long long *timeout_ms);

#endif
