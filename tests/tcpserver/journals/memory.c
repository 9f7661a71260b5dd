#include "tcpserver/journals/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/message.h"

#include "tests/check.h"

/* While set, the journal's calloc() fails: the linker sends it here. */
static bool no_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	return no_memory ? NULL : __real_calloc(count, size);
}

static const struct room_attributes lobby = {.id = "lobby", .name = "lobby", .creator = ""};

static uint64_t published;
static uint64_t repeated;

static void publish(void *room, const struct draft *draft)
{
	(void)room;
	CHECK_EQUAL(draft->message->seq, ++published);
}

static void repeat(void *room, const struct draft *draft, uint64_t seq, const char *label)
{
	(void)label;
	(void)room;
	(void)draft;
	repeated = seq;
}

static void never(void *room, const struct draft *draft, int error)
{
	(void)room;
	(void)draft;
	FAIL("the memory journal refused, with %d", error);
}

static void flush(void *room)
{
	(void)room;
	FAIL("the memory journal leaves the flush to the caller");
}

static const struct journal_listener listener = {
	.publish = publish, .repeat = repeat, .refuse = never, .flush = flush};

static int append(struct journal *journal, struct journal_room *room, const char *text, size_t size)
{
	struct draft draft = {.message = message_create(MESSAGE_TEXT, "lobby", "bob", text, size)};
	int error;

	CHECK(draft.message != NULL);
	error = journal->ops->append(room, &draft);
	if (error != 0)
		message_release(draft.message);
	return error;
}

/* How many messages are kept. */
static size_t kept_count(struct journal *journal, struct journal_room *room)
{
	static struct message *messages[10000];
	size_t count = journal->ops->read(room, 1, messages, sizeof messages / sizeof *messages);

	for (size_t i = 0; i < count; i++)
		message_release(messages[i]);
	return count;
}

TEST(at_least_one_message_is_kept)
{
	struct journal *journal = memory_journal_create(0);
	struct journal_room *room = journal->ops->open_room(journal, &lobby, &listener, NULL);

	CHECK(room != NULL);
	CHECK_EQUAL(append(journal, room, "a", 1), 0);
	CHECK_EQUAL(append(journal, room, "b", 1), 0);
	CHECK_EQUAL(kept_count(journal, room), 1);
	CHECK_EQUAL(published, 2);
	journal->ops->close_room(room);
	journal->ops->destroy(journal);
}

TEST(a_room_takes_no_more_than_its_memory)
{
	enum { SIZE = 65535, COUNT = 2 * MEMORY_JOURNAL_ROOM_MEMORY / SIZE };
	struct journal *journal = memory_journal_create(MEMORY_JOURNAL_KEPT);
	struct journal_room *room = journal->ops->open_room(journal, &lobby, &listener, NULL);
	char *text = malloc(SIZE);
	size_t count;

	CHECK(room != NULL && text != NULL);
	memset(text, 'x', SIZE);
	for (int i = 0; i < COUNT; i++)
		CHECK_EQUAL(append(journal, room, text, SIZE), 0);
	count = kept_count(journal, room);
	CHECK(count * SIZE <= MEMORY_JOURNAL_ROOM_MEMORY && (count + 2) * (SIZE + 200) > MEMORY_JOURNAL_ROOM_MEMORY);
	for (int i = 0; i < MEMORY_JOURNAL_KEPT; i++)
		CHECK_EQUAL(append(journal, room, "x", 1), 0);
	CHECK_EQUAL(kept_count(journal, room), MEMORY_JOURNAL_KEPT);
	free(text);
	journal->ops->close_room(room);
	journal->ops->destroy(journal);
}

TEST(without_memory_for_the_first_message_it_is_not_taken)
{
	struct journal *journal = memory_journal_create(100);
	struct journal_room *room = journal->ops->open_room(journal, &lobby, &listener, NULL);

	CHECK(room != NULL);
	no_memory = true;
	CHECK_EQUAL(append(journal, room, "a", 1), -ENOMEM);
	no_memory = false;
	CHECK_EQUAL(published, 0);
	CHECK_EQUAL(append(journal, room, "a", 1), 0);
	CHECK_EQUAL(published, 1);
	journal->ops->close_room(room);
	journal->ops->destroy(journal);
}

TEST(without_memory_for_more_the_oldest_is_forgotten)
{
	struct journal *journal = memory_journal_create(1000);
	struct journal_room *room = journal->ops->open_room(journal, &lobby, &listener, NULL);
	size_t count;

	CHECK(room != NULL);
	CHECK_EQUAL(append(journal, room, "a", 1), 0);
	no_memory = true;
	for (int i = 0; i < 100; i++)
		CHECK_EQUAL(append(journal, room, "a", 1), 0);
	count = kept_count(journal, room);
	CHECK(count >= 1 && count < 101);
	no_memory = false;
	for (int i = 0; i < 899; i++)
		CHECK_EQUAL(append(journal, room, "a", 1), 0);
	CHECK_EQUAL(kept_count(journal, room), count + 899);
	CHECK_EQUAL(published, 1000);
	journal->ops->close_room(room);
	journal->ops->destroy(journal);
}

TEST(a_room_without_memory_is_not_opened)
{
	struct journal *journal = memory_journal_create(10);

	no_memory = true;
	CHECK(journal->ops->open_room(journal, &lobby, &listener, NULL) == NULL);
	no_memory = false;
	journal->ops->destroy(journal);
}

/* Says message 'number' of a client. */
static void append_number(struct journal *journal, struct journal_room *room, uint64_t number)
{
	struct draft draft = {.message = message_create(MESSAGE_TEXT, "lobby", "bob", "x", 1), .client = "c", .number = number};

	CHECK(draft.message != NULL);
	CHECK_EQUAL(journal->ops->append(room, &draft), 0);
}

TEST(the_last_numbers_of_clients_are_known)
{
	struct journal *journal = memory_journal_create(10);
	struct journal_room *room = journal->ops->open_room(journal, &lobby, &listener, NULL);

	CHECK(room != NULL);
	for (uint64_t number = 1; number <= MEMORY_JOURNAL_NUMBERS + 1; number++)
		append_number(journal, room, number);
	CHECK_EQUAL(published, MEMORY_JOURNAL_NUMBERS + 1);
	append_number(journal, room, 2);
	CHECK_EQUAL(repeated, 2);
	append_number(journal, room, MEMORY_JOURNAL_NUMBERS + 1);
	CHECK_EQUAL(repeated, MEMORY_JOURNAL_NUMBERS + 1);
	CHECK_EQUAL(published, MEMORY_JOURNAL_NUMBERS + 1);
	append_number(journal, room, 1); /* the oldest went */
	CHECK_EQUAL(published, MEMORY_JOURNAL_NUMBERS + 2);
	append_number(journal, room, 1);
	CHECK_EQUAL(repeated, MEMORY_JOURNAL_NUMBERS + 2);
	journal->ops->close_room(room);
	journal->ops->destroy(journal);
}
