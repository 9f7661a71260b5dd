#include "tcpserver/core/client_list.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/rooms.h"

#include "tests/check.h"

static struct client_list list;

static enum client_admission take_up(struct client *client, size_t most)
{
	struct client_limits limits = {.most = most};

	return client_list_add(&list, client, NULL, &limits);
}

static struct client *add(const char *name)
{
	struct client *client = calloc(1, sizeof *client);

	CHECK(client != NULL);
	CHECK(take_up(client, SIZE_MAX) == CLIENT_ADMITTED);
	if (name != NULL)
		CHECK_EQUAL(client_list_register(&list, client, name), 0);
	return client;
}

static void drop(struct client *client)
{
	client_list_unregister(&list, client);
	client_list_remove(&list, client);
	free(client);
}

static bool has_tag(const char *tagged, const char *name)
{
	size_t size = strlen(name);

	return strncmp(tagged, name, size) == 0 && tagged[size] == '#' && strlen(tagged) == size + NAME_TAG_LENGTH &&
	       strspn(tagged + size + 1, "0123456789abcdef") == 6;
}

static size_t name_count(void) UNCHECKED;
static size_t name_count(void)
{
	return list.name_count;
}

TEST(a_free_name_is_given_as_it_is)
{
	struct client *bob;

	client_list_init(&list);
	bob = add("Johnny Boi");
	CHECK_TEXT(bob->name, "Johnny Boi");
	CHECK_EQUAL(name_count(), 1);
	drop(bob);
	client_list_fini(&list);
}

TEST(a_taken_name_gets_a_suffix)
{
	struct client *first;
	struct client *second;
	struct client *third;

	client_list_init(&list);
	first = add("bob");
	second = add("bob");
	third = add("bob");
	CHECK_TEXT(first->name, "bob");
	CHECK(has_tag(second->name, "bob"));
	CHECK(has_tag(third->name, "bob"));
	CHECK(strcmp(second->name, third->name) != 0);
	drop(first);
	drop(second);
	drop(third);
	client_list_fini(&list);
}

TEST(names_that_differ_only_in_case_count_as_the_same)
{
	struct client *first;
	struct client *second;
	struct client *third;

	client_list_init(&list);
	first = add("Straße");
	second = add("STRASSE");
	third = add("ｓｔｒａｓｓｅ");
	CHECK_TEXT(first->name, "Straße");
	CHECK(has_tag(second->name, "STRASSE"));
	CHECK(has_tag(third->name, "ｓｔｒａｓｓｅ"));
	drop(first);
	drop(second);
	drop(third);
	client_list_fini(&list);
}

TEST(a_name_is_free_again_when_its_client_is_gone)
{
	struct client *first;
	struct client *second;

	client_list_init(&list);
	first = add("bob");
	client_list_unregister(&list, first);
	client_list_unregister(&list, first);
	second = add("BOB");
	CHECK_TEXT(second->name, "BOB");
	drop(first);
	CHECK_EQUAL(name_count(), 1);
	drop(second);
	CHECK_EQUAL(name_count(), 0);
	client_list_fini(&list);
}

TEST(a_long_name_that_is_taken_is_cut_for_its_suffix)
{
	char name[NAME_SIZE];
	struct client *first;
	struct client *second;

	client_list_init(&list);
	memset(name, 'x', NAME_LENGTH_MAX);
	name[NAME_LENGTH_MAX] = '\0';
	first = add(name);
	second = add(name);
	CHECK_EQUAL(strlen(second->name), NAME_LENGTH_MAX);
	name[NAME_LENGTH_MAX - NAME_TAG_LENGTH] = '\0';
	CHECK(has_tag(second->name, name));
	drop(first);
	drop(second);
	client_list_fini(&list);
}

TEST(a_full_list_takes_nobody)
{
	struct client one = {.name = ""};
	struct client two = {.name = ""};

	client_list_init(&list);
	CHECK(take_up(&one, 1) == CLIENT_ADMITTED);
	CHECK(take_up(&two, 1) == CLIENT_LIST_FULL);
	CHECK_EQUAL(client_list_count(&list), 1);
	client_list_remove(&list, &one);
	CHECK(take_up(&two, 1) == CLIENT_ADMITTED);
	client_list_remove(&list, &two);
	CHECK_EQUAL(client_list_count(&list), 0);
	client_list_fini(&list);
}

TEST(an_address_has_only_so_many_clients_whatever_their_ports)
{
	struct client_limits limits = {.most_per_address = 2};
	struct client clients[5];

	memset(clients, 0, sizeof clients);
	client_list_init(&list);
	CHECK(client_list_add(&list, &clients[0], "10.0.0.1:1", &limits) == CLIENT_ADMITTED);
	CHECK(client_list_add(&list, &clients[1], "10.0.0.1:2", &limits) == CLIENT_ADMITTED);
	CHECK(client_list_add(&list, &clients[2], "10.0.0.1:3", &limits) == CLIENT_ADDRESS_FULL);
	CHECK(client_list_add(&list, &clients[2], "[::1]:3", &limits) == CLIENT_ADMITTED);
	CHECK(client_list_add(&list, &clients[3], NULL, &limits) == CLIENT_ADMITTED); /* from nowhere */
	client_list_remove(&list, &clients[0]);
	CHECK(client_list_add(&list, &clients[4], "10.0.0.1:4", &limits) == CLIENT_ADMITTED);
	for (int i = 1; i < 5; i++)
		client_list_remove(&list, &clients[i]);
	client_list_fini(&list);
}

TEST(an_ipv6_network_of_64_bits_counts_as_one_address)
{
	static const char *const same[] = {"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:2"};
	static const char *const others[] = {"[2001:db8:1:3::1]:1", "[2001:db8:2:2::1]:1", "[::1]:1", "10.0.0.1:1", "10.0.0.2:1"};
	enum { OTHERS = sizeof others / sizeof *others };
	struct client_limits limits = {.most_per_address = 2};
	struct client clients[OTHERS + 3];

	memset(clients, 0, sizeof clients);
	client_list_init(&list);
	for (int i = 0; i < 2; i++)
		CHECK(client_list_add(&list, &clients[i], same[i], &limits) == CLIENT_ADMITTED);
	CHECK(client_list_add(&list, &clients[2], "[2001:db8:1:2:3:4:5:6]:3", &limits) == CLIENT_ADDRESS_FULL);
	limits.most_per_address = 1;
	for (int i = 0; i < OTHERS; i++)
		CHECK(client_list_add(&list, &clients[2 + i], others[i], &limits) == CLIENT_ADMITTED);
	client_list_remove(&list, &clients[0]);
	client_list_remove(&list, &clients[1]);
	CHECK(client_list_add(&list, &clients[0], "[2001:db8:1:2::9%eth0]:9", &limits) == CLIENT_ADMITTED);
	client_list_remove(&list, &clients[0]);
	for (int i = 0; i < OTHERS; i++)
		client_list_remove(&list, &clients[2 + i]);
	client_list_fini(&list);
}

TEST(who_carries_another_client_does_not_count_with_it)
{
	struct client outer = {.name = ""};
	struct client inner = {.name = ""};
	struct client third = {.name = ""};

	client_list_init(&list);
	CHECK(take_up(&outer, 1) == CLIENT_ADMITTED);
	client_list_carry(&list, &outer);
	CHECK(take_up(&inner, 1) == CLIENT_ADMITTED);
	CHECK(take_up(&third, 1) == CLIENT_LIST_FULL);
	client_list_remove(&list, &outer);
	CHECK(take_up(&third, 1) == CLIENT_LIST_FULL);
	client_list_remove(&list, &inner);
	CHECK(take_up(&third, 1) == CLIENT_ADMITTED);
	client_list_remove(&list, &third);
	client_list_fini(&list);
}

TEST(who_carries_others_does_not_count_for_its_address_with_them)
{
	struct client_limits limits = {.most_per_address = 2};
	struct client clients[4];

	memset(clients, 0, sizeof clients);
	client_list_init(&list);
	CHECK(client_list_add(&list, &clients[0], "10.0.0.1:1", &limits) == CLIENT_ADMITTED);
	client_list_carry(&list, &clients[0]);
	for (int i = 1; i <= 2; i++)
		CHECK(client_list_add(&list, &clients[i], "10.0.0.1:1", &limits) == CLIENT_ADMITTED);
	CHECK(client_list_add(&list, &clients[3], "10.0.0.1:1", &limits) == CLIENT_ADDRESS_FULL);
	client_list_remove(&list, &clients[1]);
	client_list_remove(&list, &clients[2]);
	client_list_carry_none(&list, &clients[0]);
	CHECK(client_list_add(&list, &clients[1], "10.0.0.1:2", &limits) == CLIENT_ADMITTED);
	CHECK(client_list_add(&list, &clients[2], "10.0.0.1:3", &limits) == CLIENT_ADDRESS_FULL);
	client_list_carry(&list, &clients[0]);
	client_list_remove(&list, &clients[0]);
	CHECK(client_list_add(&list, &clients[2], "10.0.0.1:3", &limits) == CLIENT_ADMITTED);
	for (int i = 1; i <= 2; i++)
		client_list_remove(&list, &clients[i]);
	client_list_fini(&list);
}

TEST(clients_may_go_in_any_order)
{
	struct client clients[5];

	for (int first = 0; first < 5; first++) {
		memset(clients, 0, sizeof clients);
		client_list_init(&list);
		for (int i = 0; i < 5; i++)
			CHECK(take_up(&clients[i], 5) == CLIENT_ADMITTED);
		for (int i = 0; i < 5; i++)
			client_list_remove(&list, &clients[(first + i * 3) % 5]);
		client_list_wake_all(&list);
		CHECK_EQUAL(client_list_count(&list), 0);
		client_list_fini(&list);
	}
}

TEST(names_of_the_server_itself_get_a_suffix)
{
	struct client *one;
	struct client *two;

	client_list_init(&list);
	one = add("Chat Server");
	two = add("SERVER");
	CHECK(has_tag(one->name, "Chat Server"));
	CHECK(has_tag(two->name, "SERVER"));
	drop(one);
	drop(two);
	client_list_fini(&list);
}

/* ---- Finding. ---- */

static const struct door door = {.name = "test"};

TEST(a_client_is_found_by_its_name_in_any_case)
{
	struct outlet *outlet = outlet_create(-1, NULL, 0);
	struct addressee found = {.outlet = NULL};
	struct client *bob;

	client_list_init(&list);
	bob = add("Bob");
	CHECK(!client_list_find(&list, bob, "bob", &found)); /* its thread does not run yet */
	client_list_set_outlet(&list, bob, outlet, &door);
	CHECK(client_list_find(&list, bob, "BOB", &found));
	CHECK(found.outlet == outlet);
	CHECK(found.door == &door);
	CHECK(!found.ignores);
	CHECK_TEXT(found.name, "Bob");
	outlet_release(outlet); /* what was found is a reference */
	CHECK(!client_list_find(&list, bob, "ann", &found));
	CHECK(!client_list_find(&list, bob, "", &found));
	client_list_set_outlet(&list, bob, NULL, NULL);
	CHECK(!client_list_find(&list, bob, "bob", &found));
	drop(bob);
	outlet_release(outlet);
	client_list_fini(&list);
}

TEST(a_name_of_any_length_may_be_looked_for)
{
	struct addressee found;
	struct client bob = {.name = ""};
	char name[8000] = "";

	client_list_init(&list);
	for (int i = 0; i < 2000; i++)
		(void)strcat(name, "\xEF\xB7\xBA"); /* U+FDFA, which is 18 letters when it is folded */
	CHECK(!client_list_find(&list, &bob, name, &found));
	client_list_fini(&list);
}

/* ---- Another name. ---- */

static struct rooms rooms;

static int rename_to(struct client *client, const char *name)
{
	return client_list_rename(&list, client, &rooms, name);
}

TEST(a_client_gets_another_name_and_the_old_one_is_free)
{
	struct client *bob;
	struct client *other;

	client_list_init(&list);
	rooms_init(&rooms, NULL, 1);
	bob = add("bob");
	CHECK_EQUAL(rename_to(bob, "Rob"), 0);
	CHECK_TEXT(bob->name, "Rob");
	CHECK_EQUAL(name_count(), 1);
	other = add("bob");
	CHECK_TEXT(other->name, "bob");
	CHECK_EQUAL(rename_to(other, "ROB"), 0);
	CHECK(has_tag(other->name, "ROB"));
	CHECK_EQUAL(rename_to(bob, "ROB"), 0); /* it has it already, in other letters */
	CHECK_TEXT(bob->name, "ROB");
	CHECK_EQUAL(rename_to(bob, "server"), 0);
	CHECK(has_tag(bob->name, "server"));
	CHECK_EQUAL(name_count(), 2);
	drop(bob);
	drop(other);
	CHECK_EQUAL(name_count(), 0);
	rooms_fini(&rooms);
	client_list_fini(&list);
}

/* ---- Ignoring. ---- */

/* Whether the client 'other' ignores the client 'one', as who tells it something learns. */
static bool is_ignored_by(struct client *one, struct client *other)
{
	struct outlet *outlet = outlet_create(-1, NULL, 0);
	struct addressee found = {.outlet = NULL};

	client_list_set_outlet(&list, other, outlet, &door);
	CHECK(client_list_find(&list, one, other->name, &found));
	outlet_release(found.outlet);
	client_list_set_outlet(&list, other, NULL, NULL);
	outlet_release(outlet);
	return found.ignores;
}

TEST(who_is_ignored_stays_so_until_it_is_ended)
{
	struct client *ann;
	struct client *bob;
	char found[NAME_SIZE];

	client_list_init(&list);
	ann = add("ann");
	bob = add("bob");
	CHECK(!client_list_either_ignores(&list, ann, bob));
	CHECK_EQUAL(client_list_ignore(&list, ann, "BOB", found), IGNORE_BEGUN);
	CHECK_TEXT(found, "bob");
	CHECK(client_list_either_ignores(&list, ann, bob));
	CHECK(client_list_either_ignores(&list, bob, ann));
	CHECK(is_ignored_by(bob, ann));
	CHECK(!is_ignored_by(ann, bob));
	CHECK_EQUAL(client_list_ignore(&list, ann, "bob", found), IGNORE_ENDED);
	CHECK(!client_list_either_ignores(&list, ann, bob));
	CHECK_EQUAL(client_list_ignore(&list, ann, "carl", found), IGNORE_NOBODY);
	client_list_forget_ignored(&list, ann);
	client_list_forget_ignored(&list, bob);
	drop(ann);
	drop(bob);
	client_list_fini(&list);
}

TEST(who_is_ignored_stays_so_under_another_name)
{
	struct client *ann;
	struct client *bob;
	struct client *other;
	char found[NAME_SIZE];

	client_list_init(&list);
	rooms_init(&rooms, NULL, 1);
	ann = add("ann");
	bob = add("bob");
	CHECK_EQUAL(client_list_ignore(&list, ann, "bob", found), IGNORE_BEGUN);
	CHECK_EQUAL(client_list_rename(&list, bob, &rooms, "rob"), 0);
	CHECK_EQUAL(client_list_rename(&list, ann, &rooms, "anna"), 0);
	other = add("bob");
	CHECK(client_list_either_ignores(&list, bob, ann));
	CHECK(is_ignored_by(bob, ann));
	CHECK(!client_list_either_ignores(&list, ann, other));
	CHECK(!is_ignored_by(other, ann));
	CHECK_EQUAL(client_list_ignore(&list, ann, "rob", found), IGNORE_ENDED);
	CHECK(!client_list_either_ignores(&list, bob, ann));
	client_list_forget_ignored(&list, ann);
	drop(ann);
	drop(bob);
	drop(other);
	rooms_fini(&rooms);
	client_list_fini(&list);
}

TEST(who_takes_the_name_of_an_ignored_one_that_left_is_not_ignored)
{
	struct client *ann;
	struct client *bob;
	char found[NAME_SIZE];

	client_list_init(&list);
	ann = add("ann");
	bob = add("bob");
	CHECK_EQUAL(client_list_ignore(&list, ann, "bob", found), IGNORE_BEGUN);
	drop(bob);
	bob = add("bob"); /* likely in the same memory, too */
	CHECK(!client_list_either_ignores(&list, ann, bob));
	CHECK(!is_ignored_by(bob, ann));
	CHECK_EQUAL(client_list_ignore(&list, ann, "bob", found), IGNORE_BEGUN);
	CHECK(is_ignored_by(bob, ann));
	client_list_forget_ignored(&list, ann);
	drop(ann);
	drop(bob);
	client_list_fini(&list);
}

TEST(nobody_ignores_more_than_a_hundred_of_those_who_are_there)
{
	struct client *bobs[IGNORED_MOST + 1];
	char name[16];
	char found[NAME_SIZE];
	struct client *ann;

	client_list_init(&list);
	ann = add("ann");
	for (int i = 0; i <= IGNORED_MOST; i++) {
		(void)snprintf(name, sizeof name, "bob%d", i);
		bobs[i] = add(name);
		CHECK_EQUAL(client_list_ignore(&list, ann, name, found), i < IGNORED_MOST ? IGNORE_BEGUN : IGNORE_TOO_MANY);
	}
	CHECK_EQUAL(client_list_ignore(&list, ann, "bob50", found), IGNORE_ENDED);
	CHECK_EQUAL(client_list_ignore(&list, ann, "bob100", found), IGNORE_BEGUN);
	CHECK_EQUAL(client_list_ignore(&list, ann, "bob50", found), IGNORE_TOO_MANY);
	drop(bobs[0]); /* who leaves makes a place free */
	CHECK_EQUAL(client_list_ignore(&list, ann, "bob50", found), IGNORE_BEGUN);
	client_list_forget_ignored(&list, ann);
	drop(ann);
	for (int i = 1; i <= IGNORED_MOST; i++)
		drop(bobs[i]);
	client_list_fini(&list);
}

TEST(a_name_is_ignored_whoever_has_it)
{
	struct client *ann;
	struct client *bob;
	struct client *carl;
	char found[NAME_SIZE];

	client_list_init(&list);
	rooms_init(&rooms, NULL, 1);
	ann = add("ann");
	CHECK_EQUAL(client_list_ignore_name(&list, ann, "Bob", found), IGNORE_AWAITS);
	CHECK_TEXT(found, "Bob");
	bob = add("BOB");
	CHECK(is_ignored_by(bob, ann));
	CHECK(client_list_either_ignores(&list, bob, ann));
	CHECK_EQUAL(client_list_ignore_name(&list, ann, "bob", found), IGNORE_BEGUN);
	CHECK_TEXT(found, "BOB");
	CHECK_EQUAL(client_list_rename(&list, bob, &rooms, "rob"), 0); /* does not help */
	CHECK(is_ignored_by(bob, ann));
	carl = add("carl");
	CHECK(!is_ignored_by(carl, ann));
	CHECK_EQUAL(client_list_rename(&list, carl, &rooms, "bob"), 0);
	CHECK(is_ignored_by(carl, ann));
	client_list_heed_name(&list, ann, "bob");
	client_list_heed_name(&list, ann, "bob");
	CHECK(!is_ignored_by(carl, ann));
	CHECK(is_ignored_by(bob, ann));
	client_list_heed_name(&list, ann, "rob");
	CHECK(!client_list_either_ignores(&list, ann, bob));
	client_list_forget_ignored(&list, ann);
	drop(ann);
	drop(bob);
	drop(carl);
	rooms_fini(&rooms);
	client_list_fini(&list);
}

TEST(the_toggle_ends_what_was_begun_for_a_name)
{
	struct client *ann;
	char found[NAME_SIZE];

	client_list_init(&list);
	ann = add("ann");
	CHECK_EQUAL(client_list_ignore_name(&list, ann, "bob", found), IGNORE_AWAITS);
	CHECK_EQUAL(client_list_ignore(&list, ann, "bob", found), IGNORE_ENDED);
	CHECK_EQUAL(client_list_ignore(&list, ann, "bob", found), IGNORE_NOBODY);
	client_list_forget_ignored(&list, ann);
	drop(ann);
	client_list_fini(&list);
}

TEST(nobody_ignores_more_than_a_hundred_names)
{
	char name[16];
	char found[NAME_SIZE];
	struct client *ann;

	client_list_init(&list);
	ann = add("ann");
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i <= IGNORED_MOST; i++) {
			(void)snprintf(name, sizeof name, "bob%d", i);
			CHECK_EQUAL(client_list_ignore_name(&list, ann, name, found),
				i < IGNORED_MOST ? IGNORE_AWAITS : IGNORE_TOO_MANY);
		}
	}
	client_list_heed_name(&list, ann, "bob7");
	CHECK_EQUAL(client_list_ignore_name(&list, ann, "another", found), IGNORE_AWAITS);
	client_list_forget_ignored(&list, ann);
	drop(ann);
	client_list_fini(&list);
}

/* ---- Threads. ---- */

enum { THREADS = 6, TURNS = 60 };

/* Comes with the same name as the others, again and again; looks at the list meanwhile. */
static void *come_and_go(void *argument)
{
	(void)argument;
	for (int i = 0; i < TURNS; i++) {
		struct client *one = add("bob");
		struct client *two = add("BOB");

		CHECK(strcasecmp(one->name, two->name) != 0);
		CHECK_EQUAL(client_list_rename(&list, one, &rooms, "Rob"), 0);
		CHECK(strncmp(one->name, "Rob", 3) == 0);
		CHECK(!client_list_either_ignores(&list, one, two));
		drop(one);
		drop(two);
	}
	return NULL;
}

TEST(many_may_want_the_same_name_at_once)
{
	pthread_t threads[THREADS];

	client_list_init(&list);
	rooms_init(&rooms, NULL, 1);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQUAL(thread_start(&threads[i], 0, come_and_go, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	CHECK_EQUAL(client_list_count(&list), 0);
	CHECK_EQUAL(name_count(), 0);
	rooms_fini(&rooms);
	client_list_fini(&list);
}

static void *depart(void *argument)
{
	client_list_depart(&list, argument);
	return NULL;
}

TEST(threads_that_depart_are_joined)
{
	static struct client clients[50];
	pthread_t thread;

	client_list_init(&list);
	for (int i = 0; i < 50; i++)
		CHECK(take_up(&clients[i], 50) == CLIENT_ADMITTED);
	for (int i = 0; i < 50; i++)
		CHECK_EQUAL(thread_start(&thread, 0, depart, &clients[i]), 0);
	client_list_wait_empty(&list);
	CHECK_EQUAL(client_list_count(&list), 0);
	client_list_wait_empty(&list);
	client_list_fini(&list);
}
