/* The parts of what a person sees: rooms, people, what Tab offers, what is remembered, and what calls. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tcpclient/attention.h"
#include "tcpclient/complete.h"
#include "tcpclient/places.h"
#include "tcpclient/record.h"
#include "tests/check.h"

TEST(one_goes_back_to_where_one_was)
{
	struct places places;

	places_init(&places);
	places_add(&places, "tea", false);
	places_add(&places, "TEA", false);
	CHECK_EQUAL(places.count, 2);
	places_go(&places, "tea");
	places_go(&places, "nowhere");
	places_settle(&places);
	CHECK_TEXT(places.current, "tea");
	places_remove(&places, "Tea");
	places_settle(&places);
	CHECK_TEXT(places.current, "lobby");
	places_remove(&places, "lobby");
	places_settle(&places);
	CHECK_TEXT(places.current, "lobby");
}

TEST(places_are_bounded)
{
	struct places places;
	char name[16];

	places_init(&places);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof name, "room%d", i);
		places_add(&places, name, false);
	}
	CHECK_EQUAL(places.count, PLACES_MAX);
}

TEST(who_spoke_last_comes_first)
{
	struct people people = {.count = 0};

	people_add(&people, "ann");
	people_add(&people, "eve");
	people_spoke(&people, "eve");
	CHECK_TEXT(people.names[0], "eve");
	CHECK_TEXT(people.names[1], "ann");
	people_spoke(&people, people.names[1]);
	CHECK_TEXT(people.names[0], "ann");
	people_rename(&people, "ann", "anna");
	CHECK_TEXT(people.names[0], "anna");
	people_remove(&people, "eve");
	CHECK_EQUAL(people.count, 1);
	for (int i = 0; i < 2 * PEOPLE_MAX; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "p%d", i);
		people_spoke(&people, name);
	}
	CHECK_EQUAL(people.count, PEOPLE_MAX);
	people_fini(&people);
}

static void offers(const char *line, size_t turn, const char *wanted)
{
	struct people people = {.count = 0};
	struct people rooms = {.count = 0};
	struct buffer out = {0};
	size_t start;

	people_add(&people, "Johnny Boi");
	people_add(&people, "ann");
	people_add(&people, "Åsa");
	people_add(&people, "amy");
	people_add(&rooms, "tea time");
	people_add(&rooms, "talk");
	start = complete(line, strlen(line), turn, &people, &rooms, &out);
	buffer_add(&out, "", 1);
	if (out.size > 1)
		CHECK(start <= strlen(line));
	CHECK_TEXT(out.bytes, wanted);
	buffer_fini(&out);
	people_fini(&people);
	people_fini(&rooms);
}

TEST(tab_offers_what_begins_like_the_word)
{
	offers("a", 0, "ann: ");
	offers("a", 1, "amy: ");
	offers("a", 2, "ann: ");
	offers("hello A", 0, "ann ");
	offers("å", 0, "Åsa: ");
	offers("zzz", 5, "");
	offers("/j", 0, "/join ");
	offers("/zzz", 0, "");
	offers("/join t", 1, "talk ");
	offers("/join \"tea t", 0, "\"tea time\" ");
	offers("/dm john", 0, "\"Johnny Boi\" ");
	offers("/help to", 0, "topic ");
	offers("/me hugs am", 0, "amy ");
	offers("//am", 0, "");
}

TEST(words_are_found_in_any_case)
{
	CHECK(text_has_word("Hello BOB!", 10, "bob", true));
	CHECK(!text_has_word("Hello bobby", 11, "bob", true));
	CHECK(text_has_word("bobby, bob", 10, "bob", true));
	CHECK(text_has_word("bobby", 5, "bob", false));
	CHECK(!text_has_word("ébob", 5, "bob", true));
	CHECK(!text_has_word("", 0, "bob", true));
	CHECK(!text_has_word("bob", 3, "", true));
}

TEST(what_was_said_is_found_and_is_bounded)
{
	struct record record = {.start = 0};
	struct buffer out = {0};
	char line[100];

	CHECK_EQUAL(record_search(&record, "x", 10, &out), 0);
	for (int i = 0; i < 200000; i++)
		record_add(&record, line, (size_t)snprintf(line, sizeof line, "12:00 ann: the number %d of many lines\n", i));
	CHECK(record.lines.size <= 2 * RECORD_SIZE_MAX + sizeof line);
	CHECK_EQUAL(record_search(&record, "number 199999", 10, &out), 1);
	buffer_add(&out, "", 1);
	CHECK_TEXT(out.bytes, "12:00 ann: the number 199999 of many lines\n");
	buffer_clear(&out);
	CHECK_EQUAL(record_search(&record, "NUMBER ann", 3, &out), 3);
	CHECK_EQUAL(record_search(&record, "the number 5 of", 3, &out), 3); /* other numbers have a 5 */
	buffer_fini(&out);
	record_fini(&record);
}

TEST(a_file_is_not_overwritten)
{
	char path[] = "/tmp/tcpclient-record-XXXXXX";
	struct record record = {.start = 0};
	struct stat status;

	CHECK(mkdtemp(path) != NULL && chdir(path) == 0);
	record_add(&record, "one\n", 4);
	CHECK_EQUAL(record_save(&record, "file"), 0);
	CHECK(stat("file", &status) == 0 && status.st_size == 4 && (status.st_mode & 0777) == 0600);
	CHECK_EQUAL(record_save(&record, "file"), -EEXIST);
	CHECK_EQUAL(record_save(&record, "no/such/folder"), -ENOENT);
	CHECK(unlink("file") == 0 && rmdir(path) == 0);
	record_fini(&record);
}

static void notifies(enum attention_way way, bool tmux, const char *wanted)
{
	struct buffer out = {0};

	attention_notify(&out, way, tmux, "an;n", "hi; \u202Ethere");
	buffer_add(&out, "", 1);
	CHECK_TEXT(out.bytes, wanted);
	buffer_fini(&out);
}

TEST(a_notification_has_no_parts_of_its_own)
{
	notifies(ATTENTION_OSC_9, false, "\033]9;an n: hi  there\033\\");
	notifies(ATTENTION_OSC_777, false, "\033]777;notify;an n;hi  there\033\\");
	notifies(ATTENTION_OSC_99, false, "\033]99;;an n: hi  there\033\\");
	notifies(ATTENTION_OSC_9, true, "\033Ptmux;\033\033]9;an n: hi  there\033\033\\\033\\");
}
