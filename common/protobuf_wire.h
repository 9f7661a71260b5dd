/*
 * Protobuf's wire, where it is walked or written by hand: fields whose content is bytes, and what stands before one.
 *
 *         struct protobuf_wire wire = {bytes, size};
 *         while ((found = protobuf_next(&wire, &field)) == PROTOBUF_FIELD)
 *                 ...
 *
 * Threads: any; nothing here keeps state.
 * Source: Protocol Buffers, "Encoding". Groups, which proto3 has not, are no fields.
 */
#ifndef COMMON_PROTOBUF_WIRE_H
#define COMMON_PROTOBUF_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sync.h"

/* Bytes that were not looked at, as those of a message. */
struct protobuf_wire {
	const unsigned char *next;
	size_t size;
};

struct protobuf_field {
	uint64_t number;
	bool has_bytes;               /* it is a text, bytes or a message, and no number */
	struct protobuf_wire content; /* of such a one                                   */
};

enum protobuf_found {
	PROTOBUF_FIELD,
	PROTOBUF_END,
	PROTOBUF_BROKEN, /* what is left is no field, or not a whole one */
};

/* Takes the next field. */
enum protobuf_found protobuf_next(struct protobuf_wire *wire, struct protobuf_field *field) MUST_CHECK;

enum { PROTOBUF_NUMBER_MAX = 15, PROTOBUF_HEAD_SIZE_MAX = 11 };

/* What stands before a content of so many bytes: the field's number, PROTOBUF_NUMBER_MAX at most, and their number. */
size_t protobuf_head_size(size_t size);
/* Writes that; returns where it ends. */
char *protobuf_head_write(unsigned number, size_t size, char *out);

#endif
