#include "tcpserver/core/room_log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tcpserver/core/message.h"

#define SECOND_NS INT64_C(1000000000)

/*
 * 'bytes' holds records from its start and their ends (offsets, 32 bits each) from its end downwards. The writer stores
 * record, end and count first and releases 'length' last; a reader that acquires 'length' sees all of them.
 */
struct segment {
	atomic_uint references;
	size_t size;         /* of 'bytes'; a multiple of 4 */
	uint64_t position;   /* of the first byte in the log */
	uint64_t first_seq;  /* of the first record          */
	atomic_size_t count; /* records                      */
	atomic_size_t length;
	struct segment *_Atomic next;
	_Alignas(uint32_t) char bytes[];
};

static struct segment *segment_create(size_t size, uint64_t position, uint64_t first_seq)
{
	struct segment *segment = malloc(sizeof *segment + size);

	if (segment == NULL) {
		(void)fputs("tcpserver: no memory for messages that are kept already; ending\n", stderr);
		abort();
	}
	*segment = (struct segment){.references = 1, .size = size, .position = position, .first_seq = first_seq};
	return segment;
}

static void segment_release(struct segment *segment)
{
	/* Acquire and release: all reading comes before the memory is given back. */
	while (segment != NULL && atomic_fetch_sub_explicit(&segment->references, 1, memory_order_acq_rel) == 1) {
		struct segment *next = atomic_load_explicit(&segment->next, memory_order_relaxed);

		free(segment);
		segment = next;
	}
}

static struct segment *segment_acquire(struct segment *segment)
{
	/* Relaxed: whoever adds a reference has one already, or the ROOM_LOCK. */
	(void)atomic_fetch_add_explicit(&segment->references, 1, memory_order_relaxed);
	return segment;
}

static uint32_t *segment_end_slot(struct segment *segment, size_t record)
{
	return (uint32_t *)(void *)(segment->bytes + segment->size) - 1 - record;
}

/* Where record 'record' begins; the one behind the last begins at the length. */
static size_t segment_record_start(struct segment *segment, size_t record)
{
	return record == 0 ? 0 : *segment_end_slot(segment, record - 1);
}

/* The first record that begins at or behind 'offset'. */
static size_t segment_record_at(struct segment *segment, size_t offset)
{
	size_t low = 0;
	size_t high = atomic_load_explicit(&segment->count, memory_order_acquire);

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (segment_record_start(segment, middle) < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Only the writer calls this, and nothing but the writer changes what it reads. */
static size_t segment_space(struct segment *segment)
{
	size_t length = atomic_load_explicit(&segment->length, memory_order_relaxed);
	size_t table = (atomic_load_explicit(&segment->count, memory_order_relaxed) + 1) * sizeof(uint32_t);

	return length + table > segment->size ? 0 : segment->size - length - table;
}

static void segment_finish_record(struct segment *segment, size_t size)
{
	size_t length = atomic_load_explicit(&segment->length, memory_order_relaxed) + size;
	size_t count = atomic_load_explicit(&segment->count, memory_order_relaxed);

	*segment_end_slot(segment, count) = (uint32_t)length;
	atomic_store_explicit(&segment->count, count + 1, memory_order_release);
	atomic_store_explicit(&segment->length, length, memory_order_release);
}

void room_log_init(struct room_log *log, const struct format *format, uint64_t next_seq)
{
	*log = (struct room_log){
		.format = format,
		.open = segment_create(SEGMENT_SIZE_LEAST, 0, next_seq),
	};
}

void room_log_fini(struct room_log *log)
{
	segment_release(log->open);
	log->open = NULL;
}

/* A segment that was full within a second is followed by one of twice its size, up to the limit; any other by a small one. */
REQUIRES(ROOM_LOCK)
static size_t room_log_next_size(const struct room_log *log, int64_t now_ns, size_t record_size)
{
	size_t size = SEGMENT_SIZE_LEAST;
	size_t needed = (record_size + 2 * sizeof(uint32_t)) & ~(sizeof(uint32_t) - 1);

	if (now_ns - log->opened_ns < SECOND_NS)
		size = log->open->size < SEGMENT_SIZE_MOST / 2 ? 2 * log->open->size : SEGMENT_SIZE_MOST;
	return size > needed ? size : needed;
}

/* Links an empty segment with room for the record of 'message' to the open one, and opens it. */
REQUIRES(ROOM_LOCK)
static void room_log_grow(struct room_log *log, const struct message *message, size_t record_size)
{
	struct segment *full = log->open;
	size_t size = room_log_next_size(log, message->at_ns, record_size);
	struct segment *next = segment_create(size, atomic_load_explicit(&log->end, memory_order_relaxed), message->seq);

	/* Release: whoever sees the link sees the segment, and that the full one has its last length. */
	atomic_store_explicit(&full->next, segment_acquire(next), memory_order_release);
	log->open = next;
	log->opened_ns = message->at_ns;
	segment_release(full);
}

size_t format_write(const struct format *format, const char *room_id, const struct message *message, bool history, char *out,
	size_t size)
{
	if (format->encode_in != NULL && room_id != NULL)
		return format->encode_in(room_id, message, history, out, size);
	return history ? format->recall(message, out, size) : format->encode(message, out, size);
}

void room_log_append(struct room_log *log, const struct message *message)
{
	struct segment *open = log->open;
	bool follows = message->seq == open->first_seq + atomic_load_explicit(&open->count, memory_order_relaxed);
	size_t space = follows ? segment_space(open) : 0; /* a segment has no hole */
	size_t offset = atomic_load_explicit(&open->length, memory_order_relaxed);
	size_t size = format_write(log->format, log->room_id, message, false, open->bytes + offset, space);

	if (size > space) {
		room_log_grow(log, message, size);
		open = log->open;
		size = format_write(log->format, log->room_id, message, false, open->bytes, segment_space(open));
	}
	assert(message->seq == open->first_seq + atomic_load_explicit(&open->count, memory_order_relaxed));
	segment_finish_record(open, size);
	/* Relaxed: it is only compared, to see how far somebody is behind. */
	(void)atomic_fetch_add_explicit(&log->end, size, memory_order_relaxed);
}

struct cursor room_log_end(struct room_log *log)
{
	return (struct cursor){
		.segment = segment_acquire(log->open),
		.offset = atomic_load_explicit(&log->open->length, memory_order_relaxed),
	};
}

int room_log_find(struct room_log *log, uint64_t seq, struct cursor *cursor)
{
	struct segment *open = log->open;
	size_t count = atomic_load_explicit(&open->count, memory_order_relaxed);

	if (seq < open->first_seq || seq > open->first_seq + count)
		return 0;
	cursor->segment = segment_acquire(open);
	cursor->offset = segment_record_start(open, (size_t)(seq - open->first_seq));
	return 1;
}

size_t cursor_range(struct cursor *cursor, const char **bytes)
{
	for (;;) {
		struct segment *segment = cursor->segment;
		/* The link first: when it is there, the length that follows is the last one. */
		struct segment *next = atomic_load_explicit(&segment->next, memory_order_acquire);
		size_t length = atomic_load_explicit(&segment->length, memory_order_acquire);

		*bytes = segment->bytes + cursor->offset;
		if (cursor->offset < length || next == NULL)
			return length - cursor->offset;
		cursor->segment = segment_acquire(next);
		cursor->offset = 0;
		segment_release(segment);
	}
}

void cursor_advance(struct cursor *cursor, size_t size)
{
	cursor->offset += size;
}

uint64_t cursor_position(const struct cursor *cursor)
{
	return cursor->segment->position + cursor->offset;
}

size_t cursor_record_rest(const struct cursor *cursor, uint64_t *seq)
{
	struct segment *segment = cursor->segment;
	size_t record = segment_record_at(segment, cursor->offset);

	*seq = segment->first_seq + record;
	return segment_record_start(segment, record) - cursor->offset;
}

size_t cursor_size_before(const struct cursor *cursor, uint64_t seq)
{
	struct segment *segment = cursor->segment;
	size_t count = atomic_load_explicit(&segment->count, memory_order_acquire);
	size_t length = atomic_load_explicit(&segment->length, memory_order_acquire);
	size_t record = seq <= segment->first_seq ? 0 : (size_t)(seq - segment->first_seq);
	size_t start = record < count ? segment_record_start(segment, record) : length;

	return start > cursor->offset ? start - cursor->offset : 0;
}

void cursor_leave(struct cursor *cursor)
{
	segment_release(cursor->segment);
	*cursor = (struct cursor){.segment = NULL};
}
