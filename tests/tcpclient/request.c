#include "tcpclient/request.h"

#include <string.h>

#include "tests/check.h"

static char written[200];

static bool write_line(const char *room, const char *line)
{
	struct buffer out = {0};
	bool done = request_write(&out, room, line, strlen(line), 7);

	buffer_add(&out, "", 1);
	CHECK(out.size <= sizeof written);
	memcpy(written, out.bytes, out.size);
	buffer_fini(&out);
	return done;
}

static void becomes(const char *line, const char *request)
{
	CHECK(write_line("lobby", line));
	CHECK_TEXT(written, request);
}

TEST(a_line_is_sent_to_its_room)
{
	becomes("hi \"bob\"", "{\"op\":\"send\",\"room\":\"lobby\",\"text\":\"hi \\\"bob\\\"\",\"id\":7}\n");
	becomes("//x", "{\"op\":\"send\",\"room\":\"lobby\",\"text\":\"/x\",\"id\":7}\n");
	becomes("/msg /x", "{\"op\":\"send\",\"room\":\"lobby\",\"text\":\"/x\",\"id\":7}\n");
	becomes("/me waves", "{\"op\":\"send\",\"room\":\"lobby\",\"action\":true,\"text\":\"waves\",\"id\":7}\n");
	CHECK(write_line("", ""));
	CHECK_TEXT(written, "{\"op\":\"send\",\"text\":\"\",\"id\":7}\n");
}

TEST(a_name_that_was_cut_does_no_harm)
{
	CHECK(write_line("caf\xC3", "hi"));
	CHECK_TEXT(written, "{\"op\":\"send\",\"room\":\"caf\xEF\xBF\xBD\",\"text\":\"hi\",\"id\":7}\n");
}

TEST(a_command_is_a_request_with_fields)
{
	becomes("/join tea", "{\"op\":\"join\",\"room\":\"tea\",\"id\":7}\n");
	becomes("/join \"tea time\"", "{\"op\":\"join\",\"room\":\"tea time\",\"id\":7}\n");
	becomes("/join", "{\"op\":\"join\",\"id\":7}\n");
	becomes("/new-room x", "{\"op\":\"new_room\",\"room\":\"x\",\"id\":7}\n");
	becomes("/dm \"Johnny Boi\" what is up", "{\"op\":\"dm\",\"to\":\"Johnny Boi\",\"text\":\"what is up\",\"id\":7}\n");
	becomes("/w ann hi", "{\"op\":\"dm\",\"to\":\"ann\",\"text\":\"hi\",\"id\":7}\n");
	becomes("/nick Johnny Boi", "{\"op\":\"nick\",\"name\":\"Johnny Boi\",\"id\":7}\n");
	becomes("/topic all of it", "{\"op\":\"topic\",\"text\":\"all of it\",\"id\":7}\n");
	becomes("/topic", "{\"op\":\"topic\",\"id\":7}\n");
	becomes("/who", "{\"op\":\"who\",\"id\":7}\n");
	becomes("/help", "{\"op\":\"help\",\"id\":7}\n");
	becomes("/help join", "{\"op\":\"help\",\"command\":\"join\",\"id\":7}\n");
	becomes("/admin a word", "{\"op\":\"admin\",\"password\":\"a word\",\"id\":7}\n");
	becomes("/ignore ann", "{\"op\":\"ignore\",\"user\":\"ann\",\"id\":7}\n");
	becomes("/ignore \"Johnny Boi\" --on", "{\"op\":\"ignore\",\"user\":\"Johnny Boi\",\"on\":true,\"id\":7}\n");
	becomes("/ignore ann --off", "{\"op\":\"ignore\",\"user\":\"ann\",\"on\":false,\"id\":7}\n");
}

TEST(what_the_server_explains_best_stays_a_line)
{
	static const char *const lines[] = {"/foo", "/dm ann", "/dm", "/switch", "/join \"open", "/join tea --history", "/join tea after x", "/join tea now", "/search", "/mark x", "/topic --clear", "/invite ann tea", "/history 3 after",
		"/nick", "/me", "/ignore", "/ignore ann now", "/admin",
		"/quit", "!exit", "/", NULL};

	for (const char *const *line = lines; *line != NULL; line++)
		CHECK(!write_line("lobby", *line));
}

TEST(messages_and_joins_are_asked_again)
{
	CHECK(request_is_lasting("hi", 2));
	CHECK(request_is_lasting("/me x", 5));
	CHECK(request_is_lasting("/join tea", 9));
	CHECK(!request_is_lasting("/join", 5));
	CHECK(!request_is_lasting("/who", 4));
}

TEST(what_was_said_is_asked_for)
{
	becomes("/join tea --history 5", "{\"op\":\"join\",\"room\":\"tea\",\"history\":5,\"id\":7}\n");
	becomes("/join tea after 5 of abc", "{\"op\":\"join\",\"room\":\"tea\",\"after\":5,\"room_id\":\"abc\",\"id\":7}\n");
	becomes("/history", "{\"op\":\"history\",\"room\":\"lobby\",\"id\":7}\n");
	becomes("/history 5 before 2026-11-21 in \"tea time\"",
		"{\"op\":\"history\",\"room\":\"tea time\",\"count\":5,\"before\":\"2026-11-21\",\"id\":7}\n");
	becomes("/history before 17", "{\"op\":\"history\",\"room\":\"lobby\",\"before\":17,\"id\":7}\n");
	becomes("/search green tea from:ann", "{\"op\":\"search\",\"words\":\"green tea from:ann\",\"id\":7}\n");
	becomes("/latest", "{\"op\":\"latest\",\"id\":7}\n");
	becomes("/mark 17 \"tea time\"", "{\"op\":\"mark\",\"seq\":17,\"room\":\"tea time\",\"id\":7}\n");
}

TEST(a_session_may_be_the_first_line)
{
	struct buffer out = {0};

	request_write_session(&out, "0123", NULL);
	request_write_session(&out, "0123", "a\"b");
	buffer_add(&out, "", 1);
	CHECK_TEXT(out.bytes,
		"{\"op\":\"session\",\"session\":\"0123\",\"id\":-4}\n"
		"{\"op\":\"session\",\"session\":\"0123\",\"name\":\"a\\\"b\",\"history\":\"none\",\"id\":-4}\n");
	buffer_fini(&out);
}
