#include "tcpserver/doors/go_chat.h"

#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/message.h"
#include "tcpserver/doors/websocket.h"

#include "tests/check.h"

static void check_frame(const struct format *format, enum message_kind kind, const char *text, const char *expected, size_t size)
{
	struct message *message = message_create(kind, "tea", "b\"b", text, text == NULL ? 0 : strlen(text));
	char out[400];

	CHECK(message != NULL);
	message->seq = 17;
	message->at_ns = INT64_C(1763712000123000000);
	CHECK_EQUAL(format->encode(message, NULL, 0), size);
	CHECK_EQUAL(format->encode(message, out, size - 1), size);
	CHECK_EQUAL(format->encode(message, out, size), size);
	CHECK_BYTES(out, size, expected, size);
	message_release(message);
}

TEST(a_message_is_two_texts)
{
	check_frame(&go_chat_format, MESSAGE_TEXT, "a\\b", "\x81\x24{\"username\":\"b\\\"b\",\"message\":\"a\\\\b\"}", 38);
	check_frame(&go_chat_format, MESSAGE_ACTION, "waves", "\x81\x27{\"username\":\"b\\\"b\",\"message\":\"~ waves\"}", 41);
}

TEST(what_is_not_said_is_a_pong)
{
	check_frame(&go_chat_format, MESSAGE_JOINED, NULL, "\x8A\x00", 2);
	check_frame(&go_chat_format, MESSAGE_LEFT, "normally", "\x8A\x00", 2);
	check_frame(&go_chat_format, MESSAGE_NICK, "rob", "\x8A\x00", 2);
	check_frame(&go_chat_format, MESSAGE_TOPIC, "hot", "\x8A\x00", 2);
	check_frame(&go_chat_format, MESSAGE_ROOM_CLOSED, NULL, "\x8A\x00", 2);
}

TEST(authors_have_no_echo)
{
	CHECK(go_chat_format.hides_own);
	CHECK(!websocket_event_door.format->hides_own);
}

static void check_words(struct telling telling, const char *expected)
{
	size_t size = 1;
	char *words = go_chat_words(&telling, &size);

	if (expected == NULL) {
		CHECK(words == NULL);
		CHECK_EQUAL(size, 0);
		return;
	}
	CHECK(words != NULL);
	CHECK_EQUAL(size, strlen(expected) + 2);
	CHECK_BYTES(words + 2, size - 2, expected, strlen(expected));
	free(words);
}

TEST(what_is_told_to_one_alone_is_a_message_of_the_server)
{
	check_words((struct telling){.kind = TELL_NOTICE, .text = "hi"}, "{\"username\":\"server\",\"message\":\"hi\"}");
	check_words((struct telling){.kind = TELL_ERROR, .code = "bad-name", .text = "no"},
		"{\"username\":\"server\",\"message\":\"bad-name: no\"}");
	check_words((struct telling){.kind = TELL_DIRECT, .participant = "ann", .to = "bob", .text = "psst"},
		"{\"username\":\"ann -> bob\",\"message\":\"psst\"}");
	check_words((struct telling){.kind = TELL_FAREWELL, .text = "127.0.0.1:7777"},
		"{\"username\":\"server\",\"message\":\"the server is stopping\"}");
	check_words((struct telling){.kind = TELL_WELCOME, .participant = "bob", .room = "lobby"}, NULL);
	check_words((struct telling){.kind = TELL_SAID, .seq = 3}, NULL);
	check_words((struct telling){.kind = TELL_NOTICE, .code = "behind", .text = "/latest"}, NULL);
}

TEST(an_event_is_its_object_in_a_frame)
{
	static const char object[] = "{\"seq\":17,\"room\":\"tea\",\"at\":\"2025-11-21T08:00:00.123Z\",\"kind\":\"message\","
				     "\"participant\":\"b\\\"b\",\"text\":\"hi\"}";
	char expected[sizeof object + 2];

	(void)memcpy(expected, "\x81", 1);
	expected[1] = (char)(sizeof object - 1);
	(void)memcpy(expected + 2, object, sizeof object - 1);
	check_frame(websocket_event_door.format, MESSAGE_TEXT, "hi", expected, sizeof object + 1);
}

TEST(an_event_of_any_size_is_a_whole_frame)
{
	static char text[70000];
	static char out[80000];

	for (size_t size = 0; size < sizeof text; size = size < 300 ? size + 1 : size * 2) {
		struct message *message;
		size_t needed;
		size_t head;

		memset(text, size % 2 == 0 ? 'x' : '"', size);
		message = message_create(MESSAGE_TEXT, "tea", "bob", text, size);
		CHECK(message != NULL);
		message->seq = 17;
		needed = websocket_event_door.format->recall(message, NULL, 0);
		CHECK_EQUAL(websocket_event_door.format->recall(message, out, needed), needed);
		head = needed - 2 <= 125 ? 2 : needed - 4 <= 65535 ? 4 : 10;
		CHECK_EQUAL(out[head], '{');
		CHECK_BYTES(out + needed - 15, 15, "\"history\":true}", 15);
		message_release(message);
	}
}
