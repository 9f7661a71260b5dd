#include "tcpserver/core/rooms.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/client_list.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/journals/memory.h"

#include "tests/check.h"

enum { MOST = 10, THREADS = 6, TURNS = 300 };

static struct rooms rooms;
static struct journal *journal;
static struct outlet *outlet;

static void start(void)
{
	outlet_prepare_process();
	journal = memory_journal_create(10);
	CHECK(journal != NULL);
	outlet = outlet_create(-1, NULL, 1000);
	CHECK(outlet != NULL);
	rooms_init(&rooms, journal, MOST);
}

static void stop(void)
{
	rooms_fini(&rooms);
	outlet_release(outlet);
	journal->ops->destroy(journal);
}

static size_t room_count(void) UNCHECKED;
static size_t room_count(void)
{
	return rooms.count;
}

static struct room_attributes listed(const char *name)
{
	return (struct room_attributes){.name = name, .creator = "bob", .listed = true};
}

static struct room *make(const struct room_attributes attributes)
{
	struct room *room;

	CHECK_EQUAL(rooms_create(&rooms, &attributes, &room), ROOMS_DONE);
	return room;
}

static const struct format no_format = {.name = "none"};

static struct member *come(struct room *room, struct client *client)
{
	struct member *member = member_create(outlet, client, room, &no_format);

	CHECK(member != NULL);
	CHECK_EQUAL(rooms_enter(&rooms, member), ROOMS_DONE);
	return member;
}

static void go(struct member *member)
{
	member_leave(member, false);
	rooms_exit(&rooms, member);
	member_release(member);
}

static bool is_found(const char *name)
{
	struct room *room;
	enum rooms_result result = rooms_find(&rooms, name, &room);

	if (result == ROOMS_DONE)
		room_release(room);
	return result == ROOMS_DONE;
}

TEST(a_room_is_found_by_name_in_any_case_and_by_id)
{
	char id[ROOM_ID_SIZE];
	struct room *room;

	start();
	room = make(listed("Tea"));
	(void)snprintf(id, sizeof id, "%s", room_id(room));
	CHECK_EQUAL(strlen(id), 20);
	CHECK_EQUAL(strspn(id, "0123456789abcdef"), 20);
	CHECK_TEXT(room_label(room), "Tea");
	CHECK(is_found("Tea") && is_found("TEA") && is_found(id));
	CHECK(!is_found("tee") && !is_found("") && !is_found("00000000000000000000"));
	rooms_forget_empty(&rooms, room);
	CHECK(!is_found("Tea") && !is_found(id));
	room_release(room);
	stop();
}

TEST(a_room_keeps_what_it_was_made_with)
{
	char name[] = "tea";
	char creator[] = "bob";
	const struct saying topic_set = {.kind = MESSAGE_TOPIC, .name = "ann", .text = "green tea", .text_size = 9};
	char topic[ROOM_TOPIC_SIZE];
	int64_t before_ns = clock_wall_ns();
	struct room *room;

	start();
	room = make((struct room_attributes){
		.name = name, .creator = creator, .creator_number = 7, .capacity = 3, .listed = true, .persistent = true});
	name[0] = creator[0] = 'x';
	CHECK_TEXT(room_attributes(room)->name, "tea");
	CHECK_TEXT(room_attributes(room)->creator, "bob");
	CHECK_EQUAL(room_attributes(room)->creator_number, 7);
	CHECK_EQUAL(room_attributes(room)->capacity, 3);
	CHECK(room_attributes(room)->created_ns >= before_ns && room_attributes(room)->created_ns <= clock_wall_ns());
	room_topic(room, topic);
	CHECK_TEXT(topic, "");
	room_say(room, NULL, NULL, &topic_set);
	room_topic(room, topic);
	CHECK_TEXT(topic, "green tea");
	room_release(room);
	room = make((struct room_attributes){.name = "milk", .creator = "bob", .created_ns = 42}); /* as a journal knows it */
	CHECK_EQUAL(room_attributes(room)->created_ns, 42);
	room_release(room);
	stop();
}

TEST(two_rooms_have_two_names_and_two_ids)
{
	const struct room_attributes again = listed("TEA");
	const struct room_attributes unnamed = {.creator = ""};
	struct room *room;
	struct room *other;
	struct room *one;
	struct room *two;

	start();
	room = make(listed("tea"));
	CHECK_EQUAL(rooms_create(&rooms, &again, &other), ROOMS_EXISTS);
	one = make(unnamed);
	two = make(unnamed);
	CHECK_TEXT(room_label(one), room_id(one));
	CHECK(room_key(one) == NULL);
	CHECK(strcmp(room_id(one), room_id(two)) != 0);
	CHECK_EQUAL(room_count(), 3);
	room_release(room);
	room_release(one);
	room_release(two);
	stop();
}

TEST(there_are_no_more_rooms_than_allowed)
{
	const struct room_attributes unnamed = {.creator = ""};
	struct room *made[MOST];
	struct room *room;

	start();
	for (int i = 0; i < MOST; i++)
		made[i] = make(unnamed);
	CHECK_EQUAL(rooms_create(&rooms, &unnamed, &room), ROOMS_TOO_MANY);
	rooms_forget_empty(&rooms, made[3]);
	room_release(made[3]);
	made[3] = make(unnamed);
	for (int i = 0; i < MOST; i++)
		room_release(made[i]);
	stop();
}

/* As if it had waited for its first guest for a minute. */
static void let_wait(struct room *room) UNCHECKED;
static void let_wait(struct room *room)
{
	CHECK(room_people(room)->waits_since_ms > 0);
	room_people(room)->waits_since_ms -= ROOMS_WAIT_LEAST_MS;
}

static void try_to_make(enum rooms_result wanted)
{
	const struct room_attributes unnamed = {.creator = ""};
	struct room *room;

	CHECK_EQUAL(rooms_create(&rooms, &unnamed, &room), wanted);
	if (wanted == ROOMS_DONE)
		room_release(room);
}

TEST(rooms_that_wait_for_their_first_guest_give_way_the_oldest_first)
{
	struct room_attributes made = listed("room");
	struct client ann = {.name = "ann"};
	struct room *waiting[MOST];
	struct member *guest;
	struct member *observer;

	start();
	made.creator_number = 1;
	for (int i = 0; i < MOST; i++) {
		const char name[] = {(char)('a' + i), '\0'};

		made.name = name;
		waiting[i] = make(made);
	}
	try_to_make(ROOMS_TOO_MANY); /* all of them are new */
	for (int i = 0; i < 5; i++)
		let_wait(waiting[i]);
	guest = come(waiting[0], &ann);
	observer = member_create(outlet, &ann, waiting[1], &no_format);
	CHECK(observer != NULL);
	observer->observes = true;
	CHECK_EQUAL(rooms_enter(&rooms, observer), ROOMS_DONE);
	rooms_give_back(&rooms, waiting[2]); /* somebody has looked at it; it waits on */
	CHECK(is_found("a") && is_found("b") && is_found("c") && is_found("d"));
	try_to_make(ROOMS_DONE);
	CHECK(is_found("a") && is_found("b") && !is_found("c") && is_found("d") && is_found("e"));
	try_to_make(ROOMS_DONE);
	CHECK(!is_found("d") && is_found("e"));
	made.name = "e"; /* nothing gives way to a room that cannot be made */
	CHECK_EQUAL(rooms_create(&rooms, &made, &waiting[2]), ROOMS_EXISTS);
	CHECK(is_found("e"));
	try_to_make(ROOMS_DONE);
	CHECK(!is_found("e"));
	try_to_make(ROOMS_TOO_MANY);
	go(observer); /* who looks is no guest: it goes on waiting */
	CHECK(is_found("b"));
	try_to_make(ROOMS_DONE);
	CHECK(!is_found("b") && is_found("a") && is_found("f"));
	go(guest);
	CHECK(!is_found("a"));
	for (int i = 0; i < MOST; i++) {
		if (i != 2)
			room_release(waiting[i]);
	}
	stop();
}

TEST(a_room_goes_away_with_its_last_member)
{
	struct client ann = {.name = "ann"};
	struct client bob = {.name = "bob"};
	struct member *first;
	struct member *second;
	struct room *room;

	start();
	room = make(listed("tea"));
	first = come(room, &ann);
	second = come(room, &bob);
	CHECK_EQUAL(rooms_people_count(&rooms, room), 2);
	rooms_forget_empty(&rooms, room); /* it is not empty */
	go(first);
	CHECK(is_found("tea"));
	go(second);
	CHECK(!is_found("tea"));
	CHECK_EQUAL(room_count(), 0);
	first = member_create(outlet, &ann, room, &no_format);
	CHECK_EQUAL(rooms_enter(&rooms, first), ROOMS_GONE);
	member_leave(first, false);
	member_release(first);
	room_release(room);
	stop();
}

TEST(a_persistent_room_stays)
{
	struct client ann = {.name = "ann"};
	struct room_attributes lobby = listed("lobby");
	struct room *room;

	start();
	lobby.persistent = true;
	room = make(lobby);
	go(come(room, &ann));
	rooms_forget_empty(&rooms, room);
	CHECK(is_found("lobby"));
	room_release(room);
	stop();
}

TEST(a_full_room_takes_nobody)
{
	struct client ann = {.name = "ann"};
	struct member *members[2];
	struct member *third;
	struct room *room;

	start();
	room = make((struct room_attributes){.creator = "", .capacity = 2});
	members[0] = come(room, &ann);
	members[1] = come(room, &ann);
	third = member_create(outlet, &ann, room, &no_format);
	CHECK_EQUAL(rooms_enter(&rooms, third), ROOMS_FULL);
	go(members[0]);
	CHECK_EQUAL(rooms_enter(&rooms, third), ROOMS_DONE);
	go(third);
	go(members[1]);
	room_release(room);
	stop();
}

TEST(a_room_that_was_removed_is_not_found_and_lets_nobody_in)
{
	struct client ann = {.name = "ann"};
	struct member *member;
	struct member *late;
	struct room *room;
	struct room *again;

	start();
	room = make(listed("tea"));
	member = come(room, &ann);
	rooms_remove(&rooms, room);
	rooms_remove(&rooms, room);
	CHECK(!is_found("tea"));
	again = make(listed("tea")); /* the name is free while there are members left in the old one */
	late = member_create(outlet, &ann, room, &no_format);
	CHECK_EQUAL(rooms_enter(&rooms, late), ROOMS_GONE);
	member_leave(late, false);
	member_release(late);
	go(member);
	CHECK(is_found("tea"));
	room_release(again);
	room_release(room);
	stop();
}

/* ---- Looking. ---- */

static char seen[500];

static void see_person(const struct client *client, void *context)
{
	CHECK(context == seen);
	(void)strcat(strcat(seen, client->name), " ");
}

static void see_room(struct room *room, size_t people, void *context)
{
	size_t size = strlen(seen);

	CHECK(context == seen);
	(void)snprintf(seen + size, sizeof seen - size, "%s:%zu ", room_label(room), people);
}

TEST(people_may_leave_in_any_order)
{
	struct client clients[4] = {{.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = "d"}};

	for (int first = 0; first < 4; first++) {
		struct member *members[4];
		struct room *room;

		start();
		room = make(listed("tea"));
		for (int i = 0; i < 4; i++)
			members[i] = come(room, &clients[i]);
		for (int i = 0; i < 4; i++) {
			seen[0] = '\0';
			CHECK_EQUAL(rooms_visit_people(&rooms, room, 100, see_person, seen), 4 - i);
			CHECK_EQUAL(strlen(seen), 2 * (4 - i));
			CHECK(strchr(seen, clients[(first + 3 * i) % 4].name[0]) != NULL);
			go(members[(first + 3 * i) % 4]);
		}
		room_release(room);
		stop();
	}
}

TEST(not_more_people_are_shown_than_asked_for)
{
	struct client ann = {.name = "ann"};
	struct member *members[3];
	struct room *room;

	start();
	room = make(listed("tea"));
	for (int i = 0; i < 3; i++)
		members[i] = come(room, &ann);
	seen[0] = '\0';
	CHECK_EQUAL(rooms_visit_people(&rooms, room, 2, see_person, seen), 3);
	CHECK_TEXT(seen, "ann ann ");
	for (int i = 0; i < 3; i++)
		go(members[i]);
	room_release(room);
	stop();
}

TEST(listed_rooms_are_shown_by_name)
{
	static const char *const names[] = {"tea", "Ale", "milk", "Coffee"};
	struct client ann = {.name = "ann"};
	struct room *made[5];
	struct member *member;

	start();
	for (int i = 0; i < 4; i++)
		made[i] = make(listed(names[i]));
	made[4] = make((struct room_attributes){.name = "cellar", .creator = ""}); /* not listed */
	member = come(made[2], &ann);
	seen[0] = '\0';
	CHECK_EQUAL(rooms_visit(&rooms, 100, see_room, seen), 4);
	CHECK_TEXT(seen, "Ale:0 Coffee:0 milk:1 tea:0 ");
	seen[0] = '\0';
	CHECK_EQUAL(rooms_visit(&rooms, 2, see_room, seen), 4);
	CHECK_TEXT(seen, "Ale:0 Coffee:0 ");
	go(member);
	for (int i = 0; i < 5; i++)
		room_release(made[i]);
	stop();
}

/* ---- Threads. ---- */

static atomic_uint turns_of_all;

/* Goes into one of three rooms, making it if there is none, and out again. */
static void *visit(void *argument)
{
	static const char *const names[] = {"a", "b", "c"};
	struct client client = {.name = "visitor"};

	(void)argument;
	for (int i = 0; i < TURNS; i++) {
		const char *name = names[atomic_fetch_add(&turns_of_all, 1) % 3];
		const struct room_attributes attributes = listed(name);
		struct room *room;
		enum rooms_result result = rooms_find(&rooms, name, &room);
		struct member *member;

		if (result != ROOMS_DONE && rooms_create(&rooms, &attributes, &room) != ROOMS_DONE)
			continue;
		member = member_create(outlet, &client, room, &no_format);
		CHECK(member != NULL);
		result = rooms_enter(&rooms, member);
		CHECK(result == ROOMS_DONE || result == ROOMS_GONE);
		if (i % 50 == 0)
			rooms_remove(&rooms, room);
		if (result == ROOMS_DONE) {
			CHECK(rooms_people_count(&rooms, room) >= 1);
			go(member);
		} else {
			member_leave(member, false);
			member_release(member);
			rooms_forget_empty(&rooms, room);
		}
		room_release(room);
	}
	return NULL;
}

TEST(rooms_come_and_go_while_many_walk_through_them)
{
	pthread_t threads[THREADS];

	start();
	for (int i = 0; i < THREADS; i++)
		CHECK_EQUAL(thread_start(&threads[i], 0, visit, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	CHECK_EQUAL(room_count(), 0);
	stop();
}
