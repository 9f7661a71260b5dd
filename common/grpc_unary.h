/*
 * Calls of gRPC with one message each way, over a connection that is made when it is needed and kept: for programs that ask a service
 * now and then, and wait for the answer.
 *
 *         struct grpc_unary *peer = grpc_unary_create(&place, NULL);
 *
 *         if (grpc_unary_call(peer, "/grpc.health.v1.Health/Check", request, size, 5000, &answer) == 0)
 *                 ... answer.message, answer.size ...
 *
 * A call that finds the connection dead is made once more over a new one: it has to be one that may be made twice.
 *
 * Threads: one at a time. A call blocks.
 */
#ifndef COMMON_GRPC_UNARY_H
#define COMMON_GRPC_UNARY_H

#include <stddef.h>

#include "common/grpc_status.h"
#include "common/net.h"
#include "common/sync.h"

enum { GRPC_UNARY_MOST = 4 * 1024 * 1024 }; /* bytes of an answer */

struct grpc_unary;

struct grpc_answer {
	const unsigned char *message; /* the peer's, until the next call   */
	size_t size;
	int code;                     /* enum grpc_code, as the service says */
	char words[GRPC_WORDS_SIZE];  /* what went wrong, for a log          */
};

/* 'token' goes with each call ("authorization: Bearer TOKEN"), or is NULL; it is copied. NULL without memory. */
struct grpc_unary *grpc_unary_create(const struct net_place *place, const char *token) MUST_CHECK;
void grpc_unary_destroy(struct grpc_unary *peer);

/* Returns 0 when the service answered with a message; -EREMOTEIO when it answered with another code than GRPC_OK, which 'answer' has, and
 * its words; or another -errno, -ETIMEDOUT when it took longer than 'timeout_ms', and 'answer->words' says what was wrong. */
int grpc_unary_call(struct grpc_unary *peer, const char *path, const void *request, size_t size, int timeout_ms,
	struct grpc_answer *answer) MUST_CHECK;

#endif
