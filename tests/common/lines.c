#include "common/lines.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

enum { LIMIT = 65535, TRANSCRIPT_SIZE = 4096 };

/* The allocation that fails, counted from 1; 0 for none. The linker sends common's realloc() here. */
static int failing_allocation;

void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_realloc(void *memory, size_t size)
{
	if (failing_allocation > 0 && --failing_allocation == 0)
		return NULL;
	return __real_realloc(memory, size);
}

/* What came out, in one string: "(abc)" for a line, "T" for one too long, "M" for no memory. */
struct transcript {
	char text[TRANSCRIPT_SIZE];
	size_t size;
};

static void transcript_add(struct transcript *transcript, enum lines_state state, const char *line, size_t size)
{
	CHECK(transcript->size + size + 3 < TRANSCRIPT_SIZE);
	if (state == LINES_LINE) {
		transcript->text[transcript->size++] = '(';
		if (size > 0)
			memcpy(transcript->text + transcript->size, line, size);
		transcript->size += size;
		transcript->text[transcript->size++] = ')';
	} else {
		transcript->text[transcript->size++] = state == LINES_TOO_LONG ? 'T' : 'M';
	}
	transcript->text[transcript->size] = '\0';
}

/* Feeds bytes from memory that ends where they end, so that reading past them is noticed. */
static void feed(struct lines *lines, const char *bytes, size_t size, struct transcript *transcript)
{
	char *copy = malloc(size == 0 ? 1 : size);
	const char *line = NULL;
	size_t line_size = 0;
	enum lines_state state;

	CHECK(copy != NULL);
	memcpy(copy, bytes, size);
	lines_feed(lines, copy, size);
	while ((state = lines_next(lines, &line, &line_size)) != LINES_MORE)
		transcript_add(transcript, state, line, line_size);
	free(copy);
}

static void finish(struct lines *lines, struct transcript *transcript)
{
	const char *line = NULL;
	size_t line_size = 0;
	enum lines_state state;

	while ((state = lines_last(lines, &line, &line_size)) != LINES_MORE)
		transcript_add(transcript, state, line, line_size);
	lines_fini(lines);
}

/* Feeds 'text' in pieces: bit i of 'cuts' set means that a feed ends after byte i. */
static void split(const char *text, size_t size, size_t limit, uint64_t cuts, struct transcript *transcript)
{
	struct lines lines;
	size_t start = 0;

	transcript->size = 0;
	transcript->text[0] = '\0';
	lines_init(&lines, limit);
	for (size_t i = 0; i < size; i++) {
		if ((cuts >> i & 1) == 0 && i + 1 < size)
			continue;
		feed(&lines, text + start, i + 1 - start, transcript);
		start = i + 1;
	}
	finish(&lines, transcript);
}

/* The same, thought out anew and in the plainest way. */
static void split_plainly(const char *text, size_t size, size_t limit, struct transcript *transcript)
{
	transcript->size = 0;
	transcript->text[0] = '\0';
	while (size > 0) {
		const char *end = memchr(text, '\n', size);
		size_t whole = end == NULL ? size : (size_t)(end - text);
		size_t line = whole > 0 && text[whole - 1] == '\r' ? whole - 1 : whole;

		transcript_add(transcript, line > limit ? LINES_TOO_LONG : LINES_LINE, text, line);
		whole += end != NULL;
		text += whole;
		size -= whole;
	}
}

static void check_split(const char *text, size_t limit, uint64_t cuts, const char *expected)
{
	struct transcript transcript;

	split(text, strlen(text), limit, cuts, &transcript);
	CHECK_TEXT(transcript.text, expected);
}

TEST(a_line_ends_with_lf)
{
	check_split("hello\n", 100, 0, "(hello)");
	check_split("one\ntwo\n\nthree\n", 100, 0, "(one)(two)()(three)");
}

TEST(one_cr_before_lf_belongs_to_the_end)
{
	check_split("hello\r\n", 100, 0, "(hello)");
	check_split("hello\r\r\n", 100, 0, "(hello\r)");
	check_split("he\rllo\n", 100, 0, "(he\rllo)");
	check_split("\r\n", 100, 0, "()");
}

TEST(cr_and_lf_may_come_in_two_feeds)
{
	check_split("hello\r\nx\n", 100, 1 << 5, "(hello)(x)");
	check_split("\r\n", 100, 1 << 0, "()");
}

TEST(bytes_may_come_one_by_one)
{
	check_split("one\r\ntwo\n\nthree", 100, UINT64_MAX, "(one)(two)()(three)");
}

TEST(a_line_holds_any_byte_but_lf)
{
	static const char text[] = {'a', '\0', '\xff', '\x1b', '\0', '\n', '\0', '\n'};
	struct transcript transcript;

	split(text, sizeof text, 100, 0, &transcript);
	CHECK_BYTES(transcript.text, transcript.size, "(a\0\xff\x1b\0)(\0)", 10);
}

TEST(the_last_line_needs_no_end)
{
	check_split("one\ntwo", 100, 0, "(one)(two)");
	check_split("one\ntwo\n", 100, 0, "(one)(two)");
	check_split("one\n\r", 100, 0, "(one)()");
	check_split("", 100, 0, "");
}

TEST(the_last_line_may_be_too_long)
{
	check_split("123456", 5, 0, "T");
	check_split("1234567", 5, UINT64_MAX, "T");
	check_split("12345", 5, 0, "(12345)");
}

TEST(every_chunking_of_a_text_gives_the_same_lines)
{
	static const char alphabet[] = "a\r\n";
	enum { LENGTH = 7 };
	int texts = 1;

	for (int i = 0; i < LENGTH; i++)
		texts *= 3;
	for (int number = 0; number < texts; number++) {
		char text[LENGTH];
		struct transcript expected;

		for (int i = 0, rest = number; i < LENGTH; i++, rest /= 3)
			text[i] = alphabet[rest % 3];
		split_plainly(text, LENGTH, 2, &expected);
		for (uint64_t cuts = 0; cuts < 1 << (LENGTH - 1); cuts++) {
			struct transcript transcript;

			split(text, LENGTH, 2, cuts, &transcript);
			CHECK_BYTES(transcript.text, transcript.size, expected.text, expected.size);
		}
	}
}

/* Whether a line of 'size' bytes and this end passes whole, fed in chunks of 'chunk' bytes; "next" has to follow it. */
static bool passes(size_t size, const char *end, size_t chunk)
{
	size_t end_size = strlen(end);
	size_t text_size = size + end_size + 5;
	char *text = malloc(text_size);
	struct lines lines;
	const char *line;
	size_t line_size;
	enum lines_state state;
	size_t count = 0;
	bool passed = false;

	CHECK(text != NULL);
	memset(text, 'x', size);
	memcpy(text + size, end, end_size);
	memcpy(text + size + end_size, "next\n", 5);
	lines_init(&lines, LIMIT);
	for (size_t start = 0; start < text_size; start += chunk) {
		lines_feed(&lines, text + start, chunk < text_size - start ? chunk : text_size - start);
		while ((state = lines_next(&lines, &line, &line_size)) != LINES_MORE) {
			if (count++ == 0) {
				passed = state == LINES_LINE;
				CHECK(passed || state == LINES_TOO_LONG);
				CHECK(!passed || (line_size == size && line[0] == 'x' && line[size - 1] == 'x'));
				continue;
			}
			CHECK_EQUAL(state, LINES_LINE);
			CHECK_BYTES(line, line_size, "next", 4);
		}
	}
	CHECK_EQUAL(count, 2);
	lines_fini(&lines);
	free(text);
	return passed;
}

TEST(a_line_of_exactly_the_limit_passes_and_of_one_byte_more_does_not)
{
	static const size_t chunks[] = {1, 2, 1000, 4096, 65534, 65535, 65536, 65537, 65538, 1000000};

	for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
		CHECK(passes(LIMIT, "\n", chunks[i]));
		CHECK(passes(LIMIT, "\r\n", chunks[i]));
		CHECK(!passes(LIMIT + 1, "\n", chunks[i]));
		CHECK(!passes(LIMIT + 1, "\r\n", chunks[i]));
		CHECK(!passes(LIMIT, "\r\r\n", chunks[i]));
		CHECK(!passes(10 * LIMIT, "\n", chunks[i]));
	}
}

TEST(a_line_that_is_too_long_is_told_once_and_harms_no_other)
{
	check_split("12345678901234567890\nok\n", 5, UINT64_MAX, "T(ok)");
	check_split("123456\n123456\nok\n", 5, 0, "TT(ok)");
	check_split("a\n123456\nok\n", 5, UINT64_MAX, "(a)T(ok)");
}

TEST(no_memory_is_held_while_no_line_is_unfinished)
{
	struct lines lines;
	struct transcript transcript = {.size = 0};

	lines_init(&lines, 100);
	feed(&lines, "hel", 3, &transcript);
	CHECK(lines.kept != NULL);
	feed(&lines, "lo\n", 3, &transcript);
	CHECK(lines.kept == NULL);
	feed(&lines, "whole\n", 6, &transcript);
	CHECK(lines.kept == NULL);
	finish(&lines, &transcript);
	CHECK_TEXT(transcript.text, "(hello)(whole)");
}

TEST(a_line_that_is_too_long_holds_no_memory)
{
	struct lines lines;
	struct transcript transcript = {.size = 0};

	lines_init(&lines, 5);
	for (int i = 0; i < 100; i++) {
		feed(&lines, "x", 1, &transcript);
		CHECK(lines.kept_size <= 6);
	}
	CHECK(lines.kept == NULL);
	finish(&lines, &transcript);
	CHECK_TEXT(transcript.text, "T");
}

/*
 * A line for which there was no memory was told twice: at once as LINES_NO_MEMORY, and again as LINES_TOO_LONG when its
 * end came, though it was short. A dropped line is told once, when it ends, with the reason.
 */
TEST(a_line_without_memory_is_told_once_and_harms_no_other)
{
	static const uint64_t every_cut = UINT64_MAX;
	struct transcript transcript;

	for (int i = 1; i <= 4; i++) {
		failing_allocation = i;
		split("abcd\nok\n", 8, 100, every_cut, &transcript);
		CHECK_TEXT(transcript.text, "M(ok)");
	}
	failing_allocation = 1;
	split("abcd\nok\n", 8, 100, 1 << 1, &transcript);
	CHECK_TEXT(transcript.text, "M(ok)");
	failing_allocation = 2;
	split("abcd\nok\n", 8, 100, 1 << 1, &transcript);
	CHECK_TEXT(transcript.text, "M(ok)");
	failing_allocation = 1;
	split("abcd", 4, 100, 0, &transcript);
	CHECK_TEXT(transcript.text, "M");
}
