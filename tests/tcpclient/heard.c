#include "tcpclient/heard.h"

#include <string.h>

#include "tests/check.h"

static struct heard heard(const char *line, enum dialect dialect)
{
	return heard_read(line, strlen(line), dialect);
}

static void check_part(const char *actual, size_t size, const char *wanted)
{
	CHECK_BYTES(actual, size, wanted, strlen(wanted));
}

TEST(a_message_has_a_name_and_a_text)
{
	struct heard line = heard("Johnny Boi: a: b", DIALECT_TCPCHAT);

	CHECK_EQUAL(line.kind, HEARD_MESSAGE);
	check_part(line.name, line.name_size, "Johnny Boi");
	check_part(line.text, line.text_size, "a: b");
}

TEST(an_empty_message_is_a_message)
{
	struct heard line = heard("bob: ", DIALECT_PLAIN);

	CHECK_EQUAL(line.kind, HEARD_MESSAGE);
	check_part(line.text, line.text_size, "");
}

TEST(the_welcome_tells_our_name)
{
	struct heard line = heard("* Welcome a - b#a1b2c3 - tcpchat/1. You are in lobby.", DIALECT_UNKNOWN);

	CHECK_EQUAL(line.kind, HEARD_WELCOME);
	check_part(line.name, line.name_size, "a - b#a1b2c3");
}

TEST(the_greeting_is_no_welcome_but_tells_the_dialect)
{
	const char *text = "* Welcome to tcpchat. Please type your name and press Enter.";
	struct heard line = heard(text, DIALECT_UNKNOWN);

	CHECK_EQUAL(line.kind, HEARD_NOTICE);
	CHECK(heard_tells_tcpchat(&line, text, strlen(text)));
}

TEST(an_error_has_a_code)
{
	struct heard line = heard("! bad-name: a name has letters", DIALECT_UNKNOWN);

	CHECK_EQUAL(line.kind, HEARD_ERROR);
	check_part(line.name, line.name_size, "bad-name");
	check_part(line.text, line.text_size, "! bad-name: a name has letters");
	CHECK_EQUAL(heard("! ", DIALECT_TCPCHAT).kind, HEARD_NOTICE);
	CHECK_EQUAL(heard("! Bad: x", DIALECT_TCPCHAT).kind, HEARD_NOTICE);
}

TEST(notices_come_from_the_server)
{
	CHECK_EQUAL(heard("* 2 here: ann, bob", DIALECT_TCPCHAT).kind, HEARD_NOTICE);
	CHECK_EQUAL(heard("User \"ann\" just joined the chat!", DIALECT_PLAIN).kind, HEARD_NOTICE);
	CHECK_EQUAL(heard("User \"ann\" just left the chat (connection lost)", DIALECT_TCPCHAT).kind, HEARD_NOTICE);
	CHECK_EQUAL(
		heard("== The server(127.0.0.1:7777) was terminated its operation... Goodbye. ==", DIALECT_PLAIN).kind,
		HEARD_NOTICE);
}

TEST(on_a_gotcp_server_a_person_may_be_named_like_a_notice)
{
	CHECK_EQUAL(heard("* x: hello", DIALECT_PLAIN).kind, HEARD_MESSAGE);
	CHECK_EQUAL(heard("! x: hello", DIALECT_PLAIN).kind, HEARD_MESSAGE);
	CHECK_EQUAL(heard("* Welcome eve - tcpchat/1. x: hi", DIALECT_PLAIN).kind, HEARD_MESSAGE);
}

TEST(other_lines_are_other)
{
	CHECK_EQUAL(heard("", DIALECT_TCPCHAT).kind, HEARD_OTHER);
	CHECK_EQUAL(heard(": nobody", DIALECT_PLAIN).kind, HEARD_OTHER);
	CHECK_EQUAL(heard("no colon", DIALECT_PLAIN).kind, HEARD_OTHER);
}

TEST(commands_have_no_echo)
{
	CHECK(heard_is_echoed("hello", 5));
	CHECK(heard_is_echoed("", 0));
	CHECK(heard_is_echoed("//who", 5));
	CHECK(!heard_is_echoed("/who", 4));
	CHECK(!heard_is_echoed("/", 1));
	CHECK(!heard_is_echoed("!Exit", 5));
}

TEST(exit_is_known_in_any_case)
{
	CHECK(heard_is_exit("!exit", 5));
	CHECK(heard_is_exit(" !EXIT\t", 7));
	CHECK(!heard_is_exit("!exits", 6));
	CHECK(!heard_is_exit("", 0));
}
