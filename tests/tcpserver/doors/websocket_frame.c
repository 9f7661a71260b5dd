#include "tcpserver/doors/websocket_frame.h"

#include <stdlib.h>
#include <string.h>

#include "tcpserver/doors/websocket.h"

#include "tests/check.h"

/* ---- Sending. ---- */

TEST(a_head_is_as_short_as_it_can_be)
{
	char head[WEBSOCKET_HEAD_SIZE_MAX];

	CHECK_BYTES(head, websocket_write_head(head, WEBSOCKET_PONG, 0), "\x8A\x00", 2);
	CHECK_BYTES(head, websocket_write_head(head, WEBSOCKET_TEXT, 125), "\x81\x7D", 2);
	CHECK_BYTES(head, websocket_write_head(head, WEBSOCKET_TEXT, 126), "\x81\x7E\x00\x7E", 4);
	CHECK_BYTES(head, websocket_write_head(head, WEBSOCKET_TEXT_BEGINS, 65535), "\x01\x7E\xFF\xFF", 4);
	CHECK_BYTES(head, websocket_write_head(head, WEBSOCKET_TEXT_ENDS, 65536), "\x80\x7F\0\0\0\0\0\x01\0\0", 10);
	CHECK_BYTES(head, websocket_write_head(head, WEBSOCKET_TEXT_GOES_ON, 0x123456789ABCDEF), "\0\x7F\x01#Eg\x89\xAB\xCD\xEF", 10);
}

/* Writes as many 'x' as '*what' says. */
static size_t write_some(const void *what, char *out, size_t size)
{
	size_t count = *(const size_t *)what;

	if (count <= size && count > 0)
		memset(out, 'x', count);
	return count;
}

TEST(a_frame_is_right_whatever_was_guessed_and_however_little_room_there_is)
{
	static const size_t sizes[] = {0, 1, 124, 125, 126, 127, 200, 65535, 65536, 70000};
	static char out[70012]; /* one for the NUL that ends the look at it */

	for (size_t i = 0; i < 10; i++) {
		size_t head = websocket_head_size(sizes[i]);
		size_t whole = head + sizes[i];

		for (size_t j = 0; j < 10; j++) {
			CHECK_EQUAL(websocket_write_text(write_some, &sizes[i], sizes[j], NULL, 0), whole);
			CHECK_EQUAL(websocket_write_text(write_some, &sizes[i], sizes[j], out, whole - 1), whole);
			memset(out, '-', sizeof out - 1);
			CHECK_EQUAL(websocket_write_text(write_some, &sizes[i], sizes[j], out, whole), whole);
			CHECK_EQUAL((unsigned char)out[0], WEBSOCKET_TEXT);
			CHECK_EQUAL(strspn(out + head, "x"), sizes[i]);
			CHECK_EQUAL(out[whole], '-');
		}
	}
}

/* ---- Receiving. ---- */

/* A stream of frames under construction. */
struct stream {
	char bytes[400000];
	size_t size;
};

static struct stream stream;

/* Adds a masked frame. */
static void put(unsigned first, const char *payload, size_t size)
{
	static const char key[4] = {'k', '\xFF', 0, '#'};
	char *frame = stream.bytes + stream.size;
	size_t head = websocket_write_head(frame, (enum websocket_first_byte)first, size);

	frame[1] = (char)(frame[1] | '\x80');
	memcpy(frame + head, key, 4);
	for (size_t i = 0; i < size; i++)
		frame[head + 4 + i] = (char)(payload[i] ^ key[i % 4]);
	stream.size += head + 4 + size;
}

static void put_text(unsigned first, const char *text)
{
	put(first, text, strlen(text));
}

/* Reads the stream in chunks, and checks that this is heard: letters of what, then the payload; the last close code. */
static void check_heard(size_t chunk, size_t limit, const char *expected, unsigned close_code)
{
	static const char letters[] = {[WEBSOCKET_HEARD_TEXT] = 't',
		[WEBSOCKET_HEARD_PING] = 'i',
		[WEBSOCKET_HEARD_PONG] = 'o',
		[WEBSOCKET_HEARD_CLOSE] = 'c',
		[WEBSOCKET_HEARD_FAULT] = '!'};
	struct websocket_reader reader;
	static char heard[400000];
	size_t size = 0;

	websocket_reader_init(&reader, limit);
	for (size_t at = 0; at < stream.size; at += chunk) {
		size_t fed = stream.size - at < chunk ? stream.size - at : chunk;
		char *copy = malloc(fed);
		enum websocket_heard what;
		const char *payload = NULL;
		size_t payload_size = 0;

		CHECK(copy != NULL);
		memcpy(copy, stream.bytes + at, fed);
		websocket_reader_feed(&reader, copy, fed);
		while ((what = websocket_reader_next(&reader, &payload, &payload_size)) != WEBSOCKET_HEARD_NOTHING) {
			heard[size++] = letters[what];
			if (what != WEBSOCKET_HEARD_FAULT) {
				memcpy(heard + size, payload, payload_size);
				size += payload_size;
			}
		}
		free(copy);
	}
	heard[size] = '\0';
	CHECK_TEXT(heard, expected);
	CHECK_EQUAL(reader.close_code, close_code);
	websocket_reader_fini(&reader);
	websocket_reader_fini(&reader);
}

static void check_all_chunks(size_t limit, const char *expected, unsigned close_code)
{
	static const size_t chunks[] = {1, 2, 3, 5, 6, 7, 4095, 4096, 4097, sizeof stream.bytes};

	for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
		check_heard(chunks[i], limit, expected, close_code);
	stream.size = 0;
}

TEST(texts_are_heard_however_their_bytes_are_cut)
{
	static char expected[400000];
	static char text[70000];
	size_t size = 0;

	for (size_t length = 0; length < sizeof text; length = length * 3 + 1) {
		memset(text, 'a' + (int)(length % 26), length);
		put(0x81, text, length);
		expected[size] = 't';
		memcpy(expected + size + 1, text, length);
		size += 1 + length;
	}
	check_all_chunks(100000, expected, 0);
}

TEST(fragments_are_one_text_and_control_frames_come_between)
{
	put_text(0x01, "one ");
	put_text(0x89, "ping");
	put_text(0x00, "");
	put_text(0x00, "two ");
	put_text(0x8A, "pong");
	put_text(0x80, "three");
	put_text(0x01, "");
	put_text(0x80, "four");
	put_text(0x01, "");
	put_text(0x80, "");
	check_all_chunks(13, "iping" "opong" "tone two three" "tfour" "t", 0);
}

TEST(a_close_is_the_last_that_is_heard)
{
	put(0x88, "\x03\xE8" "bye", 5);
	put_text(0x81, "unheard");
	check_all_chunks(100, "c\x03\xE8" "bye", 1000);
	put_text(0x88, "");
	check_all_chunks(100, "c", WEBSOCKET_CLOSE_NO_CODE);
}

TEST(a_fault_is_the_last_that_is_heard)
{
	put_text(0x81, "heard");
	put_text(0xC1, "reserved");
	put_text(0x81, "unheard");
	check_all_chunks(100, "theard!", WEBSOCKET_CLOSE_PROTOCOL);
}

TEST(every_fault_has_its_code)
{
	static const struct {
		unsigned first;
		const char *payload;
		unsigned code;
	} faults[] = {
		{0xA1, "x", 1002}, {0x91, "x", 1002}, {0x83, "x", 1002}, {0x87, "", 1002}, {0x8B, "x", 1002}, {0x8F, "", 1002},
		{0x80, "x", 1002}, {0x00, "x", 1002}, {0x09, "x", 1002}, {0x08, "", 1002}, {0x82, "x", 1003}, {0x02, "", 1003},
		{0x81, "\xFF", 1007}, {0x81, "\xC3", 1007}, {0x01, "\xED\xA0", 1007}, {0x88, "x", 1002}, {0x88, "\x03\xE7", 1002},
		{0x88, "\x03\xED", 1002}, {0x88, "\x13\x88", 1002}, {0x88, "\x03\xE8\xC3", 1007}, {0x81, "12345678901", 1009},
		{0x01, "12345678901", 1009},
	};

	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		put_text(faults[i].first, faults[i].payload);
		check_all_chunks(10, "!", faults[i].code);
	}
}

TEST(a_message_is_too_big_as_a_whole)
{
	put_text(0x01, "12345");
	put_text(0x00, "67890");
	put_text(0x80, "");
	check_all_chunks(10, "t1234567890", 0);
	put_text(0x01, "12345");
	put_text(0x00, "67890");
	put_text(0x80, "1");
	check_all_chunks(10, "!", WEBSOCKET_CLOSE_TOO_BIG);
}

TEST(a_reader_holds_no_memory_between_frames)
{
	struct websocket_reader reader;
	const char *payload;
	size_t size;

	put_text(0x81, "hello");
	put_text(0x89, "");
	websocket_reader_init(&reader, 100);
	for (size_t i = 0; i < stream.size; i++) {
		websocket_reader_feed(&reader, stream.bytes + i, 1);
		while (websocket_reader_next(&reader, &payload, &size) != WEBSOCKET_HEARD_NOTHING)
			;
		CHECK_EQUAL(reader.wslay == NULL, i == 10 || i == 16);
	}
	CHECK(reader.message == NULL);
	websocket_reader_fini(&reader);
}

TEST(close_codes_are_those_of_the_registry)
{
	for (unsigned code = 0; code < 65536; code++) {
		bool expected = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);

		if (websocket_close_code_is_valid(code) != expected)
			FAIL("%u", code);
	}
}
