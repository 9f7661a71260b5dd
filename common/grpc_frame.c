#include "common/grpc_frame.h"

#include <stdlib.h>
#include <string.h>

enum { HELD_LEAST = 512 }; /* bytes; a message seldom comes in pieces, and then it is small */

void grpc_frame_write_head(unsigned char head[GRPC_FRAME_HEAD_SIZE], size_t size)
{
	head[0] = 0; /* not compressed */
	head[1] = (unsigned char)(size >> 24);
	head[2] = (unsigned char)(size >> 16);
	head[3] = (unsigned char)(size >> 8);
	head[4] = (unsigned char)size;
}

static size_t read_size(const unsigned char *head)
{
	return (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
}

void grpc_frame_init(struct grpc_frame *reader, size_t limit)
{
	*reader = (struct grpc_frame){.limit = limit};
}

static void forget_held(struct grpc_frame *reader)
{
	free(reader->held);
	reader->held = NULL;
	reader->held_size = 0;
	reader->held_capacity = 0;
}

void grpc_frame_fini(struct grpc_frame *reader)
{
	forget_held(reader);
	reader->next_size = 0;
	reader->ended = true;
}

void grpc_frame_feed(struct grpc_frame *reader, const void *bytes, size_t size)
{
	reader->next = bytes;
	reader->next_size = size;
}

static enum grpc_frame_found end_with(struct grpc_frame *reader, enum grpc_frame_found found)
{
	grpc_frame_fini(reader);
	return found;
}

/* Makes room for 'size' bytes in all, of which there will be 'limit' and a head at most. */
static bool hold_room(struct grpc_frame *reader, size_t size)
{
	size_t most = reader->limit + GRPC_FRAME_HEAD_SIZE;
	size_t capacity = reader->held_capacity == 0 ? HELD_LEAST : reader->held_capacity;
	unsigned char *grown;

	if (size <= reader->held_capacity)
		return true;
	while (capacity < size)
		capacity *= 2;
	capacity = capacity > most && most >= size ? most : capacity;
	grown = realloc(reader->held, capacity);
	if (grown == NULL)
		return false;
	reader->held = grown;
	reader->held_capacity = capacity;
	return true;
}

/* Moves fed bytes to the held ones until there are 'wanted' of these. Returns false without memory. */
static bool hold(struct grpc_frame *reader, size_t wanted)
{
	size_t size = wanted - reader->held_size;

	size = size < reader->next_size ? size : reader->next_size;
	if (size == 0)
		return true;
	if (!hold_room(reader, reader->held_size + size))
		return false;
	memcpy(reader->held + reader->held_size, reader->next, size);
	reader->held_size += size;
	reader->next += size;
	reader->next_size -= size;
	return true;
}

static enum grpc_frame_found check_head(const struct grpc_frame *reader, const unsigned char *head)
{
	if (head[0] != 0)
		return GRPC_FRAME_COMPRESSED;
	return read_size(head) > reader->limit ? GRPC_FRAME_TOO_LARGE : GRPC_FRAME_MESSAGE;
}

/* A message that came in pieces, or comes so. */
static enum grpc_frame_found next_held(struct grpc_frame *reader, const unsigned char **message, size_t *size)
{
	enum grpc_frame_found found;
	size_t whole;

	if (reader->held_size < GRPC_FRAME_HEAD_SIZE && !hold(reader, GRPC_FRAME_HEAD_SIZE))
		return end_with(reader, GRPC_FRAME_NO_MEMORY);
	if (reader->held_size < GRPC_FRAME_HEAD_SIZE)
		return GRPC_FRAME_MORE;
	*size = read_size(reader->held);
	found = check_head(reader, reader->held);
	if (found != GRPC_FRAME_MESSAGE)
		return end_with(reader, found);
	whole = GRPC_FRAME_HEAD_SIZE + *size;
	if (!hold(reader, whole))
		return end_with(reader, GRPC_FRAME_NO_MEMORY);
	if (reader->held_size < whole)
		return GRPC_FRAME_MORE;
	*message = reader->held + GRPC_FRAME_HEAD_SIZE;
	reader->message_was_read = true;
	return GRPC_FRAME_MESSAGE;
}

enum grpc_frame_found grpc_frame_next(struct grpc_frame *reader, const unsigned char **message, size_t *size)
{
	enum grpc_frame_found found;
	size_t whole;

	if (reader->message_was_read)
		forget_held(reader);
	reader->message_was_read = false;
	if (reader->ended)
		return GRPC_FRAME_MORE;
	if (reader->held_size > 0 || reader->next_size < GRPC_FRAME_HEAD_SIZE)
		return next_held(reader, message, size);
	*size = read_size(reader->next);
	found = check_head(reader, reader->next);
	if (found != GRPC_FRAME_MESSAGE)
		return end_with(reader, found);
	whole = GRPC_FRAME_HEAD_SIZE + *size;
	if (reader->next_size < whole)
		return next_held(reader, message, size);
	*message = reader->next + GRPC_FRAME_HEAD_SIZE; /* whole where it lies: no copy */
	reader->next += whole;
	reader->next_size -= whole;
	return GRPC_FRAME_MESSAGE;
}

bool grpc_frame_is_open(const struct grpc_frame *reader)
{
	return reader->next_size > 0 || (reader->held_size > 0 && !reader->message_was_read);
}
