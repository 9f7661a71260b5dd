/*
 * What all fuzzers share: a claim that must hold for any input, and bytes taken off its start.
 *
 * Each fuzzer is a program for libFuzzer, which calls it with one input after the other. What it finds it writes to a file
 * named crash-...; 'program FILE' runs that one again.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define MUST(claim)                                                                                                    \
	do {                                                                                                           \
		if (!(claim)) {                                                                                        \
			(void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #claim);                    \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

struct fuzz_input {
	const uint8_t *bytes;
	size_t size;
};

/* The next byte, or 0 when there is none. */
static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
	uint8_t byte = 0;

	if (input->size > 0) {
		byte = *input->bytes++;
		input->size--;
	}
	return byte;
}

/* Memory that ends where it ends, so that a step over the edge is noticed; free() it. */
static inline char *fuzz_room(size_t size)
{
	char *room = malloc(size == 0 ? 1 : size);

	MUST(room != NULL);
	return room;
}

static inline char *fuzz_copy(const void *bytes, size_t size)
{
	char *copy = fuzz_room(size);

	if (size > 0)
		memcpy(copy, bytes, size);
	return copy;
}

/* A chain of numbers from a seed (xorshift), the same on every machine. */
static inline uint32_t fuzz_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

#endif
