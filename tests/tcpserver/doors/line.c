#include "tcpserver/doors/line.h"

#include <string.h>

#include "tcpserver/core/message.h"

#include "tests/check.h"

static void check_line(enum message_kind kind, const char *participant, const char *text, size_t text_size,
	const char *expected)
{
	struct message *message = message_create(kind, participant, text, text_size);
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
