#include "tcpclient/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

enum { BUFFER_SIZE_LEAST = 256, BUFFER_SIZE_KEPT = 256 * 1024 };

static void *memory_check(void *memory)
{
	if (memory != NULL)
		return memory;
	(void)fputs("tcpclient: no memory left\n", stderr);
	abort();
}

void *memory_get(size_t size)
{
	return memory_check(malloc(size > 0 ? size : 1));
}

void buffer_fini(struct buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct buffer){0};
}

static char *buffer_room(struct buffer *buffer, size_t size)
{
	size_t capacity = buffer->capacity > 0 ? buffer->capacity : BUFFER_SIZE_LEAST;

	while (capacity - buffer->size < size)
		capacity *= 2;
	if (capacity != buffer->capacity)
		buffer->bytes = memory_check(realloc(buffer->bytes, capacity));
	buffer->capacity = capacity;
	return buffer->bytes + buffer->size;
}

void buffer_add(struct buffer *buffer, const char *bytes, size_t size)
{
	if (size == 0)
		return;
	memcpy(buffer_room(buffer, size), bytes, size);
	buffer->size += size;
}

void buffer_add_text(struct buffer *buffer, const char *text)
{
	buffer_add(buffer, text, strlen(text));
}

void buffer_add_format(struct buffer *buffer, const char *format, ...)
{
	va_list arguments;
	va_list again;
	int size;

	va_start(arguments, format);
	va_copy(again, arguments);
	size = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	assert(size >= 0);
	(void)vsnprintf(buffer_room(buffer, (size_t)size + 1), (size_t)size + 1, format, again);
	va_end(again);
	buffer->size += (size_t)size;
}

void buffer_add_clean(struct buffer *buffer, const char *text, size_t size)
{
	buffer->size += text_clean(text, size, buffer_room(buffer, TEXT_CLEAN_SIZE(size)));
}

void buffer_clear(struct buffer *buffer)
{
	buffer->size = 0;
	if (buffer->capacity > BUFFER_SIZE_KEPT)
		buffer_fini(buffer);
}
