/*
 * The contract of journals (tcpserver/core/journal.h), run against each of them.
 */
#include "tcpserver/core/journal.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/message.h"
#include "tcpserver/journals/memory.h"

#include "tests/check.h"

enum { KEPT = 50, MANY = 100000, APPENDERS = 6, APPENDS = 300 };

/* A journal to be tested: one that keeps much, and, where there is a bound, one that keeps the last KEPT messages. */
struct implementation {
	const char *name;
	struct journal *(*create)(size_t kept);
};

static const struct implementation implementations[] = {
	{"memory", memory_journal_create},
};

/* A room, as a journal sees it: it notes what is published. */
struct listener {
	pthread_mutex_t mutex;
	pthread_cond_t published;
	uint64_t count; /* published */
	uint64_t refused;
	int64_t last_ns;
	const struct member *last_author;
	char last_text[64];
};

static void publish(void *room, const struct draft *draft)
{
	struct listener *listener = room;
	const struct message *message = draft->message;

	mutex_lock(&listener->mutex);
	CHECK_EQUAL(message->seq, listener->count + 1); /* in order, none left out, none twice */
	CHECK(message->at_ns > 0);
	listener->last_ns = message->at_ns;
	listener->last_author = draft->author;
	(void)snprintf(listener->last_text, sizeof listener->last_text, "%.*s", (int)message->text_size, message->text);
	listener->count++;
	condition_broadcast(&listener->published);
	mutex_unlock(&listener->mutex);
}

static void refuse(void *room, const struct draft *draft, int error)
{
	struct listener *listener = room;

	(void)draft;
	CHECK(error > 0);
	mutex_lock(&listener->mutex);
	listener->refused++;
	condition_broadcast(&listener->published);
	mutex_unlock(&listener->mutex);
}

static void flush(void *room)
{
	(void)room;
}

static const struct journal_listener calls = {.publish = publish, .refuse = refuse, .flush = flush};

/* What a test has of one implementation. */
struct fixture {
	struct journal *journal;
	struct journal_room *room;
	struct listener listener;
};

static struct journal_room *open_room(struct fixture *fixture, const char *id, struct listener *listener)
{
	struct journal_room *room;

	*listener = (struct listener){.count = 0};
	mutex_init(&listener->mutex);
	condition_init(&listener->published);
	room = fixture->journal->ops->open_room(fixture->journal, id, &calls, listener);
	CHECK(room != NULL);
	return room;
}

static void start(struct fixture *fixture, const struct implementation *implementation, size_t kept)
{
	fixture->journal = implementation->create(kept);
	CHECK(fixture->journal != NULL);
	CHECK_TEXT(fixture->journal->ops->name, implementation->name);
	fixture->room = open_room(fixture, "lobby", &fixture->listener);
}

static void stop(struct fixture *fixture)
{
	fixture->journal->ops->close_room(fixture->room);
	fixture->journal->ops->destroy(fixture->journal);
}

static void append_to(struct fixture *fixture, struct journal_room *room, const char *text, struct member *author)
{
	struct draft draft = {.message = message_create(MESSAGE_TEXT, "lobby", "bob", text, strlen(text)), .author = author};

	CHECK(draft.message != NULL);
	CHECK_EQUAL(fixture->journal->ops->append(room, &draft), 0);
}

static void wait_for(struct listener *listener, uint64_t count)
{
	mutex_lock(&listener->mutex);
	while (listener->count < count)
		condition_wait(&listener->published, &listener->mutex);
	mutex_unlock(&listener->mutex);
}

/* Appends messages whose texts are the numbers 'from' to 'to', and waits for them. */
static void append_numbers(struct fixture *fixture, unsigned from, unsigned to)
{
	for (unsigned number = from; number <= to; number++) {
		char text[16];

		(void)snprintf(text, sizeof text, "%u", number);
		append_to(fixture, fixture->room, text, NULL);
	}
	wait_for(&fixture->listener, to);
}

/* Reads and checks that the messages are 'first' to 'last', with the texts that append_numbers() gave them. */
static void check_read(struct fixture *fixture, uint64_t from, size_t capacity, uint64_t first, uint64_t last)
{
	struct message **messages = calloc(capacity == 0 ? 1 : capacity, sizeof *messages);
	size_t count;

	CHECK(messages != NULL);
	count = fixture->journal->ops->read(fixture->room, from, messages, capacity);
	CHECK_EQUAL(count, last + 1 - first);
	for (size_t i = 0; i < count; i++) {
		char text[32];

		(void)snprintf(text, sizeof text, "%llu", (unsigned long long)(first + i));
		CHECK_EQUAL(messages[i]->seq, first + i);
		CHECK_EQUAL(messages[i]->kind, MESSAGE_TEXT);
		CHECK_TEXT(messages[i]->room, "lobby");
		CHECK_TEXT(messages[i]->participant, "bob");
		CHECK_BYTES(messages[i]->text, messages[i]->text_size, text, strlen(text));
		CHECK(messages[i]->at_ns > 0);
		message_release(messages[i]);
	}
	free(messages);
}

/* Runs the test body for each implementation. */
#define CONTRACT(sentence)                                                                                             \
	static void contract_##sentence(const struct implementation *implementation);                                 \
	static void run_##sentence(void)                                                                              \
	{                                                                                                              \
		for (size_t i = 0; i < sizeof implementations / sizeof *implementations; i++)                          \
			contract_##sentence(&implementations[i]);                                                      \
	}                                                                                                              \
	static void contract_##sentence(const struct implementation *implementation)

CONTRACT(numbers)
{
	struct fixture fixture;

	start(&fixture, implementation, MANY);
	CHECK_EQUAL(fixture.journal->ops->next_seq(fixture.room), 1);
	append_numbers(&fixture, 1, 1000);
	CHECK_EQUAL(fixture.journal->ops->next_seq(fixture.room), 1001);
	CHECK_EQUAL(fixture.listener.refused, 0);
	CHECK_TEXT(fixture.listener.last_text, "1000");
	stop(&fixture);
}

TEST(messages_are_numbered_from_one_without_holes)
{
	run_numbers();
}

CONTRACT(drafts)
{
	struct fixture fixture;
	struct member *author = (struct member *)&fixture; /* only handed through */

	start(&fixture, implementation, MANY);
	append_to(&fixture, fixture.room, "hi", author);
	wait_for(&fixture.listener, 1);
	CHECK(fixture.listener.last_author == author);
	CHECK_TEXT(fixture.listener.last_text, "hi");
	append_to(&fixture, fixture.room, "", NULL);
	wait_for(&fixture.listener, 2);
	CHECK(fixture.listener.last_author == NULL);
	CHECK_TEXT(fixture.listener.last_text, "");
	stop(&fixture);
}

TEST(a_draft_is_published_with_its_author)
{
	run_drafts();
}

CONTRACT(reading)
{
	struct fixture fixture;

	start(&fixture, implementation, MANY);
	check_read(&fixture, 1, 10, 1, 0);
	append_numbers(&fixture, 1, 100);
	check_read(&fixture, 1, 1000, 1, 100);
	check_read(&fixture, 0, 1000, 1, 100);
	check_read(&fixture, 100, 10, 100, 100);
	check_read(&fixture, 101, 10, 101, 100);
	check_read(&fixture, 1000000, 10, 1, 0);
	check_read(&fixture, UINT64_MAX, 10, 1, 0);
	check_read(&fixture, 50, 0, 1, 0);
	stop(&fixture);
}

TEST(what_is_kept_is_read_in_order)
{
	run_reading();
}

CONTRACT(paging)
{
	struct fixture fixture;

	start(&fixture, implementation, MANY);
	append_numbers(&fixture, 1, 100);
	for (uint64_t from = 1; from <= 100; from += 7)
		check_read(&fixture, from, 7, from, from + 6 < 100 ? from + 6 : 100);
	stop(&fixture);
}

TEST(what_is_kept_is_read_in_pages)
{
	run_paging();
}

CONTRACT(forgetting)
{
	struct fixture fixture;

	start(&fixture, implementation, KEPT);
	for (unsigned last = 1; last <= 3 * KEPT + 7; last++) {
		append_numbers(&fixture, last, last);
		check_read(&fixture, 1, MANY, last <= KEPT ? 1 : last + 1 - KEPT, last);
	}
	check_read(&fixture, 1, 3, 2 * KEPT + 8, 2 * KEPT + 10);
	check_read(&fixture, 3 * KEPT, 3, 3 * KEPT, 3 * KEPT + 2);
	stop(&fixture);
}

TEST(the_last_messages_are_kept)
{
	run_forgetting();
}

CONTRACT(rooms)
{
	struct fixture fixture;
	struct listener other;
	struct journal_room *room;

	start(&fixture, implementation, MANY);
	room = open_room(&fixture, "tea", &other);
	append_numbers(&fixture, 1, 10);
	append_to(&fixture, room, "tea", NULL);
	wait_for(&other, 1);
	CHECK_EQUAL(fixture.journal->ops->next_seq(room), 2);
	CHECK_EQUAL(fixture.journal->ops->next_seq(fixture.room), 11);
	CHECK_TEXT(other.last_text, "tea");
	check_read(&fixture, 1, 100, 1, 10);
	fixture.journal->ops->close_room(room);
	check_read(&fixture, 1, 100, 1, 10);
	stop(&fixture);
}

TEST(each_room_has_its_own_numbers)
{
	run_rooms();
}

CONTRACT(references)
{
	struct fixture fixture;
	struct message *messages[3];

	start(&fixture, implementation, 3);
	append_numbers(&fixture, 1, 3);
	CHECK_EQUAL(fixture.journal->ops->read(fixture.room, 1, messages, 3), 3);
	append_numbers(&fixture, 4, 10);
	stop(&fixture);
	for (int i = 0; i < 3; i++) {
		CHECK_EQUAL(messages[i]->seq, i + 1);
		CHECK_EQUAL(messages[i]->text[0], '1' + i);
		message_release(messages[i]);
	}
}

TEST(what_was_read_stays_when_the_journal_forgets_it)
{
	run_references();
}

/* ---- Threads. ---- */

static void *append_many(void *argument)
{
	struct fixture *fixture = argument;

	for (int i = 0; i < APPENDS; i++)
		append_to(fixture, fixture->room, "x", NULL);
	return NULL;
}

/* Reads as others append: pages follow each other without holes, but for what was forgotten. */
static void *read_along(void *argument)
{
	struct fixture *fixture = argument;
	struct message *messages[10];
	uint64_t next = 1;

	while (next <= APPENDERS * APPENDS) {
		size_t count = fixture->journal->ops->read(fixture->room, next, messages, 10);

		CHECK(count == 0 || messages[0]->seq >= next);
		for (size_t i = 0; i < count; i++) {
			CHECK(i == 0 || messages[i]->seq == next);
			next = messages[i]->seq + 1;
			CHECK_EQUAL(messages[i]->text_size, 1);
			message_release(messages[i]);
		}
		if (count == 0)
			wait_for(&fixture->listener, next);
	}
	return NULL;
}

static void append_at_once(const struct implementation *implementation, size_t kept)
{
	struct fixture fixture;
	pthread_t appenders[APPENDERS];
	pthread_t readers[2];

	start(&fixture, implementation, kept);
	for (int i = 0; i < 2; i++)
		CHECK_EQUAL(thread_start(&readers[i], 0, read_along, &fixture), 0);
	for (int i = 0; i < APPENDERS; i++)
		CHECK_EQUAL(thread_start(&appenders[i], 0, append_many, &fixture), 0);
	for (int i = 0; i < APPENDERS; i++)
		thread_join(appenders[i]);
	for (int i = 0; i < 2; i++)
		thread_join(readers[i]);
	wait_for(&fixture.listener, APPENDERS * APPENDS);
	CHECK_EQUAL(fixture.journal->ops->next_seq(fixture.room), APPENDERS * APPENDS + 1);
	stop(&fixture);
}

CONTRACT(threads)
{
	append_at_once(implementation, MANY);
	append_at_once(implementation, KEPT);
}

TEST(many_may_append_and_read_at_once)
{
	run_threads();
}
