#include "common/hex.h"

#include <string.h>

#include "tests/check.h"

TEST(a_digit_has_its_value_in_either_case)
{
	CHECK(hex_digit('0') == 0);
	CHECK(hex_digit('9') == 9);
	CHECK(hex_digit('a') == 10);
	CHECK(hex_digit('F') == 15);
}

TEST(what_is_no_digit_has_none)
{
	for (int i = -128; i < 128; i++)
		CHECK((hex_digit((char)i) >= 0) == (i > 0 && strchr("0123456789abcdefABCDEF", i) != NULL));
}

TEST(bytes_are_read_whole_or_not_at_all)
{
	unsigned char bytes[3] = {9, 9, 9};

	CHECK(!hex_read("", bytes, 2));
	CHECK(!hex_read("00fg", bytes, 2));
	CHECK(!hex_read("00f", bytes, 2));
	CHECK(!hex_read("00ff0", bytes, 2));
	CHECK(bytes[0] == 9);
	CHECK(hex_read("0fA0", bytes, 2));
	CHECK(bytes[0] == 0x0F && bytes[1] == 0xA0 && bytes[2] == 9);
}
