#include "common/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

#define REPLACED "\xEF\xBF\xBD"

/*
 * What text_clean() has to do, thought out anew from Unicode's table 3-7 of well-formed sequences: for a first byte the
 * range of the second one, and how many bytes there are.
 */
struct well_formed {
	unsigned char first_from, first_to, second_from, second_to;
	size_t size;
};

static const struct well_formed table[] = {
	{0x00, 0x7F, 0x00, 0x00, 1},
	{0xC2, 0xDF, 0x80, 0xBF, 2},
	{0xE0, 0xE0, 0xA0, 0xBF, 3},
	{0xE1, 0xEC, 0x80, 0xBF, 3},
	{0xED, 0xED, 0x80, 0x9F, 3},
	{0xEE, 0xEF, 0x80, 0xBF, 3},
	{0xF0, 0xF0, 0x90, 0xBF, 4},
	{0xF1, 0xF3, 0x80, 0xBF, 4},
	{0xF4, 0xF4, 0x80, 0x8F, 4},
};

/* How many bytes at the start of 'text' are one sequence, or the maximal part of one. */
static size_t sequence(const unsigned char *text, size_t size, bool *whole)
{
	*whole = false;
	for (size_t row = 0; row < sizeof table / sizeof *table; row++) {
		size_t good = 1;

		if (text[0] < table[row].first_from || text[0] > table[row].first_to)
			continue;
		if (table[row].size > 1 && size > 1 && text[1] >= table[row].second_from && text[1] <= table[row].second_to)
			good = 2;
		while (good > 1 && good < table[row].size && good < size && text[good] >= 0x80 && text[good] <= 0xBF)
			good++;
		*whole = good == table[row].size;
		return good;
	}
	return 1;
}

static bool is_removed(const unsigned char *text, size_t size)
{
	return (size == 1 && ((text[0] < 0x20 && text[0] != '\t') || text[0] == 0x7F)) ||
	       (size == 2 && text[0] == 0xC2 && text[1] < 0xA0);
}

static size_t clean_plainly(const char *text, size_t size, char *out)
{
	const unsigned char *bytes = (const unsigned char *)text;
	size_t written = 0;

	while (size > 0) {
		bool whole;
		size_t length = sequence(bytes, size, &whole);

		if (!whole) {
			memcpy(out + written, REPLACED, 3);
			written += 3;
		} else if (!is_removed(bytes, length)) {
			memcpy(out + written, bytes, length);
			written += length;
		}
		bytes += length;
		size -= length;
	}
	return written;
}

/* Compares with the plain way, and checks what must be true of every result. 'text' lies at the end of its memory. */
static void check_cleaned(const char *text, size_t size)
{
	char expected[64];
	char out[64];
	char again[64];
	size_t expected_size = clean_plainly(text, size, expected);
	size_t out_size = text_clean(text, size, out);

	CHECK(TEXT_CLEAN_SIZE(size) <= sizeof out);
	CHECK(out_size <= TEXT_CLEAN_SIZE(size));
	CHECK_BYTES(out, out_size, expected, expected_size);
	CHECK(text_is_clean(out, out_size));
	CHECK_EQUAL(text_is_clean(text, size), out_size == size && memcmp(text, out, size) == 0);
	CHECK(out_size <= 21);
	CHECK_EQUAL(text_clean(out, out_size, again), out_size);
	CHECK_BYTES(again, out_size, out, out_size);
}

static void check_clean(const char *text, size_t size, const char *expected)
{
	char out[256];

	CHECK(TEXT_CLEAN_SIZE(size) <= sizeof out);
	CHECK_BYTES(out, text_clean(text, size, out), expected, strlen(expected));
}

#define CHECK_CLEAN(text, expected) check_clean("" text, sizeof(text) - 1, expected)

TEST(good_text_stays_as_it_is)
{
	CHECK_CLEAN("", "");
	CHECK_CLEAN("hello", "hello");
	CHECK_CLEAN("tab\there", "tab\there");
	CHECK_CLEAN("Grüße, 你好, नमस्ते, שלום, 👋🏽", "Grüße, 你好, नमस्ते, שלום, 👋🏽");
	CHECK_CLEAN("\xEF\xBF\xBD", REPLACED);
	CHECK_CLEAN("\xF4\x8F\xBF\xBF\xEF\xBF\xBE", "\xF4\x8F\xBF\xBF\xEF\xBF\xBE");
}

TEST(control_characters_are_removed)
{
	CHECK_CLEAN("a\0b", "ab");
	CHECK_CLEAN("\x1b[31mred\x1b[0m", "[31mred[0m");
	CHECK_CLEAN("a\x7F" "b", "ab");
	CHECK_CLEAN("a\xC2\x9B" "31mb\xC2\x85", "a31mb");
	CHECK_CLEAN("\xC2\xA0", "\xC2\xA0");
	CHECK_CLEAN("a\r\nb\vc\f\b", "abc");
}

/*
 * Source: Unicode 15, 3.9, tables 3-8 to 3-11. A whole run of bytes, as C0 AF or ED A0 80, was one replacement once,
 * because the Unicode library counts so.
 */
TEST(each_maximal_subpart_becomes_one_replacement)
{
	CHECK_CLEAN("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41",
		REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED "A");
	CHECK_CLEAN("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41",
		REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED "A");
	CHECK_CLEAN("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42",
		REPLACED REPLACED REPLACED REPLACED REPLACED "A" REPLACED REPLACED "B");
	CHECK_CLEAN("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", REPLACED REPLACED REPLACED REPLACED "A");
	CHECK_CLEAN("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64",
		"a" REPLACED REPLACED REPLACED "b" REPLACED "c" REPLACED REPLACED "d");
}

TEST(a_sequence_cut_off_at_the_end_is_one_replacement)
{
	CHECK_CLEAN("a\xF0\x9F\x91", "a" REPLACED);
	CHECK_CLEAN("a\xE4\xBD", "a" REPLACED);
	CHECK_CLEAN("a\xC3", "a" REPLACED);
}

TEST(every_text_of_one_or_two_bytes_is_cleaned_as_the_tables_say)
{
	for (int first = 0; first < 256; first++) {
		char *one = malloc(1);

		CHECK(one != NULL);
		one[0] = (char)first;
		check_cleaned(one, 1);
		free(one);
		for (int second = 0; second < 256; second++) {
			char *two = malloc(2);

			CHECK(two != NULL);
			two[0] = (char)first;
			two[1] = (char)second;
			check_cleaned(two, 2);
			free(two);
		}
	}
}

/* Bytes at the edges of every range of the tables. */
TEST(every_text_of_four_telling_bytes_is_cleaned_as_the_tables_say)
{
	static const unsigned char edges[] = {0x00, 0x09, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xDF,
		0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
	const size_t count = sizeof edges;
	char *text = malloc(4);

	CHECK(text != NULL);
	for (size_t number = 0; number < count * count * count * count; number++) {
		size_t rest = number;

		for (int i = 0; i < 4; i++, rest /= count)
			text[i] = (char)edges[rest % count];
		check_cleaned(text, 4);
	}
	free(text);
}

static void straightens(const char *text, const char *wanted)
{
	char straight[256];
	size_t size = strlen(text);

	memcpy(straight, text, size);
	straight[text_straighten(straight, size)] = '\0';
	CHECK_TEXT(straight, wanted);
}

TEST(text_cannot_change_the_order_of_what_follows)
{
	char changing[] = "\xE2\x80\xA8";

	straightens("", "");
	straightens("plain", "plain");
	straightens("a\u202Eb", "ab");
	straightens("\u202A\u202B\u202C\u202D\u202E\u2066\u2067\u2068\u2069", "");
	straightens("\u206A\u206F\uFFF9\uFFFBx", "x");
	straightens("one\u2028two\u2029", "one two ");
	straightens("\u202E\u202Ex\u202E", "x");
	CHECK_EQUAL(text_straighten(changing, 2), 2); /* a part of one is none */
}

TEST(what_is_written_from_right_to_left_stays)
{
	straightens("\u05E9\u05DC\u05D5\u05DD\u200F!", "\u05E9\u05DC\u05D5\u05DD\u200F!");
	straightens("\u0645\u0631\u062D\u0628\u0627\u061C\u200E", "\u0645\u0631\u062D\u0628\u0627\u061C\u200E");
	straightens("\u0646\u0645\u06CC\u200C\u062E\u0648\u0627\u0647\u0645", "\u0646\u0645\u06CC\u200C\u062E\u0648\u0627\u0647\u0645");
	straightens("\u2027\u202F\u2065\u2070\uFFF8\uFFFC\uFFFD", "\u2027\u202F\u2065\u2070\uFFF8\uFFFC\uFFFD");
	straightens("\U0001F468\u200D\U0001F469", "\U0001F468\u200D\U0001F469");
}
