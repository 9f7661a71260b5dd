#include "tcpserver/doors/event.h"

#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/message.h"

#include "tests/check.h"

static void check_event(enum message_kind kind, const char *text, const char *expected)
{
	struct message *message = message_create(kind, "tea", "b\"b", text, text == NULL ? 0 : strlen(text));
	char out[300];
	size_t size = strlen(expected);

	CHECK(message != NULL);
	message->seq = 17;
	message->at_ns = INT64_C(1763712000123000000);
	CHECK_EQUAL(event_format.encode(message, NULL, 0), size);
	CHECK_EQUAL(event_format.encode(message, out, sizeof out), size);
	CHECK_BYTES(out, size, expected, size);
	message_release(message);
}

#define START "{\"seq\":17,\"room\":\"tea\",\"at\":\"2025-11-21T08:00:00.123Z\","

TEST(a_message_is_an_object_on_a_line)
{
	check_event(MESSAGE_TEXT, "a\\b", START "\"kind\":\"message\",\"participant\":\"b\\\"b\",\"text\":\"a\\\\b\"}\n");
	check_event(MESSAGE_TEXT, "", START "\"kind\":\"message\",\"participant\":\"b\\\"b\",\"text\":\"\"}\n");
	check_event(MESSAGE_ACTION, "waves", START "\"kind\":\"action\",\"participant\":\"b\\\"b\",\"text\":\"waves\"}\n");
}

TEST(history_is_marked)
{
	static const char expected[] = START "\"kind\":\"message\",\"participant\":\"bob\",\"text\":\"hi\",\"history\":true}\n";
	struct message *message = message_create(MESSAGE_TEXT, "tea", "bob", "hi", 2);
	char out[300];

	CHECK(message != NULL);
	message->seq = 17;
	message->at_ns = INT64_C(1763712000123000000);
	CHECK_EQUAL(event_format.recall(message, NULL, 0), sizeof expected - 1);
	CHECK_EQUAL(event_format.recall(message, out, sizeof out), sizeof expected - 1);
	CHECK_BYTES(out, sizeof expected - 1, expected, sizeof expected - 1);
	message_release(message);
}

TEST(what_happens_in_a_room_is_an_object_on_a_line)
{
	check_event(MESSAGE_JOINED, NULL,
		START "\"event_type\":\"participant_joined\",\"kind\":\"joined\",\"participant\":\"b\\\"b\"}\n");
	check_event(MESSAGE_LEFT, "normally", START "\"event_type\":\"participant_left\",\"kind\":\"left\","
		"\"participant\":\"b\\\"b\",\"text\":\"normally\"}\n");
	check_event(MESSAGE_NICK, "rob", START "\"kind\":\"nick\",\"participant\":\"b\\\"b\",\"text\":\"rob\"}\n");
	check_event(MESSAGE_TOPIC, "hot", START "\"kind\":\"topic\",\"participant\":\"b\\\"b\",\"text\":\"hot\"}\n");
	check_event(MESSAGE_ROOM_CLOSED, NULL, START "\"kind\":\"room_closed\",\"participant\":\"b\\\"b\"}\n");
}

/* The words without their time, which is now. */
static void check_words(struct telling telling, const char *before, const char *after)
{
	static const char time[] = "\"at\":\"2025-11-21T08:00:00.123Z\"";
	size_t size;
	char *words = event_door.words(&telling, &size);

	CHECK(words != NULL);
	CHECK_EQUAL(size, strlen(before) + sizeof time - 1 + strlen(after));
	CHECK_BYTES(words, strlen(before), before, strlen(before));
	CHECK_BYTES(words + size - strlen(after), strlen(after), after, strlen(after));
	free(words);
}

TEST(words_to_one_client_are_an_object_on_a_line)
{
	check_words((struct telling){.kind = TELL_NOTICE, .text = "hi"}, "{\"kind\":\"notice\",", ",\"text\":\"hi\"}\n");
	check_words((struct telling){.kind = TELL_ERROR, .code = "usage", .text = "no", .request_id = "7"},
		"{\"kind\":\"error\",", ",\"code\":\"usage\",\"id\":7,\"text\":\"no\"}\n");
	check_words((struct telling){.kind = TELL_WELCOME, .participant = "bob", .room = "lobby", .room_id = "0123", .last = 5},
		"{\"kind\":\"welcome\",",
		",\"room\":\"lobby\",\"room_id\":\"0123\",\"last\":5,\"mark\":0,\"participant\":\"bob\",\"protocol\":\"tcpchat/1\"}\n");
	check_words((struct telling){.kind = TELL_DIRECT, .participant = "ann", .to = "bob", .text = "hi"},
		"{\"kind\":\"direct\",", ",\"participant\":\"ann\",\"to\":\"bob\",\"text\":\"hi\"}\n");
	check_words((struct telling){.kind = TELL_PONG, .text = "", .request_id = "\"x\""}, "{\"kind\":\"pong\",",
		",\"id\":\"x\",\"text\":\"\"}\n");
	check_words((struct telling){.kind = TELL_SAID, .room = "tea", .seq = 9, .request_id = "7"}, "{\"kind\":\"notice\",",
		",\"code\":\"said\",\"id\":7,\"seq\":9,\"room\":\"tea\"}\n");
	check_words((struct telling){.kind = TELL_NOTICE, .code = "room", .room = "tea", .room_id = "0123", .last = 9, .mark = 8,
			    .text = "hi"},
		"{\"kind\":\"notice\",",
		",\"code\":\"room\",\"room\":\"tea\",\"room_id\":\"0123\",\"last\":9,\"mark\":8,\"text\":\"hi\"}\n");
	check_words((struct telling){.kind = TELL_NOTICE, .code = "behind", .room = "tea", .count = 1234, .text = "hi"},
		"{\"kind\":\"notice\",", ",\"code\":\"behind\",\"room\":\"tea\",\"count\":1234,\"text\":\"hi\"}\n");
	check_words((struct telling){.kind = TELL_FAREWELL, .text = "127.0.0.1:7777"}, "{\"kind\":\"notice\",",
		",\"event_type\":\"server_shutting_down\",\"address\":\"127.0.0.1:7777\",\"text\":\"the server is stopping\"}\n");
}
