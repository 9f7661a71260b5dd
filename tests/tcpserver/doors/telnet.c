#include "tcpserver/doors/telnet.h"

#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

#define IAC  "\xFF"
#define DONT "\xFE"
#define DO   "\xFD"
#define WONT "\xFC"
#define WILL "\xFB"
#define SB   "\xFA"
#define NOP  "\xF1"
#define SE   "\xF0"

enum { OUTPUT_SIZE = 4096 };

struct output {
	char text[OUTPUT_SIZE];
	size_t text_size;
	char replies[OUTPUT_SIZE];
	size_t replies_size;
};

/* Filters 'bytes' in chunks of 'chunk', into memory that is exactly as large as promised. */
static struct output filter(const char *bytes, size_t size, size_t chunk)
{
	struct telnet telnet = {.state = TELNET_TEXT};
	struct output output = {.text_size = 0};

	for (size_t start = 0; start < size; start += chunk) {
		size_t part = chunk < size - start ? chunk : size - start;
		char *text = malloc(TELNET_TEXT_SIZE(part));
		char *replies = malloc(TELNET_REPLIES_SIZE(part));
		size_t replies_size;
		size_t text_size;

		CHECK(text != NULL && replies != NULL);
		text_size = telnet_filter(&telnet, bytes + start, part, text, replies, &replies_size);
		CHECK(output.text_size + text_size <= OUTPUT_SIZE && output.replies_size + replies_size <= OUTPUT_SIZE);
		memcpy(output.text + output.text_size, text, text_size);
		memcpy(output.replies + output.replies_size, replies, replies_size);
		output.text_size += text_size;
		output.replies_size += replies_size;
		free(text);
		free(replies);
	}
	return output;
}

/* Whatever the chunks, the same comes out. */
static void check_filter(const char *bytes, size_t size, const char *text, size_t text_size, const char *replies,
	size_t replies_size)
{
	for (size_t chunk = 1; chunk <= size; chunk++) {
		struct output output = filter(bytes, size, chunk);

		CHECK_BYTES(output.text, output.text_size, text, text_size);
		CHECK_BYTES(output.replies, output.replies_size, replies, replies_size);
	}
}

#define CHECK_FILTER(bytes, text, replies)                                                                             \
	check_filter(bytes, sizeof(bytes) - 1, text, sizeof(text) - 1, replies, sizeof(replies) - 1)

TEST(text_without_commands_stays_as_it_is)
{
	CHECK_FILTER("hello\r\n", "hello\r\n", "");
	CHECK_FILTER("Gr\xC3\xBC\xC3\x9F" "e\0\x1b", "Gr\xC3\xBC\xC3\x9F" "e\0\x1b", "");
}

TEST(what_the_peer_proposes_is_refused)
{
	CHECK_FILTER("a" IAC DO "\x01" "b", "ab", IAC WONT "\x01");
	CHECK_FILTER("a" IAC WILL "\x1F" "b", "ab", IAC DONT "\x1F");
	CHECK_FILTER(IAC DO IAC "x", "x", IAC WONT IAC);
}

TEST(what_is_off_already_needs_no_answer)
{
	CHECK_FILTER("a" IAC DONT "\x01" IAC WONT "\x02" "b", "ab", "");
}

TEST(a_subnegotiation_is_taken_out)
{
	CHECK_FILTER("a" IAC SB "\x18\0xterm" IAC SE "b", "ab", "");
	CHECK_FILTER("a" IAC SB "\x18" IAC IAC SE IAC SE "b", "ab", "");
	CHECK_FILTER("a" IAC SB IAC SE "b", "ab", "");
}

TEST(a_subnegotiation_without_an_end_does_not_swallow_everything)
{
	char bytes[2000];
	struct output output;

	memset(bytes, 'x', sizeof bytes);
	memcpy(bytes, IAC SB, 2);
	output = filter(bytes, sizeof bytes, sizeof bytes);
	CHECK_EQUAL(output.text_size, sizeof bytes - 2 - TELNET_SUBNEGOTIATION_MAX);
}

TEST(other_commands_are_taken_out)
{
	CHECK_FILTER("a" IAC NOP "b" IAC SE "c" IAC "\xF4" "d", "abcd", "");
}

TEST(an_escaped_0xff_is_one)
{
	CHECK_FILTER("a" IAC IAC "b", "a\xFF" "b", "");
	CHECK_FILTER("a" IAC IAC IAC DO "\x01", "a\xFF", IAC WONT "\x01");
}

TEST(a_0xff_that_no_command_follows_stays)
{
	CHECK_FILTER("a" IAC "b", "a\xFF" "b", "");
	CHECK_FILTER(IAC "\n", "\xFF\n", "");
}

TEST(most_bytes_need_no_filter)
{
	struct telnet telnet = {.state = TELNET_TEXT};
	char text[8];
	char replies[8];
	size_t replies_size;

	CHECK(!telnet_concerns(&telnet, "hello", 5));
	CHECK(telnet_concerns(&telnet, "he" IAC "lo", 5));
	CHECK_EQUAL(telnet_filter(&telnet, IAC, 1, text, replies, &replies_size), 0);
	CHECK(telnet_concerns(&telnet, "hello", 5));
	CHECK_EQUAL(telnet_filter(&telnet, NOP, 1, text, replies, &replies_size), 0);
	CHECK(!telnet_concerns(&telnet, "hello", 5));
}
