#include "tcpserver/doors/grpc_chatroom.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/chat.pb-c.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/room_log.h"
#include "tcpserver/doors/grpc_speech.h"

#include "tests/check.h"

/* The head of a message, which says how long the rest is. */
static void check_head(const char *bytes, size_t size)
{
	const unsigned char *head = (const unsigned char *)bytes;

	CHECK(size >= 5);
	CHECK_EQUAL(head[0], 0);
	CHECK_EQUAL((size_t)head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4], size - 5);
}

/* What other people's code reads in it. */
static void check_speech(const char *bytes, size_t size, const char *name, const char *text)
{
	Rpc__Message *read;

	check_head(bytes, size);
	read = rpc__message__unpack(NULL, size - 5, (const unsigned char *)bytes + 5);
	CHECK(read != NULL);
	CHECK_TEXT(read->name, name);
	CHECK_TEXT(read->message, text);
	CHECK_EQUAL(rpc__message__get_packed_size(read), size - 5);
	rpc__message__free_unpacked(read, NULL);
}

static void check_message(enum message_kind kind, const char *text, const char *name, const char *expected)
{
	const struct format *format = grpc_chatroom_door.format;
	struct message *message = message_create(kind, "tea", "bob", text, text == NULL ? 0 : strlen(text));
	char out[400];
	size_t size;

	CHECK(message != NULL);
	message->seq = 17;
	size = format->encode(message, NULL, 0);
	CHECK(size < sizeof out);
	memset(out, '?', sizeof out);
	CHECK_EQUAL(format->encode(message, out, size - 1), size);
	CHECK_EQUAL(out[0], '?');
	CHECK_EQUAL(format->encode(message, out, size), size);
	CHECK_EQUAL(out[size], '?');
	check_speech(out, size, name, expected);
	CHECK_EQUAL(format->recall(message, out, size), size);
	check_speech(out, size, name, expected);
	message_release(message);
}

TEST(what_is_said_has_its_author_and_its_text)
{
	check_message(MESSAGE_TEXT, "hi", "bob", "hi");
	check_message(MESSAGE_ACTION, "waves", "bob", "~ waves");
}

TEST(who_comes_and_goes_says_so)
{
	check_message(MESSAGE_JOINED, NULL, "bob", "Has entered the chat");
	check_message(MESSAGE_LEFT, "connection lost", "bob", "Has left the chat");
}

TEST(what_has_no_place_is_told_by_the_server)
{
	check_message(MESSAGE_NICK, "rob", "chat server", "User \"bob\" is now \"rob\"");
	check_message(MESSAGE_TOPIC, "hot", "chat server", "User \"bob\" set the topic: hot");
	check_message(MESSAGE_TOPIC, NULL, "chat server", "User \"bob\" removed the topic");
	check_message(MESSAGE_ROOM_CLOSED, NULL, "chat server", "chat room is closing");
}

TEST(a_message_has_the_bytes_of_chatroom)
{
	struct message *message = message_create(MESSAGE_TEXT, "tea", "Bob", "hi", 2);
	char out[100];

	CHECK(message != NULL);
	CHECK_EQUAL(grpc_chatroom_door.format->encode(message, out, sizeof out), 14);
	CHECK_BYTES(out, 14, "\0\0\0\0\x09\x0A\x03\x42\x6F\x62\x12\x02\x68\x69", 14);
	message_release(message);
}

TEST(authors_have_no_echo_but_who_comes_sees_it)
{
	CHECK(grpc_chatroom_door.format->hides_own);
	CHECK(grpc_chatroom_door.shows_coming);
}

TEST(a_text_of_any_size_is_a_whole_message)
{
	static char text[70000];
	static char out[80000];

	memset(text, 'x', sizeof text);
	for (size_t size = 0; size < sizeof text; size = size < 300 ? size + 1 : size < 16000 ? size * 2 : size + 384) {
		struct grpc_speech speech = {.name = "bob", .name_size = 3, .mark = "", .text = text, .text_size = size};
		Rpc__Message expected;
		static unsigned char packed[80000];
		char name[] = "bob";
		char cut = text[size];
		size_t needed;

		text[size] = '\0';
		rpc__message__init(&expected);
		expected.name = name;
		expected.message = text;
		needed = grpc_speech_write_whole(&speech, out, sizeof out);
		check_head(out, needed);
		CHECK_EQUAL(rpc__message__get_packed_size(&expected), needed - 5);
		CHECK_BYTES(out + 5, needed - 5, packed, rpc__message__pack(&expected, packed));
		text[size] = cut;
	}
}

static void check_words(struct telling telling, const char *name, const char *text)
{
	size_t size = 1;
	char *words = grpc_chatroom_door.words(&telling, &size);

	if (text == NULL) {
		CHECK(words == NULL);
		CHECK_EQUAL(size, 0);
		return;
	}
	CHECK(words != NULL);
	check_speech(words, size, name, text);
	free(words);
}

TEST(what_is_told_to_one_alone_is_a_message_of_the_server)
{
	check_words((struct telling){.kind = TELL_NOTICE, .text = "hi"}, "chat server", "hi");
	check_words((struct telling){.kind = TELL_ERROR, .code = "line-too-long", .text = "no"}, "chat server", "line-too-long: no");
	check_words((struct telling){.kind = TELL_DIRECT, .participant = "ann", .to = "bob", .text = "psst"}, "ann -> bob", "psst");
	check_words((struct telling){.kind = TELL_FAREWELL, .text = "127.0.0.1:7777"}, "chat server", "the server is stopping");
	check_words((struct telling){.kind = TELL_WELCOME, .participant = "bob", .room = "lobby"}, NULL, NULL);
	check_words((struct telling){.kind = TELL_SAID, .seq = 3}, NULL, NULL);
	check_words((struct telling){.kind = TELL_NOTICE, .code = "behind", .text = "/latest"}, NULL, NULL);
	check_words((struct telling){.kind = TELL_ERROR, .code = "no-such-room", .text = "see /rooms"}, NULL, NULL);
}
