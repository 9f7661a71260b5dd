/*
 * Bytes that grow as they are added. A client without memory for its own screen cannot go on: then the program ends,
 * with the terminal restored, as after abort().
 *
 * Threads: one at a time.
 */
#ifndef TCPCLIENT_BUFFER_H
#define TCPCLIENT_BUFFER_H

#include <stddef.h>

#include "common/sync.h"

struct buffer {
	char *bytes; /* NULL while nothing was added */
	size_t size;
	size_t capacity;
};

void buffer_fini(struct buffer *buffer);
void buffer_add(struct buffer *buffer, const char *bytes, size_t size);
void buffer_add_text(struct buffer *buffer, const char *text);
void buffer_add_format(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
/* Adds text from a peer as text_clean() makes it. */
void buffer_add_clean(struct buffer *buffer, const char *text, size_t size);
/* Makes it empty; what a single long line needed is given back. */
void buffer_clear(struct buffer *buffer);

/* malloc() that does not fail. Owns: the caller frees it. */
void *memory_get(size_t size) MUST_CHECK;

#endif
