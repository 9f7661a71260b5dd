/*
 * One client in several rooms: an outlet with several members.
 */
#include "tcpserver/core/outlet.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/room.h"
#include "tcpserver/journals/memory.h"

#include "tests/check.h"

enum { ROOMS = 3, BUFFER_SIZE = 4096, TEXT_SIZE = 1 << 20 };

/* "a 3 hi": the room, the number, the text. */
static size_t encode(const struct message *message, char *out, size_t size)
{
	char head[64];
	size_t head_size = (size_t)snprintf(head, sizeof head, "%s %llu ", message->room, (unsigned long long)message->seq);
	size_t needed = head_size + message->text_size + 1;

	if (needed > size)
		return needed;
	memcpy(out, head, head_size);
	if (message->text_size > 0)
		memcpy(out + head_size, message->text, message->text_size);
	out[needed - 1] = '\n';
	return needed;
}

/* The same with another sign, of another length. */
static size_t encode_other(const struct message *message, char *out, size_t size)
{
	size_t needed = encode(message, NULL, 0) + 2;

	if (needed > size)
		return needed;
	out[0] = out[1] = '=';
	(void)encode(message, out + 2, size - 2);
	return needed;
}

static const struct format plain = {.name = "plain", .encode = encode, .recall = encode};
static const struct format other = {.name = "other", .encode = encode_other, .recall = encode_other};

/* No words to one client alone: these tests look at records. */
static char *no_words(const struct telling *telling, size_t *size)
{
	(void)telling;
	*size = 0;
	return NULL;
}

static const struct door door = {.name = "test", .words = no_words};

static struct journal *journal;
static struct room *rooms[ROOMS];
static struct member *members[ROOMS];
static struct outlet *outlet;
static int sockets[2]; /* the outlet's, the client's */

static void come(int i)
{
	const struct saying joined = {.kind = MESSAGE_JOINED, .name = "bob"};

	room_say(rooms[i], members[i], NULL, &joined);
	room_flush(rooms[i]);
}

/* A client in three rooms, which nobody else is in. */
static void start(size_t lag_memory)
{
	static const char *const names[] = {"a", "b", "c"};
	int size = BUFFER_SIZE;

	outlet_prepare_process();
	journal = memory_journal_create(100000);
	CHECK(journal != NULL);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets) == 0);
	CHECK(setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
	outlet = outlet_create(sockets[0], &door, lag_memory);
	CHECK(outlet != NULL);
	for (int i = 0; i < ROOMS; i++) {
		const struct room_attributes attributes = {.name = names[i], .creator = ""};

		rooms[i] = room_open(&attributes, journal);
		CHECK(rooms[i] != NULL);
		members[i] = member_create(outlet, NULL, rooms[i], &plain);
		CHECK(members[i] != NULL);
		come(i);
	}
}

static void leave(int i, bool finish)
{
	member_leave(members[i], finish);
	room_leave(rooms[i], members[i], "bob", NULL);
	member_release(members[i]);
	members[i] = NULL;
}

static void stop(void)
{
	for (int i = 0; i < ROOMS; i++) {
		if (members[i] != NULL)
			leave(i, false);
	}
	outlet_detach(outlet);
	CHECK(outlet_take_duty(outlet) == NULL); /* this thread alone flushes */
	outlet_release(outlet);
	for (int i = 0; i < ROOMS; i++)
		room_release(rooms[i]);
	(void)close(sockets[0]);
	(void)close(sockets[1]);
	journal->ops->destroy(journal);
}

/* Somebody who is not in the room says something; without a flush. */
static void say(int i, const char *text)
{
	const struct saying saying = {.kind = MESSAGE_TEXT, .name = "ann", .text = text, .text_size = strlen(text)};

	room_say(rooms[i], NULL, NULL, &saying);
}

/* What the client got since the last look; valid until the next one. */
static const char *seen(void)
{
	static char text[TEXT_SIZE];
	size_t size = 0;
	ssize_t got;

	while ((got = recv(sockets[1], text + size, sizeof text - 1 - size, 0)) > 0)
		size += (size_t)got;
	text[size] = '\0';
	return text;
}

/* Sends and reads until all there is was sent; the text is the caller's to free. */
static char *read_through(void)
{
	char *text = calloc(1, 8 * TEXT_SIZE);
	enum outlet_state state;

	CHECK(text != NULL);
	do {
		uint64_t skipped;
		uint64_t behind;

		state = outlet_send(outlet);
		for (int i = 0; state == OUTLET_WANTS_PAGE && i < ROOMS; i++) {
			if (members[i] != NULL && member_page_start(members[i]) != 0)
				(void)!room_give_page(rooms[i], members[i], &skipped, &behind);
		}
		(void)strcat(text, seen());
	} while (state != OUTLET_EVEN);
	return text;
}

/* Each line is whole and, for its room, the next one. 'next' has the numbers that come next. */
static void check_order(const char *text, unsigned long long next[ROOMS], size_t text_size)
{
	while (text[0] != '\0') {
		bool marked = text[0] == '=';
		const char *end = strchr(text, '\n');
		int i;
		char *rest;

		CHECK(end != NULL);
		text += marked ? 2 : 0;
		i = text[0] - 'a';
		CHECK(i >= 0 && i < ROOMS && text[1] == ' ');
		CHECK_EQUAL(strtoull(text + 2, &rest, 10), next[i]);
		next[i]++;
		CHECK_EQUAL(end - (rest + 1), text_size);
		text = end + 1;
	}
}

TEST(a_client_in_several_rooms_gets_the_lines_of_each)
{
	start(1 << 20);
	say(0, "one");
	say(1, "two");
	say(0, "three");
	room_flush(rooms[0]); /* it sends for this client what the other room has, too */
	CHECK_TEXT(seen(), "b 2 two\na 2 one\na 3 three\n");
	room_flush(rooms[1]);
	CHECK_TEXT(seen(), "");
	stop();
}

TEST(leaving_one_room_leaves_the_others_as_they_are)
{
	start(1 << 20);
	say(0, "seen");
	say(1, "unseen");
	leave(1, false);
	say(1, "later");
	say(2, "on");
	room_flush(rooms[1]);
	room_flush(rooms[0]);
	CHECK_TEXT(seen(), "c 2 on\na 2 seen\n");
	stop();
}

TEST(who_leaves_still_gets_what_was_said_before)
{
	start(1 << 20);
	say(1, "before");
	leave(1, true);
	say(1, "after");
	room_flush(rooms[1]);
	CHECK_EQUAL(outlet_send(outlet), OUTLET_EVEN);
	CHECK_TEXT(seen(), "b 2 before\n");
	stop();
}

TEST(who_leaves_in_the_middle_of_a_record_gets_it_whole)
{
	static char line[1000];
	unsigned long long next[ROOMS] = {2, 2, 2};
	char *text;

	memset(line, 'x', sizeof line - 1);
	start(1 << 20);
	for (int i = 0; i < 40; i++)
		say(0, line);
	room_flush(rooms[0]); /* the socket takes a part */
	outlet_tell(outlet, "", 0);
	leave(0, true);
	say(1, line);
	room_flush(rooms[1]);
	text = read_through();
	check_order(text, next, sizeof line - 1);
	CHECK_EQUAL(next[0], 42);
	CHECK_EQUAL(next[1], 3);
	free(text);
	stop();
}

TEST(a_slow_client_in_several_rooms_misses_nothing_in_any)
{
	static char line[300];
	unsigned long long next[ROOMS] = {2, 2, 2};
	char *text;

	memset(line, 'x', sizeof line - 1);
	start(20000);
	for (int i = 0; i < 900; i++) {
		say(i % ROOMS, line);
		room_flush(rooms[i % ROOMS]);
	}
	text = read_through();
	check_order(text, next, sizeof line - 1);
	for (int i = 0; i < ROOMS; i++)
		CHECK_EQUAL(next[i], 302);
	free(text);
	say(1, "live");
	room_flush(rooms[1]);
	CHECK_TEXT(seen(), "b 302 live\n");
	stop();
}

/* The format changes at every place of the stream: with nothing waiting, with much in memory, far behind. */
TEST(a_change_of_format_loses_and_doubles_nothing)
{
	static char line[300];

	memset(line, 'x', sizeof line - 1);
	for (int waiting = 0; waiting < 200; waiting = 2 * waiting + 1) {
		unsigned long long next[ROOMS] = {2, 2, 2};
		char *text;

		start(20000);
		for (int i = 0; i < waiting; i++)
			say(i % 2, line);
		room_flush(rooms[0]);
		for (int i = 0; i < ROOMS; i++)
			room_change_format(rooms[i], members[i], &other);
		for (int i = 0; i < 20; i++)
			say(i % 2, line);
		room_flush(rooms[1]);
		text = read_through();
		check_order(text, next, sizeof line - 1);
		CHECK_EQUAL(next[0] + next[1], 4 + waiting + 20);
		CHECK(strstr(text, "\n=") != NULL);
		free(text);
		say(0, "live");
		room_flush(rooms[0]);
		CHECK(strncmp(seen(), "==a ", 4) == 0); /* it reads the log of the other format */
		for (int i = 0; i < ROOMS; i++)
			leave(i, false);
		stop();
	}
}

TEST(a_room_without_readers_keeps_what_is_said_and_begins_its_log_again)
{
	start(1 << 20);
	leave(0, false);
	say(0, "to nobody");
	members[0] = member_create(outlet, NULL, rooms[0], &other);
	come(0);
	say(0, "to bob");
	room_flush(rooms[0]);
	CHECK_TEXT(seen(), "==a 4 to bob\n");
	stop();
}

/* ---- From outside. ---- */

TEST(somebody_else_may_tell_a_client_something)
{
	start(1 << 20);
	CHECK(outlet_tell_from_outside(outlet, "* hi\n", 5));
	CHECK_TEXT(seen(), "* hi\n");
	stop();
}

/* A story: while another thread flushed the room, a word to somebody alone overtook what its author had said before. */
TEST(what_was_said_before_comes_before_words_from_outside)
{
	start(1 << 20);
	say(0, "first");
	CHECK(outlet_tell_from_outside(outlet, "second\n", 7));
	CHECK_CONTAINS(seen(), " first\nsecond\n");
	stop();
}

TEST(a_client_that_does_not_read_is_told_no_more_from_outside)
{
	static char words[1000];
	size_t told = 0;

	memset(words, 'w', sizeof words);
	start(1 << 20);
	while (outlet_tell_from_outside(outlet, words, sizeof words)) {
		told += sizeof words;
		CHECK(told < 4 * OUTBOX_LIMIT);
	}
	CHECK(told >= OUTBOX_LIMIT);
	free(read_through());
	CHECK(outlet_tell_from_outside(outlet, words, sizeof words));
	stop();
}

TEST(a_client_that_is_gone_is_not_told)
{
	start(1 << 20);
	for (int i = 0; i < ROOMS; i++)
		leave(i, false);
	outlet_detach(outlet);
	CHECK(!outlet_tell_from_outside(outlet, "x", 1));
	stop();
}

TEST(a_connection_that_broke_is_not_told)
{
	start(1 << 20);
	(void)close(sockets[1]);
	sockets[1] = -1;
	(void)!outlet_tell_from_outside(outlet, "x", 1);
	CHECK_EQUAL(outlet_error(outlet), EPIPE);
	CHECK(!outlet_tell_from_outside(outlet, "x", 1));
	CHECK_EQUAL(outlet_send(outlet), OUTLET_FAILED);
	stop();
}

/* ---- Being woken. ---- */

static void *wake(void *argument)
{
	(void)argument;
	outlet_wake(outlet);
	return NULL;
}

TEST(a_wake_up_before_the_wait_is_not_lost)
{
	pthread_t thread;

	start(1 << 20);
	CHECK_EQUAL(thread_start(&thread, 0, wake, NULL), 0);
	thread_join(thread);
	CHECK_EQUAL(outlet_wait(outlet, 0, 60000), 0);
	CHECK_EQUAL(outlet_wait(outlet, 0, 0), -ETIMEDOUT);
	stop();
}

static void *shut(void *argument)
{
	room_shut(argument);
	return NULL;
}

TEST(the_members_of_a_room_that_is_over_are_woken)
{
	pthread_t thread;

	start(1 << 20);
	CHECK_EQUAL(thread_start(&thread, 0, shut, rooms[1]), 0);
	CHECK_EQUAL(outlet_wait(outlet, 0, 60000), 0);
	thread_join(thread);
	CHECK(room_is_shut(rooms[1]));
	CHECK(!room_is_shut(rooms[0]));
	stop();
}
