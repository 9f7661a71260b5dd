/*
 * The reader of gRPC's messages: what it finds does not depend on how the bytes come, no message is longer than
 * allowed, and what was written is read.
 *
 * Input: a byte of how many bytes come at a time, then the bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "common/grpc_frame.h"
#include "tests/fuzz/fuzz.h"

enum { LIMIT = 100, FOUND_SIZE = 64 * 1024 };

struct found {
	unsigned char bytes[FOUND_SIZE]; /* all messages, one behind the other */
	size_t size;
	size_t count;
	enum grpc_frame_found end;
	bool is_open;
};

static void read_all(struct found *found, const uint8_t *bytes, size_t size, size_t piece)
{
	struct grpc_frame reader;

	*found = (struct found){.end = GRPC_FRAME_MORE};
	grpc_frame_init(&reader, LIMIT);
	for (size_t start = 0; start < size && found->end == GRPC_FRAME_MORE; start += piece) {
		size_t length = size - start < piece ? size - start : piece;
		uint8_t *copy = malloc(length); /* so that a look beyond it is found */
		const unsigned char *message;
		size_t message_size;

		MUST(copy != NULL);
		memcpy(copy, bytes + start, length);
		grpc_frame_feed(&reader, copy, length);
		while ((found->end = grpc_frame_next(&reader, &message, &message_size)) == GRPC_FRAME_MESSAGE) {
			MUST(message_size <= LIMIT && found->size + message_size <= FOUND_SIZE);
			memcpy(found->bytes + found->size, message, message_size);
			found->size += message_size;
			found->count++;
		}
		MUST(found->end != GRPC_FRAME_TOO_LARGE || message_size > LIMIT);
		MUST(reader.held_capacity <= 1024);
		free(copy);
	}
	found->is_open = grpc_frame_is_open(&reader);
	grpc_frame_fini(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct found whole;
	static struct found pieces;

	if (size < 2 || size > FOUND_SIZE)
		return 0;
	read_all(&whole, bytes + 1, size - 1, size - 1);
	read_all(&pieces, bytes + 1, size - 1, 1U + bytes[0]);
	MUST(whole.count == pieces.count && whole.size == pieces.size && whole.end == pieces.end &&
		whole.is_open == pieces.is_open);
	MUST(memcmp(whole.bytes, pieces.bytes, whole.size) == 0);
	return 0;
}
