#include "tcpserver/doors/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

static struct request request;

static void read_text(const char *text)
{
	request_fini(&request);
	request_read(&request, text, strlen(text));
}

static void check_wrong(const char *text, const char *part)
{
	read_text(text);
	if (request.wrong == NULL)
		FAIL("taken: %s", text);
	CHECK_CONTAINS(request.wrong, part);
}

static void check_command(const char *text, const char *command, const char *arguments)
{
	read_text(text);
	CHECK_TEXT(request.wrong, NULL);
	CHECK_TEXT(request.command, command);
	CHECK_TEXT(request.arguments, arguments);
}

TEST(a_message_is_read_with_its_room_and_id)
{
	read_text("{\"op\":\"send\",\"room\":\"lobby\",\"text\":\"hi \\u00e4\",\"id\":7}");
	CHECK_TEXT(request.wrong, NULL);
	CHECK_TEXT(request.command, NULL);
	CHECK_TEXT(request.room, "lobby");
	CHECK_TEXT(request.text, "hi ä");
	CHECK_TEXT(request.id, "7");
	CHECK(!request.action);
	read_text("{\"op\":\"send\",\"text\":\"\",\"action\":true}");
	CHECK_TEXT(request.wrong, NULL);
	CHECK_TEXT(request.room, NULL);
	CHECK_TEXT(request.text, "");
	CHECK_TEXT(request.id, NULL);
	CHECK(request.action);
	request_fini(&request);
}

TEST(a_command_gets_its_fields_as_arguments)
{
	check_command("{\"op\":\"join\"}", "join", "");
	check_command("{\"op\":\"join\",\"room\":\"Johnny Tea\"}", "join", "\"Johnny Tea\"");
	check_command("{\"op\":\"dm\",\"to\":\"ann\",\"text\":\"hi there\"}", "dm", "\"ann\" hi there");
	check_command("{\"op\":\"nick\",\"name\":\"Johnny Boi\"}", "nick", "Johnny Boi");
	check_command("{\"op\":\"new_room\",\"room\":\"tea\"}", "new-room", "\"tea\"");
	check_command("{\"op\":\"topic\",\"text\":\"a \\\"b\\\"\"}", "topic", "-- a \"b\"");
	check_command("{\"op\":\"topic\",\"text\":\"\"}", "topic", "-- ");
	check_command("{\"op\":\"topic\",\"text\":\"a\",\"room\":\"b\"}", "topic", "--room \"b\" -- a");
	check_command("{\"op\":\"rooms\",\"room_id\":\"x\"}", "rooms", "");
	check_command("{\"op\":\"help\",\"command\":\"me\"}", "help", "me");
	check_command("{\"op\":\"ignore\",\"user\":\"a b\",\"on\":true}", "ignore", "\"a b\" --on");
	check_command("{\"op\":\"ignore\",\"on\":false,\"user\":\"a\"}", "ignore", "\"a\" --off");
	check_command("{\"op\":\"invite\",\"room\":\"tea\",\"user\":\"a\"}", "invite", "\"a\" \"tea\"");
	check_command("{\"op\":\"rooms\",\"unknown\":[{}]}", "rooms", "");
	request_fini(&request);
}

TEST(what_is_wrong_is_said)
{
	check_wrong("{", "no JSON object");
	check_wrong("", "no JSON object");
	check_wrong("[]", "no JSON object");
	check_wrong("{}{}", "no JSON object");
	check_wrong("{\"op\":\"rooms\",\"op\":\"rooms\"}", "comes twice");
	check_wrong("{\"op\":\"rooms\",\"text\":\"\xFF\"}", "no JSON object");
	check_wrong("{\"op\":\"rooms\",\"text\":\"\\ud800\"}", "no JSON object in valid UTF-8");
	check_wrong("{\"op\":\"rooms\",\"text\":\"\\u0000\"}", "has a \\u0000 in it");
	check_wrong("{\"op\":\"rooms\",\"id\":\"\\u0000\"}", "has a \\u0000 in it");
	check_wrong("{}", "no string \"op\"");
	check_wrong("{\"op\":7}", "no string \"op\"");
	check_wrong("{\"op\":\"frobnicate\"}", "no such \"op\"");
	check_wrong("{\"op\":\"send\"}", "no string \"text\"");
	check_wrong("{\"op\":\"send\",\"text\":7}", "no string \"text\"");
	check_wrong("{\"op\":\"send\",\"text\":\"x\",\"room\":7}", "\"room\" is no string");
	check_wrong("{\"op\":\"send\",\"text\":\"x\",\"action\":1}", "\"action\"");
	check_wrong("{\"op\":\"dm\",\"to\":\"ann\"}", "is missing");
	check_wrong("{\"op\":\"dm\",\"to\":\"ann\",\"text\":null}", "no string");
	check_wrong("{\"op\":\"join\",\"room\":[]}", "no string");
	check_wrong("{\"op\":\"ignore\",\"user\":\"a\",\"on\":1}", "neither true nor false");
	check_wrong("{\"op\":\"join\",\"room\":\"a\\\" b\"}", "quotation mark");
	check_wrong("{\"op\":\"rooms\",\"id\":1.5}", "\"id\"");
	check_wrong("{\"op\":\"rooms\",\"id\":{}}", "\"id\"");
	check_wrong("{\"op\":\"rooms\",\"id\":99999999999999999999}", "the id is a number that is too large");
	check_wrong("{\"op\":\"rooms\",\"x\":99999999999999999999,\"id\":1}", "a number in the request is too large");
	check_wrong("{\"op\":\"rooms\",\"room\":\"tea\"}", "takes no \"room\"");
	check_wrong("{\"op\":\"dm\",\"to\":\"ann\",\"text\":\"x\",\"room\":\"tea\"}", "takes no \"room\"");
	request_fini(&request);
}

TEST(an_id_is_a_string_or_a_whole_number_and_not_long)
{
	char text[200] = "{\"op\":\"rooms\",\"id\":\"";

	read_text("{\"op\":\"rooms\",\"id\":\"a\\n\\u009b\"}");
	CHECK_TEXT(request.id, "\"a\\n\\u009B\""); /* on one line, and nothing that a terminal would take */
	read_text("{\"op\":\"rooms\",\"id\":-5}");
	CHECK_TEXT(request.id, "-5");
	read_text("{\"op\":\"frobnicate\",\"id\":8}"); /* what is wrong has an id, too */
	CHECK(request.wrong != NULL);
	CHECK_TEXT(request.id, "8");
	memset(text + strlen(text), 'x', REQUEST_ID_SIZE_MAX - 2);
	(void)strcat(text, "\"}");
	read_text(text);
	CHECK_EQUAL(strlen(request.id), REQUEST_ID_SIZE_MAX);
	(void)strcpy(text + strlen(text) - 2, "x\"}");
	check_wrong(text, "\"id\" of the request is too long");
	check_wrong("{\"op\":\"rooms\",\"id\":\"a\x7F\"}", "\"id\" of the request");
	request_fini(&request);
}

TEST(a_text_is_made_safe)
{
	read_text("{\"op\":\"send\",\"text\":\"a\\u001b[31m\\nb\\u009b\"}");
	CHECK_TEXT(request.text, "a[31m\u2424b");
	check_command("{\"op\":\"dm\",\"to\":\"ab\",\"text\":\"c\\u0007d\"}", "dm", "\"ab\" cd");
	request_fini(&request);
}

TEST(a_new_line_in_a_text_shows)
{
	read_text("{\"op\":\"send\",\"text\":\"one\\ntwo\\r\\nthree\\rfour\\n\\n\\r\\u001bfive\\n\"}");
	CHECK_TEXT(request.text, "one\u2424two\u2424three\u2424four\u2424\u2424\u2424five\u2424");
	read_text("{\"op\":\"send\",\"text\":\"\\n\"}");
	CHECK_TEXT(request.text, "\u2424");
	check_command("{\"op\":\"dm\",\"to\":\"a\\nb\",\"text\":\"\\r\\nd\"}", "dm", "\"a\u2424b\" \u2424d");
	request_fini(&request);
}

static void check_wrong_with_id(const char *text, const char *id)
{
	read_text(text);
	CHECK(request.wrong != NULL);
	CHECK_TEXT(request.id, id);
}

TEST(a_line_that_cannot_be_read_keeps_its_id)
{
	static char deep[100000] = "{\"id\":7,\"x\":";

	check_wrong_with_id("{\"op\":\"send\",\"text\":\"\\u0000\",\"id\":7}", "7");
	check_wrong_with_id("{\"op\":\"send\",\"text\":\"\\ud800\",\"id\":7}", "7");
	check_wrong_with_id("{\"op\":\"send\",\"text\":\"\xFF\", \"id\" : \"a \\\"b\" }", "\"a \\\"b\"");
	check_wrong_with_id("{\"id\":-5,\"op\":\"send\",\"text\":\"abc", "-5");
	check_wrong_with_id("{\"id\":7,\"op\":\"rooms\",\"op\":\"who\"}", "7");
	check_wrong_with_id("{\"x\":{\"id\":1},\"y\":[\"id\",{\"id\":2}],\"id\":3,}", "3");
	check_wrong_with_id("{\"text\":\"\\\"id\\\":1\",\"id\":3,}", "3");
	check_wrong_with_id("{\"id\":7}{\"id\":8}", "7");
	memset(deep + strlen(deep), '[', sizeof deep - strlen(deep) - 1);
	check_wrong_with_id(deep, "7");
	request_fini(&request);
}

TEST(an_id_that_is_in_doubt_is_not_taken)
{
	check_wrong_with_id("{\"id\":7,\"id\":8}", NULL);
	check_wrong_with_id("{\"id\":[7],\"id\":8}", NULL);
	check_wrong_with_id("{\"id\":1.5,}", NULL);
	check_wrong_with_id("{\"id\":7x,}", NULL);
	check_wrong_with_id("{\"id\":\"\xFF\"}", NULL);
	check_wrong_with_id("{\"id\":\"abc", NULL);
	check_wrong_with_id("{\"id\":", NULL);
	check_wrong_with_id("{\"id\"", NULL);
	check_wrong_with_id("{\"id", NULL);
	check_wrong_with_id("{\"x\":{\"id\":1},}", NULL);
	check_wrong_with_id("{\"x\":\"\\", NULL);
	check_wrong_with_id("]\"id\":7", NULL);
	request_fini(&request);
}

TEST(brackets_in_brackets_are_refused_before_they_are_read)
{
	static char text[200000];
	size_t size = 0;

	for (int depth = 1; depth <= REQUEST_DEPTH_MAX; depth++) {
		char nested[100] = "{\"op\":\"rooms\",\"x\":";

		for (int i = 1; i < depth; i++)
			(void)strcat(nested, "[");
		(void)strcat(nested, depth == 1 ? "1" : "");
		for (int i = 1; i < depth; i++)
			(void)strcat(nested, "]");
		(void)strcat(nested, "}");
		read_text(nested);
		CHECK_TEXT(request.wrong, NULL);
	}
	check_wrong("{\"op\":\"rooms\",\"x\":[[[[[[[[]]]]]]]]}", "brackets");
	while (size + 6 < sizeof text)
		size += (size_t)sprintf(text + size, "{\"a\":");
	check_wrong(text, "brackets");
	memset(text, '[', sizeof text - 1);
	check_wrong(text, "brackets");
	check_command("{\"op\":\"topic\",\"text\":\"[[[[[[[[[[{{{{{{\\\"[[[[[\"}", "topic", "-- [[[[[[[[[[{{{{{{\"[[[[[");
	request_fini(&request);
}

TEST(numbers_and_dates_become_words_of_a_command)
{
	check_command("{\"op\":\"history\"}", "history", "");
	check_command("{\"op\":\"history\",\"count\":5,\"before\":17,\"room\":\"my tea\"}", "history",
		"5 before 17 in \"my tea\"");
	check_command("{\"op\":\"history\",\"before\":\"2026-11-21T08:00:00Z\"}", "history", "before 2026-11-21T08:00:00Z");
	check_command("{\"op\":\"join\",\"room\":\"tea\",\"history\":\"none\",\"after\":0,\"room_id\":\"00\"}", "join",
		"\"tea\" after 0 of 00 --history none");
	check_command("{\"op\":\"join\",\"room\":\"tea\",\"history\":7}", "join", "\"tea\" --history 7");
	check_command("{\"op\":\"mark\",\"seq\":9007199254740993,\"room\":\"tea\"}", "mark", "9007199254740993 \"tea\"");
	check_command("{\"op\":\"latest\"}", "latest", "");
	check_command("{\"op\":\"search\",\"words\":\"green tea\",\"from\":\"Johnny Boi\",\"room\":\"my tea\",\"page\":2}", "search",
		"green tea from:\"Johnny Boi\" in:\"my tea\" page:2");
	check_command("{\"op\":\"search\",\"words\":\"x\",\"before\":\"2026-11-21\",\"after\":\"2026-11-20\"}", "search",
		"x before:2026-11-21 after:2026-11-20");
	check_command("{\"op\":\"session\",\"session\":\"00ff\",\"name\":\"Johnny Boi\",\"after\":3}", "session",
		"00ff \"Johnny Boi\" after 3");
	request_fini(&request);
}

TEST(what_is_no_number_or_no_single_word_is_wrong)
{
	check_wrong("{\"op\":\"mark\"}", "missing");
	check_wrong("{\"op\":\"mark\",\"seq\":-1}", "no whole number");
	check_wrong("{\"op\":\"mark\",\"seq\":1.5}", "no whole number");
	check_wrong("{\"op\":\"mark\",\"seq\":\"1\"}", "no whole number");
	check_wrong("{\"op\":\"mark\",\"seq\":null}", "no whole number");
	check_wrong("{\"op\":\"history\",\"before\":\"2026-11-21 08:00\"}", "no single word");
	check_wrong("{\"op\":\"history\",\"before\":\"\"}", "no single word");
	check_wrong("{\"op\":\"history\",\"before\":\"a\\tb\"}", "no single word");
	check_wrong("{\"op\":\"history\",\"before\":\"\\\"x\"}", "no single word");
	check_wrong("{\"op\":\"history\",\"before\":-1}", "neither");
	check_wrong("{\"op\":\"history\",\"before\":[1]}", "neither");
	check_wrong("{\"op\":\"join\",\"after\":1}", "missing");
	check_wrong("{\"op\":\"search\",\"from\":\"bob\"}", "missing");
	check_wrong("{\"op\":\"session\",\"name\":\"bob\"}", "missing");
	request_fini(&request);
}

TEST(a_number_as_the_id_of_a_message_makes_it_known_again)
{
	read_text("{\"op\":\"send\",\"text\":\"hi\",\"id\":7}");
	CHECK_EQUAL(request.number, 7);
	read_text("{\"op\":\"send\",\"text\":\"hi\",\"id\":9223372036854775807}");
	CHECK_EQUAL(request.number, 9223372036854775807);
	read_text("{\"op\":\"send\",\"text\":\"hi\",\"id\":\"7\"}");
	CHECK_EQUAL(request.number, 0);
	read_text("{\"op\":\"send\",\"text\":\"hi\",\"id\":0}");
	CHECK_EQUAL(request.number, 0);
	read_text("{\"op\":\"send\",\"text\":\"hi\",\"id\":-7}");
	CHECK_EQUAL(request.number, 0);
	read_text("{\"op\":\"send\",\"text\":\"hi\"}");
	CHECK_EQUAL(request.number, 0);
	request_fini(&request);
}
