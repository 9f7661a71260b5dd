#include "tcpclient/event.h"

#include <string.h>

#include "tests/check.h"

static bool read_text(struct event *event, const char *line)
{
	return event_read(event, line, strlen(line));
}

TEST(an_event_has_its_strings_its_number_and_its_time)
{
	struct event event = {0};

	CHECK(read_text(&event, "{\"seq\":17,\"room\":\"lobby\",\"at\":\"2026-11-21T08:00:00.123Z\",\"kind\":\"message\","
				"\"participant\":\"bob\",\"text\":\"hi\",\"id\":7}"));
	CHECK_EQUAL(event.kind, EVENT_MESSAGE);
	CHECK_EQUAL(event.id, 7);
	CHECK_EQUAL(event.at, 1795248000);
	CHECK_TEXT(event.room, "lobby");
	CHECK_TEXT(event.participant, "bob");
	CHECK_TEXT(event.text, "hi");
	CHECK_TEXT(event.code, "");
	CHECK(read_text(&event, "{\"kind\":\"pong\"}"));
	CHECK_EQUAL(event.kind, EVENT_PONG);
	CHECK_EQUAL(event.id, 0);
	CHECK_TEXT(event.text, "");
	event_fini(&event);
}

TEST(strings_are_made_clean)
{
	struct event event = {0};

	CHECK(read_text(&event, "{\"kind\":\"message\",\"text\":\"a\\u001b[2J\\n\\tb\\u009b\",\"participant\":\"x\\u0007\"}"));
	CHECK_TEXT(event.text, "a[2J\tb");
	CHECK_TEXT(event.participant, "x");
	event_fini(&event);
}

TEST(an_unknown_kind_is_an_event_and_wrong_types_are_nothing)
{
	struct event event = {0};

	CHECK(read_text(&event, "{\"kind\":\"dance\",\"text\":5,\"room\":[],\"id\":\"x\",\"at\":\"soon\"}"));
	CHECK_EQUAL(event.kind, EVENT_OTHER);
	CHECK_TEXT(event.kind_name, "dance");
	CHECK_TEXT(event.text, "");
	CHECK_EQUAL(event.id, 0);
	CHECK_EQUAL(event.at, 0);
	CHECK(read_text(&event, "{}"));
	CHECK_EQUAL(event.kind, EVENT_OTHER);
	event_fini(&event);
}

TEST(what_is_no_object_is_no_event)
{
	static const char *const lines[] = {"", "{", "[]", "[{}]", "text", "{\"a\":1}x", "{\"a\":1,\"a\":2}", "{\"a\":\"\xff\"}",
		"{\"a\":\"\\u0000\"}", "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}", NULL};
	struct event event = {0};

	for (const char *const *line = lines; *line != NULL; line++)
		CHECK(!read_text(&event, *line));
	event_fini(&event);
}

TEST(an_event_is_written_without_its_number)
{
	static const char line[] = "{\"kind\": \"notice\", \"id\": -100, \"text\": \"a\\\"b\", \"more\": [1, {\"id\": 2}]}";
	struct buffer out = {0};

	event_write_without_id(&out, line, sizeof line - 1);
	event_write_without_id(&out, "[1]", 3);
	event_write_without_id(&out, "{\"a\":", 5);
	buffer_add(&out, "", 1);
	CHECK_TEXT(out.bytes, "{\"kind\":\"notice\",\"text\":\"a\\\"b\",\"more\":[1,{\"id\":2}]}\n");
	buffer_fini(&out);
}

TEST(a_notice_of_our_own_is_an_event)
{
	struct event event = {.id = 1};
	struct buffer out = {0};

	event_write_notice(&out, "it said \"no\"");
	CHECK(event_read(&event, out.bytes, out.size - 1));
	CHECK_EQUAL(event.kind, EVENT_NOTICE);
	CHECK_TEXT(event.text, "it said \"no\"");
	CHECK(event.at > 1600000000);
	CHECK_EQUAL(event.id, 0);
	event_fini(&event);
	buffer_fini(&out);
}
