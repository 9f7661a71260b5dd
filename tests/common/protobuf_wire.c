#include "common/protobuf_wire.h"

#include <stdint.h>
#include <string.h>

#include "tests/check.h"

static struct protobuf_wire wire;
static struct protobuf_field field;

static void read_from(const void *bytes, size_t size)
{
	wire = (struct protobuf_wire){bytes, size};
}

#define READ(literal) read_from(literal, sizeof(literal) - 1)

static void expect_bytes(uint64_t number, const char *content)
{
	CHECK_EQUAL(protobuf_next(&wire, &field), PROTOBUF_FIELD);
	CHECK_EQUAL(field.number, number);
	CHECK(field.has_bytes);
	CHECK_BYTES((const char *)field.content.next, field.content.size, content, strlen(content));
}

static void expect_number(uint64_t number)
{
	CHECK_EQUAL(protobuf_next(&wire, &field), PROTOBUF_FIELD);
	CHECK_EQUAL(field.number, number);
	CHECK(!field.has_bytes);
}

TEST(fields_of_every_kind_come_in_their_order)
{
	READ("\x0A\x02hi\x10\x96\x01\x19"
	     "12345678"
	     "\x25"
	     "1234"
	     "\x2A\x00\x92\x03\x01x");
	expect_bytes(1, "hi");
	expect_number(2);
	expect_number(3);
	expect_number(4);
	expect_bytes(5, "");
	expect_bytes(50, "x");
	CHECK_EQUAL(protobuf_next(&wire, &field), PROTOBUF_END);
	CHECK_EQUAL(protobuf_next(&wire, &field), PROTOBUF_END);
}

TEST(a_number_has_at_most_ten_bytes)
{
	READ("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01");
	expect_number(1);
	READ("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01");
	CHECK_EQUAL(protobuf_next(&wire, &field), PROTOBUF_BROKEN);
}

TEST(what_is_not_whole_is_broken_wherever_it_ends)
{
	static const char whole[] = "\x0A\x82\x00hi\x10\x96\x01\x19"
				    "12345678"
				    "\x25"
				    "1234";
	static const size_t ends[] = {0, 5, 8, 17, 22};

	for (size_t size = 0; size < sizeof whole; size++) {
		enum protobuf_found found;
		bool ends_well = false;

		for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
			ends_well = ends_well || ends[i] == size;
		read_from(whole, size);
		do
			found = protobuf_next(&wire, &field);
		while (found == PROTOBUF_FIELD);
		CHECK_EQUAL(found, ends_well ? PROTOBUF_END : PROTOBUF_BROKEN);
	}
}

TEST(a_size_beyond_the_end_is_broken)
{
	READ("\x0A\x03hi");
	CHECK_EQUAL(protobuf_next(&wire, &field), PROTOBUF_BROKEN);
	READ("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01hi");
	CHECK_EQUAL(protobuf_next(&wire, &field), PROTOBUF_BROKEN);
}

TEST(groups_and_kinds_that_there_are_not_are_broken)
{
	static const char *const kinds[] = {"\x0B", "\x0C", "\x0E", "\x0F"};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		read_from(kinds[i], 1);
		CHECK_EQUAL(protobuf_next(&wire, &field), PROTOBUF_BROKEN);
	}
}

TEST(a_head_tells_the_number_and_the_size)
{
	char head[PROTOBUF_HEAD_SIZE_MAX];

	CHECK_EQUAL(protobuf_head_write(3, 300, head) - head, 3);
	CHECK_BYTES(head, 3, "\x1A\xAC\x02", 3);
	CHECK_EQUAL(protobuf_head_write(15, 0, head) - head, 2);
	CHECK_BYTES(head, 2, "\x7A\x00", 2);
}

TEST(a_head_that_is_written_is_read_again)
{
	static const size_t sizes[] = {0, 1, 127, 128, 16383, 16384, 65535, 2097151, 2097152};
	static char bytes[PROTOBUF_HEAD_SIZE_MAX + 2097152];

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t head = (size_t)(protobuf_head_write(PROTOBUF_NUMBER_MAX, sizes[i], bytes) - bytes);

		CHECK_EQUAL(head, protobuf_head_size(sizes[i]));
		read_from(bytes, head + sizes[i]);
		CHECK_EQUAL(protobuf_next(&wire, &field), PROTOBUF_FIELD);
		CHECK_EQUAL(field.number, PROTOBUF_NUMBER_MAX);
		CHECK_EQUAL(field.content.size, sizes[i]);
		CHECK_EQUAL(protobuf_next(&wire, &field), PROTOBUF_END);
	}
	CHECK_EQUAL(protobuf_head_write(1, SIZE_MAX, bytes) - bytes, PROTOBUF_HEAD_SIZE_MAX);
}
