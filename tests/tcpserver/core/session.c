#include "tcpserver/core/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "tcpserver/core/command.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/core/visit.h"
#include "tcpserver/journals/memory.h"

#include "tests/check.h"

enum { TOLD_SIZE = 512 * 1024, MAX_ROOMS = 40 };

/* A door for tests: what happens in the conversation is written in C, what the client is told is kept here. */
static char told[TOLD_SIZE];
static void (*conversation)(struct session *session);

static void serve(struct session *session)
{
	conversation(session);
	session_finish(session, SESSION_LEFT);
}

/* Keeps them, and gives the client none. */
static char *words(const struct telling *telling, size_t *size)
{
	static const char *const signs[] = {
		[TELL_NOTICE] = "*", [TELL_ERROR] = "!", [TELL_WELCOME] = "welcome", [TELL_DIRECT] = "direct",
		[TELL_PONG] = "pong", [TELL_SAID] = "said", [TELL_ROOM_CLOSED] = "room_closed",
		[TELL_FAREWELL] = "farewell"};
	const char *code = telling->kind == TELL_ERROR ? telling->code : NULL;
	size_t used = strlen(told);

	(void)snprintf(told + used, sizeof told - used, "%s%s%s%s%s%s%s\n", signs[telling->kind],
		telling->request_id == NULL ? "" : " #", telling->request_id == NULL ? "" : telling->request_id,
		code == NULL ? "" : " ", code == NULL ? "" : code,
		telling->text == NULL ? "" : code == NULL ? " " : ": ",
		telling->text != NULL ? telling->text : "");
	*size = 0;
	return NULL;
}

static void turn_away(int socket, const char *why)
{
	(void)socket;
	(void)why;
}

static size_t encode(const struct message *message, char *out, size_t size)
{
	size_t needed = message->participant_size + message->text_size + 3;

	if (needed > size)
		return needed;
	out[0] = message->kind == MESSAGE_TEXT ? '<' : message->kind == MESSAGE_JOINED ? '+' : '-';
	memcpy(out + 1, message->participant, message->participant_size);
	out[message->participant_size + 1] = ' ';
	if (message->text_size > 0)
		memcpy(out + message->participant_size + 2, message->text, message->text_size);
	out[needed - 1] = '\n';
	return needed;
}

static const struct format format = {.name = "test", .encode = encode, .recall = encode};
static const struct door events = {
	.name = "events", .format = &format, .many_rooms = true, .serve = serve, .words = words, .turn_away = turn_away};
static const struct door door = {
	.name = "test", .format = &format, .events = &events, .serve = serve, .words = words, .turn_away = turn_away};

static struct talk talk;
static bool rooms_are_open = true;
static struct journal *journal;

/* The memory journal, whose disk is full when a test says so. */
static const struct journal_ops *memory_ops;
static struct journal_ops ops;
static bool disk_is_full;

static int append_unless_full(struct journal_room *room, const struct draft *draft)
{
	return disk_is_full ? -ENOSPC : memory_ops->append(room, draft);
}

/* The client: reads until the server closes. */
static char got[TOLD_SIZE];

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

/* Runs a conversation to its end; returns what the client got from the room. */
static const char *run(void (*talk_about)(struct session *session))
{
	struct session *session;
	pthread_t client;
	int pair[2];

	conversation = talk_about;
	told[0] = '\0';
	log_start(LOG_ERROR, LOG_TEXT);
	outlet_prepare_process();
	journal = memory_journal_create(1000);
	CHECK(journal != NULL);
	memory_ops = journal->ops;
	ops = *memory_ops;
	ops.append = append_unless_full;
	journal->ops = &ops;
	CHECK(talk_init(&talk, journal, MAX_ROOMS));
	talk.limits.most = 10;
	talk.max_line = 65535;
	talk.lag_memory = 1 << 20;
	talk.name_timeout_ms = 60000;
	talk.peer_timeout_s = 60;
	talk.rooms_are_open = rooms_are_open;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	CHECK(shutdown(pair[1], SHUT_WR) == 0); /* the client says no more, so that nobody waits for it */
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
	talk_fini(&talk);
	journal->ops->destroy(journal);
	return got;
}

static void name_is(struct session *session, const char *name)
{
	CHECK(session_register(session, name, strlen(name)));
	CHECK_TEXT(session->client.name, name);
	told[0] = '\0';
}

static void line(struct session *session, const char *text)
{
	session_line(session, text, strlen(text));
}

static void check_told(const char *expected)
{
	CHECK_TEXT(told, expected);
	told[0] = '\0';
}

/* ---- The name. ---- */

static void register_twice(struct session *session)
{
	CHECK(!session_has_name(session));
	CHECK(!session_register(session, "b*b", 3));
	CHECK(!session_register(session, "", 0));
	CHECK(!session_has_name(session));
	check_told("");
	CHECK(session_register(session, "  bob\t", 6));
	CHECK(session_has_name(session));
	check_told("welcome\n");
}

TEST(a_client_is_welcome_by_its_name)
{
	CHECK_TEXT(run(register_twice), "");
}

static void register_taken(struct session *session)
{
	struct client *other = calloc(1, sizeof *other);

	CHECK(other != NULL && client_list_add(&talk.clients, other, NULL, &talk.limits) == CLIENT_ADMITTED);
	CHECK_EQUAL(client_list_register(&talk.clients, other, "BOB"), 0);
	CHECK(session_register(session, "bob", 3));
	CHECK(strncmp(session->client.name, "bob#", 4) == 0);
	CHECK_CONTAINS(told, "welcome");
	client_list_unregister(&talk.clients, other);
	client_list_remove(&talk.clients, other);
	free(other);
}

TEST(a_client_whose_name_is_taken_is_told_its_new_one)
{
	(void)run(register_taken);
}

static void register_guest(struct session *session)
{
	session_register_guest(session);
	CHECK(session_has_name(session));
	CHECK(strncmp(session->client.name, "guest#", 6) == 0 && strlen(session->client.name) == 12);
}

TEST(a_guest_gets_a_name)
{
	(void)run(register_guest);
}

/* ---- Lines. ---- */

static void say_things(struct session *session)
{
	name_is(session, "bob");
	line(session, "hello");
	line(session, "");
	line(session, "//who knows?");
	line(session, "///x");
	line(session, " /who");
	line(session, "!exit now");
	line(session, "a\x1b[31mb\xFF" "c\td\x7F");
	session_line(session, "a\0b", 3);
	check_told("");
	CHECK(!session_ended(session));
}

TEST(a_line_is_a_message)
{
	CHECK_TEXT(run(say_things), "<bob hello\n<bob \n<bob /who knows?\n<bob //x\n<bob  /who\n<bob !exit now\n"
				    "<bob a[31mb\xEF\xBF\xBD" "c\td\n<bob ab\n");
}

/* Cleaning comes before looking: a removed byte hides no command. */
static void hide_a_command(struct session *session)
{
	name_is(session, "bob");
	session_line(session, "\x01/who", 5);
	check_told("* 1 here: bob\n");
	session_line(session, "!ex\0it", 6);
	CHECK(session_ended(session));
}

TEST(a_command_with_control_characters_is_a_command)
{
	CHECK_TEXT(run(hide_a_command), "");
}

static void ask(struct session *session)
{
	name_is(session, "bob");
	line(session, "/who");
	check_told("* 1 here: bob\n");
	line(session, "/who  ");
	check_told("* 1 here: bob\n");
	line(session, "/who\tlobby");
	check_told("* 1 in lobby: bob\n");
	line(session, "/help");
	for (const struct command *command = commands; command->name != NULL; command++) {
		char expected[200];

		(void)snprintf(expected, sizeof expected, "* /%s", command->name);
		CHECK_CONTAINS(told, expected);
		CHECK_CONTAINS(told, command->help);
	}
}

TEST(commands_are_answered)
{
	CHECK_TEXT(run(ask), "");
}

static void ask_nonsense(struct session *session)
{
	char long_command[2000];

	name_is(session, "bob");
	line(session, "/frobnicate");
	check_told("! unknown-command: there is no command /frobnicate; /help lists the commands, //frobnicate says it as text\n");
	line(session, "/");
	CHECK_CONTAINS(told, "! unknown-command: ");
	told[0] = '\0';
	line(session, "/WHO");
	CHECK_CONTAINS(told, "! unknown-command: there is no command /WHO;");
	told[0] = '\0';
	line(session, "/%s%n");
	CHECK_CONTAINS(told, "/%s%n;");
	told[0] = '\0';
	memset(long_command, 'x', sizeof long_command);
	long_command[0] = '/';
	session_line(session, long_command, sizeof long_command);
	CHECK_CONTAINS(told, "! unknown-command: there is no command /xxx");
	CHECK(strlen(told) < 300); /* it is not told all again */
	told[0] = '\0';
	line(session, "/李李李李李李李李李李李李李李李李");
	CHECK_CONTAINS(told, "/李李李李李李李李李李李李李; "); /* cut between characters */
	CHECK(!session_ended(session));
}

TEST(an_unknown_command_is_told)
{
	CHECK_TEXT(run(ask_nonsense), "");
}

static void say_and_quit(struct session *session)
{
	name_is(session, "bob");
	line(session, "bye");
	line(session, "/quit");
	CHECK(session_ended(session));
	check_told("* Goodbye bob.\n");
}

static void exit_loudly(struct session *session)
{
	name_is(session, "bob");
	line(session, "!ExIt");
	CHECK(session_ended(session));
	check_told("* Goodbye bob.\n");
}

TEST(quit_and_exit_say_goodbye_after_the_last_line)
{
	CHECK_TEXT(run(say_and_quit), "<bob bye\n");
	CHECK_TEXT(run(exit_loudly), "");
}

static void say_long(struct session *session)
{
	static char text[65535];

	name_is(session, "bob");
	memset(text, 'x', sizeof text);
	session_line(session, text, sizeof text);
	memset(text, '\xFF', sizeof text); /* grows to three times its size */
	session_line(session, text, sizeof text);
}

TEST(a_line_of_the_greatest_size_passes)
{
	const char *place = run(say_long) + strlen("<bob ");

	CHECK_EQUAL(strspn(place, "x"), 65535);
	CHECK_TEXT(place + 65535, "\n"); /* and nothing of the one that grew too long */
	CHECK_CONTAINS(told, "! line-too-long: ");
}

/* ---- Ends. ---- */

static void end_twice(struct session *session)
{
	session_break(session, ECONNRESET);
	CHECK(session->end == SESSION_LOST && session->lost_errno == ECONNRESET);
	session_finish(session, SESSION_LEFT);
	CHECK(session->end == SESSION_LOST);
}

TEST(the_first_end_of_a_session_counts)
{
	(void)run(end_twice);
}

static void notice_much(struct session *session)
{
	static char text[5000];

	memset(text, 'n', sizeof text - 1);
	session_notice(session, "%s", text);
	CHECK_EQUAL(strlen(told), 2 + sizeof text - 1 + 1);
	told[0] = '\0';
	session_error(session, "code", "%d%%", 5);
	check_told("! code: 5%\n");
}

TEST(a_notice_may_be_long)
{
	(void)run(notice_much);
}

/* ---- Rooms. ---- */

/* What the client was told begins with 'start'. */
static void check_told_start(const char *start)
{
	if (strncmp(told, start, strlen(start)) != 0)
		FAIL("told \"%s\", not \"%s...\"", told, start);
	told[0] = '\0';
}

static void walk(struct session *session)
{
	name_is(session, "bob");
	line(session, "/join tea");
	check_told("* You are in tea, 1 here.\n");
	CHECK_EQUAL(session->place_count, 1); /* through this door one is in one room */
	line(session, "/who");
	check_told("* 1 here: bob\n");
	line(session, "/who lobby");
	check_told("* 0 in lobby: \n");
	line(session, "/join TEA");
	check_told("* You are in tea, 1 here.\n");
	line(session, "/rooms");
	check_told("* 2 rooms:\n* lobby (0)\n* tea (1)\n");
	line(session, "/topic");
	check_told_start("* tea has no topic; /topic TEXT sets one\n* tea was made by bob on 2");
	line(session, "/topic green tea");
	line(session, "/topic");
	check_told_start("* the topic of tea is: green tea\n* tea was made by bob on 2");
	line(session, "/rooms");
	check_told("* 2 rooms:\n* lobby (0)\n* tea (1) - green tea\n");
	line(session, "/leave");
	check_told("* You are in lobby. /join finds a stranger, /rooms lists the rooms.\n");
	line(session, "/rooms"); /* it went away with its last member */
	check_told("* 1 room:\n* lobby (1)\n");
	line(session, "/leave");
	check_told("! not-in-room: you are in no room but the lobby; /quit leaves the chat\n");
	line(session, "/leave tea");
	check_told("! not-in-room: you are not in tea; /leave without a name leaves where you are\n");
	line(session, "/who tea");
	check_told("! no-such-room: there is no room tea; /rooms lists those there are\n");
}

TEST(a_room_comes_and_goes_with_who_is_in_it)
{
	(void)run(walk);
}

/* A story: the room was found only without the spaces, and made only with them, for ever. */
static void join_with_spaces(struct session *session)
{
	name_is(session, "bob");
	line(session, "/join \" lobby \"");
	check_told("* You are in lobby, 1 here.\n");
	line(session, "/join \"Johnny's tea\"");
	check_told_start("! bad-room-name: ");
	line(session, "/join \"Johnny Tea\"");
	check_told("* You are in Johnny Tea, 1 here.\n");
	line(session, "/join  \"  JOHNNY TEA  \"");
	check_told("* You are in Johnny Tea, 1 here.\n");
}

TEST(a_room_is_joined_by_its_name_in_quotes)
{
	(void)run(join_with_spaces);
}

static void say_too_much(struct session *session)
{
	static const char *const lines[] = {"/join tea now", "/join \"Johnny Tea\" now", "/join \"tea\"x", "/new-room tea now",
		"/leave lobby now", "/switch lobby now", "/who lobby now", "/delete-room tea now", "/invite ann lobby now",
		"/ignore ann now", "/rooms now", "/events now", "/quit now", "/help me now"};

	name_is(session, "bob");
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		line(session, lines[i]);
		check_told_start("! usage: ");
		CHECK(!session_ended(session));
		CHECK_TEXT(room_label(session->place->room), "lobby");
	}
	line(session, "/who my tea");
	check_told("! usage: /who takes only [ROOM]; type /who [ROOM], with a name of several words in \"double quotes\"\n");
	line(session, "/rooms now");
	check_told("! usage: /rooms takes nothing; type /rooms\n");
}

TEST(surplus_words_are_not_dropped)
{
	(void)run(say_too_much);
}

static void take_advice(struct session *session)
{
	name_is(session, "bob");
	line(session, "/join \"Johnny Tea\"");
	check_told_start("* You are in Johnny Tea");
	line(session, "/new-room \"johnny tea\"");
	check_told("! room-exists: there is a room johnny tea already; /join \"johnny tea\" goes there\n");
	line(session, "/switch \"my room\"");
	check_told("! not-in-room: you are not in my room; /join \"my room\" goes there\n");
}

TEST(a_name_in_an_advice_is_written_as_it_is_typed)
{
	(void)run(take_advice);
}

static void make_rooms(struct session *session)
{
	char command[300];

	name_is(session, "bob");
	line(session, "/new-room tea");
	check_told("* You are in tea, 1 here.\n");
	line(session, "/new-room tea");
	check_told("! room-exists: there is a room tea already; /join tea goes there\n");
	line(session, "/new-room b*b");
	check_told_start("! bad-room-name: ");
	line(session, "/new-room \"open");
	check_told("! usage: the name after the \" has no \" at its end; type it in \"double quotes\"\n");
	memset(command, 'x', sizeof command);
	memcpy(command, "/join ", 6);
	session_line(session, command, 6 + 51);
	check_told_start("! bad-room-name: ");
	session_line(session, command, sizeof command);
	check_told_start("! usage: ");
	line(session, "/delete-room tea");
	check_told("* tea is closed\n* You are in lobby. /join finds a stranger, /rooms lists the rooms.\n");
	line(session, "/delete-room lobby");
	check_told_start("! not-allowed: ");
	line(session, "/delete-room tea");
	check_told_start("! no-such-room: ");
}

TEST(a_room_may_be_made_and_closed)
{
	(void)run(make_rooms);
}

static void make_where_closed(struct session *session)
{
	name_is(session, "bob");
	line(session, "/join tea");
	check_told_start("! no-such-room: ");
	line(session, "/new-room tea");
	check_told_start("! no-such-room: ");
	line(session, "/join lobby");
	check_told("* You are in lobby, 1 here.\n");
	line(session, "/join");
	check_told_start("* You wait for a stranger in room ");
}

TEST(nobody_makes_rooms_where_they_are_closed)
{
	rooms_are_open = false;
	(void)run(make_where_closed);
}

static void wait_for_a_stranger(struct session *session)
{
	char id[ROOM_ID_SIZE];
	char command[60];

	name_is(session, "bob");
	line(session, "/new-room");
	check_told_start("* You wait for a stranger in room ");
	(void)snprintf(id, sizeof id, "%s", room_label(session->place->room));
	line(session, "/join");
	check_told_start("! already-in-room: ");
	line(session, "/new-room");
	check_told_start("! already-in-room: ");
	line(session, "/rooms"); /* it is not listed */
	check_told("* 1 room:\n* lobby (0)\n");
	(void)snprintf(command, sizeof command, "/who %s", id);
	line(session, command);
	CHECK_CONTAINS(told, ": bob\n");
	told[0] = '\0';
	line(session, "/leave");
	check_told_start("* You are in lobby.");
	line(session, "/join");
	check_told_start("* You wait for a stranger in room ");
	line(session, "/join tea");
	check_told("* You are in tea, 1 here.\n");
	line(session, "/join"); /* it did not wait any more */
	check_told_start("* You wait for a stranger in room ");
}

TEST(who_waits_for_a_stranger_waits_once)
{
	(void)run(wait_for_a_stranger);
}

/* Rooms of somebody else, until there are as many as may be. */
static void fill_rooms(struct session *session)
{
	const struct room_attributes unnamed = {.creator = "", .listed = true};
	struct room *others[MAX_ROOMS];
	size_t count = 0;

	name_is(session, "bob");
	while (rooms_create(&talk.rooms, &unnamed, &others[count]) == ROOMS_DONE)
		count++;
	CHECK_EQUAL(count, MAX_ROOMS - 1);
	line(session, "/join tea");
	check_told("! too-many-rooms: there are 40 rooms, which is the most; join one of them, see /rooms\n");
	line(session, "/new-room tea");
	check_told_start("! too-many-rooms: ");
	line(session, "/join");
	check_told_start("! too-many-rooms: ");
	line(session, "/new-room");
	check_told_start("! too-many-rooms: ");
	CHECK(session_has_name(session)); /* it is still in the lobby */
	for (size_t i = 0; i < count; i++)
		room_release(others[i]);
	line(session, "still here");
}

TEST(too_many_rooms_are_an_error_and_nobody_is_lost)
{
	CHECK_TEXT(run(fill_rooms), "<bob still here\n");
}

/* ---- Several rooms. ---- */

static void be_in_many(struct session *session)
{
	struct room *room;
	char command[40];

	name_is(session, "bob");
	line(session, "/switch lobby");
	check_told("* plain text goes to lobby now\n");
	line(session, "/events");
	check_told("welcome\n");
	line(session, "/events");
	check_told("* you get events already\n");
	for (int i = 1; i < SESSION_PLACES_MAX; i++) {
		(void)snprintf(command, sizeof command, "/join room%d", i);
		line(session, command);
		check_told_start("* You are in room");
	}
	CHECK_EQUAL(session->place_count, SESSION_PLACES_MAX);
	line(session, "/join onemore");
	check_told("! too-many-rooms: you are in 32 rooms, which is the most; /leave one first\n");
	CHECK_EQUAL(rooms_find(&talk.rooms, "onemore", &room), ROOMS_GONE); /* it was not left behind */
	line(session, "/join");
	check_told_start("! too-many-rooms: ");
	line(session, "/switch room3");
	check_told("* plain text goes to room3 now\n");
	CHECK_TEXT(room_label(session->place->room), "room3");
	line(session, "/switch nowhere");
	check_told("! not-in-room: you are not in nowhere; /join nowhere goes there\n");
	line(session, "/leave room3");
	check_told("* plain text goes to room31 now\n");
	CHECK_EQUAL(session->place_count, SESSION_PLACES_MAX - 1);
	line(session, "/leave LOBBY");
	check_told("* you left lobby\n");
	CHECK(session_place(session, "lobby") == NULL);
	while (session->place_count > 1) {
		line(session, "/leave");
		check_told_start("* plain text goes to room");
	}
	line(session, "/leave"); /* out of the last one: back in the lobby */
	check_told_start("* You are in lobby.");
	CHECK_EQUAL(session->place_count, 1);
}

TEST(through_a_door_for_it_a_client_may_be_in_many_rooms)
{
	(void)run(be_in_many);
}

/* ---- People. ---- */

static void change_name(struct session *session)
{
	name_is(session, "bob");
	line(session, "/nick Johnny Boi");
	CHECK_TEXT(session->client.name, "Johnny Boi");
	line(session, "hello");
	line(session, "/me waves");
	line(session, "/msg  /two words ");
	line(session, "/nick b*b");
	check_told_start("! bad-name: ");
	line(session, "/nick");
	check_told("! usage: /nick takes NAME; type /nick NAME\n");
	line(session, "/me");
	check_told_start("! usage: ");
	line(session, "/msg \t");
	check_told_start("! usage: ");
	line(session, "/nick server");
	CHECK(strncmp(session->client.name, "server#", 7) == 0);
}

TEST(a_client_may_have_another_name)
{
	const char *seen = run(change_name);

	CHECK_CONTAINS(seen, "bob Johnny Boi\n<Johnny Boi hello\n");
	CHECK_CONTAINS(seen, "Johnny Boi waves\n<Johnny Boi /two words\n");
}

static void ask_for_people(struct session *session)
{
	name_is(session, "bob");
	line(session, "/dm ann hello");
	check_told("! no-such-user: nobody here is named ann; /who lists who is in the room\n");
	line(session, "/w \"Johnny Boi\" hello");
	check_told("! no-such-user: nobody here is named Johnny Boi; /who lists who is in the room\n");
	line(session, "/dm ann");
	check_told_start("! usage: ");
	line(session, "/invite");
	check_told_start("! usage: ");
	line(session, "/invite ann");
	check_told_start("! no-such-user: ");
	line(session, "/ignore ann");
	check_told_start("! no-such-user: ");
	line(session, "/nick Johnny Boi"); /* oneself is somebody, too */
	line(session, "/ignore \"johnny boi\"");
	check_told("* you ignore Johnny Boi; /ignore \"Johnny Boi\" again ends that\n");
	line(session, "/ignore \"Johnny Boi\"");
	check_told("* you no longer ignore Johnny Boi\n");
	line(session, "/ignore");
	check_told_start("! usage: ");
	line(session, "/ping");
	check_told("pong \n");
	line(session, "/ping 12 34");
	check_told("pong 12 34\n");
	line(session, "/admin guess"); /* nobody is administrator here */
	check_told_start("! wrong-password: ");
}

TEST(people_are_asked_for_by_name)
{
	(void)run(ask_for_people);
}

static void mistype(struct session *session)
{
	static const char *const typed[][2] = {
		{"/hlep", "help"}, {"/jion", "join"}, {"/room", "rooms"}, {"/newroom", "new-room"}, {"/wo", "who"},
		{"/qiut", "quit"}, {"/topics", "topic"}, {"/delete_room x", "delete-room"}, {"/HELP", "help"},
		{"/Join tea", "join"}, {"/NEWROOM", "new-room"}, {"/DELETE-ROOM", "delete-room"}};
	char expected[80];

	name_is(session, "bob");
	for (size_t i = 0; i < sizeof typed / sizeof *typed; i++) {
		(void)snprintf(expected, sizeof expected, "; did you mean /%s? ", typed[i][1]);
		line(session, typed[i][0]);
		CHECK_CONTAINS(told, expected);
		told[0] = '\0';
	}
	line(session, "/help me");
	check_told_start("* /me TEXT - ");
	line(session, "/help /me");
	check_told_start("* /me TEXT - ");
	line(session, "/help w");
	check_told_start("* /dm USER TEXT - ");
	line(session, "/help theme");
	check_told("! unknown-command: the server has no command /theme; if it is one of your client, look there; /help lists"
		   " those of the server\n");
}

TEST(the_nearest_command_is_suggested)
{
	(void)run(mistype);
}

TEST(the_commands_are_in_alphabetical_order_and_each_is_explained)
{
	for (const struct command *command = commands; command->name != NULL; command++) {
		CHECK(command[1].name == NULL || strcmp(command->name, command[1].name) < 0);
		CHECK(command->help[0] != '\0');
		CHECK(command_find(command->name) == command);
	}
	CHECK_TEXT(command_find("w")->name, "dm");
	CHECK(command_find("") == NULL);
}

static void speaks_to_a_full_disk(struct session *session)
{
	name_is(session, "ann");
	disk_is_full = true;
	session_line(session, "lost", 4);
	session_line(session, "/topic lost", 11);
	session_line(session, "/nick eve", 9);
	CHECK_TEXT(session->client.name, "ann"); /* nobody was told of another one */
	disk_is_full = false;
	session_line(session, "kept", 4);
}

TEST(what_the_journal_does_not_keep_is_an_error_to_its_author_and_seen_by_nobody)
{
	const char *seen = run(speaks_to_a_full_disk);

	CHECK_CONTAINS(told, "! not-stored: this could not be kept (No space left on device), nobody saw it; send it again");
	CHECK_CONTAINS(told, "! not-stored: this could not be kept (No space left on device), nobody saw it; try again later");
	CHECK(strstr(seen, "lost") == NULL);
	CHECK_CONTAINS(seen, " kept\n");
}

static void stays_at_a_full_disk(struct session *session)
{
	name_is(session, "ann");
	session_line(session, "/join tea", 9);
	disk_is_full = true;
	session->request_id = "7";
	session->request_answered = false;
	session_line(session, "/join milk", 10);
	CHECK(session->request_answered); /* by the refusal, so that it is not said to be done */
	session->request_id = NULL;
	session_line(session, "/leave", 6);
	CHECK(!session_ended(session));
	CHECK_TEXT(room_label(session->place->room), "tea");
	disk_is_full = false;
	session_line(session, "/leave", 6);
	CHECK_TEXT(room_label(session->place->room), "lobby");
}

/* Story: who left a room while the disk was full, and could not be let into the lobby, was thrown out. */
TEST(who_cannot_go_on_to_another_room_stays)
{
	(void)run(stays_at_a_full_disk);
	CHECK_CONTAINS(told, "! not-stored: this could not be kept (No space left on device), nobody saw it; try again later");
}

static void comes_to_a_full_disk(struct session *session)
{
	disk_is_full = true;
	CHECK(session_register(session, "ann", 3));
	CHECK(session_ended(session));
	disk_is_full = false;
}

TEST(who_cannot_be_announced_is_told_and_not_let_in)
{
	(void)run(comes_to_a_full_disk);
	CHECK_CONTAINS(told, "! not-stored: this could not be kept (No space left on device), nobody saw it; try again later");
}

/* ---- Without being there, or seen. ---- */

static const struct reading from_now = {.count = 0};

/* Somebody else says something in the room. */
static void others_say(struct room *room, const char *text)
{
	struct saying saying = {.kind = MESSAGE_TEXT, .name = "eve", .text = text, .text_size = strlen(text)};

	room_say(room, NULL, NULL, &saying);
	room_flush(room);
}

static struct room *make_room(struct session *session, const char *name)
{
	struct room *room = visit_find(session, name);

	CHECK(room != NULL);
	return room;
}

static void reads_unseen(struct session *session)
{
	struct room *room = make_room(session, "tea");

	CHECK(session_observe(session, room, &from_now));
	CHECK(!session_has_name(session));
	CHECK_EQUAL(rooms_people_count(&talk.rooms, room), 0);
	CHECK(rooms_is_open(&talk.rooms, room_id(room))); /* it is kept open for who reads */
	others_say(room, "hello");
}

TEST(who_only_reads_is_not_seen_and_sees_all)
{
	const char *seen = run(reads_unseen);

	CHECK_TEXT(seen, "<eve hello\n");
}

static uint64_t last_after_leaving;

static void reads_a_room_that_was_spoken_in(struct session *session)
{
	struct room *room = make_room(session, "tea");
	struct reading all = {.resumes = true, .after = 1};
	const char *bytes;

	others_say(room, "one");
	others_say(room, "two");
	CHECK(session_observe(session, room_acquire(room), &all));
	CHECK_EQUAL(session_receive(session, -1, &bytes), 0); /* the client's end; what it reads is sent before */
	others_say(room, "three");
	session_leave(session, session->places[0], "for another room");
	last_after_leaving = room_last_seq(room);
	room_release(room);
}

TEST(who_only_reads_resumes_and_leaves_without_a_word)
{
	const char *seen = run(reads_a_room_that_was_spoken_in);

	CHECK(strstr(seen, "one") == NULL);
	CHECK_TEXT(seen, "<eve two\n<eve three\n");
	CHECK_EQUAL(last_after_leaving, 3);
}

static void appears(struct session *session)
{
	struct room *room = make_room(session, "tea");

	CHECK(session_observe(session, room, &from_now));
	CHECK(!session_appear(session, "not/a name", 10));
	CHECK(session_appear(session, "ann", 3));
	CHECK(session_has_name(session));
	CHECK_EQUAL(rooms_people_count(&talk.rooms, room), 1);
	session_line(session, "here I am", 9);
}

TEST(who_only_read_may_appear_and_speak)
{
	CHECK_TEXT(run(appears), "+ann \n<ann here I am\n");
}

static const struct format hiding_format = {.name = "hiding", .encode = encode, .recall = encode, .hides_own = true};
static const struct door hiding_door = {
	.name = "hiding", .format = &hiding_format, .serve = serve, .words = words, .turn_away = turn_away};

static void speaks_among_others(struct session *session)
{
	struct room *room = make_room(session, "tea");

	session_set_door(session, &hiding_door);
	CHECK(session_observe(session, room, &from_now));
	CHECK(session_appear(session, "ann", 3));
	for (int i = 0; i < 200; i++) {
		if (i % 3 != 0)
			session_line(session, "mine", 4);
		others_say(room, "theirs");
		if (i % 7 == 0)
			session_line(session, "mine too", 8);
	}
	session_line(session, "mine", 4);
}

static void expect_only_theirs(const char *seen)
{
	size_t theirs = 0;

	CHECK(strstr(seen, "mine") == NULL);
	for (const char *place = seen; (place = strstr(place, "<eve theirs\n")) != NULL; place++)
		theirs++;
	CHECK_EQUAL(theirs, 200);
}

TEST(a_format_may_hide_ones_own_lines)
{
	expect_only_theirs(run(speaks_among_others));
}

static void speaks_far_behind(struct session *session)
{
	session->outlet->lag_memory = 0; /* so that it reads the journal as soon as the socket is full */
	speaks_among_others(session);
}

TEST(ones_own_lines_are_hidden_from_a_reader_of_the_journal_too)
{
	expect_only_theirs(run(speaks_far_behind));
}

static void posts(struct session *session)
{
	static const unsigned char id[CLIENT_ID_SIZE] = {1};
	struct saying once = {.kind = MESSAGE_TEXT, .text = "built", .text_size = 5, .client = id, .number = 1};
	struct room *room = make_room(session, "ops");
	struct receipt receipt;

	CHECK(!session_post(session, room, "not/a name", &once, &receipt));
	CHECK(session_post(session, room, "ci", &once, &receipt));
	CHECK_EQUAL(receipt.error, 0);
	CHECK_EQUAL(receipt.seq, 1);
	CHECK(!receipt.repeated);
	CHECK(session_post(session, room, "ci", &once, &receipt));
	CHECK_EQUAL(receipt.seq, 1);
	CHECK(receipt.repeated);
	disk_is_full = true;
	once.number = 2;
	CHECK(session_post(session, room, "ci", &once, &receipt));
	CHECK_EQUAL(receipt.error, ENOSPC);
	disk_is_full = false;
	CHECK_EQUAL(room_last_seq(room), 1);
	CHECK_EQUAL(rooms_people_count(&talk.rooms, room), 0);
	room_release(room);
}

TEST(one_may_post_without_being_there_and_is_told_how_it_went)
{
	CHECK_TEXT(run(posts), "");
	CHECK_TEXT(told, "");
}

static void comes_to_tea(struct session *session)
{
	static const char request[] = "/session 000102030405060708090a0b0c0d0e0f ann in tea";

	command_session(session, strchr(request, ' ') + 1);
	CHECK_TEXT(room_label(session->place->room), "tea");
	CHECK_EQUAL(session->place_count, 1);
	CHECK_EQUAL(rooms_people_count(&talk.rooms, talk.lobby), 0);
}

TEST(one_may_come_to_another_room_than_the_lobby)
{
	(void)run(comes_to_tea);
	CHECK(strstr(told, "!") == NULL);
}

static void comes_to_a_closed_house(struct session *session)
{
	command_session(session, "000102030405060708090a0b0c0d0e0f ann in tea");
	CHECK_TEXT(room_label(session->place->room), "lobby");
}

TEST(who_cannot_come_to_its_room_is_told_and_is_in_the_lobby)
{
	rooms_are_open = false;
	(void)run(comes_to_a_closed_house);
	CHECK_CONTAINS(told, "! no-such-room: there is no room tea");
}
