/*
 * The contract of journals (tcpserver/core/journal.h), run against each of them.
 */
#include "tcpserver/core/journal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tcpserver/core/message.h"
#include "tcpserver/journals/memory.h"
#include "tcpserver/journals/shared.h"
#include "tcpserver/journals/sqlite.h"
#ifdef TCPCHAT_POSTGRES
#include "tcpserver/journals/postgres.h"
#endif
#ifdef TCPCHAT_REDIS
#include "tcpserver/journals/redis.h"
#endif
#ifdef TCPCHAT_AMQP
#include "tcpserver/journals/amqp.h"
#endif

#include "tests/check.h"

enum { KEPT = 50, MANY = 100000, APPENDERS = 6, APPENDS = 300 };

/* A journal to be tested. */
struct implementation {
	const char *name;
	struct journal *(*create)(const char *directory, size_t kept);
	bool bounded; /* it keeps the last messages of a room, as many as it is told; others keep all      */
	bool durable; /* what it keeps of rooms and messages is there when they, or it, are opened again */
	bool marks;   /* it keeps up to where people have read                                            */
	bool engine;  /* it is on the engine that TEST_ENGINE_URL names; TEST_ENGINE_EMPTY is a command that empties that */
};

static struct journal *create_memory(const char *directory, size_t kept)
{
	(void)directory;
	return memory_journal_create(kept);
}

static struct journal *create_sqlite(const char *directory, size_t kept)
{
	char path[256];
	char fault[512];
	struct sqlite_options options = {.path = path};
	struct journal *journal = NULL;

	(void)kept;
	(void)snprintf(path, sizeof path, "%s/chat.db", directory);
	if (sqlite_journal_open(&options, &journal, fault, sizeof fault) != 0)
		FAIL("%s", fault);
	return journal;
}

#if defined TCPCHAT_POSTGRES || defined TCPCHAT_REDIS || defined TCPCHAT_AMQP
static struct journal *create_shared(
	int (*create)(const struct engine_options *, struct engine **, char fault[ENGINE_FAULT_SIZE]))
{
	const struct engine_options options = {.url = getenv("TEST_ENGINE_URL"), .message_api = getenv("TEST_ENGINE_MESSAGE_API")};
	const struct shared_options settings = {.patience_ms = 30000};
	char fault[ENGINE_FAULT_SIZE];
	struct engine *engine;
	struct journal *journal = NULL;

	if (create(&options, &engine, fault) != 0 || shared_journal_open(engine, &settings, &journal, fault) != 0)
		FAIL("%s", fault);
	return journal;
}
#endif

#ifdef TCPCHAT_POSTGRES
static struct journal *create_postgres(const char *directory, size_t kept)
{
	(void)directory;
	(void)kept;
	return create_shared(postgres_engine_create);
}
#endif

#ifdef TCPCHAT_REDIS
static struct journal *create_redis(const char *directory, size_t kept)
{
	(void)directory;
	(void)kept;
	return create_shared(redis_engine_create);
}
#endif

#ifdef TCPCHAT_AMQP
static struct journal *create_amqp(const char *directory, size_t kept)
{
	(void)directory;
	(void)kept;
	return create_shared(amqp_engine_create);
}
#endif

static const struct implementation implementations[] = {
	{"memory", create_memory, .bounded = true},
	{"sqlite", create_sqlite, .durable = true, .marks = true},
#ifdef TCPCHAT_POSTGRES
	{"postgres", create_postgres, .durable = true, .marks = true, .engine = true},
#endif
#ifdef TCPCHAT_REDIS
	{"redis", create_redis, .durable = true, .marks = true, .engine = true},
#endif
#ifdef TCPCHAT_AMQP
	{"amqp", create_amqp, .durable = true, .engine = true},
#endif
};

/* With an engine there, that one alone; else those that need none. */
static bool is_tested(const struct implementation *implementation)
{
	const char *url = getenv("TEST_ENGINE_URL");

	if (url == NULL)
		return !implementation->engine;
	return implementation->engine && strncmp(url, implementation->name, strlen(implementation->name)) == 0;
}

/* A room, as a journal sees it: it notes what it is called with. */
struct listener {
	pthread_mutex_t mutex;
	pthread_cond_t called;
	uint64_t count; /* published */
	uint64_t refused;
	uint64_t repeated;
	uint64_t flushed;
	int held;
	int last_error;
	uint64_t last_seq;
	uint64_t last_repeat;
	int64_t last_ns;
	const struct member *last_author;
	char last_text[64];
	char last_request[32];
};

/* Counts one of the calls, under the mutex of the listener. */
static void note(struct listener *listener, uint64_t *count)
{
	++*count;
	condition_broadcast(&listener->called);
}

static void publish(void *room, const struct draft *draft)
{
	struct listener *listener = room;
	const struct message *message = draft->message;

	mutex_lock(&listener->mutex);
	if (draft->client[0] != 'r') /* one that is restored may leave numbers out */
		CHECK_EQUAL(message->seq, listener->last_seq + 1);
	CHECK(message->seq > listener->last_seq);
	CHECK(message->at_ns > 0 && (message->at_ns >= listener->last_ns || draft->client[0] == 'r'));
	listener->last_seq = message->seq;
	listener->last_ns = message->at_ns;
	listener->last_author = draft->author;
	(void)snprintf(listener->last_text, sizeof listener->last_text, "%.*s", (int)message->text_size, message->text);
	(void)snprintf(listener->last_request, sizeof listener->last_request, "%s",
		draft->request_id == NULL ? "" : draft->request_id);
	note(listener, &listener->count);
	mutex_unlock(&listener->mutex);
}

static void repeat(void *room, const struct draft *draft, uint64_t seq, const char *label)
{
	(void)label;
	struct listener *listener = room;

	CHECK(draft->number != 0);
	mutex_lock(&listener->mutex);
	listener->last_repeat = seq;
	note(listener, &listener->repeated);
	mutex_unlock(&listener->mutex);
}

static void refuse(void *room, const struct draft *draft, int error)
{
	struct listener *listener = room;

	(void)draft;
	CHECK(error > 0);
	mutex_lock(&listener->mutex);
	listener->last_error = error;
	note(listener, &listener->refused);
	mutex_unlock(&listener->mutex);
}

static void flush(void *room)
{
	struct listener *listener = room;

	mutex_lock(&listener->mutex);
	CHECK(listener->held > 0);
	note(listener, &listener->flushed);
	mutex_unlock(&listener->mutex);
}

static void hold(void *room)
{
	struct listener *listener = room;

	mutex_lock(&listener->mutex);
	listener->held++;
	mutex_unlock(&listener->mutex);
}

static void release(void *room)
{
	struct listener *listener = room;

	mutex_lock(&listener->mutex);
	CHECK(listener->held > 0);
	listener->held--;
	condition_broadcast(&listener->called);
	mutex_unlock(&listener->mutex);
}

static const struct journal_listener calls = {
	.publish = publish, .repeat = repeat, .refuse = refuse, .flush = flush, .hold = hold, .release = release};

/* What a test has of one implementation. */
struct fixture {
	const struct implementation *implementation;
	char directory[64];
	size_t kept;
	struct journal *journal;
	struct journal_room *room;
	struct listener listener;
};

static struct journal_room *open_with(
	struct fixture *fixture, const struct room_attributes *attributes, struct listener *listener)
{
	struct journal_room *room;

	*listener = (struct listener){.count = 0};
	mutex_init(&listener->mutex);
	condition_init(&listener->called);
	room = fixture->journal->ops->open_room(fixture->journal, attributes, &calls, listener);
	CHECK(room != NULL);
	listener->last_seq = fixture->journal->ops->next_seq(room) - 1;
	return room;
}

static struct journal_room *open_room(struct fixture *fixture, const char *id, struct listener *listener)
{
	const struct room_attributes attributes = {.id = id, .name = id, .creator = "", .listed = true};

	return open_with(fixture, &attributes, listener);
}

/* Closes a room when nothing of it is on its way. */
static void close_room(struct fixture *fixture, struct journal_room *room, struct listener *listener)
{
	mutex_lock(&listener->mutex);
	while (listener->held > 0)
		condition_wait(&listener->called, &listener->mutex);
	mutex_unlock(&listener->mutex);
	fixture->journal->ops->close_room(room);
}

static void start_journal(struct fixture *fixture)
{
	fixture->journal = fixture->implementation->create(fixture->directory, fixture->kept);
	CHECK(fixture->journal != NULL);
	CHECK_TEXT(fixture->journal->ops->name, fixture->implementation->name);
	fixture->room = open_room(fixture, "lobby", &fixture->listener);
}

static void start(struct fixture *fixture, const struct implementation *implementation, size_t kept)
{
	*fixture = (struct fixture){.implementation = implementation, .kept = kept, .directory = "/tmp/journal-XXXXXX"};
	CHECK(mkdtemp(fixture->directory) != NULL);
	if (implementation->engine)
		CHECK_EQUAL(system(getenv("TEST_ENGINE_EMPTY")), 0); /* NOLINT(cert-env33-c): the test's own */
	start_journal(fixture);
}

static void stop_journal(struct fixture *fixture)
{
	close_room(fixture, fixture->room, &fixture->listener);
	fixture->journal->ops->destroy(fixture->journal);
}

/* After the end the file alone is everything; no log is left beside it. */
static void stop(struct fixture *fixture)
{
	char path[256];

	stop_journal(fixture);
	(void)snprintf(path, sizeof path, "%s/chat.db", fixture->directory);
	CHECK_EQUAL(unlink(path), fixture->implementation->durable && !fixture->implementation->engine ? 0 : -1);
	CHECK_EQUAL(rmdir(fixture->directory), 0);
}

static void restart(struct fixture *fixture)
{
	stop_journal(fixture);
	start_journal(fixture);
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
		condition_wait(&listener->called, &listener->mutex);
	mutex_unlock(&listener->mutex);
}

/* Waits until so many drafts were published, repeated or refused. */
static void wait_for_answers(struct listener *listener, uint64_t count)
{
	mutex_lock(&listener->mutex);
	while (listener->count + listener->repeated + listener->refused < count)
		condition_wait(&listener->called, &listener->mutex);
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
		for (size_t i = 0; i < sizeof implementations / sizeof *implementations; i++) {                          \
			if (is_tested(&implementations[i])) \
				contract_##sentence(&implementations[i]); \
		} \
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
	if (!implementation->bounded) {
		append_numbers(&fixture, 1, 3 * KEPT);
		check_read(&fixture, 1, MANY, 1, 3 * KEPT);
		stop(&fixture);
		return;
	}
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
	close_room(&fixture, room, &other);
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

/* ---- Numbers of clients, and messages that are restored. ---- */

static int append_draft(struct fixture *fixture, const char *text, const char *client, uint64_t number)
{
	struct draft draft = {
		.message = message_create(MESSAGE_TEXT, "lobby", "bob", text, strlen(text)),
		.request_id = "\"7\"",
		.number = number,
	};
	int error;

	CHECK(draft.message != NULL);
	memcpy(draft.client, client, strlen(client));
	error = fixture->journal->ops->append(fixture->room, &draft);
	if (error != 0)
		message_release(draft.message);
	return error;
}

CONTRACT(repeats)
{
	struct fixture fixture;

	start(&fixture, implementation, MANY);
	CHECK_EQUAL(append_draft(&fixture, "1", "ann", 5), 0);
	CHECK_EQUAL(append_draft(&fixture, "1", "ann", 5), 0);
	CHECK_EQUAL(append_draft(&fixture, "2", "bob", 5), 0);
	CHECK_EQUAL(append_draft(&fixture, "3", "ann", 6), 0);
	wait_for_answers(&fixture.listener, 4);
	CHECK_EQUAL(fixture.listener.count, 3);
	CHECK_EQUAL(fixture.listener.last_repeat, 1);
	CHECK_TEXT(fixture.listener.last_request, "\"7\"");
	CHECK_EQUAL(append_draft(&fixture, "3", "ann", 6), 0);
	wait_for_answers(&fixture.listener, 5);
	CHECK_EQUAL(fixture.listener.last_repeat, 3);
	CHECK_EQUAL(append_draft(&fixture, "4", "ann", 0), 0);
	CHECK_EQUAL(append_draft(&fixture, "5", "ann", 0), 0);
	wait_for(&fixture.listener, 5);
	check_read(&fixture, 1, 100, 1, 5);
	if (implementation->durable) {
		restart(&fixture);
		CHECK_EQUAL(append_draft(&fixture, "2", "bob", 5), 0);
		wait_for_answers(&fixture.listener, 1);
		CHECK_EQUAL(fixture.listener.last_repeat, 2);
		check_read(&fixture, 1, 100, 1, 5);
	}
	stop(&fixture);
}

TEST(a_message_with_a_number_is_kept_once)
{
	run_repeats();
}

/* Appends a message that has its number and its time. Returns how often it was refused, now or later. */
static uint64_t restore(struct fixture *fixture, uint64_t seq, int64_t at_ns)
{
	struct draft draft = {.message = message_create(MESSAGE_TEXT, "lobby", "bob", "old", 3), .client = "r"};
	struct listener *listener = &fixture->listener;
	uint64_t refused = listener->refused;
	uint64_t answers = listener->count + listener->repeated + refused;

	CHECK(draft.message != NULL);
	draft.message->seq = seq;
	draft.message->at_ns = at_ns;
	if (fixture->journal->ops->append(fixture->room, &draft) != 0) {
		message_release(draft.message);
		return 1;
	}
	wait_for_answers(listener, answers + 1);
	return listener->refused - refused;
}

CONTRACT(restoring)
{
	const int64_t long_ago_ns = INT64_C(1000000000000) * 1000000;
	struct fixture fixture;
	struct message *messages[4];

	start(&fixture, implementation, MANY);
	CHECK_EQUAL(restore(&fixture, 17, long_ago_ns), 0);
	CHECK_EQUAL(restore(&fixture, 18, long_ago_ns + 1000000), 0);
	CHECK_EQUAL(restore(&fixture, 18, long_ago_ns + 2000000), 1);
	CHECK_EQUAL(restore(&fixture, 3, long_ago_ns + 2000000), 1);
	CHECK_EQUAL(fixture.journal->ops->next_seq(fixture.room), 19);
	append_to(&fixture, fixture.room, "new", NULL);
	wait_for(&fixture.listener, 3);
	CHECK_EQUAL(fixture.journal->ops->read(fixture.room, 1, messages, 4), 3);
	CHECK_EQUAL(messages[0]->seq, 17);
	CHECK_EQUAL(messages[0]->at_ns, long_ago_ns);
	CHECK_EQUAL(messages[1]->at_ns, long_ago_ns + 1000000);
	CHECK_EQUAL(messages[2]->seq, 19);
	CHECK(messages[2]->at_ns > messages[1]->at_ns);
	for (int i = 0; i < 3; i++)
		message_release(messages[i]);
	stop(&fixture);
}

TEST(what_is_restored_keeps_its_number_and_its_time)
{
	run_restoring();
}

/* ---- What lasts. ---- */

#define DURABLE_ONLY()                                                                                                 \
	do {                                                                                                           \
		if (!implementation->durable)                                                                          \
			return;                                                                                        \
	} while (0)

CONTRACT(restarts)
{
	struct fixture fixture;
	unsigned last = 0;

	DURABLE_ONLY();
	start(&fixture, implementation, MANY);
	for (int i = 0; i < 3; i++) {
		for (unsigned number = last + 1; number <= last + 100; number++) {
			char text[16];

			(void)snprintf(text, sizeof text, "%u", number);
			append_to(&fixture, fixture.room, text, NULL);
		}
		last += 100;
		wait_for(&fixture.listener, 100);
		restart(&fixture);
		CHECK_EQUAL(fixture.journal->ops->next_seq(fixture.room), last + 1);
		check_read(&fixture, 1, MANY, 1, last);
	}
	stop(&fixture);
}

TEST(after_a_restart_the_numbers_go_on)
{
	run_restarts();
}

static const struct room_attributes tea = {
	.id = "00000000000000000tea",
	.name = "Tea Room",
	.creator = "Ann",
	.topic = "all about tea",
	.created_ns = INT64_C(1700000000123) * 1000000,
	.capacity = 12,
	.listed = true,
	.persistent = true,
	.waits = true,
};

static void check_tea(const struct room_record *record, const char *topic)
{
	const struct room_attributes *attributes = &record->attributes;

	CHECK_TEXT(attributes->id, tea.id);
	CHECK_TEXT(attributes->name, tea.name);
	CHECK_TEXT(attributes->creator, tea.creator);
	CHECK_TEXT(attributes->topic, topic);
	CHECK_EQUAL(attributes->created_ns, tea.created_ns);
	CHECK_EQUAL(attributes->capacity, tea.capacity);
	CHECK(attributes->listed && attributes->persistent && attributes->waits && !attributes->ends_with_member);
	CHECK(attributes->id == record->id && attributes->name == record->name);
}

/* Says something in a new room, and closes it. */
static void make_room(struct fixture *fixture, const struct room_attributes *attributes)
{
	struct listener listener;
	struct journal_room *room = open_with(fixture, attributes, &listener);

	append_to(fixture, room, "hi", NULL);
	wait_for(&listener, 1);
	close_room(fixture, room, &listener);
}

static int find(struct fixture *fixture, const char *key, const char *id, struct room_record *record)
{
	return fixture->journal->ops->find_room(fixture->journal, key, id, record);
}

CONTRACT(finding)
{
	struct fixture fixture;
	struct room_record record;

	DURABLE_ONLY();
	start(&fixture, implementation, MANY);
	CHECK_EQUAL(find(&fixture, "tea room", tea.id, &record), -ENOENT);
	make_room(&fixture, &tea);
	for (int i = 0; i < 2; i++) {
		CHECK_EQUAL(find(&fixture, "tea room", "", &record), 0);
		check_tea(&record, tea.topic);
		CHECK_EQUAL(find(&fixture, "no such room", tea.id, &record), 0);
		check_tea(&record, tea.topic);
		CHECK_EQUAL(find(&fixture, "Tea Room", "", &record), -ENOENT); /* it is no key */
		CHECK_EQUAL(find(&fixture, "tea", "00000000000000000te", &record), -ENOENT);
		restart(&fixture);
	}
	stop(&fixture);
}

TEST(a_room_is_found_with_what_it_is_like)
{
	run_finding();
}

CONTRACT(topics)
{
	struct fixture fixture;
	struct listener listener;
	struct room_record record;
	struct draft draft = {.message = message_create(MESSAGE_TOPIC, "Tea Room", "ann", "coffee", 6)};
	struct journal_room *room;

	if (!implementation->durable) {
		message_release(draft.message);
		return;
	}
	start(&fixture, implementation, MANY);
	room = open_with(&fixture, &tea, &listener);
	CHECK_EQUAL(fixture.journal->ops->append(room, &draft), 0);
	wait_for(&listener, 1);
	fixture.journal->ops->set_waits(room, false);
	close_room(&fixture, room, &listener);
	restart(&fixture);
	CHECK_EQUAL(find(&fixture, "tea room", "", &record), 0);
	CHECK_TEXT(record.attributes.topic, "coffee");
	CHECK(!record.attributes.waits);
	stop(&fixture);
}

TEST(the_topic_and_who_waits_are_kept)
{
	run_topics();
}

static ssize_t list(struct fixture *fixture, const char *after, bool listed, struct room_record *records, size_t capacity)
{
	return fixture->journal->ops->list_rooms(fixture->journal, after, listed, records, capacity);
}

CONTRACT(listing)
{
	enum { ROOMS = 300 };
	struct fixture fixture;
	struct room_record *records = calloc(ROOMS, sizeof *records);
	char id[ROOM_ID_SIZE];

	CHECK(records != NULL);
	if (implementation->durable) {
		start(&fixture, implementation, MANY);
		for (int i = ROOMS; i > 0; i--) {
			struct room_attributes attributes = {.id = id, .creator = "", .listed = i % 3 == 0};

			(void)snprintf(id, sizeof id, "%020d", i);
			make_room(&fixture, &attributes);
		}
		CHECK_EQUAL(list(&fixture, "", false, records, ROOMS), ROOMS);
		for (int i = 0; i < ROOMS; i++) {
			(void)snprintf(id, sizeof id, "%020d", i + 1);
			CHECK_TEXT(records[i].attributes.id, id);
			CHECK_TEXT(records[i].attributes.name, NULL);
		}
		CHECK_EQUAL(list(&fixture, records[4].id, false, records, 3), 3);
		CHECK_TEXT(records[0].id, "00000000000000000006");
		CHECK_EQUAL(list(&fixture, "00000000000000000290", true, records, 10), implementation->engine ? 5 : 4); /* engines have an empty lobby, too */
		CHECK_TEXT(records[3].id, "00000000000000000300");
		CHECK_EQUAL(list(&fixture, "~", false, records, 10), 0);
		stop(&fixture);
	}
	free(records);
}

TEST(rooms_are_listed_in_the_order_of_their_ids)
{
	run_listing();
}

CONTRACT(forgotten)
{
	struct fixture fixture;
	struct listener listener;
	struct room_record records[4];
	struct journal_room *room;

	DURABLE_ONLY();
	start(&fixture, implementation, MANY);
	make_room(&fixture, &tea);
	room = open_with(&fixture, &tea, &listener);
	CHECK_EQUAL(fixture.journal->ops->next_seq(room), 2);
	fixture.journal->ops->forget_room(room);
	CHECK_EQUAL(find(&fixture, "tea room", tea.id, records), -ENOENT);
	CHECK_EQUAL(list(&fixture, "", false, records, 4), implementation->engine ? 1 : 0); /* the lobby has no message */
	append_to(&fixture, room, "bye", NULL);
	wait_for_answers(&listener, 1); /* kept or refused: others may have seen that the room is over */
	CHECK_EQUAL(find(&fixture, "tea room", tea.id, records), -ENOENT);
	close_room(&fixture, room, &listener);
	CHECK_EQUAL(find(&fixture, "tea room", tea.id, records), -ENOENT);
	make_room(&fixture, &tea); /* another one: its numbers start with 1 */
	CHECK_EQUAL(find(&fixture, "tea room", tea.id, records), 0);
	restart(&fixture);
	CHECK_EQUAL(find(&fixture, "tea room", tea.id, records), 0);
	room = open_with(&fixture, &tea, &listener);
	CHECK_EQUAL(fixture.journal->ops->next_seq(room), 2);
	fixture.journal->ops->forget_room(room);
	close_room(&fixture, room, &listener);
	restart(&fixture);
	CHECK_EQUAL(find(&fixture, "tea room", tea.id, records), -ENOENT);
	stop(&fixture);
}

TEST(a_room_that_is_forgotten_is_not_found)
{
	run_forgotten();
}

CONTRACT(marks)
{
	const struct journal_ops *ops;
	struct fixture fixture;

	start(&fixture, implementation, MANY);
	ops = fixture.journal->ops;
	CHECK((ops->set_mark != NULL) == implementation->marks && (ops->mark != NULL) == implementation->marks);
	if (!implementation->marks) {
		stop(&fixture);
		return;
	}
	append_numbers(&fixture, 1, 10);
	CHECK_EQUAL(ops->mark(fixture.room, "ann"), 0);
	ops->set_mark(fixture.room, "ann", 7);
	CHECK_EQUAL(ops->mark(fixture.room, "ann"), 7);
	ops->set_mark(fixture.room, "ann", 3);
	CHECK_EQUAL(ops->mark(fixture.room, "ann"), 7);
	ops->set_mark(fixture.room, "bob", 2);
	restart(&fixture);
	ops = fixture.journal->ops;
	CHECK_EQUAL(ops->mark(fixture.room, "ann"), 7);
	CHECK_EQUAL(ops->mark(fixture.room, "bob"), 2);
	append_to(&fixture, fixture.room, "11", NULL);
	wait_for(&fixture.listener, 1);
	ops->set_mark(fixture.room, "ann", 1);
	CHECK_EQUAL(ops->mark(fixture.room, "ann"), 7);
	ops->set_mark(fixture.room, "ann", 11);
	restart(&fixture);
	CHECK_EQUAL(fixture.journal->ops->mark(fixture.room, "ann"), 11);
	stop(&fixture);
}

TEST(marks_only_grow_and_are_kept)
{
	run_marks();
}

CONTRACT(holding)
{
	struct fixture fixture;

	start(&fixture, implementation, MANY);
	append_numbers(&fixture, 1, 100);
	close_room(&fixture, fixture.room, &fixture.listener);
	CHECK_EQUAL(fixture.listener.held, 0);
	if (implementation->durable) /* it called back later, and flushed */
		CHECK(fixture.listener.flushed >= 1 && fixture.listener.flushed <= 100);
	fixture.room = open_room(&fixture, "lobby", &fixture.listener);
	stop(&fixture);
}

TEST(a_room_is_flushed_and_let_go_after_its_messages)
{
	run_holding();
}

/* ---- Threads. ---- */

/* Makes rooms of its own, and forgets every other one; sets marks; looks for them. */
static void *make_and_forget(void *argument)
{
	struct fixture *fixture = argument;
	const struct journal_ops *ops = fixture->journal->ops;
	static atomic_int threads;
	int number = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed); /* only a count */

	for (int i = 0; i < 40; i++) {
		char id[ROOM_ID_SIZE];
		const struct room_attributes attributes = {.id = id, .name = id, .creator = "ann", .waits = true};
		struct room_record record;
		struct listener listener;
		struct journal_room *room;

		(void)snprintf(id, sizeof id, "room%d", number * 1000 + i / 3);
		room = open_with(fixture, &attributes, &listener);
		append_to(fixture, room, "hi", NULL);
		wait_for(&listener, 1);
		ops->set_waits(room, false);
		if (ops->set_mark != NULL)
			ops->set_mark(room, "ann", (uint64_t)i);
		CHECK_EQUAL(ops->find_room(fixture->journal, id, "", &record), 0);
		if (i % 2 == 0)
			ops->forget_room(room);
		append_to(fixture, room, "hi", NULL);
		close_room(fixture, room, &listener);
		CHECK_EQUAL(ops->find_room(fixture->journal, id, id, &record), i % 2 == 0 ? -ENOENT : 0);
	}
	return NULL;
}

static void *list_along(void *argument)
{
	struct fixture *fixture = argument;
	struct room_record records[20];

	for (int i = 0; i < 200; i++) {
		CHECK(list(fixture, "", false, records, 20) >= 0);
		CHECK(fixture->journal->ops->mark == NULL || fixture->journal->ops->mark(fixture->room, "ann") == 0);
	}
	return NULL;
}

CONTRACT(crowds)
{
	enum { MAKERS = 4 };
	struct fixture fixture;
	pthread_t makers[MAKERS];
	pthread_t lister;

	DURABLE_ONLY();
	start(&fixture, implementation, MANY);
	CHECK_EQUAL(thread_start(&lister, 0, list_along, &fixture), 0);
	for (int i = 0; i < MAKERS; i++)
		CHECK_EQUAL(thread_start(&makers[i], 0, make_and_forget, &fixture), 0);
	for (int i = 0; i < MAKERS; i++)
		thread_join(makers[i]);
	thread_join(lister);
	stop(&fixture);
}

TEST(many_may_make_and_forget_rooms_at_once)
{
	run_crowds();
}

struct opening {
	struct fixture *fixture;
	struct listener listener;
	struct journal_room *room;
};

static void *open_tea_again(void *argument)
{
	struct opening *opening = argument;

	opening->room = open_with(opening->fixture, &tea, &opening->listener);
	return NULL;
}

CONTRACT(opening)
{
	struct fixture fixture;
	struct listener listener;
	struct opening opening = {.fixture = &fixture};
	struct journal_room *room;
	pthread_t thread;

	DURABLE_ONLY();
	start(&fixture, implementation, MANY);
	room = open_with(&fixture, &tea, &listener);
	CHECK_EQUAL(thread_start(&thread, 0, open_tea_again, &opening), 0);
	append_to(&fixture, room, "hi", NULL);
	wait_for(&listener, 1);
	close_room(&fixture, room, &listener);
	thread_join(thread);
	CHECK_EQUAL(fixture.journal->ops->next_seq(opening.room), 2);
	close_room(&fixture, opening.room, &opening.listener);
	stop(&fixture);
}

TEST(a_room_is_not_opened_before_it_was_closed)
{
	run_opening();
}

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
	if (implementation->bounded)
		append_at_once(implementation, KEPT);
}

TEST(many_may_append_and_read_at_once)
{
	run_threads();
}
