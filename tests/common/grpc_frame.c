#include "common/grpc_frame.h"

#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

enum { LIMIT = 100 };

static struct grpc_frame reader;
static const unsigned char *message;
static size_t size;

static size_t write_message(unsigned char *out, const char *text)
{
	grpc_frame_write_head(out, strlen(text));
	memcpy(out + GRPC_FRAME_HEAD_SIZE, text, strlen(text));
	return GRPC_FRAME_HEAD_SIZE + strlen(text);
}

static void expect(const char *text)
{
	CHECK_EQUAL(grpc_frame_next(&reader, &message, &size), GRPC_FRAME_MESSAGE);
	CHECK_EQUAL(size, strlen(text));
	CHECK(memcmp(message, text, size) == 0);
}

TEST(a_head_is_a_zero_and_a_size_of_four_bytes)
{
	unsigned char head[GRPC_FRAME_HEAD_SIZE];

	grpc_frame_write_head(head, 0x01020304);
	CHECK(memcmp(head, "\0\1\2\3\4", sizeof head) == 0);
}

TEST(messages_that_come_together_are_taken_one_by_one_without_a_copy)
{
	unsigned char bytes[LIMIT];
	size_t end = write_message(bytes, "one");

	end += write_message(bytes + end, "");
	end += write_message(bytes + end, "three");
	grpc_frame_init(&reader, LIMIT);
	grpc_frame_feed(&reader, bytes, end);
	expect("one");
	CHECK(message == bytes + GRPC_FRAME_HEAD_SIZE);
	expect("");
	expect("three");
	CHECK_EQUAL(grpc_frame_next(&reader, &message, &size), GRPC_FRAME_MORE);
	CHECK(reader.held == NULL && !grpc_frame_is_open(&reader));
	grpc_frame_fini(&reader);
}

TEST(a_message_may_come_in_whatever_pieces)
{
	unsigned char bytes[LIMIT];
	size_t end = write_message(bytes, "hello");

	end += write_message(bytes + end, "world");
	for (size_t cut = 1; cut < end; cut++) {
		size_t found = 0;

		grpc_frame_init(&reader, LIMIT);
		for (size_t start = 0; start < end; start += cut) {
			grpc_frame_feed(&reader, bytes + start, end - start < cut ? end - start : cut);
			while (grpc_frame_next(&reader, &message, &size) == GRPC_FRAME_MESSAGE) {
				CHECK(size == 5 && memcmp(message, found == 0 ? "hello" : "world", 5) == 0);
				found++;
			}
		}
		CHECK_EQUAL(found, 2);
		CHECK(reader.held == NULL && !grpc_frame_is_open(&reader));
		grpc_frame_fini(&reader);
	}
}

TEST(a_message_that_was_begun_is_open)
{
	unsigned char bytes[LIMIT];
	size_t end = write_message(bytes, "hello");

	grpc_frame_init(&reader, LIMIT);
	grpc_frame_feed(&reader, bytes, end - 1);
	CHECK_EQUAL(grpc_frame_next(&reader, &message, &size), GRPC_FRAME_MORE);
	CHECK(grpc_frame_is_open(&reader));
	grpc_frame_feed(&reader, bytes + end - 1, 1);
	expect("hello");
	CHECK(!grpc_frame_is_open(&reader));
	grpc_frame_fini(&reader);
}

TEST(a_size_above_the_limit_is_told_before_the_message_comes)
{
	unsigned char bytes[GRPC_FRAME_HEAD_SIZE];

	grpc_frame_init(&reader, LIMIT);
	grpc_frame_write_head(bytes, LIMIT + 1);
	grpc_frame_feed(&reader, bytes, sizeof bytes);
	CHECK_EQUAL(grpc_frame_next(&reader, &message, &size), GRPC_FRAME_TOO_LARGE);
	CHECK_EQUAL(size, LIMIT + 1);
	grpc_frame_feed(&reader, bytes, sizeof bytes);
	CHECK_EQUAL(grpc_frame_next(&reader, &message, &size), GRPC_FRAME_MORE);
	grpc_frame_fini(&reader);
}

TEST(a_message_of_the_limit_is_taken)
{
	unsigned char bytes[GRPC_FRAME_HEAD_SIZE + LIMIT] = {0};

	grpc_frame_init(&reader, LIMIT);
	grpc_frame_write_head(bytes, LIMIT);
	for (size_t i = 0; i < sizeof bytes - 1; i++) {
		grpc_frame_feed(&reader, bytes + i, 1);
		CHECK_EQUAL(grpc_frame_next(&reader, &message, &size), GRPC_FRAME_MORE);
	}
	grpc_frame_feed(&reader, bytes + sizeof bytes - 1, 1);
	CHECK_EQUAL(grpc_frame_next(&reader, &message, &size), GRPC_FRAME_MESSAGE);
	CHECK_EQUAL(size, LIMIT);
	CHECK(reader.held_capacity <= sizeof bytes || reader.held_capacity <= 512);
	grpc_frame_fini(&reader);
}

TEST(a_size_alone_takes_no_memory)
{
	unsigned char bytes[GRPC_FRAME_HEAD_SIZE];

	grpc_frame_init(&reader, 1 << 30);
	grpc_frame_write_head(bytes, 1 << 30);
	grpc_frame_feed(&reader, bytes, sizeof bytes);
	CHECK_EQUAL(grpc_frame_next(&reader, &message, &size), GRPC_FRAME_MORE);
	CHECK(reader.held_capacity <= 512);
	grpc_frame_fini(&reader);
}

TEST(a_compressed_message_is_told_as_that)
{
	unsigned char bytes[] = {1, 0, 0, 0, 1, 'x'};

	grpc_frame_init(&reader, LIMIT);
	grpc_frame_feed(&reader, bytes, 1);
	CHECK_EQUAL(grpc_frame_next(&reader, &message, &size), GRPC_FRAME_MORE);
	grpc_frame_feed(&reader, bytes + 1, sizeof bytes - 1);
	CHECK_EQUAL(grpc_frame_next(&reader, &message, &size), GRPC_FRAME_COMPRESSED);
	grpc_frame_fini(&reader);
}
