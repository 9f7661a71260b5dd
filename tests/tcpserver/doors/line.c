#include "tcpserver/doors/line.h"

#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/message.h"

#include "tests/check.h"

static void check_line(enum message_kind kind, const char *participant, const char *text, size_t text_size,
	const char *expected)
{
	struct message *message = message_create(kind, "lobby", participant, text, text_size);
	char out[256];
	size_t size = strlen(expected);

	CHECK(message != NULL);
	CHECK_EQUAL(line_format.encode(message, NULL, 0), size);
	for (size_t room = 0; room <= size + 1; room++) {
		memset(out, '~', sizeof out);
		CHECK_EQUAL(line_format.encode(message, out, room), size);
		if (room < size)
			CHECK_EQUAL(out[0], '~'); /* what does not fit is not begun */
		else
			CHECK_BYTES(out, size, expected, size);
		CHECK_EQUAL(out[size < room ? room : size], '~');
	}
	message_release(message);
}

TEST(a_message_is_a_line_with_its_author)
{
	check_line(MESSAGE_TEXT, "bob", "hello", 5, "bob: hello\n");
	check_line(MESSAGE_TEXT, "bob", NULL, 0, "bob: \n");
	check_line(MESSAGE_TEXT, "Johnny Boi", "%s: 100 %", 9, "Johnny Boi: %s: 100 %\n");
}

TEST(coming_and_going_are_told_in_the_known_words)
{
	check_line(MESSAGE_JOINED, "bob", NULL, 0, "User \"bob\" just joined the chat!\n");
	check_line(MESSAGE_LEFT, "bob", "normally", 8, "User \"bob\" just left the chat (normally)\n");
	check_line(MESSAGE_LEFT, "bob", "connection lost", 15, "User \"bob\" just left the chat (connection lost)\n");
}

TEST(what_happens_in_a_room_is_told_in_words)
{
	check_line(MESSAGE_ACTION, "bob", "waves", 5, "~ bob waves\n");
	check_line(MESSAGE_NICK, "bob", "rob", 3, "User \"bob\" is now \"rob\"\n");
	check_line(MESSAGE_TOPIC, "bob", "tea", 3, "User \"bob\" set the topic: tea\n");
	check_line(MESSAGE_ROOM_CLOSED, "bob", NULL, 0, "chat server: chat room is closing\n");
}

static void check_words(struct telling telling, const char *expected)
{
	size_t size;
	char *words = line_door.words(&telling, &size);

	CHECK_BYTES(words, size, expected, strlen(expected));
	free(words);
}

TEST(words_to_one_client_begin_with_a_sign)
{
	size_t size = 1;

	check_words((struct telling){.kind = TELL_NOTICE, .text = "100 %s"}, "* 100 %s\n");
	check_words((struct telling){.kind = TELL_ERROR, .code = "usage", .text = "no"}, "! usage: no\n");
	check_words((struct telling){.kind = TELL_WELCOME, .participant = "bob", .room = "lobby"},
		"* Welcome bob - tcpchat/1. You are in lobby. /help lists the commands, /quit leaves.\n");
	check_words((struct telling){.kind = TELL_DIRECT, .participant = "ann", .to = "bob", .text = "hi"},
		"[ann -> bob] hi\n");
	check_words((struct telling){.kind = TELL_PONG, .text = ""}, "* pong\n");
	check_words((struct telling){.kind = TELL_PONG, .text = "7"}, "* pong 7\n");
	check_words((struct telling){.kind = TELL_FAREWELL, .text = "127.0.0.1:7777"},
		"== The server(127.0.0.1:7777) was terminated its operation... Goodbye. ==\n");
	CHECK(line_door.words(&(struct telling){.kind = TELL_SAID, .seq = 7}, &size) == NULL); /* the echo says it */
	CHECK_EQUAL(size, 0);
}
