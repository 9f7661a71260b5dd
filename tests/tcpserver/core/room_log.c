#include "tcpserver/core/room_log.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/message.h"

#include "tests/check.h"

enum { RECORD_SIZE_MOST = SEGMENT_SIZE_MOST + 1000, SEGMENT_HEAD_MOST = 128 };

#define SECOND_NS INT64_C(1000000000)

/* What is allocated and at least as large as a segment; the linker sends malloc() and free() here. */
static _Atomic size_t segment_count;
static _Atomic size_t last_segment_size;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void __real_free(void *memory);
void __wrap_free(void *memory);

/* The size stands before the memory. */
union head {
	size_t size;
	max_align_t alignment;
};

void *__wrap_malloc(size_t size)
{
	union head *head = __real_malloc(sizeof *head + size);

	if (head == NULL)
		return NULL;
	head->size = size;
	if (size >= SEGMENT_SIZE_LEAST) {
		segment_count++;
		last_segment_size = size;
	}
	return head + 1;
}

void __wrap_free(void *memory)
{
	union head *head = memory;

	if (memory == NULL)
		return;
	if (head[-1].size >= SEGMENT_SIZE_LEAST)
		segment_count--;
	__real_free(head - 1);
}

/* ---- A log with its lock. ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* ROOM_LOCK */
static struct room_log log_;

static void lock(void) ACQUIRES(ROOM_LOCK) UNCHECKED;
static void unlock(void) RELEASES(ROOM_LOCK) UNCHECKED;

static void lock(void)
{
	mutex_lock(&mutex);
}

static void unlock(void)
{
	mutex_unlock(&mutex);
}

/* The text as it is. */
static size_t encode(const struct message *message, char *out, size_t size)
{
	if (message->text_size <= size)
		memcpy(out, message->text, message->text_size);
	return message->text_size;
}

static const struct format format = {.name = "test", .encode = encode};

static void append_text(uint64_t seq, int64_t at_ns, const char *text, size_t size)
{
	struct message message = {.seq = seq, .at_ns = at_ns, .text = text, .text_size = size};

	lock();
	room_log_append(&log_, &message);
	unlock();
}

static struct cursor end_cursor(void)
{
	struct cursor cursor;

	lock();
	cursor = room_log_end(&log_);
	unlock();
	return cursor;
}

static bool find(uint64_t seq, struct cursor *cursor)
{
	bool found;

	lock();
	found = room_log_find(&log_, seq, cursor);
	unlock();
	return found;
}

/* How large record 'seq' of these tests is: mostly small, some larger than the smallest segment, a few than the largest. */
static size_t record_size(uint64_t seq)
{
	if (seq % 1999 == 7)
		return RECORD_SIZE_MOST;
	if (seq % 97 == 5)
		return 5000 + seq % 13;
	return 10 + seq * 7919 % 90;
}

/* Byte 'place' of record 'seq': no two neighbours alike. */
static char record_byte(uint64_t seq, size_t place)
{
	return (char)('!' + (seq * 31 + place * 7 + place / 94) % 94);
}

static void append_record(uint64_t seq, int64_t at_ns)
{
	size_t size = record_size(seq);
	char *text = malloc(size);

	CHECK(text != NULL);
	for (size_t i = 0; i < size; i++)
		text[i] = record_byte(seq, i);
	append_text(seq, at_ns, text, size);
	free(text);
}

/* Where a reader is who checks each byte. */
struct reading {
	uint64_t seq;
	size_t place;
};

static void check_bytes_read(struct reading *reading, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != record_byte(reading->seq, reading->place))
			FAIL("record %llu is wrong at byte %zu", (unsigned long long)reading->seq, reading->place);
		if (++reading->place == record_size(reading->seq)) {
			reading->seq++;
			reading->place = 0;
		}
	}
}

/* ---- One thread. ---- */

TEST(a_new_log_is_empty)
{
	struct cursor cursor;
	const char *bytes;
	uint64_t seq;

	room_log_init(&log_, &format, 5);
	cursor = end_cursor();
	CHECK_EQUAL(cursor_range(&cursor, &bytes), 0);
	CHECK_EQUAL(cursor_position(&cursor), 0);
	CHECK_EQUAL(cursor_record_rest(&cursor, &seq), 0);
	CHECK_EQUAL(seq, 5);
	cursor_leave(&cursor);
	CHECK(cursor.segment == NULL);
	room_log_fini(&log_);
	CHECK_EQUAL(segment_count, 0);
}

TEST(one_range_holds_all_that_was_not_read)
{
	struct cursor cursor;
	struct cursor later;
	const char *bytes;
	size_t size;

	room_log_init(&log_, &format, 1);
	cursor = end_cursor();
	append_text(1, 0, "one\n", 4);
	append_text(2, 0, "two\n", 4);
	later = end_cursor();
	append_text(3, 0, "three\n", 6);
	size = cursor_range(&cursor, &bytes);
	CHECK_BYTES(bytes, size, "one\ntwo\nthree\n", 14);
	size = cursor_range(&later, &bytes);
	CHECK_BYTES(bytes, size, "three\n", 6);
	CHECK_EQUAL(log_.end, 14);
	CHECK_EQUAL(cursor_position(&later), 8);
	cursor_advance(&cursor, 6);
	size = cursor_range(&cursor, &bytes);
	CHECK_BYTES(bytes, size, "o\nthree\n", 8);
	cursor_advance(&cursor, 8);
	CHECK_EQUAL(cursor_range(&cursor, &bytes), 0);
	cursor_leave(&cursor);
	cursor_leave(&later);
	room_log_fini(&log_);
}

/* Reads by steps of all kinds, over segments of all sizes; after each step the place is told rightly. */
TEST(a_cursor_knows_its_record_at_every_byte)
{
	struct cursor cursor;
	struct reading reading = {.seq = 1};
	uint64_t total = 0;
	size_t step = 1;

	room_log_init(&log_, &format, 1);
	cursor = end_cursor();
	for (uint64_t seq = 1; seq <= 4100; seq++) {
		const char *bytes;
		size_t size;

		append_record(seq, (int64_t)seq * SECOND_NS / 50);
		while ((size = cursor_range(&cursor, &bytes)) > 0) {
			uint64_t next_seq;
			size_t rest;

			step = step * 5 % 10007;
			size = size < step ? size : step;
			check_bytes_read(&reading, bytes, size);
			cursor_advance(&cursor, size);
			total += size;
			rest = cursor_record_rest(&cursor, &next_seq);
			CHECK_EQUAL(rest, reading.place == 0 ? 0 : record_size(reading.seq) - reading.place);
			CHECK_EQUAL(next_seq, reading.seq + (reading.place > 0));
			CHECK_EQUAL(cursor_position(&cursor), total);
			if (seq % 3 == 0 && step % 3 == 0)
				break; /* leaves some for later */
		}
	}
	CHECK(reading.seq > 4000 && total <= log_.end);
	cursor_leave(&cursor);
	room_log_fini(&log_);
	CHECK_EQUAL(segment_count, 0);
}

/* Appends records of one size until there are three segments or more, and reads each byte and each end. */
static void fill_with(size_t size)
{
	static char text[SEGMENT_SIZE_LEAST + 100];
	struct cursor cursor;
	size_t count = 3 + 2 * SEGMENT_SIZE_LEAST / size;

	room_log_init(&log_, &format, 1);
	cursor = end_cursor();
	for (size_t seq = 1; seq <= count; seq++) {
		memset(text, (int)('A' + seq % 26), size);
		append_text(seq, (int64_t)seq * 2 * SECOND_NS, text, size);
	}
	for (size_t seq = 1; seq <= count; seq++) {
		const char *bytes;
		uint64_t found;

		CHECK(cursor_range(&cursor, &bytes) >= size);
		memset(text, (int)('A' + seq % 26), size);
		CHECK_BYTES(bytes, size, text, size);
		CHECK_EQUAL(cursor_record_rest(&cursor, &found), 0);
		CHECK_EQUAL(found, seq);
		if (size > 1) {
			cursor_advance(&cursor, 1);
			CHECK_EQUAL(cursor_record_rest(&cursor, &found), size - 1);
			CHECK_EQUAL(found, seq + 1);
			cursor_advance(&cursor, size - 1);
		} else {
			cursor_advance(&cursor, 1);
		}
	}
	cursor_leave(&cursor);
	room_log_fini(&log_);
}

TEST(a_segment_may_be_filled_to_its_last_byte)
{
	for (size_t size = 1; size <= 60; size++)
		fill_with(size);
	for (size_t size = SEGMENT_SIZE_LEAST / 2 - 20; size <= SEGMENT_SIZE_LEAST / 2 + 4; size++)
		fill_with(size);
	for (size_t size = SEGMENT_SIZE_LEAST - 20; size <= SEGMENT_SIZE_LEAST + 20; size++)
		fill_with(size);
}

TEST(a_record_of_the_open_segment_is_found_by_its_number)
{
	struct cursor cursor;
	const char *bytes;

	room_log_init(&log_, &format, 10);
	CHECK(!find(9, &cursor));
	CHECK(!find(11, &cursor));
	for (uint64_t seq = 10; seq < 2000; seq++) {
		uint64_t oldest = seq;

		append_record(seq, 0);
		CHECK(!find(seq + 2, &cursor));
		CHECK(find(seq + 1, &cursor));
		CHECK_EQUAL(cursor_range(&cursor, &bytes), 0);
		cursor_leave(&cursor);
		while (find(oldest, &cursor)) {
			struct reading reading = {.seq = oldest--};
			size_t size = cursor_range(&cursor, &bytes);

			check_bytes_read(&reading, bytes, size);
			CHECK(reading.seq == seq + 1 && reading.place == 0);
			cursor_leave(&cursor);
			if (seq % 100 != 0)
				break;
		}
	}
	room_log_fini(&log_);
	CHECK_EQUAL(segment_count, 0);
}

/* Story: a damaged journal had a hole in its numbers, and the server ended. */
TEST(a_hole_in_the_numbers_is_no_place_in_the_log)
{
	struct cursor cursor;
	const char *bytes;
	uint64_t seq;

	room_log_init(&log_, &format, 10);
	append_text(10, 0, "ten", 3);
	cursor = end_cursor();
	append_text(15, 0, "fifteen", 7);
	append_text(16, 0, "sixteen", 7);
	CHECK_EQUAL(cursor_range(&cursor, &bytes), 14);
	CHECK(memcmp(bytes, "fifteensixteen", 14) == 0);
	CHECK_EQUAL(cursor_record_rest(&cursor, &seq), 0);
	CHECK_EQUAL(seq, 15);
	cursor_leave(&cursor);
	CHECK(!find(11, &cursor));
	CHECK(find(16, &cursor));
	cursor_leave(&cursor);
	room_log_fini(&log_);
	CHECK_EQUAL(segment_count, 0);
}

TEST(a_found_place_is_in_the_log_that_goes_on)
{
	struct cursor cursor;
	struct reading reading = {.seq = 2};

	room_log_init(&log_, &format, 1);
	append_record(1, 0);
	CHECK(find(2, &cursor));
	for (uint64_t seq = 2; seq < 3000; seq++)
		append_record(seq, 0);
	while (reading.seq < 3000) {
		const char *bytes;
		size_t size = cursor_range(&cursor, &bytes);

		CHECK(size > 0);
		check_bytes_read(&reading, bytes, size);
		cursor_advance(&cursor, size);
	}
	cursor_leave(&cursor);
	room_log_fini(&log_);
}

/* ---- Memory. ---- */

TEST(a_chain_lives_as_long_as_somebody_has_to_read_it)
{
	struct cursor slow;
	struct cursor quick;
	const char *bytes;
	size_t size;

	room_log_init(&log_, &format, 1);
	CHECK_EQUAL(segment_count, 1);
	slow = end_cursor();
	for (uint64_t seq = 1; seq <= 1000; seq++)
		append_record(seq, (int64_t)seq * 2 * SECOND_NS);
	CHECK(segment_count > 10);
	quick = end_cursor();
	cursor_leave(&slow);
	CHECK_EQUAL(segment_count, 1);
	for (uint64_t seq = 1001; seq <= 2000; seq++) {
		append_record(seq, (int64_t)seq * 2 * SECOND_NS);
		while ((size = cursor_range(&quick, &bytes)) > 0)
			cursor_advance(&quick, size);
		CHECK_EQUAL(segment_count, 1);
	}
	room_log_fini(&log_);
	CHECK_EQUAL(segment_count, 1);
	cursor_leave(&quick);
	CHECK_EQUAL(segment_count, 0);
}

TEST(a_log_without_cursors_keeps_one_segment)
{
	room_log_init(&log_, &format, 1);
	for (uint64_t seq = 1; seq <= 3000; seq++) {
		append_record(seq, 0);
		CHECK_EQUAL(segment_count, 1);
	}
	room_log_fini(&log_);
	CHECK_EQUAL(segment_count, 0);
}

/* Appends lines of 100 bytes until a new segment is begun; returns its size. */
static size_t next_segment_size(uint64_t *seq, int64_t *at_ns, int64_t step_ns)
{
	char text[100];
	size_t old = last_segment_size;
	uint64_t first = *seq;

	memset(text, 'x', sizeof text);
	last_segment_size = 0;
	while (last_segment_size == 0) {
		append_text((*seq)++, *at_ns += step_ns, text, sizeof text);
		CHECK(*seq - first < 2 * SEGMENT_SIZE_MOST / 100);
	}
	CHECK(old != 0);
	return last_segment_size;
}

TEST(a_busy_room_gets_large_segments_and_a_quiet_one_small)
{
	uint64_t seq = 1;
	int64_t at_ns = 1700000000 * SECOND_NS;
	size_t size = 0;

	room_log_init(&log_, &format, 1);
	for (int i = 0; i < 10; i++)
		size = next_segment_size(&seq, &at_ns, 1000);
	CHECK(size >= SEGMENT_SIZE_MOST && size <= SEGMENT_SIZE_MOST + SEGMENT_HEAD_MOST);
	size = next_segment_size(&seq, &at_ns, SECOND_NS / 10);
	CHECK(size <= SEGMENT_SIZE_LEAST + SEGMENT_HEAD_MOST);
	for (size_t wanted = 2 * SEGMENT_SIZE_LEAST; wanted <= SEGMENT_SIZE_MOST; wanted *= 2) {
		size = next_segment_size(&seq, &at_ns, 1000);
		CHECK(size >= wanted && size <= wanted + SEGMENT_HEAD_MOST);
	}
	room_log_fini(&log_);
}

/* ---- Threads. ---- */

enum { READERS = 3, RECORDS = 4000 };

struct reader {
	pthread_t thread;
	struct cursor cursor;
	struct reading reading;
};

static void *read_all(void *argument)
{
	struct reader *reader = argument;

	while (reader->reading.seq <= RECORDS) {
		const char *bytes;
		size_t size = cursor_range(&reader->cursor, &bytes);
		uint64_t seq;

		if (size > 1000 && size % 2 == 0)
			size = 999;
		check_bytes_read(&reader->reading, bytes, size);
		cursor_advance(&reader->cursor, size);
		(void)cursor_record_rest(&reader->cursor, &seq);
		CHECK_EQUAL(seq, reader->reading.seq + (reader->reading.place > 0));
		if (size == 0)
			(void)sched_yield();
	}
	cursor_leave(&reader->cursor);
	return NULL;
}

TEST(readers_without_a_lock_see_whole_records_in_order_while_they_are_written)
{
	struct reader readers[READERS];

	room_log_init(&log_, &format, 1);
	for (uint64_t seq = 1; seq <= RECORDS; seq++) {
		if (seq % 100 == 1 && seq / 100 < READERS) {
			struct reader *reader = &readers[seq / 100];

			reader->cursor = end_cursor();
			reader->reading = (struct reading){.seq = seq};
			CHECK_EQUAL(thread_start(&reader->thread, 0, read_all, reader), 0);
		}
		append_record(seq, (int64_t)seq * SECOND_NS / 1000);
	}
	for (int i = 0; i < READERS; i++)
		thread_join(readers[i].thread);
	CHECK_EQUAL(segment_count, 1);
	room_log_fini(&log_);
	CHECK_EQUAL(segment_count, 0);
}
