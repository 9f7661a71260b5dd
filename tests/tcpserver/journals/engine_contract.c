/*
 * The contract of engines (tcpserver/journals/engine.h), run against the one that TEST_ENGINE_URL names. The scripts in
 * tests/engines/ start what it needs; TEST_ENGINE_RESTART is a command that kills it and starts it again.
 *
 * The tests share the database with one another: each has rooms, names and servers of its own.
 */
#include "tcpserver/journals/engine.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/sync.h"
#include "common/text.h"
#include "tcpserver/core/message.h"
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

enum {
	WRITERS = 2,
	GROUPS = 40,
	GROUP = 250,
	LONGEST = 65535,
	DEADLINE_MS = 60000,
	TRY_MS = 20,
};

/* ---- Which engine. ---- */

struct implementation {
	const char *scheme;
	int (*create)(const struct engine_options *options, struct engine **engine, char fault[ENGINE_FAULT_SIZE]);
};

static const struct implementation implementations[] = {
#ifdef TCPCHAT_POSTGRES
	{"postgres:", postgres_engine_create},
	{"postgresql:", postgres_engine_create},
#endif
#ifdef TCPCHAT_REDIS
	{"redis:", redis_engine_create},
	{"rediss:", redis_engine_create},
#endif
#ifdef TCPCHAT_AMQP
	{"amqp:", amqp_engine_create},
	{"amqps:", amqp_engine_create},
#endif
	{NULL, NULL},
};

static struct engine *engine_of(const char *url)
{
	const struct engine_options options = {.url = url, .message_api = getenv("TEST_ENGINE_MESSAGE_API")};
	struct engine *engine = NULL;
	char fault[ENGINE_FAULT_SIZE];

	for (const struct implementation *one = implementations; one->scheme != NULL; one++) {
		if (strncmp(url, one->scheme, strlen(one->scheme)) != 0)
			continue;
		if (one->create(&options, &engine, fault) != 0)
			FAIL("%s", fault);
		return engine;
	}
	SKIP("the engine was left out of this build");
	return NULL;
}

/* ---- Two servers with the links that each has. ---- */

struct server {
	char id[ROOM_ID_SIZE];
	struct engine *engine;
	struct link *writes;
	struct link *news;
	struct link *reads;
};

static struct server one;
static struct server two;
static const struct engine_ops *ops;

/* 'count' hex digits by chance. */
static void hex_random(char *text, size_t count)
{
	unsigned char bytes[32];

	CHECK(getrandom(bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes);
	for (size_t i = 0; i < count; i++)
		text[i] = "0123456789abcdef"[bytes[i] & 15];
	text[count] = '\0';
}

static uint64_t number_random(void)
{
	uint64_t number;

	CHECK(getrandom(&number, sizeof number, 0) == (ssize_t)sizeof number);
	return (number >> 1) + 1;
}

static struct link *link_open(struct engine *engine, enum link_use use)
{
	char fault[ENGINE_FAULT_SIZE] = "";
	struct link *link = engine->ops->connect(engine, use, fault);

	if (link == NULL)
		FAIL("%s", fault);
	CHECK(engine->ops->works(link));
	return link;
}

/* Of an engine for one server the second one is a part of the first. */
static void server_start(struct server *server, const char *url)
{
	server->engine = server == &two && ops->beat == NULL ? one.engine : engine_of(url);
	ops = server->engine->ops;
	server->id[0] = '@';
	hex_random(server->id + 1, 19);
	server->writes = link_open(server->engine, LINK_WRITES);
	server->news = link_open(server->engine, LINK_NEWS);
	server->reads = link_open(server->engine, LINK_READS);
}

static void server_disconnect(struct server *server)
{
	ops->disconnect(server->writes);
	ops->disconnect(server->news);
	ops->disconnect(server->reads);
}

static void server_stop(struct server *server)
{
	server_disconnect(server);
	if (server == &one || server->engine != one.engine)
		ops->destroy(server->engine);
}

static const char *engine_url(void)
{
	const char *url = getenv("TEST_ENGINE_URL");

	if (url == NULL)
		SKIP("TEST_ENGINE_URL names no engine");
	return url;
}

static void start(void)
{
	server_start(&one, engine_url());
	server_start(&two, engine_url());
}

static void stop(void)
{
	server_stop(&two);
	server_stop(&one);
}

/* For what is about several servers. */
static void start_several(void)
{
	start();
	if (ops->beat == NULL) {
		stop();
		SKIP("the engine is for one server");
	}
}

static void start_shared(void)
{
	start_several();
	CHECK_EQUAL(ops->beat(one.writes, one.id), -ESTALE);
	CHECK_EQUAL(ops->beat(two.writes, two.id), -ESTALE);
}

static void stop_shared(void)
{
	CHECK_EQUAL(ops->retire(one.writes, one.id), 0);
	CHECK_EQUAL(ops->retire(two.writes, two.id), 0);
	stop();
}

/* ---- Rooms. ---- */

struct place {
	char id[ROOM_ID_SIZE];
	char name[NAME_SIZE];
	struct room_attributes attributes;
	struct room_record record;
};

static void place_init(struct place *place)
{
	*place = (struct place){.attributes = {.creator = "bob", .topic = "all there is", .created_ns = 5, .capacity = 7,
					.listed = true, .persistent = true}};
	hex_random(place->id, 20);
	(void)memcpy(place->name, "room-", 5);
	hex_random(place->name + 5, 12);
	place->attributes.id = place->id;
	place->attributes.name = place->name;
}

static void place_open(struct place *place)
{
	place_init(place);
	CHECK_EQUAL(ops->open_room(one.writes, &place->attributes, &place->record), 0);
}

TEST(a_room_is_made_once_and_found_by_all)
{
	struct place place;
	struct room_record record;

	start();
	place_open(&place);
	CHECK_EQUAL(place.record.last, 0);
	place.attributes.topic = "another";
	CHECK_EQUAL(ops->open_room(two.writes, &place.attributes, &record), 0);
	CHECK_TEXT(record.topic, "all there is");
	CHECK_EQUAL(ops->find_room(two.reads, place.name, "", &record), 0);
	CHECK_TEXT(record.attributes.id, place.id);
	CHECK_TEXT(record.attributes.name, place.name);
	CHECK_TEXT(record.attributes.creator, "bob");
	CHECK_TEXT(record.attributes.topic, "all there is");
	CHECK_EQUAL(record.attributes.created_ns, 5);
	CHECK_EQUAL(record.attributes.capacity, 7);
	CHECK(record.attributes.listed && record.attributes.persistent);
	CHECK(!record.attributes.ends_with_member && !record.attributes.waits);
	CHECK_EQUAL(ops->find_room(two.reads, "nobody-calls-one-so", place.id, &record), 0);
	CHECK_TEXT(record.attributes.name, place.name);
	CHECK_EQUAL(ops->find_room(two.reads, "nobody-calls-one-so", "00000000000000000000", &record), -ENOENT);
	stop();
}

TEST(a_room_without_a_name_has_only_its_id)
{
	struct place place;
	struct room_record record;

	start();
	place_init(&place);
	place.attributes.name = NULL;
	place.attributes.topic = NULL;
	place.attributes.listed = false;
	place.attributes.ends_with_member = true;
	CHECK_EQUAL(ops->open_room(one.writes, &place.attributes, &record), 0);
	CHECK_EQUAL(ops->find_room(two.reads, place.id, place.id, &record), 0);
	CHECK(record.attributes.name == NULL && !record.attributes.listed && record.attributes.ends_with_member);
	CHECK_TEXT(record.topic, "");
	stop();
}

TEST(a_name_belongs_to_one_room_until_that_is_forgotten)
{
	struct place place;
	struct place other;
	struct room_record record;

	start();
	place_open(&place);
	place_init(&other);
	for (char *c = place.name; *c != '\0'; c++)
		*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
	other.attributes.name = place.name; /* it differs in its case alone */
	CHECK_EQUAL(ops->open_room(two.writes, &other.attributes, &record), -EEXIST);
	CHECK(ops->works(two.writes));
	CHECK_EQUAL(ops->forget_room(one.writes, place.id), 0);
	CHECK_EQUAL(ops->forget_room(one.writes, place.id), 0);
	CHECK_EQUAL(ops->find_room(two.reads, "", place.id, &record), -ENOENT);
	CHECK_EQUAL(ops->open_room(two.writes, &other.attributes, &record), 0);
	CHECK_TEXT(record.id, other.id);
	stop();
}

/* Goes through all rooms, a few at a time; counts how often the room comes. */
static int listed(const char *id, bool only_listed)
{
	struct room_record records[3];
	char after[ROOM_ID_SIZE] = "";
	int count = 0;
	ssize_t got;

	while ((got = ops->list_rooms(two.reads, after, only_listed, records, 3)) > 0) {
		for (ssize_t i = 0; i < got; i++) {
			CHECK(strcmp(records[i].id, after) > 0);
			CHECK(!only_listed || records[i].attributes.listed);
			(void)snprintf(after, sizeof after, "%s", records[i].id);
			count += strcmp(after, id) == 0;
		}
	}
	CHECK_EQUAL(got, 0);
	return count;
}

TEST(rooms_are_listed_in_the_order_of_their_ids)
{
	struct place places[5];
	struct place hidden;

	start();
	for (size_t i = 0; i < 5; i++)
		place_open(&places[i]);
	place_init(&hidden);
	hidden.attributes.listed = false;
	CHECK_EQUAL(ops->open_room(one.writes, &hidden.attributes, &hidden.record), 0);
	for (size_t i = 0; i < 5; i++)
		CHECK_EQUAL(listed(places[i].id, true), 1);
	CHECK_EQUAL(listed(hidden.id, true), 0);
	CHECK_EQUAL(listed(hidden.id, false), 1);
	CHECK_EQUAL(ops->forget_room(one.writes, places[2].id), 0);
	CHECK_EQUAL(listed(places[2].id, false), 0);
	stop();
}

/* ---- Messages. ---- */

static struct entry entry_make(
	const struct server *server, const char *room, enum message_kind kind, const char *name, const char *text, size_t size)
{
	struct entry entry = {
		.room = room,
		.message = message_create(kind, room, name, text, size),
		.server = server->id,
		.number = number_random(),
		.at_ns = clock_wall_ns(),
	};

	CHECK(entry.message != NULL);
	(void)memcpy(entry.client, server->id + 1, CLIENT_ID_SIZE);
	return entry;
}

static struct entry entry_says(const struct server *server, const char *room, const char *text)
{
	return entry_make(server, room, MESSAGE_TEXT, "bob", text, strlen(text));
}

static void entry_free(struct entry *entry)
{
	message_release((struct message *)(uintptr_t)entry->message);
}

/* Appends, again for as long as it may be tried again at once. */
static int append(struct server *server, struct entry *entries, size_t count)
{
	int error;

	do
		error = ops->append(server->writes, entries, count);
	while (error == -EAGAIN);
	return error;
}

static uint64_t append_one(struct server *server, struct entry entry)
{
	CHECK_EQUAL(append(server, &entry, 1), 0);
	CHECK_EQUAL(entry.outcome, ENTRY_KEPT);
	entry_free(&entry);
	return entry.seq;
}

static uint64_t say(struct server *server, const struct place *place, const char *text)
{
	return append_one(server, entry_says(server, place->id, text));
}

static uint64_t last_of(struct server *server, const char *id)
{
	uint64_t last = 12345;

	CHECK_EQUAL(ops->last(server->reads, &id, &last, 1), 0);
	return last;
}

static struct message *fetch_one(struct server *server, const struct place *place, uint64_t seq)
{
	struct message *message = NULL;

	CHECK_EQUAL(ops->fetch(server->reads, place->id, place->name, seq, &message, 1), 1);
	CHECK_EQUAL(message->seq, seq);
	return message;
}

static void wait_a_moment(void)
{
	(void)poll(NULL, 0, TRY_MS);
}

/* The first message that is kept from that number on. What is stored later than it is kept may have to be asked for again. */
static struct message *fetch_first(struct server *server, const struct place *place, uint64_t from)
{
	long long until_ms = clock_ms() + DEADLINE_MS;
	struct message *message = NULL;
	ssize_t count;

	while ((count = ops->fetch(server->reads, place->id, place->name, from, &message, 1)) == -EIO && ops->works(server->reads) &&
		clock_ms() < until_ms)
		wait_a_moment();
	CHECK_EQUAL(count, 1);
	return message;
}

static void check_said(const struct place *place, uint64_t seq, const char *text)
{
	struct message *message = fetch_one(&two, place, seq);

	CHECK_BYTES(message->text, message->text_size, text, strlen(text));
	message_release(message);
}

TEST(what_is_kept_is_fetched_by_another)
{
	struct place place;
	struct message *messages[4];

	start();
	place_open(&place);
	CHECK_EQUAL(ops->fetch(two.reads, place.id, place.name, 1, messages, 4), 0);
	CHECK_EQUAL(say(&one, &place, "first"), 1);
	CHECK_EQUAL(append_one(&two, entry_make(&two, place.id, MESSAGE_ACTION, "J\u00F6rg", "dances", 6)), 2);
	CHECK_EQUAL(append_one(&two, entry_make(&two, place.id, MESSAGE_LEFT, "bob", "", 0)), 3);
	CHECK_EQUAL(ops->fetch(two.reads, place.id, place.name, 1, messages, 4), 3);
	for (uint64_t i = 0; i < 3; i++) {
		CHECK_EQUAL(messages[i]->seq, i + 1);
		CHECK_TEXT(messages[i]->room, place.name);
		CHECK(messages[i]->at_ns > 0 && (i == 0 || messages[i]->at_ns >= messages[i - 1]->at_ns));
	}
	CHECK_EQUAL(messages[1]->kind, MESSAGE_ACTION);
	CHECK_TEXT(messages[1]->participant, "J\u00F6rg");
	CHECK_BYTES(messages[1]->text, messages[1]->text_size, "dances", 6);
	CHECK_EQUAL(messages[2]->text_size, 0);
	for (size_t i = 0; i < 3; i++)
		message_release(messages[i]);
	CHECK_EQUAL(ops->fetch(two.reads, place.id, place.name, 2, messages, 1), 1);
	CHECK_EQUAL(messages[0]->seq, 2);
	message_release(messages[0]);
	CHECK_EQUAL(ops->fetch(two.reads, place.id, place.name, 4, messages, 4), 0);
	CHECK_EQUAL(last_of(&two, place.id), 3);
	stop();
}

TEST(all_there_is_in_text_comes_back_as_it_was)
{
	static const char *const texts[] = {"'; DROP TABLE chat_room; --", "\\N\\.\\x00\\\\ \" $1 $$ %s {,} {\"a\",NULL} NULL",
		"\t\ttabs\t", " * $3 +OK \xE2\x80\x8E", "\xF0\x9F\x92\xA9\xEF\xBF\xBD\xED\x9F\xBF", ",", "{}", ""};
	struct entry entries[8];
	struct place place;

	start();
	place_open(&place);
	for (size_t i = 0; i < 8; i++)
		entries[i] = entry_says(&one, place.id, texts[i]);
	CHECK_EQUAL(append(&one, entries, 8), 0);
	for (size_t i = 0; i < 8; i++) {
		CHECK_EQUAL(entries[i].outcome, ENTRY_KEPT);
		CHECK_EQUAL(entries[i].seq, i + 1);
		check_said(&place, i + 1, texts[i]);
		entry_free(&entries[i]);
	}
	stop();
}

TEST(the_longest_text_is_kept_whole)
{
	static char text[LONGEST];
	struct place place;
	struct message *message;

	start();
	place_open(&place);
	for (size_t i = 0; i < LONGEST; i++)
		text[i] = (char)('a' + i % 26);
	(void)append_one(&one, entry_make(&one, place.id, MESSAGE_TEXT, "bob", text, LONGEST));
	message = fetch_one(&two, &place, 1);
	CHECK_BYTES(message->text, message->text_size, text, LONGEST);
	message_release(message);
	stop();
}

TEST(the_greatest_group_is_kept_in_its_order)
{
	static struct entry entries[ENGINE_GROUP_MOST];
	struct place places[3];
	char text[32];

	start();
	for (size_t i = 0; i < 3; i++)
		place_open(&places[i]);
	for (size_t i = 0; i < ENGINE_GROUP_MOST; i++) {
		(void)snprintf(text, sizeof text, "number %zu", i);
		entries[i] = entry_says(&one, places[i % 3].id, text);
	}
	CHECK_EQUAL(append(&one, entries, ENGINE_GROUP_MOST), 0);
	for (size_t i = 0; i < ENGINE_GROUP_MOST; i++) {
		CHECK_EQUAL(entries[i].outcome, ENTRY_KEPT);
		CHECK_EQUAL(entries[i].seq, i / 3 + 1);
		CHECK(i < 3 || entries[i].at_ns >= entries[i - 3].at_ns);
		entry_free(&entries[i]);
	}
	check_said(&places[1], 1000, "number 2998");
	stop();
}

/* ---- Several that write at once. ---- */

struct writer {
	pthread_t thread;
	struct server *server;
	const struct place *places; /* two */
	uint64_t seqs[2][GROUPS * GROUP];
	size_t counts[2];
};

static void *write_groups(void *argument)
{
	struct writer *writer = argument;
	struct entry entries[GROUP];
	char text[64];

	for (size_t group = 0; group < GROUPS; group++) {
		for (size_t i = 0; i < GROUP; i++) {
			(void)snprintf(text, sizeof text, "%s %zu", writer->server->id, group * GROUP + i);
			/* The two name the rooms in another order. */
			entries[i] = entry_says(writer->server, writer->places[(i + (writer->server == &two)) % 2].id, text);
		}
		CHECK_EQUAL(append(writer->server, entries, GROUP), 0);
		for (size_t i = 0; i < GROUP; i++) {
			size_t place = (i + (writer->server == &two)) % 2;

			CHECK_EQUAL(entries[i].outcome, ENTRY_KEPT);
			writer->seqs[place][writer->counts[place]++] = entries[i].seq;
			entry_free(&entries[i]);
		}
	}
	return NULL;
}

TEST(numbers_are_dense_whoever_writes)
{
	static struct writer writers[WRITERS];
	static unsigned char seen[WRITERS * GROUPS * GROUP / 2 + 1];
	struct place places[2];

	start();
	place_open(&places[0]);
	place_open(&places[1]);
	for (size_t i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.server = i == 0 ? &one : &two, .places = places};
		CHECK_EQUAL(thread_start(&writers[i].thread, 0, write_groups, &writers[i]), 0);
	}
	for (size_t i = 0; i < WRITERS; i++)
		CHECK_EQUAL(pthread_join(writers[i].thread, NULL), 0);
	for (size_t place = 0; place < 2; place++) {
		(void)memset(seen, 0, sizeof seen);
		for (size_t i = 0; i < WRITERS; i++) {
			for (size_t k = 0; k < writers[i].counts[place]; k++) {
				uint64_t seq = writers[i].seqs[place][k];

				CHECK(seq >= 1 && seq < sizeof seen && seen[seq] == 0);
				CHECK(k == 0 || seq > writers[i].seqs[place][k - 1]);
				seen[seq] = 1;
			}
		}
		CHECK_EQUAL(last_of(&one, places[place].id), sizeof seen - 1);
	}
	stop();
}

/* ---- Repeats and refusals. ---- */

TEST(what_is_sent_again_is_kept_once)
{
	struct place place;
	struct place other;
	struct entry entries[3];

	start();
	place_open(&place);
	place_open(&other);
	entries[0] = entry_says(&one, place.id, "once");
	entries[1] = entries[0]; /* in the same group */
	entries[2] = entry_says(&one, place.id, "another");
	CHECK_EQUAL(append(&one, entries, 3), 0);
	CHECK_EQUAL(entries[0].outcome, ENTRY_KEPT);
	CHECK_EQUAL(entries[1].outcome, ENTRY_REPEATED);
	CHECK_EQUAL(entries[1].seq, 1);
	CHECK_EQUAL(entries[1].at_ns, entries[0].at_ns);
	CHECK_TEXT(entries[1].kept_in, place.id);
	CHECK_EQUAL(entries[2].outcome, ENTRY_KEPT);
	CHECK_EQUAL(entries[2].seq, 2);
	entries[1] = entries[0]; /* from another server, and to another room */
	entries[1].room = other.id;
	entries[1].seq = 0;
	CHECK_EQUAL(append(&two, &entries[1], 1), 0);
	CHECK_EQUAL(entries[1].outcome, ENTRY_REPEATED);
	CHECK_EQUAL(entries[1].seq, 1);
	CHECK_EQUAL(entries[1].at_ns, entries[0].at_ns);
	CHECK_TEXT(entries[1].kept_in, place.id);
	CHECK_TEXT(entries[1].label, place.name);
	CHECK_EQUAL(last_of(&two, other.id), 0);
	CHECK_EQUAL(last_of(&two, place.id), 2);
	entry_free(&entries[0]);
	entry_free(&entries[2]);
	stop();
}

TEST(the_same_number_of_another_client_is_another_message)
{
	struct place place;
	struct entry entries[2];

	start();
	place_open(&place);
	entries[0] = entry_says(&one, place.id, "mine");
	entries[1] = entry_says(&two, place.id, "yours");
	entries[0].number = entries[1].number = UINT64_MAX; /* the greatest there is */
	CHECK_EQUAL(append(&one, entries, 2), 0);
	CHECK_EQUAL(entries[0].outcome, ENTRY_KEPT);
	CHECK_EQUAL(entries[1].outcome, ENTRY_KEPT);
	entries[1].seq = 0;
	CHECK_EQUAL(append(&two, &entries[1], 1), 0);
	CHECK_EQUAL(entries[1].outcome, ENTRY_REPEATED);
	CHECK_EQUAL(entries[1].seq, 2);
	entry_free(&entries[0]);
	entry_free(&entries[1]);
	stop();
}

TEST(a_room_that_was_forgotten_refuses_and_the_others_go_on)
{
	struct place place;
	struct place over;
	struct entry entries[3];

	start();
	place_open(&place);
	place_open(&over);
	CHECK_EQUAL(say(&one, &over, "before"), 1);
	CHECK_EQUAL(ops->forget_room(two.writes, over.id), 0);
	entries[0] = entry_says(&one, place.id, "one");
	entries[1] = entry_says(&one, over.id, "nobody hears it");
	entries[2] = entry_says(&one, place.id, "two");
	CHECK_EQUAL(append(&one, entries, 3), 0);
	CHECK_EQUAL(entries[0].outcome, ENTRY_KEPT);
	CHECK_EQUAL(entries[1].outcome, ENTRY_REFUSED);
	CHECK_EQUAL(entries[1].error, ENOENT);
	CHECK_EQUAL(entries[2].outcome, ENTRY_KEPT);
	CHECK_EQUAL(entries[2].seq, 2);
	CHECK_EQUAL(last_of(&one, over.id), UINT64_MAX);
	for (size_t i = 0; i < 3; i++)
		entry_free(&entries[i]);
	stop();
}

TEST(the_last_of_many_rooms_come_in_their_order)
{
	struct place places[3];
	const char *ids[3];
	uint64_t last[3];

	start();
	for (size_t i = 0; i < 3; i++) {
		place_open(&places[i]);
		ids[2 - i] = places[i].id;
		for (size_t k = 0; k < i; k++)
			(void)say(&one, &places[i], "x");
	}
	CHECK_EQUAL(ops->last(two.writes, ids, last, 3), 0);
	CHECK_EQUAL(last[0], 2);
	CHECK_EQUAL(last[1], 1);
	CHECK_EQUAL(last[2], 0);
	stop();
}

TEST(what_is_restored_keeps_its_number_and_time)
{
	struct place place;
	struct entry entry;
	struct message *message;

	start();
	place_open(&place);
	entry = entry_says(&one, place.id, "long ago");
	entry.seq = 10;
	entry.at_ns = INT64_C(1000000000123456789);
	CHECK_EQUAL(append(&one, &entry, 1), 0);
	CHECK_EQUAL(entry.outcome, ENTRY_KEPT);
	CHECK_EQUAL(entry.seq, 10);
	message = fetch_one(&two, &place, 10);
	CHECK_EQUAL(message->at_ns, INT64_C(1000000000123456789));
	message_release(message);
	message = fetch_first(&two, &place, 1); /* what is left out is left out */
	CHECK_EQUAL(message->seq, 10);
	message_release(message);
	entry.number++;
	CHECK_EQUAL(append(&one, &entry, 1), 0); /* the number is taken */
	CHECK_EQUAL(entry.outcome, ENTRY_REFUSED);
	CHECK_EQUAL(entry.error, EEXIST);
	CHECK_EQUAL(say(&two, &place, "now"), 11);
	entry_free(&entry);
	stop();
}

TEST(a_number_that_others_have_seen_is_not_given_again)
{
	struct place place;
	struct entry entries[3];

	start();
	place_open(&place);
	for (size_t i = 0; i < 3; i++) {
		entries[i] = entry_says(&one, place.id, "x");
		entries[i].at_least = 5;
	}
	CHECK_EQUAL(append(&one, entries, 3), 0);
	for (size_t i = 0; i < 3; i++) {
		CHECK_EQUAL(entries[i].seq, 6 + i);
		entry_free(&entries[i]);
	}
	CHECK_EQUAL(last_of(&two, place.id), 8);
	stop();
}

TEST(a_topic_is_the_room_s)
{
	struct place place;
	struct room_record record;

	start();
	place_open(&place);
	(void)append_one(&one, entry_make(&one, place.id, MESSAGE_TOPIC, "bob", "gr\u00FCn", 5));
	CHECK_EQUAL(ops->find_room(two.reads, "", place.id, &record), 0);
	CHECK_TEXT(record.attributes.topic, "gr\u00FCn");
	CHECK_EQUAL(record.last, 1);
	stop();
}

/* ---- News. ---- */

/* Waits until the link of news names the room, with its last number if at all, or says that all may be new. */
static void wait_for_news(struct server *server, const char *id, uint64_t last)
{
	struct engine_news news[4];
	ssize_t count;

	for (;;) {
		struct pollfd descriptor = {.fd = ops->descriptor(server->news), .events = POLLIN};

		while ((count = ops->news(server->news, news, 4)) > 0) {
			for (ssize_t i = 0; i < count; i++) {
				if (strcmp(news[i].room, id) == 0 && (news[i].last == 0 || news[i].last == last))
					return;
			}
		}
		if (count == -EOVERFLOW)
			return;
		CHECK_EQUAL(count, 0);
		CHECK(poll(&descriptor, 1, DEADLINE_MS) == 1);
	}
}

TEST(others_are_told_what_is_new)
{
	struct place place;

	start_several();
	place_open(&place);
	(void)say(&one, &place, "hello");
	wait_for_news(&two, place.id, 1);
	(void)say(&one, &place, "again");
	wait_for_news(&two, place.id, 2);
	(void)say(&two, &place, "hello yourself");
	wait_for_news(&one, place.id, 3);
	stop();
}

TEST(others_are_told_of_many_rooms_at_once)
{
	enum { ROOMS = 900 }; /* more than fit into one notice */
	static struct place places[ROOMS];
	static struct entry entries[ROOMS];

	start_several();
	for (size_t i = 0; i < ROOMS; i++) {
		place_open(&places[i]);
		entries[i] = entry_says(&one, places[i].id, "hello");
	}
	CHECK_EQUAL(append(&one, entries, ROOMS), 0);
	wait_for_news(&two, places[ROOMS - 1].id, 1);
	for (size_t i = 0; i < ROOMS; i++) {
		CHECK_EQUAL(entries[i].seq, 1);
		entry_free(&entries[i]);
		CHECK_EQUAL(ops->forget_room(one.writes, places[i].id), 0);
	}
	stop();
}

/* ---- Somebody else holds a room. ---- */

struct held {
	struct entry entries[2];
	atomic_bool is_done;
};

static void *append_held(void *argument)
{
	struct held *held = argument;

	CHECK_EQUAL(append(&one, held->entries, 2), 0);
	atomic_store(&held->is_done, true);
	return NULL;
}

TEST(a_group_that_waits_for_one_room_does_not_hold_another)
{
	const char *hold = getenv("TEST_ENGINE_HOLD");
	struct held held = {.is_done = false};
	struct place places[2];
	pthread_t thread;

	if (hold == NULL)
		SKIP("TEST_ENGINE_HOLD does not say how a room is held: the engine has no locks");
	start();
	place_open(&places[0]);
	place_open(&places[1]);
	CHECK_EQUAL(setenv("ROOM", places[1].id, 1), 0);
	CHECK_EQUAL(system(hold), 0); /* NOLINT(cert-env33-c): the test's own */
	for (size_t i = 0; i < 2; i++)
		held.entries[i] = entry_says(&one, places[i].id, "both");
	CHECK_EQUAL(pthread_create(&thread, NULL, append_held, &held), 0);
	for (int i = 0; i < 3; i++) { /* for a while: then it waits in the queue */
		(void)poll(NULL, 0, TRY_MS); /* somewhere in it the group waits */
		(void)say(&two, &places[0], "here nobody waits for long");
		CHECK(!atomic_load(&held.is_done));
	}
	CHECK_EQUAL(pthread_join(thread, NULL), 0);
	for (size_t i = 0; i < 2; i++) {
		CHECK_EQUAL(held.entries[i].outcome, ENTRY_KEPT);
		entry_free(&held.entries[i]);
	}
	stop();
}

/* ---- Marks and search. ---- */

TEST(marks_never_go_back)
{
	struct place place;
	uint64_t seq = 99;

	start();
	if (ops->set_mark == NULL) {
		stop();
		SKIP("the engine keeps no marks");
	}
	place_open(&place);
	CHECK_EQUAL(ops->mark(two.reads, place.id, "b\u00F6b'", &seq), 0);
	CHECK_EQUAL(seq, 0);
	CHECK_EQUAL(ops->set_mark(one.writes, place.id, "b\u00F6b'", 17), 0);
	CHECK_EQUAL(ops->set_mark(one.writes, place.id, "b\u00F6b'", 5), 0);
	CHECK_EQUAL(ops->mark(two.reads, place.id, "b\u00F6b'", &seq), 0);
	CHECK_EQUAL(seq, 17);
	stop();
}

/* Searches the room alone until nothing is behind, and writes the numbers of what was found. */
static const char *found_numbers(const struct place *place, const char *words, const char *from, size_t skip, size_t capacity)
{
	static char numbers[400];
	struct found found[10];
	const char *rooms[] = {place->id};
	struct search search = {.words = words, .from = from, .rooms = rooms, .room_count = 1, .before_ns = INT64_MAX, .skip = skip};
	long long end_ms = clock_ms() + DEADLINE_MS;
	uint64_t behind = 0;
	ssize_t count;
	char *end = numbers;

	do {
		CHECK(clock_ms() < end_ms);
		count = ops->search(two.reads, &search, found, capacity, &behind);
		if (count < 0)
			FAIL("search: %s: %s", strerror((int)-count), ops->fault(two.reads));
		for (ssize_t i = 0; i < count && behind > 0; i++)
			message_release(found[i].message);
	} while (behind > 0);
	*end = '\0';
	for (ssize_t i = 0; i < count; i++) {
		CHECK_TEXT(found[i].room, place->id);
		CHECK_TEXT(found[i].message->room, place->name);
		end += sprintf(end, "%s%llu", i == 0 ? "" : " ", (unsigned long long)found[i].message->seq);
		message_release(found[i].message);
	}
	return numbers;
}

TEST(words_are_found_newest_first)
{
	struct place place;
	struct place other;

	start();
	if (ops->search == NULL) {
		stop();
		SKIP("the engine does not search");
	}
	place_open(&place);
	place_open(&other);
	(void)say(&one, &place, "Green tea, anybody?");
	(void)say(&one, &place, "caf\u00E9 and tea");
	(void)append_one(&one, entry_make(&one, place.id, MESSAGE_ACTION, "\u00C4nn", "makes TEA 'green'", 17));
	(void)append_one(&one, entry_make(&one, place.id, MESSAGE_LEFT, "bob", "tea", 3));
	(void)append_one(&one, entry_make(&one, place.id, MESSAGE_TOPIC, "bob", "tea \xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E", 13));
	(void)say(&one, &other, "tea elsewhere");
	CHECK_TEXT(found_numbers(&place, "tea", "", 0, 10), "5 3 2 1");
	CHECK_TEXT(found_numbers(&place, "tea", "", 1, 2), "3 2");
	CHECK_TEXT(found_numbers(&place, "tea green", "", 0, 10), "3 1");
	CHECK_TEXT(found_numbers(&place, "\"green tea\"", "", 0, 10), "1");
	CHECK_TEXT(found_numbers(&place, "cafe", "", 0, 10), "2");
	CHECK_TEXT(found_numbers(&place, "\xE6\x9C\xAC\xE8\xAA\x9E", "", 0, 10), "5");
	CHECK_TEXT(found_numbers(&place, "tea", "\u00E4nn", 0, 10), "3");
	CHECK_TEXT(found_numbers(&place, " ", "", 0, 10), "5 3 2 1");
	CHECK_TEXT(found_numbers(&place, "???", "", 0, 10), "");
	CHECK_TEXT(found_numbers(&place, "'; DROP TABLE chat_room; --", "", 0, 10), "");
	stop();
}

/* ---- Names. ---- */

static int claim_by(struct server *server, const char *key, char client, uint64_t number, struct name_holder *holder)
{
	struct name_claim wanted = {.key = key, .name = key, .number = number};

	if (client != 0)
		(void)memset(wanted.client, client, CLIENT_ID_SIZE);
	(void)snprintf(holder->server, sizeof holder->server, "?");
	return ops->claim_name(server->writes, server->id, &wanted, holder);
}

static int claim(struct server *server, const char *key, char client, struct name_holder *holder)
{
	return claim_by(server, key, client, 1, holder);
}

/* A name that nobody has. */
static const char *fresh_name(void)
{
	static char names[8][20];
	static size_t next;
	char *name = names[next++ % 8];

	(void)memcpy(name, "n-", 3);
	hex_random(name + 2, 14);
	return name;
}

TEST(a_name_is_one_server_s_until_it_is_released)
{
	struct name_holder holder;
	const char *key;

	start_shared();
	key = fresh_name();
	CHECK_EQUAL(ops->find_name(two.reads, key, &holder), -ENOENT);
	CHECK_EQUAL(claim(&one, key, 'x', &holder), 0);
	CHECK_TEXT(holder.server, "");
	CHECK_EQUAL(claim(&two, key, 'y', &holder), -EEXIST);
	CHECK_TEXT(holder.server, one.id);
	CHECK_TEXT(holder.name, key);
	CHECK_EQUAL(holder.client[3], 'x');
	CHECK_EQUAL(claim(&two, key, 0, &holder), -EEXIST);
	CHECK_EQUAL(ops->find_name(two.reads, key, &holder), 0);
	CHECK_TEXT(holder.server, one.id);
	CHECK_EQUAL(ops->release_name(two.writes, two.id, key, 1), 0); /* it is not its */
	CHECK_EQUAL(ops->find_name(two.reads, key, &holder), 0);
	CHECK_EQUAL(ops->release_name(one.writes, one.id, key, 1), 0);
	CHECK_EQUAL(ops->find_name(two.reads, key, &holder), -ENOENT);
	CHECK_EQUAL(claim(&two, key, 'y', &holder), 0);
	stop_shared();
}

/* A release waits while the engine is away; by then somebody else of that server may have the name. */
TEST(a_late_release_leaves_the_name_to_who_has_claimed_it_since)
{
	struct name_holder holder;
	const char *key;

	start_shared();
	key = fresh_name();
	CHECK_EQUAL(claim_by(&one, key, 'x', 7, &holder), 0);
	CHECK_EQUAL(claim_by(&one, key, 'z', 9, &holder), 0); /* the server knows best who is there */
	CHECK_TEXT(holder.server, one.id);
	CHECK_EQUAL(claim_by(&one, key, 'x', 8, &holder), -EEXIST); /* it was on its way for long */
	CHECK_EQUAL(ops->release_name(one.writes, one.id, key, 7), 0);
	CHECK_EQUAL(ops->find_name(two.reads, key, &holder), 0);
	CHECK_TEXT(holder.server, one.id);
	CHECK_EQUAL(holder.client[0], 'z');
	CHECK_EQUAL(claim_by(&two, key, 'y', 20, &holder), -EEXIST);
	CHECK_EQUAL(claim_by(&one, key, 'z', 9, &holder), 0); /* the answer was lost, so it asks again */
	CHECK_EQUAL(ops->release_name(one.writes, one.id, key, 9), 0);
	CHECK_EQUAL(ops->find_name(two.reads, key, &holder), -ENOENT);
	stop_shared();
}

TEST(the_same_client_takes_its_name_along)
{
	struct name_holder holder;
	const char *key;
	const char *nobody;

	start_shared();
	key = fresh_name();
	nobody = fresh_name();
	CHECK_EQUAL(claim(&one, key, 'x', &holder), 0);
	CHECK_EQUAL(claim(&two, key, 'x', &holder), 0);
	CHECK_TEXT(holder.server, one.id);
	CHECK_EQUAL(ops->find_name(one.reads, key, &holder), 0);
	CHECK_TEXT(holder.server, two.id);
	CHECK_EQUAL(claim(&one, nobody, 0, &holder), 0); /* who told nothing is not the same as another who told nothing */
	CHECK_EQUAL(claim(&two, nobody, 0, &holder), -EEXIST);
	stop_shared();
}

/* ---- People. ---- */

static const char *people_of(const struct place *place)
{
	static char text[8 * NAME_SIZE];
	char names[8][NAME_SIZE];
	size_t total = 0;
	ssize_t count = ops->people(two.reads, place->id, names, 8, &total);
	char *end = text;

	CHECK(count >= 0 && (size_t)count == total);
	*end = '\0';
	for (ssize_t i = 0; i < count; i++)
		end += sprintf(end, "%s%s", i == 0 ? "" : " ", names[i]);
	return text;
}

TEST(who_is_in_a_room_is_known_to_all)
{
	struct place place;
	struct room_record record;
	char names[1][NAME_SIZE];
	size_t count = 0;

	start_shared();
	place_open(&place);
	(void)append_one(&one, entry_make(&one, place.id, MESSAGE_JOINED, "Bob", "", 0));
	(void)append_one(&two, entry_make(&two, place.id, MESSAGE_JOINED, "ann", "", 0));
	(void)append_one(&two, entry_make(&two, place.id, MESSAGE_JOINED, "Cid", "", 0));
	CHECK_TEXT(people_of(&place), "ann Bob Cid");
	CHECK_EQUAL(ops->people(one.reads, place.id, names, 1, &count), 1);
	CHECK_TEXT(names[0], "ann");
	CHECK_EQUAL(count, 3);
	CHECK_EQUAL(ops->find_room(one.reads, "", place.id, &record), 0);
	CHECK_EQUAL(record.people, 3);
	(void)append_one(&two, entry_make(&two, place.id, MESSAGE_NICK, "ann", "Zoe", 3));
	CHECK_TEXT(people_of(&place), "Bob Cid Zoe");
	(void)append_one(&one, entry_make(&one, place.id, MESSAGE_LEFT, "cid", "", 0)); /* not of that server */
	CHECK_TEXT(people_of(&place), "Bob Cid Zoe");
	(void)append_one(&two, entry_make(&two, place.id, MESSAGE_LEFT, "cid", "", 0));
	CHECK_TEXT(people_of(&place), "Bob Zoe");
	CHECK_EQUAL(ops->absent(one.writes, one.id, place.id, "zoe"), 0);
	CHECK_TEXT(people_of(&place), "Bob Zoe");
	CHECK_EQUAL(ops->absent(two.writes, two.id, place.id, "zoe"), 0);
	CHECK_TEXT(people_of(&place), "Bob");
	stop_shared();
}

TEST(who_comes_goes_and_comes_within_a_group_is_there)
{
	struct place place;
	struct entry entries[6];

	start_shared();
	place_open(&place);
	entries[0] = entry_make(&one, place.id, MESSAGE_JOINED, "ann", "", 0);
	entries[1] = entry_make(&one, place.id, MESSAGE_LEFT, "ann", "", 0);
	entries[2] = entry_make(&one, place.id, MESSAGE_JOINED, "ann", "", 0);
	entries[3] = entry_make(&one, place.id, MESSAGE_NICK, "ann", "Eve", 3);
	entries[4] = entry_make(&one, place.id, MESSAGE_JOINED, "bob", "", 0);
	entries[5] = entry_make(&one, place.id, MESSAGE_LEFT, "bob", "", 0);
	CHECK_EQUAL(append(&one, entries, 6), 0);
	CHECK_TEXT(people_of(&place), "Eve");
	for (size_t i = 0; i < 6; i++)
		entry_free(&entries[i]);
	stop_shared();
}

/* ---- Servers that go. ---- */

TEST(who_retires_leaves_nothing_behind)
{
	struct place place;
	struct place mailbox;
	struct name_holder holder;
	struct room_record record;
	const char *key;

	start_shared();
	key = fresh_name();
	place_open(&place);
	place_init(&mailbox);
	(void)snprintf(mailbox.id, sizeof mailbox.id, "%s", one.id);
	mailbox.attributes.name = NULL;
	CHECK_EQUAL(ops->open_room(one.writes, &mailbox.attributes, &mailbox.record), 0);
	CHECK_EQUAL(claim(&one, key, 'x', &holder), 0);
	(void)append_one(&one, entry_make(&one, place.id, MESSAGE_JOINED, "ann", "", 0));
	CHECK_EQUAL(ops->retire(one.writes, one.id), 0);
	CHECK_EQUAL(ops->find_name(two.reads, key, &holder), -ENOENT);
	CHECK_TEXT(people_of(&place), "");
	CHECK_EQUAL(ops->find_room(two.reads, "", one.id, &record), -ENOENT);
	CHECK_EQUAL(ops->beat(one.writes, one.id), -ESTALE);
	CHECK_EQUAL(ops->beat(one.writes, one.id), 0);
	stop_shared();
}

/* Whether 'ghost' is among those that are left. */
static bool has_ghost(const char *server, const struct place *place, const char *name, uint64_t joined)
{
	static struct ghost ghosts[1000];
	ssize_t count = ops->ghosts(two.writes, ghosts, 1000);

	CHECK(count >= 0);
	for (ssize_t i = 0; i < count; i++) {
		if (strcmp(ghosts[i].server, server) == 0 && strcmp(ghosts[i].room, place->id) == 0) {
			CHECK_TEXT(ghosts[i].name, name);
			CHECK_TEXT(ghosts[i].label, place->name);
			CHECK_EQUAL(ghosts[i].joined, joined);
			return true;
		}
	}
	return false;
}

TEST(what_a_dead_server_leaves_is_cleared_away)
{
	struct place place;
	struct name_holder holder;
	const char *key;
	long long start_ms;

	start_shared();
	key = fresh_name();
	place_open(&place);
	CHECK_EQUAL(claim(&one, key, 'x', &holder), 0);
	(void)say(&one, &place, "before");
	(void)append_one(&one, entry_make(&one, place.id, MESSAGE_JOINED, "An", "", 0));
	(void)append_one(&one, entry_make(&one, place.id, MESSAGE_NICK, "An", "Ann", 3));
	CHECK_EQUAL(ops->beat(one.writes, one.id), 0);
	start_ms = clock_ms();
	while (!has_ghost(one.id, &place, "Ann", 2)) {
		CHECK(clock_ms() < start_ms + DEADLINE_MS);
		CHECK_EQUAL(ops->beat(two.writes, two.id), 0);
		wait_a_moment();
	}
	CHECK(clock_ms() >= start_ms + (ENGINE_DEAD_S - 1) * 1000);
	CHECK_EQUAL(claim(&two, key, 'y', &holder), 0);
	CHECK_EQUAL(ops->beat(two.writes, two.id), 0);
	(void)append_one(&two, entry_make(&one, place.id, MESSAGE_LEFT, "Ann", "", 0)); /* for the dead one */
	CHECK_TEXT(people_of(&place), "");
	while (ops->ghosts(two.writes, &(struct ghost){.server = ""}, 1) > 0)
		CHECK(clock_ms() < start_ms + 2 * DEADLINE_MS);
	CHECK_EQUAL(ops->beat(one.writes, one.id), -ESTALE); /* it was not dead, but slow */
	CHECK_EQUAL(ops->beat(one.writes, one.id), 0);
	CHECK_EQUAL(ops->find_name(one.reads, key, &holder), 0);
	CHECK_TEXT(holder.server, two.id);
	stop_shared();
}

TEST(a_room_that_nobody_has_used_is_forgotten_when_the_last_has_left_it)
{
	struct place silent;
	struct place spoken;
	struct room_record record;

	start_shared();
	place_open(&silent);
	place_open(&spoken);
	(void)append_one(&one, entry_make(&one, silent.id, MESSAGE_JOINED, "ann", "", 0));
	(void)append_one(&two, entry_make(&two, silent.id, MESSAGE_JOINED, "bob", "", 0));
	(void)append_one(&one, entry_make(&one, silent.id, MESSAGE_LEFT, "ann", "", 0));
	CHECK_EQUAL(ops->forget_unused(one.writes, silent.id), 0);
	CHECK_EQUAL(ops->find_room(two.reads, "", silent.id, &record), 0); /* bob is there, on the other one */
	(void)append_one(&two, entry_make(&two, silent.id, MESSAGE_LEFT, "bob", "", 0));
	(void)say(&one, &spoken, "something");
	CHECK_EQUAL(ops->forget_unused(two.writes, silent.id), 0);
	CHECK_EQUAL(ops->forget_unused(two.writes, spoken.id), 0);
	CHECK_EQUAL(ops->find_room(one.reads, "", silent.id, &record), -ENOENT);
	CHECK_EQUAL(ops->find_room(one.reads, "", spoken.id, &record), 0);
	CHECK_EQUAL(ops->forget_unused(two.writes, "00000000000000000000"), 0);
	stop_shared();
}

static void *join(void *place)
{
	struct entry entry = entry_make(&two, ((struct place *)place)->id, MESSAGE_JOINED, "bob", "", 0);

	CHECK_EQUAL(append(&two, &entry, 1), 0);
	CHECK(entry.outcome == ENTRY_KEPT || (entry.outcome == ENTRY_REFUSED && entry.error == ENOENT));
	entry_free(&entry);
	return (void *)(uintptr_t)(entry.outcome == ENTRY_KEPT);
}

TEST(who_comes_into_a_room_is_in_it_or_finds_that_it_was_forgotten)
{
	enum { TIMES = 200 };
	struct room_record record;
	struct place place;
	pthread_t thread;
	void *is_in;

	start_shared();
	for (int i = 0; i < TIMES; i++) {
		place_init(&place);
		place.attributes.name = NULL;
		CHECK_EQUAL(ops->open_room(one.writes, &place.attributes, &place.record), 0);
		CHECK_EQUAL(pthread_create(&thread, NULL, join, &place), 0);
		CHECK_EQUAL(ops->forget_unused(one.writes, place.id), 0);
		CHECK_EQUAL(pthread_join(thread, &is_in), 0);
		CHECK_EQUAL(ops->find_room(one.reads, "", place.id, &record), is_in != NULL ? 0 : -ENOENT);
		if (is_in != NULL)
			CHECK_EQUAL(ops->forget_room(one.writes, place.id), 0);
	}
	stop_shared();
}

TEST(what_was_read_in_a_mailbox_is_trimmed_and_never_found)
{
	struct place mailbox;
	struct entry entry;
	struct message *messages[4];
	bool searches;

	start_shared();
	if (ops->trim == NULL) {
		stop_shared();
		SKIP("the engine does not trim");
	}
	place_init(&mailbox);
	(void)snprintf(mailbox.id, sizeof mailbox.id, "%s", one.id);
	mailbox.attributes.name = NULL;
	(void)snprintf(mailbox.name, sizeof mailbox.name, "%s", one.id);
	searches = ops->search != NULL;
	CHECK_EQUAL(ops->open_room(one.writes, &mailbox.attributes, &mailbox.record), 0);
	entry = entry_says(&two, mailbox.id, "confidential one");
	CHECK_EQUAL(append(&two, &entry, 1), 0);
	CHECK_EQUAL(say(&two, &mailbox, "confidential two"), 2);
	CHECK_EQUAL(say(&two, &mailbox, "confidential three"), 3);
	if (searches)
		CHECK_TEXT(found_numbers(&mailbox, "confidential", "", 0, 10), "");
	CHECK_EQUAL(ops->trim(one.writes, mailbox.id, 2), 0);
	CHECK_EQUAL(ops->trim(one.writes, mailbox.id, 2), 0);
	CHECK_EQUAL(ops->fetch(one.reads, mailbox.id, mailbox.name, 1, messages, 4), 1);
	CHECK_EQUAL(messages[0]->seq, 3);
	message_release(messages[0]);
	CHECK_EQUAL(append(&two, &entry, 1), 0); /* it did not hear that it was kept */
	CHECK_EQUAL(entry.outcome, ENTRY_REPEATED);
	CHECK_EQUAL(last_of(&two, mailbox.id), 3);
	entry_free(&entry);
	stop_shared();
}

/* kill -9, and at once the next one at the same place: its people need not wait until it is certain that the first is dead. */
TEST(a_server_that_comes_to_the_place_of_another_one_buries_it)
{
	struct place place;
	struct name_holder holder;
	const char *key;
	char where[ENGINE_PLACE_SIZE];

	start_shared();
	key = fresh_name();
	place_open(&place);
	(void)snprintf(where, sizeof where, "machine %s, port '7777'", place.id);
	CHECK_EQUAL(ops->succeed(one.writes, one.id, where), 0);
	CHECK_EQUAL(claim(&one, key, 'x', &holder), 0);
	(void)append_one(&one, entry_make(&one, place.id, MESSAGE_JOINED, "Ann", "", 0));
	CHECK_EQUAL(ops->succeed(two.writes, two.id, "another place"), 0);
	CHECK_EQUAL(claim(&two, key, 'y', &holder), -EEXIST);
	CHECK_EQUAL(ops->succeed(one.writes, one.id, where), 0); /* as it said before */
	CHECK_EQUAL(claim(&two, key, 'y', &holder), -EEXIST);
	CHECK_EQUAL(ops->succeed(two.writes, two.id, where), 0);
	CHECK_EQUAL(claim(&two, key, 'y', &holder), 0);
	CHECK(has_ghost(one.id, &place, "Ann", 1));
	CHECK_EQUAL(ops->beat(one.writes, one.id), -ESTALE);
	stop_shared();
}

/* Two servers at one place: the first is dead. Its people leave the rooms that they were in. */
static void bury(const char *where)
{
	static struct ghost ghosts[100];
	ssize_t count;

	CHECK_EQUAL(ops->succeed(two.writes, two.id, where), 0);
	while ((count = ops->ghosts(two.writes, ghosts, 100)) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			struct entry entry = entry_make(&two, ghosts[i].room, MESSAGE_LEFT, ghosts[i].name, "", 0);

			entry.server = ghosts[i].server;
			CHECK_EQUAL(append(&two, &entry, 1), 0);
			entry_free(&entry);
		}
	}
	CHECK_EQUAL(count, 0);
	CHECK_EQUAL(ops->ghosts(two.writes, ghosts, 100), 0);
}

static void open_with_people(struct place *place, bool is_pair)
{
	place_init(place);
	place->attributes.listed = !is_pair;
	place->attributes.persistent = false;
	place->attributes.ends_with_member = is_pair;
	if (is_pair)
		place->attributes.name = NULL;
	CHECK_EQUAL(ops->open_room(one.writes, &place->attributes, &place->record), 0);
	(void)append_one(&one, entry_make(&one, place->id, MESSAGE_JOINED, "Ann", "", 0));
	(void)append_one(&one, entry_make(&one, place->id, MESSAGE_JOINED, "bob", "", 0));
}

static int find(const struct place *place)
{
	struct room_record record;

	return ops->find_room(two.reads, "", place->id, &record);
}

TEST(rooms_that_only_people_of_a_dead_server_were_in_are_forgotten)
{
	const char *next_day = getenv("TEST_ENGINE_NEXT_DAY");
	enum { UNUSED, USED, SHARED, PAIR, PAIR_IN_USE, LEFT_ALONE, PLACES };
	struct place places[PLACES];
	struct place persistent;
	char where[ENGINE_PLACE_SIZE];

	start_shared();
	if (next_day == NULL) {
		stop_shared();
		SKIP("TEST_ENGINE_NEXT_DAY does not say how a day goes by");
	}
	place_open(&persistent);
	(void)append_one(&one, entry_make(&one, persistent.id, MESSAGE_JOINED, "Ann", "", 0));
	for (int i = 0; i < PLACES; i++)
		open_with_people(&places[i], i >= PAIR);
	(void)say(&one, &places[USED], "something");
	(void)say(&one, &places[PAIR], "something");
	(void)append_one(&two, entry_make(&two, places[SHARED].id, MESSAGE_JOINED, "eve", "", 0));
	CHECK_EQUAL(ops->absent(one.writes, one.id, places[LEFT_ALONE].id, "ann"), 0); /* as a server does that stops */
	CHECK_EQUAL(ops->absent(one.writes, one.id, places[LEFT_ALONE].id, "bob"), 0);
	(void)snprintf(where, sizeof where, "place %s", persistent.id);
	CHECK_EQUAL(ops->succeed(one.writes, one.id, where), 0);
	bury(where);
	CHECK_EQUAL(find(&places[UNUSED]), -ENOENT);
	for (int i = USED; i < PLACES; i++)
		CHECK_EQUAL(find(&places[i]), 0);
	(void)append_one(&two, entry_make(&two, places[PAIR_IN_USE].id, MESSAGE_JOINED, "Ann", "", 0)); /* she is back */
	CHECK_EQUAL(system(next_day), 0); /* NOLINT(cert-env33-c): the test's own */
	bury(where);
	CHECK_EQUAL(find(&places[PAIR]), -ENOENT);
	CHECK_EQUAL(find(&places[LEFT_ALONE]), -ENOENT);
	CHECK_EQUAL(find(&places[PAIR_IN_USE]), 0);
	CHECK_EQUAL(find(&places[USED]), 0);
	CHECK_EQUAL(find(&places[SHARED]), 0);
	CHECK_EQUAL(find(&persistent), 0);
	stop_shared();
}

/* ---- Strangers. ---- */

static int offer(struct server *server, const struct place *place, const struct stranger_offer *offered)
{
	return ops->offer(server->writes, server->id, place->id, offered);
}

static int meet(struct server *server, const struct stranger_offer *seeker, struct room_record *record)
{
	return ops->meet(server->writes, seeker, record);
}

/* Takes back what earlier tests, that failed, may have left. */
static void meet_all(void)
{
	struct room_record record;

	while (meet(&one, &(struct stranger_offer){.key = fresh_name(), .last = ""}, &record) == 0)
		;
}

TEST(strangers_meet_once_the_one_who_waits_longest_first)
{
	struct place places[2];
	struct room_record record;
	struct stranger_offer seeker = {.last = ""};

	start_shared();
	meet_all();
	seeker.key = fresh_name();
	CHECK_EQUAL(meet(&two, &seeker, &record), -ENOENT);
	for (size_t i = 0; i < 2; i++) {
		place_open(&places[i]);
		CHECK_EQUAL(offer(&one, &places[i], &(struct stranger_offer){.always = true, .key = fresh_name(), .last = ""}), 0);
	}
	CHECK_EQUAL(meet(&two, &seeker, &record), 0);
	CHECK_TEXT(record.id, places[0].id);
	CHECK_TEXT(record.attributes.name, places[0].name);
	CHECK_EQUAL(meet(&two, &seeker, &record), 0);
	CHECK_TEXT(record.id, places[1].id);
	CHECK_EQUAL(meet(&two, &seeker, &record), -ENOENT);
	stop_shared();
}

TEST(nobody_meets_whom_one_of_the_two_ignores)
{
	struct place place;
	struct room_record record;
	const char *waiting;
	const char *seeking;

	start_shared();
	meet_all();
	waiting = fresh_name();
	seeking = fresh_name();
	place_open(&place);
	CHECK_EQUAL(offer(&one, &place, &(struct stranger_offer){.always = true, .key = waiting, .last = "", .avoid = &seeking, .avoid_count = 1}), 0);
	CHECK_EQUAL(meet(&two, &(struct stranger_offer){.key = seeking, .last = ""}, &record), -ENOENT);
	CHECK_EQUAL(meet(&two, &(struct stranger_offer){.key = fresh_name(), .last = "", .avoid = &waiting, .avoid_count = 1}, &record), -ENOENT);
	CHECK_EQUAL(meet(&two, &(struct stranger_offer){.key = waiting, .last = ""}, &record), -ENOENT); /* nobody meets himself */
	CHECK_EQUAL(meet(&two, &(struct stranger_offer){.key = fresh_name(), .last = ""}, &record), 0);
	stop_shared();
}

TEST(of_two_who_offer_one_finds_the_other_instead)
{
	struct place places[3];
	struct room_record record;
	struct stranger_offer first = {.last = ""};
	struct stranger_offer second = {.last = "", .avoid_count = 0};
	const char *avoided[1];

	start_shared();
	meet_all();
	for (size_t i = 0; i < 3; i++)
		place_open(&places[i]);
	first.key = fresh_name();
	second.key = fresh_name();
	CHECK_EQUAL(offer(&one, &places[0], &first), 0);
	CHECK_EQUAL(offer(&two, &places[1], &second), -EEXIST);
	avoided[0] = first.key;
	second.avoid = avoided;
	second.avoid_count = 1;
	CHECK_EQUAL(offer(&two, &places[1], &second), 0); /* the one who waits is not for it */
	second.avoid_count = 0;
	CHECK_EQUAL(meet(&two, &second, &record), 0);
	CHECK_TEXT(record.id, places[0].id); /* what was refused has taken nothing away */
	meet_all();
	CHECK_EQUAL(offer(&two, &places[2], &second), 0);
	meet_all();
	stop_shared();
}

TEST(the_last_partner_is_met_only_when_nobody_else_waits)
{
	struct place places[2];
	struct room_record record;
	const char *last;
	const char *seeking;

	start_shared();
	meet_all();
	last = fresh_name();
	seeking = fresh_name();
	place_open(&places[0]);
	place_open(&places[1]);
	CHECK_EQUAL(offer(&one, &places[0], &(struct stranger_offer){.always = true, .key = last, .last = seeking}), 0);
	CHECK_EQUAL(offer(&one, &places[1], &(struct stranger_offer){.always = true, .key = fresh_name(), .last = ""}), 0);
	CHECK_EQUAL(meet(&two, &(struct stranger_offer){.key = seeking, .last = last}, &record), 0);
	CHECK_TEXT(record.id, places[1].id);
	CHECK_EQUAL(meet(&two, &(struct stranger_offer){.key = seeking, .last = last}, &record), 0);
	CHECK_TEXT(record.id, places[0].id);
	stop_shared();
}

TEST(who_no_longer_waits_is_not_met)
{
	struct place places[3];
	struct room_record record;
	const struct stranger_offer seeker = {.key = "n-seeker", .last = ""};

	start_shared();
	meet_all();
	for (size_t i = 0; i < 3; i++) {
		place_open(&places[i]);
		CHECK_EQUAL(offer(i == 2 ? &one : &two, &places[i], &(struct stranger_offer){.always = true, .key = fresh_name(), .last = ""}), 0);
	}
	CHECK_EQUAL(ops->set_waits(two.writes, places[0].id, false), 0);
	CHECK_EQUAL(ops->forget_room(two.writes, places[1].id), 0);
	CHECK_EQUAL(ops->retire(one.writes, one.id), 0);
	CHECK_EQUAL(meet(&two, &seeker, &record), -ENOENT);
	stop_shared();
}

/* ---- The database goes away and comes back. ---- */

/* What is told to a link may fail once, when its connection is gone; then it says so. */
static void reconnect(struct server *server)
{
	char fault[ENGINE_FAULT_SIZE];
	long long end_ms = clock_ms() + DEADLINE_MS;

	server_disconnect(server);
	while ((server->writes = ops->connect(server->engine, LINK_WRITES, fault)) == NULL) {
		if (clock_ms() > end_ms)
			FAIL("%s", fault);
		wait_a_moment();
	}
	server->news = link_open(server->engine, LINK_NEWS);
	server->reads = link_open(server->engine, LINK_READS);
}

TEST(what_was_kept_is_there_after_the_database_was_killed)
{
	const char *command = getenv("TEST_ENGINE_RESTART");
	struct place place;
	struct entry entry;
	struct engine_news news[1];

	if (command == NULL)
		SKIP("TEST_ENGINE_RESTART does not say how to restart the database");
	start();
	place_open(&place);
	(void)say(&one, &place, "before");
	CHECK_EQUAL(system(command), 0); /* NOLINT(cert-env33-c): the test's own */
	entry = entry_says(&one, place.id, "after");
	CHECK(ops->append(one.writes, &entry, 1) < 0);
	CHECK(!ops->works(one.writes));
	CHECK(strlen(ops->fault(one.writes)) > 0);
	CHECK(ops->append(one.writes, &entry, 1) < 0); /* it stays so */
	while (ops->works(two.news)) {
		struct pollfd descriptor = {.fd = ops->descriptor(two.news), .events = POLLIN};

		CHECK(poll(&descriptor, 1, DEADLINE_MS) == 1);
		(void)ops->news(two.news, news, 1);
	}
	reconnect(&one);
	reconnect(&two);
	CHECK_EQUAL(append(&one, &entry, 1), 0); /* whether it was written or not */
	CHECK_EQUAL(entry.seq, 2);
	check_said(&place, 1, "before");
	check_said(&place, 2, "after");
	wait_for_news(&two, place.id, 2);
	entry_free(&entry);
	stop();
}

TEST(a_database_that_is_not_there_is_a_fault_without_the_password)
{
	const char *url = engine_url();
	const struct engine_options options = {.url = "", .password = "hush-hush"};
	struct engine_options other = options;
	char nowhere[200];
	char fault[ENGINE_FAULT_SIZE] = "";
	struct engine *engine = NULL;

	(void)snprintf(nowhere, sizeof nowhere, "%.*s//user:tell-nobody@127.0.0.1:1/nothing", (int)strcspn(url, "/"), url);
	other.url = nowhere;
	other.message_api = "127.0.0.1:1";
	for (const struct implementation *i = implementations; i->scheme != NULL && engine == NULL; i++) {
		if (strncmp(url, i->scheme, strlen(i->scheme)) == 0)
			CHECK_EQUAL(i->create(&other, &engine, fault), 0);
	}
	if (engine == NULL)
		SKIP("the engine was left out of this build");
	CHECK(engine->ops->connect(engine, LINK_WRITES, fault) == NULL);
	CHECK(strlen(fault) > 10 && strstr(fault, "hush-hush") == NULL && strstr(fault, "tell-nobody") == NULL);
	engine->ops->destroy(engine);
}
