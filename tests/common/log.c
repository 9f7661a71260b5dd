#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/text.h"

#include "tests/check.h"

enum { LOGGED_SIZE = 16384 };

static int file = -1;

/* From now on the log goes to a file of this process. */
static void start(enum log_level level, enum log_format format)
{
	file = memfd_create("log", MFD_CLOEXEC);
	CHECK(file >= 0);
	CHECK(dup2(file, STDERR_FILENO) == STDERR_FILENO);
	log_start(level, format);
}

/* What was logged since the last call; valid until the next one. */
static const char *logged(void)
{
	static char text[LOGGED_SIZE];
	ssize_t size = pread(file, text, sizeof text - 1, 0);

	if (size < 0 || ftruncate(file, 0) != 0 || lseek(file, 0, SEEK_SET) != 0) {
		(void)dup2(STDOUT_FILENO, STDERR_FILENO);
		FAIL("cannot read the log");
	}
	text[size] = '\0';
	return text;
}

/* A failed check has to be seen, so it goes where the test's own output goes. */
static void stop(void)
{
	CHECK(dup2(STDOUT_FILENO, STDERR_FILENO) == STDERR_FILENO);
}

/* Steps over a JSON string, as RFC 8259 has it; NULL when there is none. */
static const char *after_string(const char *text)
{
	if (*text++ != '"')
		return NULL;
	for (; *text != '"'; text++) {
		if ((unsigned char)*text < 0x20)
			return NULL;
		if (*text != '\\')
			continue;
		text++;
		if (*text == 'u' && strspn(text + 1, "0123456789abcdefABCDEF") >= 4)
			text += 4;
		else if (*text == '\0' || strchr("\"\\/bfnrt", *text) == NULL)
			return NULL;
	}
	return text + 1;
}

/* Whether 'text' is one JSON object of strings, in UTF-8 and without control characters, on a line of its own. */
static bool is_json_line(const char *text)
{
	size_t size = strlen(text);

	if (size == 0 || size > 1024 || text[size - 1] != '\n' || !text_is_clean(text, size - 1) || *text != '{')
		return false;
	do {
		text = after_string(text + 1);
		text = text == NULL || *text != ':' ? NULL : after_string(text + 1);
	} while (text != NULL && *text == ',');
	return text != NULL && strcmp(text, "}\n") == 0;
}

TEST(a_text_line_has_time_level_event_and_fields)
{
	const char *text;

	start(LOG_INFO, LOG_TEXT);
	log_event(LOG_INFO, "joined", "name", "bob", "from", "127.0.0.1:1", NULL);
	text = logged();
	stop();
	CHECK_EQUAL(strspn(text, "0123456789"), 4);
	CHECK_TEXT(text + strlen("2026-11-21T08:00:00.123Z"), " info joined name=\"bob\" from=\"127.0.0.1:1\"\n");
	CHECK(text[10] == 'T' && text[19] == '.' && text[23] == 'Z');
}

TEST(a_json_line_is_an_object)
{
	const char *text;

	start(LOG_INFO, LOG_JSON);
	log_event(LOG_WARNING, "joined", "name", "bob", "from", "127.0.0.1:1", NULL);
	text = logged();
	stop();
	CHECK(is_json_line(text));
	CHECK_CONTAINS(text, "\"level\":\"warning\",\"event\":\"joined\",\"name\":\"bob\",\"from\":\"127.0.0.1:1\"}\n");
}

TEST(a_line_may_have_no_fields)
{
	const char *text;

	start(LOG_INFO, LOG_JSON);
	log_event(LOG_ERROR, "stopped", NULL);
	text = logged();
	stop();
	CHECK(is_json_line(text));
	CHECK_CONTAINS(text, "\"event\":\"stopped\"}\n");
}

TEST(levels_above_the_wanted_one_are_silent)
{
	const char *text;

	start(LOG_WARNING, LOG_TEXT);
	CHECK(log_wants(LOG_ERROR) && log_wants(LOG_WARNING) && !log_wants(LOG_INFO) && !log_wants(LOG_DEBUG));
	log_event(LOG_INFO, "joined", NULL);
	log_event(LOG_DEBUG, "said", NULL);
	text = logged();
	stop();
	CHECK_TEXT(text, "");
}

TEST(levels_and_formats_have_names)
{
	CHECK_TEXT(log_level_names[LOG_ERROR], "error");
	CHECK_TEXT(log_level_names[LOG_DEBUG], "debug");
	CHECK_TEXT(log_level_names[LOG_DEBUG + 1], NULL);
	CHECK_TEXT(log_format_names[LOG_JSON], "json");
	CHECK_TEXT(log_format_names[LOG_JSON + 1], NULL);
}

TEST(quotes_and_control_characters_are_escaped)
{
	const char *text;

	start(LOG_INFO, LOG_JSON);
	log_event(LOG_INFO, "said", "text", "a\"b\\c\n\t\x1b[31m\x7F", NULL);
	text = logged();
	stop();
	CHECK(is_json_line(text));
	CHECK_CONTAINS(text, "\"text\":\"a\\\"b\\\\c\\u000a\\u0009\\u001b[31m\\u007f\"}");
}

TEST(good_utf_8_stays_as_it_is)
{
	const char *text;

	start(LOG_INFO, LOG_JSON);
	log_event(LOG_INFO, "joined", "name", "Jürgen 李 👋", NULL);
	text = logged();
	stop();
	CHECK(is_json_line(text));
	CHECK_CONTAINS(text, "\"name\":\"Jürgen 李 👋\"");
}

/*
 * Bytes above 0x7F went out as they were: what was no UTF-8 made the line no JSON, and C1 control characters (0xC2 0x9B
 * begins an escape sequence) reached the terminal of whoever reads the log.
 */
TEST(c1_characters_and_ill_formed_bytes_are_escaped)
{
	const char *text;

	start(LOG_INFO, LOG_JSON);
	log_event(LOG_INFO, "said", "text", "a\xC2\x9B" "31m\xFF" "b\xE4\xBD", NULL);
	text = logged();
	stop();
	CHECK(is_json_line(text));
	CHECK_CONTAINS(text, "\"text\":\"a\\u009b31m\\ufffdb\\ufffd");
}

/* A field was begun when there was no room left for it, so that the line ended in ',"na}'. */
TEST(a_line_that_is_cut_is_still_json)
{
	static char value[1200];

	start(LOG_INFO, LOG_JSON);
	for (size_t size = 800; size < sizeof value - 1; size++) {
		const char *text;

		memset(value, 'x', size);
		value[size] = '\0';
		log_event(LOG_INFO, "said", "text", value, "from", "127.0.0.1:1", "reason", "\"\n\"", NULL);
		text = logged();
		if (!is_json_line(text)) {
			stop();
			FAIL("with a value of %zu bytes: %s", size, text);
		}
	}
	stop();
}

/* It was cut within a character. */
TEST(a_value_is_cut_between_characters)
{
	static char value[1600];

	start(LOG_INFO, LOG_JSON);
	for (size_t shift = 0; shift < 4; shift++) {
		const char *text;

		memset(value, 'x', shift);
		for (size_t place = shift; place + 4 < sizeof value; place += 4)
			memcpy(value + place, "👋", 5);
		log_event(LOG_INFO, "said", "text", value, NULL);
		text = logged();
		if (!is_json_line(text)) {
			stop();
			FAIL("shifted by %zu: %s", shift, text);
		}
	}
	stop();
}

TEST(a_gate_lets_one_line_a_second_pass_and_counts_the_others)
{
	struct log_gate gate = {.next_ms = 0};
	char left_out[LOG_COUNT_SIZE] = "x";

	CHECK(log_passes(&gate, left_out));
	CHECK_TEXT(left_out, "");
	for (int i = 0; i < 12; i++)
		CHECK(!log_passes(&gate, left_out));
	gate.next_ms = 0; /* a second later */
	CHECK(log_passes(&gate, left_out));
	CHECK_TEXT(left_out, "12");
	gate.next_ms = 0;
	CHECK(log_passes(&gate, left_out));
	CHECK_TEXT(left_out, "");
}
