#include "tcpclient/buffer.h"

#include <string.h>

#include "tests/check.h"

TEST(what_is_added_is_there_in_order)
{
	struct buffer buffer = {0};

	buffer_add(&buffer, "a\0b", 3);
	buffer_add_text(&buffer, "cd");
	buffer_add_format(&buffer, "%d%%n", 42);
	CHECK_BYTES(buffer.bytes, buffer.size, "a\0bcd42%n", 9);
	buffer_fini(&buffer);
}

TEST(it_grows_as_needed)
{
	struct buffer buffer = {0};

	for (int i = 0; i < 100000; i++)
		buffer_add_format(&buffer, "%06d", i);
	CHECK_EQUAL(buffer.size, 600000);
	CHECK(memcmp(buffer.bytes + 599994, "099999", 6) == 0);
	buffer_fini(&buffer);
}

TEST(a_peers_text_is_made_clean)
{
	struct buffer buffer = {0};

	buffer_add_clean(&buffer, "a\x1b[31m\xff\tb\x07", 9);
	CHECK_BYTES(buffer.bytes, buffer.size, "a[31m\xEF\xBF\xBD\tb", 10);
	buffer_fini(&buffer);
}

TEST(what_a_long_line_needed_is_given_back)
{
	struct buffer buffer = {0};

	for (int i = 0; i < 100000; i++)
		buffer_add_text(&buffer, "0123456789");
	buffer_clear(&buffer);
	CHECK_EQUAL(buffer.size, 0);
	CHECK_EQUAL(buffer.capacity, 0);
	buffer_add_text(&buffer, "again");
	CHECK_EQUAL(buffer.size, 5);
	buffer_fini(&buffer);
}
