/*
 * Messages of gRPC on the wire: a byte that says whether the message is compressed, its size in four bytes, and the message.
 *
 *         grpc_frame_feed(&reader, bytes, size);
 *         while ((found = grpc_frame_next(&reader, &message, &message_size)) == GRPC_FRAME_MESSAGE)
 *                 ...
 *
 * It does no input or output. A size alone, which is only a promise, takes no memory. Between two messages a reader holds none.
 *
 * Threads: one at a time.
 * Source: gRPC over HTTP2 (PROTOCOL-HTTP2.md), "Length-Prefixed-Message".
 */
#ifndef COMMON_GRPC_FRAME_H
#define COMMON_GRPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sync.h"

enum { GRPC_FRAME_HEAD_SIZE = 5 }; /* bytes before a message */

enum grpc_frame_found {
	GRPC_FRAME_MORE,       /* no whole message is left: feed again              */
	GRPC_FRAME_MESSAGE,
	GRPC_FRAME_TOO_LARGE,  /* '*size' is what it would have had; nothing more is read */
	GRPC_FRAME_COMPRESSED, /* or its first byte is neither 0 nor 1; nothing more is read */
	GRPC_FRAME_NO_MEMORY,  /* nothing more is read                              */
};

struct grpc_frame {
	size_t limit;              /* bytes of a message, at most                       */
	const unsigned char *next; /* the fed bytes not yet looked at                   */
	size_t next_size;
	unsigned char *held;       /* the message at hand with its head, as far as it has come */
	size_t held_size;
	size_t held_capacity;
	bool message_was_read;
	bool ended;
};

/* Writes the head of a message of 'size' bytes. */
void grpc_frame_write_head(unsigned char head[GRPC_FRAME_HEAD_SIZE], size_t size);

void grpc_frame_init(struct grpc_frame *reader, size_t limit);
void grpc_frame_fini(struct grpc_frame *reader);
/* Gives bytes to read. They are borrowed until grpc_frame_next() wants more. */
void grpc_frame_feed(struct grpc_frame *reader, const void *bytes, size_t size);
/* Takes the next message, which is valid until the next call. */
enum grpc_frame_found grpc_frame_next(struct grpc_frame *reader, const unsigned char **message, size_t *size) MUST_CHECK;
/* Whether a message was begun and its end has not come. */
bool grpc_frame_is_open(const struct grpc_frame *reader);

#endif
