#include "tcpserver/doors/utf8_check.h"

#include <string.h>

#include "common/text.h"

#include "tests/check.h"

static bool is_well_formed(const char *bytes, size_t size)
{
	struct utf8_check check = {.rest = 0};

	return utf8_check_feed(&check, bytes, size) && utf8_check_is_whole(&check);
}

/* Appends the code point as UTF-8 would have it, even if it is none. Returns its bytes. */
static size_t encode(unsigned point, char out[4])
{
	static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
	size_t size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;

	for (size_t i = size; i > 1; i--) {
		out[i - 1] = (char)(0x80 | (point & 0x3F));
		point >>= 6;
	}
	out[0] = (char)(leads[size] | point);
	return size;
}

TEST(every_character_is_well_formed_and_no_surrogate_is)
{
	for (unsigned point = 0; point < 0x120000; point++) {
		char bytes[4];
		size_t size = encode(point, bytes);
		bool expected = point < 0xD800 || (point > 0xDFFF && point < 0x110000);

		if (is_well_formed(bytes, size) != expected)
			FAIL("U+%04X", point);
	}
}

TEST(a_character_that_is_cut_is_well_so_far_and_not_whole)
{
	static const char *const characters[] = {"\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};

	for (size_t i = 0; i < 3; i++) {
		for (size_t size = 1; size < strlen(characters[i]); size++) {
			struct utf8_check check = {.rest = 0};

			CHECK(utf8_check_feed(&check, characters[i], size));
			CHECK(!utf8_check_is_whole(&check));
			CHECK(utf8_check_feed(&check, characters[i] + size, strlen(characters[i]) - size));
			CHECK(utf8_check_is_whole(&check));
		}
	}
}

TEST(a_byte_that_cannot_be_is_found_at_once)
{
	static const char *const wrong[] = {"\x80", "\xBF", "\xC0", "\xC1", "\xF5", "\xFF", "\xE0\x9F", "\xED\xA0", "\xF0\x8F",
		"\xF4\x90", "\xC3(", "\xE2\x82(", "\xF0\x9F\x98(", "12345678\xFF", "1234567890123456789\xC0", "12345678\xC3\xA4\x80"};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct utf8_check check = {.rest = 0};
		size_t size = strlen(wrong[i]);

		CHECK(utf8_check_feed(&check, wrong[i], size - 1));
		CHECK(!utf8_check_feed(&check, wrong[i] + size - 1, 1));
	}
}

TEST(all_short_texts_are_judged_as_by_text_clean)
{
	for (unsigned first = 0x20; first < 0x100; first++) {
		for (unsigned second = 0x80; second < 0x100; second++) {
			for (unsigned third = 0x7E; third < 0xC2; third++) {
				char bytes[] = {(char)first, (char)second, (char)third};
				char clean[TEXT_CLEAN_SIZE(3)];
				bool replaced = memmem(clean, text_clean(bytes, 3, clean), "\xEF\xBF\xBD", 3) != NULL;

				if (is_well_formed(bytes, 3) == replaced && memcmp(bytes, "\xEF\xBF\xBD", 3) != 0)
					FAIL("%02x %02x %02x", first, second, third);
			}
		}
	}
}
