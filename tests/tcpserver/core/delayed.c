/*
 * Rooms and sessions with a journal that publishes later than it is given something, as one with a disk does.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

#include "tests/check.h"
#include "tests/tcpserver/delayed_journal.h"

enum { BUFFER_SIZE = 8192, TEXT_SIZE = 1 << 20, ALL = 1 << 20 };

/* "<bob hi" for text, "+bob " for joined, "-bob how" for left, "=bob rob" for a new name, "#bob tea", "xbob ". */
static size_t encode(const struct message *message, char *out, size_t size)
{
	static const char signs[MESSAGE_KINDS] = {'<', '~', '+', '-', '=', '#', 'x'};
	size_t needed = message->participant_size + message->text_size + 3;

	if (needed > size)
		return needed;
	out[0] = signs[message->kind];
	memcpy(out + 1, message->participant, message->participant_size);
	out[message->participant_size + 1] = ' ';
	if (message->text_size > 0)
		memcpy(out + message->participant_size + 2, message->text, message->text_size);
	out[needed - 1] = '\n';
	return needed;
}

/* "* text", "! code", "said 7", "room_closed". */
static char *words(const struct telling *telling, size_t *size)
{
	char *line = NULL;
	int length = -1;

	if (telling->kind == TELL_NOTICE)
		length = asprintf(&line, "* %s\n", telling->text);
	else if (telling->kind == TELL_ERROR)
		length = asprintf(&line, "! %s\n", telling->code);
	else if (telling->kind == TELL_SAID)
		length = asprintf(&line, "said %llu\n", (unsigned long long)telling->seq);
	else if (telling->kind == TELL_ROOM_CLOSED)
		length = asprintf(&line, "room_closed\n");
	*size = length < 0 ? 0 : (size_t)length;
	return length < 0 ? NULL : line;
}

static void turn_away(int socket, const char *why)
{
	(void)socket;
	(void)why;
}

static void (*conversation)(struct session *session);

static void serve(struct session *session)
{
	conversation(session);
	session_finish(session, SESSION_LEFT);
}

static const struct format format = {.name = "test", .encode = encode, .recall = encode};
static const struct door door = {
	.name = "test", .format = &format, .many_rooms = false, .serve = serve, .words = words, .turn_away = turn_away};

static struct journal *journal;

/* ---- A room whose journal publishes when the test says so. ---- */

static struct room *room;
static struct outlet *outlet;
static struct member *member;
static int sockets[2]; /* the outlet's, the client's */

static void start(void)
{
	static const struct room_attributes lobby = {.name = "lobby", .creator = ""};
	int size = BUFFER_SIZE;

	outlet_prepare_process();
	journal = delayed_journal_create(100000, false);
	room = room_open(&lobby, journal);
	CHECK(room != NULL);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets) == 0);
	CHECK(setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
	outlet = outlet_create(sockets[0], &door, 1 << 16);
	CHECK(outlet != NULL);
	member = member_create(outlet, NULL, room, &format);
	CHECK(member != NULL);
}

static void say(enum message_kind kind, const char *text, size_t size, const char *request_id)
{
	const struct saying saying = {
		.kind = kind, .name = "bob", .text = text, .text_size = size, .request_id = request_id};

	room_say(room, member, outlet, &saying);
}

static void come(void)
{
	say(MESSAGE_JOINED, NULL, 0, NULL);
	CHECK(!atomic_load(&member->is_in));
	CHECK_EQUAL(delayed_journal_publish(journal, ALL), 1);
	CHECK(atomic_load(&member->is_in));
	CHECK(outlet_is_settled(outlet));
}

static void go(void)
{
	member_leave(member, false);
	room_leave(room, member, "bob", "normally");
	(void)delayed_journal_publish(journal, ALL);
}

/* All that the member, which has left, and its outlet hold. */
static void stop(void)
{
	(void)delayed_journal_publish(journal, ALL);
	member_release(member);
	outlet_detach(outlet);
	CHECK(outlet_take_duty(outlet) == NULL);
	outlet_release(outlet);
	if (room != NULL)
		room_release(room);
	(void)close(sockets[0]);
	(void)close(sockets[1]);
	journal->ops->destroy(journal);
}

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

TEST(nobody_sees_what_the_journal_has_not_kept)
{
	start();
	come();
	say(MESSAGE_TEXT, "one", 3, "7");
	say(MESSAGE_TEXT, "two", 3, "8");
	room_flush(room);
	CHECK_TEXT(seen(), "");
	CHECK(!outlet_is_settled(outlet));
	CHECK_EQUAL(delayed_journal_publish(journal, 1), 1);
	CHECK_TEXT(seen(), "said 2\n<bob one\n");
	CHECK(!outlet_is_settled(outlet));
	CHECK(!outlet_is_answered(outlet));
	CHECK_EQUAL(delayed_journal_publish(journal, 1), 1);
	CHECK(outlet_is_settled(outlet));
	CHECK_TEXT(seen(), "said 3\n<bob two\n");
	CHECK(outlet_is_answered(outlet));
	go();
	stop();
}

TEST(what_is_refused_is_told_to_its_author_and_shown_to_nobody)
{
	start();
	come();
	say(MESSAGE_TEXT, "lost", 4, "7");
	delayed_journal_refuse(journal, ENOSPC);
	CHECK_EQUAL(delayed_journal_publish(journal, ALL), 1);
	CHECK_TEXT(seen(), "! not-stored\n");
	CHECK(outlet_is_settled(outlet));
	CHECK_EQUAL(outlet_take_refusal(outlet), ENOSPC);
	CHECK_EQUAL(outlet_take_refusal(outlet), 0);
	delayed_journal_refuse(journal, 0);
	say(MESSAGE_TEXT, "kept", 4, NULL);
	(void)delayed_journal_publish(journal, ALL);
	CHECK_TEXT(seen(), "<bob kept\n");
	CHECK_EQUAL(room_last_seq(room), 2);
	go();
	stop();
}

TEST(who_was_not_let_in_leaves_the_room_as_it_was)
{
	start();
	say(MESSAGE_JOINED, NULL, 0, NULL);
	delayed_journal_refuse(journal, EIO);
	CHECK_EQUAL(delayed_journal_publish(journal, ALL), 1);
	CHECK(!atomic_load(&member->is_in));
	CHECK_EQUAL(room_last_seq(room), 0);
	CHECK_EQUAL(outlet_take_refusal(outlet), EIO);
	delayed_journal_refuse(journal, 0);
	room_flush(room);
	CHECK_EQUAL(outlet_send(outlet), OUTLET_EVEN);
	CHECK_TEXT(seen(), "! not-stored\n");
	member_leave(member, false);
	stop();
}

/* One who shouts and does not read, while nothing is kept: what is on its way counts as unread. */
TEST(who_shouts_is_not_listened_to_beyond_the_window_while_nothing_is_kept)
{
	static char line[1000];
	size_t taken = 0;

	start();
	come();
	memset(line, 'x', sizeof line);
	while (outlet_may_speak(outlet)) {
		outlet_took(outlet, sizeof line);
		say(MESSAGE_TEXT, line, sizeof line, NULL);
		taken += sizeof line;
		CHECK(taken <= WINDOW_SIZE + sizeof line);
	}
	CHECK_EQUAL(delayed_journal_waiting(journal), taken / sizeof line);
	for (size_t kept = 0; kept < taken / sizeof line; kept++) { /* kept, but not read beyond what the socket takes */
		CHECK_EQUAL(delayed_journal_publish(journal, 1), 1);
		(void)!outlet_send(outlet);
	}
	CHECK(!outlet_may_speak(outlet));
	for (int i = 0; !outlet_may_speak(outlet); i++) {
		uint64_t unused[2];

		CHECK(i < 1000);
		(void)seen();
		if (outlet_send(outlet) == OUTLET_WANTS_PAGE)
			(void)!room_give_page(room, member, &unused[0], &unused[1]);
	}
	go();
	stop();
}

TEST(a_room_lives_until_what_was_said_in_it_is_kept)
{
	start();
	come();
	for (int i = 0; i < 10; i++)
		say(MESSAGE_TEXT, "to nobody", 9, NULL);
	CHECK_EQUAL(delayed_journal_publish(journal, 10), 10); /* until then the drafts have their author */
	member_leave(member, false);
	room_leave(room, member, "bob", "normally");
	room_release(room); /* only the journal has it now */
	room = NULL;
	CHECK_EQUAL(delayed_journal_waiting(journal), 1);
	CHECK_EQUAL(delayed_journal_publish(journal, ALL), 1);
	stop();
}

TEST(a_pair_room_is_over_when_it_is_kept_that_one_left)
{
	static const struct room_attributes pair = {.creator = "", .ends_with_member = true};
	const struct saying left = {.kind = MESSAGE_LEFT, .name = "ann", .text = "normally", .text_size = 8};

	for (int refused = 0; refused < 2; refused++) {
		start();
		room_release(room);
		member_leave(member, false);
		member_release(member);
		room = room_open(&pair, journal);
		CHECK(room != NULL);
		member = member_create(outlet, NULL, room, &format);
		CHECK(member != NULL);
		come();
		room_say(room, NULL, NULL, &left);
		CHECK(!room_is_shut(room));
		delayed_journal_refuse(journal, refused ? EIO : 0);
		CHECK_EQUAL(delayed_journal_publish(journal, ALL), 1);
		CHECK(room_is_shut(room)); /* in any case: nobody is to wait for one who is gone */
		CHECK_TEXT(seen(), refused ? "" : "-ann normally\n");
		delayed_journal_refuse(journal, 0);
		go();
		stop();
	}
}

/* ---- Sessions whose journal publishes after a moment. ---- */

static struct talk talk;
static char got[TEXT_SIZE];

static void *read_all(void *argument)
{
	int socket = *(const int *)argument;
	size_t size = 0;
	ssize_t part;

	while ((part = recv(socket, got + size, sizeof got - 1 - size, 0)) > 0)
		size += (size_t)part;
	got[size] = '\0';
	return NULL;
}

/* Runs a conversation to its end; returns all that the client got. */
static const char *run(void (*talk_about)(struct session *session))
{
	struct session *session;
	pthread_t client;
	int pair[2];

	conversation = talk_about;
	log_start(LOG_ERROR, LOG_TEXT);
	outlet_prepare_process();
	journal = delayed_journal_create(1000, true);
	CHECK(talk_init(&talk, journal, 40));
	talk.limits.most = 10;
	talk.max_line = 65535;
	talk.lag_memory = 1 << 20;
	talk.name_timeout_ms = 60000;
	talk.peer_timeout_s = 60;
	talk.rooms_are_open = true;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	CHECK(shutdown(pair[1], SHUT_WR) == 0);
	CHECK_EQUAL(thread_start(&client, 0, read_all, &pair[1]), 0);
	session = session_create(&talk, pair[0], &door, NULL);
	CHECK(session != NULL);
	CHECK(client_list_add(&talk.clients, &session->client, NULL, &talk.limits) == CLIENT_ADMITTED);
	session_run(session);
	client_list_remove(&talk.clients, &session->client);
	session_destroy(session);
	(void)close(pair[0]);
	thread_join(client);
	(void)close(pair[1]);
	while (delayed_journal_waiting(journal) > 0)
		(void)delayed_journal_publish(journal, ALL);
	talk_fini(&talk);
	(void)delayed_journal_publish(journal, ALL); /* waits for one that is being settled */
	journal->ops->destroy(journal);
	return got;
}

static void line(struct session *session, const char *text)
{
	session_line(session, text, strlen(text));
}

static void come_as_bob(struct session *session)
{
	CHECK(session_register(session, "bob", 3));
}

static void ask_in_between(struct session *session)
{
	come_as_bob(session);
	for (int i = 0; i < 20; i++) {
		char text[16];

		(void)snprintf(text, sizeof text, "%d", i);
		line(session, text);
		if (i % 3 == 0)
			line(session, "/who");
	}
}

TEST(answers_come_after_what_was_said_before)
{
	char expected[2000] = "";

	for (int i = 0; i < 20; i++) {
		size_t size = strlen(expected);

		(void)snprintf(expected + size, sizeof expected - size, "<bob %d\n%s", i, i % 3 == 0 ? "* 1 here: bob\n" : "");
	}
	CHECK_TEXT(run(ask_in_between), expected);
}

static void walk_in_a_hurry(struct session *session)
{
	come_as_bob(session);
	line(session, "one");
	line(session, "/nick rob");
	line(session, "two");
	line(session, "/join tea");
	line(session, "three");
	line(session, "/topic green");
	line(session, "four");
	line(session, "/leave");
	line(session, "five");
	line(session, "/new-room milk");
	line(session, "six");
	line(session, "/delete-room milk");
	line(session, "seven");
	line(session, "/join");
	line(session, "eight");
	line(session, "/leave");
	line(session, "nine");
	line(session, "/quit");
}

TEST(names_and_rooms_change_behind_what_was_said)
{
	const char *text = run(walk_in_a_hurry);
	static const char *const order[] = {"<bob one\n", "=bob rob\n", "<rob two\n", "* You are in tea, 1 here.", "<rob three\n",
		"#rob green\n", "<rob four\n", "* You are in lobby.", "<rob five\n", "* You are in milk, 1 here.", "<rob six\n",
		"xrob \n", "* milk is closed\n", "* You are in lobby.", "<rob seven\n", "* You wait for a stranger in room ",
		"<rob eight\n", "* You are in lobby.", "<rob nine\n", "* Goodbye rob.\n"};

	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		const char *place = strstr(text, order[i]);

		if (place == NULL)
			FAIL("\"%s\" is not in \"%s\", or comes too early in\n%s", order[i], text, got);
		text = place + strlen(order[i]);
	}
	CHECK_TEXT(text, "");
}

static void walk_while_the_disk_is_full(struct session *session)
{
	struct room *tea;

	come_as_bob(session);
	line(session, "kept");
	CHECK_EQUAL(session_settle(session), 0);
	delayed_journal_refuse(journal, ENOSPC);
	line(session, "lost");
	line(session, "/join tea");
	CHECK_TEXT(room_label(session->place->room), "lobby");
	CHECK_EQUAL(session->place_count, 1);
	CHECK_EQUAL(rooms_people_count(&talk.rooms, session->place->room), 1);
	line(session, "/topic lost");
	line(session, "/new-room");
	CHECK_TEXT(room_label(session->place->room), "lobby");
	(void)session_settle(session);
	delayed_journal_refuse(journal, 0);
	CHECK_EQUAL(rooms_find(&talk.rooms, "tea", &tea), ROOMS_GONE);
	line(session, "kept again");
}

TEST(a_full_disk_leaves_everybody_where_they_are)
{
	CHECK_TEXT(run(walk_while_the_disk_is_full),
		"<bob kept\n! not-stored\n! not-stored\n! not-stored\n! not-stored\n<bob kept again\n");
}

static void leave_at_once(struct session *session)
{
	come_as_bob(session);
	for (int i = 0; i < 100; i++)
		line(session, "said just before it went");
}

TEST(who_leaves_with_much_on_its_way_has_said_it_all)
{
	const char *text = run(leave_at_once);
	int count = 0;

	for (; (text = strchr(text, '\n')) != NULL; text++)
		count++;
	CHECK_EQUAL(count, 100);
}
