/*
 * How a call of gRPC ends: a number and words.
 *
 * Source: gRPC's statuscodes.md; gRPC over HTTP2 (PROTOCOL-HTTP2.md), "Status-Message" (percent-encoded).
 */
#ifndef COMMON_GRPC_STATUS_H
#define COMMON_GRPC_STATUS_H

#include <stddef.h>

enum grpc_code {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_ALREADY_EXISTS = 6,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_ABORTED = 10,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_DATA_LOSS = 15,
	GRPC_UNAUTHENTICATED = 16,
};

enum { GRPC_WORDS_SIZE = 256 }; /* bytes of the words of a status, with a NUL */

/* The name of a code in capitals, "UNKNOWN" for one that is none. */
const char *grpc_code_name(int code);
/* Writes words for the field grpc-message: what is not printable ASCII, and '%', as %XX. 'out' has 3 * GRPC_WORDS_SIZE bytes; ends
 * with NUL. Returns its length. */
size_t grpc_words_encode(const char *words, char *out);
/* The other way: 'size' bytes of a field; what is no escape stays as it is. Cuts what does not fit; ends with NUL. */
void grpc_words_decode(const char *field, size_t size, char words[GRPC_WORDS_SIZE]);

#endif
