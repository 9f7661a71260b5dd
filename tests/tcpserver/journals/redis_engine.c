/*
 * What is Redis's own, run against the one that TEST_ENGINE_URL names, which is changed and emptied. The scripts in tests/engines/ start it.
 */
#include "tcpserver/journals/redis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/message.h"
#include "tcpserver/journals/redis_link.h"
#include "tcpserver/journals/redis_reply.h"
#include "tests/check.h"

static const char id[] = "0123456789abcdef0123";
static const char server[] = "@123456789abcdef0123";

static struct engine *engine;
static struct link *link_;
static uint64_t number;

static void open_engine(const char *parameters)
{
	const char *base = getenv("TEST_ENGINE_URL");
	char url[600];
	char fault[ENGINE_FAULT_SIZE] = "";
	const struct engine_options options = {.url = url};

	if (base == NULL)
		SKIP("TEST_ENGINE_URL names no Redis");
	(void)snprintf(url, sizeof url, "%s%s", base, parameters);
	if (redis_engine_create(&options, &engine, fault) != 0)
		FAIL("%s", fault);
	link_ = engine->ops->connect(engine, LINK_WRITES, fault);
	if (link_ == NULL)
		FAIL("%s", fault);
}

static void close_engine(void)
{
	engine->ops->disconnect(link_);
	engine->ops->destroy(engine);
}

/* Says something to Redis itself: words with a space between two. */
static void tell(const char *words)
{
	struct link *link = engine->ops->connect(engine, LINK_READS, (char[ENGINE_FAULT_SIZE]){0});
	struct redis_command command = {0};
	redisReply *reply;
	char copy[200];

	CHECK(link != NULL);
	(void)snprintf(copy, sizeof copy, "%s", words);
	for (char *rest = copy, *word; (word = strsep(&rest, " ")) != NULL;)
		redis_command_text(&command, word);
	reply = redis_link_ask(link, &command);
	if (reply == NULL)
		FAIL("%s: %s", words, engine->ops->fault(link));
	freeReplyObject(reply);
	engine->ops->disconnect(link);
}

static void open_room(void)
{
	const struct room_attributes attributes = {.id = id, .name = "tea", .creator = "bob", .listed = true, .persistent = true};
	struct room_record record;

	tell("FLUSHALL");
	CHECK_EQUAL(engine->ops->open_room(link_, &attributes, &record), 0);
}

/* Returns the number, or -errno; of a refused one, too. */
static long long say_after(uint64_t at_least, const char *text)
{
	struct entry entry = {
		.room = id,
		.message = message_create(MESSAGE_TEXT, "tea", "bob", text, strlen(text)),
		.server = server,
		.number = ++number,
		.at_least = at_least,
	};
	int error;

	CHECK(entry.message != NULL);
	error = engine->ops->append(link_, &entry, 1);
	message_release((struct message *)(uintptr_t)entry.message);
	return error != 0 ? error : entry.outcome == ENTRY_REFUSED ? -entry.error : (long long)entry.seq;
}

static long long say(const char *text)
{
	return say_after(0, text);
}

static size_t fetch_numbers(uint64_t from, uint64_t *numbers, size_t capacity)
{
	struct message *messages[100];
	ssize_t count = engine->ops->fetch(link_, id, "tea", from, messages, capacity);

	CHECK(count >= 0);
	for (ssize_t i = 0; i < count; i++) {
		numbers[i] = messages[i]->seq;
		message_release(messages[i]);
	}
	return (size_t)count;
}

TEST(a_redis_that_has_forgotten_the_scripts_is_told_them_again)
{
	open_engine("");
	open_room();
	CHECK_EQUAL(say("one"), 1);
	tell("SCRIPT FLUSH");
	CHECK_EQUAL(say("two"), 2);
	close_engine();
}

TEST(a_room_that_redis_has_lost_goes_on_above_what_was_seen)
{
	uint64_t numbers[10];
	struct room_record record;
	uint64_t last;

	open_engine("");
	open_room();
	for (int i = 0; i < 5; i++)
		CHECK_EQUAL(say("before"), i + 1);
	tell("FLUSHALL");
	CHECK_EQUAL(engine->ops->last(link_, &(const char *){id}, &last, 1), 0);
	CHECK_EQUAL(last, 0);
	CHECK_EQUAL(say_after(5, "after"), 6);
	CHECK_EQUAL(say_after(5, "and on"), 7);
	CHECK_EQUAL(fetch_numbers(1, numbers, 10), 2);
	CHECK_EQUAL(numbers[0], 6);
	CHECK_EQUAL(engine->ops->find_room(link_, "tea", "", &record), 0);
	CHECK_TEXT(record.id, id);
	CHECK(record.attributes.listed && record.attributes.persistent);
	CHECK_EQUAL(record.last, 7);
	close_engine();
}

TEST(numbers_go_on_above_what_was_seen_when_the_last_second_is_lost)
{
	open_engine("");
	open_room();
	CHECK_EQUAL(say("one"), 1);
	CHECK_EQUAL(say_after(40, "others have seen 40"), 41);
	CHECK_EQUAL(say("next"), 42);
	close_engine();
}

TEST(a_room_keeps_as_many_messages_as_the_url_says)
{
	uint64_t numbers[100];

	open_engine("?maxlen=10");
	open_room();
	for (int i = 0; i < 35; i++)
		CHECK_EQUAL(say("x"), i + 1);
	CHECK_EQUAL(fetch_numbers(1, numbers, 100), 10);
	CHECK_EQUAL(numbers[0], 26);
	CHECK_EQUAL(numbers[9], 35);
	CHECK_EQUAL(engine->ops->trim(link_, id, 30), 0);
	CHECK_EQUAL(fetch_numbers(1, numbers, 100), 5);
	CHECK_EQUAL(numbers[0], 31);
	CHECK_EQUAL(engine->ops->trim(link_, id, 1000), 0);
	CHECK_EQUAL(fetch_numbers(1, numbers, 100), 0);
	CHECK_EQUAL(say("and on"), 36);
	close_engine();
}

TEST(a_full_memory_refuses_and_the_link_works_on)
{
	open_engine("");
	open_room();
	CHECK_EQUAL(say("one"), 1);
	tell("CONFIG SET maxmemory 1");
	CHECK_EQUAL(say("too much"), -ENOSPC);
	CHECK(engine->ops->works(link_));
	CHECK(strstr(engine->ops->fault(link_), "OOM") != NULL);
	tell("CONFIG SET maxmemory 0");
	CHECK_EQUAL(say("two"), 2);
	close_engine();
}

TEST(too_few_replicas_make_it_unknown_whether_it_lasts)
{
	open_engine("?replicas=1");
	open_room();
	CHECK_EQUAL(say("one"), -ETIMEDOUT);
	CHECK(!engine->ops->works(link_));
	close_engine();
}

TEST(a_number_that_scripts_cannot_count_is_refused)
{
	open_engine("");
	open_room();
	CHECK_EQUAL(say_after(UINT64_C(1) << 53, "x"), -EFBIG);
	CHECK_EQUAL(say("one"), 1);
	close_engine();
}

TEST(what_others_wrote_into_a_stream_is_left_out_or_cleaned)
{
	struct message *messages[10];

	open_engine("");
	open_room();
	CHECK_EQUAL(say("one"), 1);
	tell("XADD tcpchat:stream:0123456789abcdef0123 2-0 what ever");
	tell("XADD tcpchat:stream:0123456789abcdef0123 3-0 kind 99 at 1 participant bob text x");
	tell("XADD tcpchat:stream:0123456789abcdef0123 4-0 kind 0 at 1 participant bob text \x1b[2Jhello\xff");
	tell("XADD tcpchat:stream:0123456789abcdef0123 4-1 kind 0 at 1 participant bob text twice");
	CHECK_EQUAL(engine->ops->fetch(link_, id, "tea", 1, messages, 10), 2);
	CHECK_EQUAL(messages[1]->seq, 4);
	CHECK_BYTES(messages[1]->text, messages[1]->text_size, "[2Jhello\uFFFD", 11);
	message_release(messages[0]);
	message_release(messages[1]);
	CHECK_EQUAL(say("above them"), 5);
	close_engine();
}

/* Redis works at a script of somebody else. */
TEST(a_redis_that_does_not_answer_breaks_the_link)
{
	struct link *busy;
	struct redis_command command = {0};
	long long begin_ms;

	open_engine("");
	open_room();
	busy = engine->ops->connect(engine, LINK_READS, (char[ENGINE_FAULT_SIZE]){0});
	CHECK(busy != NULL);
	redis_command_text(&command, "DEBUG");
	redis_command_text(&command, "SLEEP");
	redis_command_number(&command, ENGINE_TIMEOUT_S + 2);
	CHECK_EQUAL(redis_wire_send(&busy->wire, "*3\r\n", 4, clock_ms() + 1000), 0);
	CHECK_EQUAL(redis_wire_send(&busy->wire, command.bytes, command.size, clock_ms() + 1000), 0);
	redis_command_free(&command);
	begin_ms = clock_ms();
	CHECK_EQUAL(say("hello?"), -ETIMEDOUT);
	CHECK(clock_ms() - begin_ms >= ENGINE_TIMEOUT_S * 1000 - 100);
	CHECK(!engine->ops->works(link_));
	CHECK_EQUAL(say("hello?"), -ETIMEDOUT); /* it stays so, at once */
	engine->ops->disconnect(busy);
	close_engine();
}

static void describe(char words[ENGINE_FAULT_SIZE])
{
	engine->ops->describe(link_, words, ENGINE_FAULT_SIZE);
}

TEST(what_redis_promises_is_said)
{
	char words[ENGINE_FAULT_SIZE];

	open_engine("");
	tell("CONFIG SET appendonly yes");
	tell("CONFIG SET appendfsync always");
	describe(words);
	CHECK_CONTAINS(words, "nothing that was acknowledged is lost in a power cut");
	tell("CONFIG SET no-appendfsync-on-rewrite yes");
	describe(words);
	CHECK_CONTAINS(words, "except while Redis rewrites");
	tell("CONFIG SET no-appendfsync-on-rewrite no");
	tell("CONFIG SET appendfsync everysec");
	describe(words);
	CHECK_CONTAINS(words, "about the last second");
	tell("CONFIG SET maxmemory 1000000000");
	tell("CONFIG SET maxmemory-policy allkeys-lru");
	describe(words);
	CHECK_CONTAINS(words, "WARNING");
	CHECK_CONTAINS(words, "noeviction");
	tell("CONFIG SET maxmemory 0");
	tell("CONFIG SET maxmemory-policy noeviction");
	tell("CONFIG SET appendonly no");
	describe(words);
	CHECK_CONTAINS(words, "since its last snapshot");
	tell("CONFIG SET appendonly yes");
	close_engine();
}

TEST(who_may_not_ask_for_the_settings_is_told_that_nothing_is_promised)
{
	char words[ENGINE_FAULT_SIZE];

	open_engine("");
	open_room();
	tell("ACL SETUSER default -config");
	describe(words);
	CHECK_CONTAINS(words, "nothing is promised");
	CHECK(engine->ops->works(link_));
	CHECK_EQUAL(say("one"), 1);
	tell("ACL SETUSER default +config");
	close_engine();
}
