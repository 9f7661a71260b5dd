#include "tcpserver/core/client_list.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/check.h"

static struct client_list list;

static struct client *add(const char *name)
{
	struct client *client = calloc(1, sizeof *client);

	CHECK(client != NULL);
	CHECK(client_list_add(&list, client, SIZE_MAX));
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

static void check_names(size_t most, long count, const char *expected)
{
	char *text;

	CHECK_EQUAL(client_list_names(&list, most, &text), count);
	CHECK_TEXT(text, expected);
	free(text);
}

TEST(a_free_name_is_given_as_it_is)
{
	struct client *bob;

	client_list_init(&list);
	bob = add("Johnny Boi");
	CHECK_TEXT(bob->name, "Johnny Boi");
	check_names(10, 1, "Johnny Boi");
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
	check_names(10, 1, "BOB");
	drop(second);
	check_names(10, 0, "");
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
	CHECK(!client_list_add(&list, &one, 0));
	CHECK(client_list_add(&list, &one, 1));
	CHECK(!client_list_add(&list, &two, 1));
	CHECK_EQUAL(client_list_count(&list), 1);
	client_list_remove(&list, &one);
	CHECK(client_list_add(&list, &two, 1));
	client_list_remove(&list, &two);
	CHECK_EQUAL(client_list_count(&list), 0);
	client_list_fini(&list);
}

TEST(clients_may_go_in_any_order)
{
	struct client clients[5];

	for (int first = 0; first < 5; first++) {
		memset(clients, 0, sizeof clients);
		client_list_init(&list);
		for (int i = 0; i < 5; i++)
			CHECK(client_list_add(&list, &clients[i], 5));
		for (int i = 0; i < 5; i++)
			client_list_remove(&list, &clients[(first + i * 3) % 5]);
		client_list_wake_all(&list);
		CHECK_EQUAL(client_list_count(&list), 0);
		client_list_fini(&list);
	}
}

TEST(names_are_told_in_alphabetical_order_and_not_too_many)
{
	struct client *clients[5];

	client_list_init(&list);
	clients[0] = add("dora");
	clients[1] = add("Bob");
	clients[2] = add(NULL); /* without a name */
	clients[3] = add("carl");
	clients[4] = add("Ann");
	check_names(10, 4, "Ann, Bob, carl, dora");
	check_names(4, 4, "Ann, Bob, carl, dora");
	check_names(2, 4, "Ann, Bob");
	check_names(0, 4, "");
	CHECK_EQUAL(client_list_count(&list), 5);
	for (int i = 0; i < 5; i++)
		drop(clients[i]);
	client_list_fini(&list);
}

TEST(the_longest_names_fit_in_the_answer)
{
	struct client *clients[20];
	char name[NAME_SIZE] = "";
	char *text;

	client_list_init(&list);
	for (int i = 0; i < NAME_LENGTH_MAX; i++)
		(void)strcat(name, "𝕏");
	for (int i = 0; i < 20; i++)
		clients[i] = add(name);
	CHECK_EQUAL(client_list_names(&list, 20, &text), 20);
	CHECK_EQUAL(strlen(text), (NAME_SIZE - 1) + 19 * ((NAME_SIZE - 1) - 3 * NAME_TAG_LENGTH) + 19 * 2);
	free(text);
	for (int i = 0; i < 20; i++)
		drop(clients[i]);
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
		char *text;

		CHECK(strcasecmp(one->name, two->name) != 0);
		CHECK(client_list_names(&list, 100, &text) >= 2);
		CHECK_CONTAINS(text, one->name);
		CHECK_CONTAINS(text, two->name);
		free(text);
		drop(one);
		drop(two);
	}
	return NULL;
}

TEST(many_may_want_the_same_name_at_once)
{
	pthread_t threads[THREADS];

	client_list_init(&list);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQUAL(thread_start(&threads[i], 0, come_and_go, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	CHECK_EQUAL(client_list_count(&list), 0);
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
		CHECK(client_list_add(&list, &clients[i], 50));
	for (int i = 0; i < 50; i++)
		CHECK_EQUAL(thread_start(&thread, 0, depart, &clients[i]), 0);
	client_list_wait_empty(&list);
	CHECK_EQUAL(client_list_count(&list), 0);
	client_list_wait_empty(&list);
	client_list_fini(&list);
}
