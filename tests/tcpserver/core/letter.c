#include "tcpserver/core/letter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

#define SERVER "@0123456789abcdef012"

static bool is_read(const char *json)
{
	struct letter letter = {.text = NULL};
	bool read = letter_read(json, strlen(json), &letter);

	free((void *)(uintptr_t)letter.text);
	return read;
}

/* Writes the letter and reads it again; its text is to be freed. */
static struct letter round_trip(const struct letter *letter)
{
	struct letter again;
	size_t size;
	char *json = letter_write(letter, &size);

	CHECK(json != NULL);
	CHECK_EQUAL(strlen(json), size);
	CHECK(letter_read(json, size, &again));
	free(json);
	return again;
}

TEST(what_was_written_is_read)
{
	const struct letter direct = {.kind = LETTER_DIRECT, .number = 7, .server = SERVER, .from = "ann", .to = "Johnny Boi",
		.text = "\"tea\"\tand \\ caf\xc3\xa9"};
	const struct letter invitation = {.kind = LETTER_INVITE, .number = INT64_MAX, .server = SERVER, .from = "ann", .to = "bob",
		.room = "tea", .room_id = "0123456789abcdef0123"};
	const struct letter replaced = {.kind = LETTER_REPLACED, .number = 1, .server = SERVER, .client = "0123456789abcde"};
	const struct letter answer = {
		.kind = LETTER_ANSWER, .result = LETTER_BEHIND, .number = 1, .server = SERVER, .to = "Bob"};
	struct letter read = round_trip(&direct);

	CHECK(read.kind == LETTER_DIRECT && read.number == 7);
	CHECK_TEXT(read.server, SERVER);
	CHECK_TEXT(read.from, "ann");
	CHECK_TEXT(read.to, "Johnny Boi");
	CHECK_TEXT(read.text, direct.text);
	free((void *)(uintptr_t)read.text);
	read = round_trip(&invitation);
	CHECK(read.kind == LETTER_INVITE && read.number == INT64_MAX);
	CHECK_TEXT(read.room, "tea");
	CHECK_TEXT(read.room_id, "0123456789abcdef0123");
	read = round_trip(&replaced);
	CHECK_BYTES(read.client, sizeof read.client, replaced.client, sizeof replaced.client);
	read = round_trip(&answer);
	CHECK(read.kind == LETTER_ANSWER && read.result == LETTER_BEHIND);
	CHECK_TEXT(read.to, "Bob");
}

TEST(the_longest_text_arrives)
{
	size_t size = 65535;
	char *text = malloc(size + 1);
	struct letter letter = {.kind = LETTER_DIRECT, .number = 1, .server = SERVER, .from = "ann", .to = "bob", .text = text};
	struct letter read;

	CHECK(text != NULL);
	memset(text, '"', size);
	text[size] = '\0';
	read = round_trip(&letter);
	CHECK_TEXT(read.text, text);
	free((void *)(uintptr_t)read.text);
	free(text);
}

TEST(what_is_no_letter_is_not_read)
{
	static const char *const wrong[] = {
		"", "{}", "[]", "7", "nonsense", "[[[[[[[[[[[[",
		"{\"letter\":\"direct\",\"server\":\"" SERVER "\",\"number\":7,\"from\":\"ann\",\"to\":\"bob\"}", /* no text */
		"{\"letter\":\"direct\",\"server\":\"" SERVER "\",\"number\":7,\"from\":\"ann\",\"to\":\"bob\",\"text\":\"\"}",
		"{\"letter\":\"direct\",\"server\":\"" SERVER "\",\"number\":7,\"from\":\"ann\",\"to\":\"bob\",\"text\":\"a\\u001b[2J\"}",
		"{\"letter\":\"direct\",\"server\":\"" SERVER "\",\"number\":7,\"from\":\"ann\",\"to\":\"bob\",\"text\":\"a\\nb\"}",
		"{\"letter\":\"direct\",\"server\":\"" SERVER "\",\"number\":7,\"from\":\"ann\",\"to\":\"bob\",\"text\":7}",
		"{\"letter\":\"direct\",\"server\":\"" SERVER "\",\"number\":7,\"from\":\" ann\",\"to\":\"bob\",\"text\":\"a\"}",
		"{\"letter\":\"direct\",\"server\":\"" SERVER "\",\"number\":7,\"from\":\"a\\nb\",\"to\":\"bob\",\"text\":\"a\"}",
		"{\"letter\":\"direct\",\"server\":\"" SERVER "\",\"number\":0,\"from\":\"ann\",\"to\":\"bob\",\"text\":\"a\"}",
		"{\"letter\":\"direct\",\"server\":\"" SERVER "\",\"number\":-1,\"from\":\"ann\",\"to\":\"bob\",\"text\":\"a\"}",
		"{\"letter\":\"direct\",\"server\":\"" SERVER "\",\"number\":\"7\",\"from\":\"ann\",\"to\":\"bob\",\"text\":\"a\"}",
		"{\"letter\":\"direct\",\"server\":\"0123456789abcdef0123\",\"number\":7,\"from\":\"ann\",\"to\":\"bob\",\"text\":\"a\"}",
		"{\"letter\":\"direct\",\"server\":\"@0123\",\"number\":7,\"from\":\"ann\",\"to\":\"bob\",\"text\":\"a\"}",
		"{\"letter\":\"poem\",\"server\":\"" SERVER "\",\"number\":7,\"from\":\"ann\",\"to\":\"bob\",\"text\":\"a\"}",
		"{\"letter\":\"invite\",\"server\":\"" SERVER "\",\"number\":7,\"from\":\"ann\",\"to\":\"bob\",\"room\":\"tea\"}",
		"{\"letter\":\"invite\",\"server\":\"" SERVER "\",\"number\":7,\"from\":\"ann\",\"to\":\"bob\",\"room\":\"tea\",\"room_id\":\"" SERVER "\"}",
		"{\"letter\":\"replaced\",\"server\":\"" SERVER "\",\"number\":7,\"client\":\"00000000000000000000000000000000\"}",
		"{\"letter\":\"replaced\",\"server\":\"" SERVER "\",\"number\":7,\"client\":\"00\"}",
		"{\"letter\":\"answer\",\"server\":\"" SERVER "\",\"number\":7,\"result\":\"lost\"}",
		"{\"letter\":\"answer\",\"server\":\"" SERVER "\",\"number\":7,\"result\":\"told\",\"to\":\"\\u0007\"}",
		"{\"letter\":\"answer\",\"letter\":\"answer\",\"server\":\"" SERVER "\",\"number\":7,\"result\":\"told\"}",
	};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		if (is_read(wrong[i]))
			FAIL("this was taken for a letter: %s", wrong[i]);
	}
}

TEST(what_a_newer_server_writes_besides_is_passed_over)
{
	CHECK(is_read("{\"letter\":\"answer\",\"server\":\"" SERVER "\",\"number\":7,\"result\":\"told\",\"mood\":[\"fine\"]}"));
}
