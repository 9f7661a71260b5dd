#include "tcpclient/outbox.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/check.h"

static char taken[OUTBOX_BYTES_MAX + OUTBOX_LINES_MAX + 1];

static void put(struct outbox *outbox, const char *line)
{
	CHECK(outbox_put(outbox, line, strlen(line)));
}

static void expect(struct outbox *outbox, const char *wanted)
{
	bool quit = false;
	size_t size = outbox_take(outbox, taken, sizeof taken, true, &quit);

	CHECK_BYTES(taken, size, wanted, strlen(wanted));
}

static void check_counts(struct outbox *outbox, size_t waiting, size_t sent)
{
	struct outbox_state state = outbox_state(outbox);

	CHECK_EQUAL(state.waiting, waiting);
	CHECK_EQUAL(state.sent, sent);
}

TEST(lines_come_out_in_order_and_once)
{
	struct outbox *outbox = outbox_create();

	put(outbox, "one");
	put(outbox, "");
	put(outbox, "two");
	check_counts(outbox, 3, 0);
	expect(outbox, "one\n\ntwo\n");
	expect(outbox, "");
	check_counts(outbox, 0, 3);
	outbox_destroy(outbox);
}

TEST(what_is_held_waits)
{
	struct outbox *outbox = outbox_create();

	outbox_hold(outbox, true);
	put(outbox, "one");
	expect(outbox, "");
	CHECK(outbox_state(outbox).held);
	check_counts(outbox, 1, 0);
	outbox_hold(outbox, false);
	expect(outbox, "one\n");
	outbox_destroy(outbox);
}

TEST(what_is_abandoned_is_not_sent)
{
	struct outbox *outbox = outbox_create();

	put(outbox, "one");
	outbox_abandon(outbox);
	expect(outbox, "");
	CHECK(!outbox_put(outbox, "two", 3));
	CHECK(!outbox_put_request(outbox, "{}", 2));
	CHECK(!outbox_wait(outbox));
	outbox_wait_heard(outbox);
	check_counts(outbox, 0, 0);
	outbox_destroy(outbox);
}

TEST(a_written_request_is_sent_as_it_is)
{
	struct outbox *outbox = outbox_create();
	struct buffer out = {0};
	bool quit = false;
	size_t too_long = 0;

	CHECK(outbox_put_request(outbox, "{\"op\":\"ping\"}", 13));
	outbox_take_requests(outbox, &out, 1, &quit, &too_long);
	CHECK_BYTES(out.bytes, out.size, "{\"op\":\"ping\"}\n", 14);
	check_counts(outbox, 0, 0);
	outbox_wait_heard(outbox); /* nothing is waited for */
	buffer_fini(&out);
	outbox_destroy(outbox);
}

TEST(what_was_put_is_heard_when_it_was_answered_and_dealt_with)
{
	struct outbox *outbox = outbox_create();

	outbox_wait_heard(outbox);
	put(outbox, "one");
	outbox_heard(outbox);
	expect(outbox, "one\n");
	outbox_heard(outbox);
	outbox_acknowledge(outbox, "one", 3, true);
	outbox_heard(outbox);
	outbox_wait_heard(outbox);
	outbox_destroy(outbox);
}

TEST(an_echo_forgets_its_line)
{
	struct outbox *outbox = outbox_create();

	put(outbox, "one");
	put(outbox, "two");
	put(outbox, "three");
	expect(outbox, "one\ntwo\nthree\n");
	outbox_acknowledge(outbox, "two", 3, true);
	outbox_acknowledge(outbox, "nobody said that", 16, false);
	check_counts(outbox, 0, 2);
	outbox_acknowledge(outbox, "changed by the server", 21, true);
	check_counts(outbox, 0, 1);
	CHECK_EQUAL(outbox_lost(outbox, true), 1);
	expect(outbox, "three\n");
	outbox_refused(outbox);
	outbox_refused(outbox);
	check_counts(outbox, 0, 0);
	outbox_destroy(outbox);
}

TEST(lost_lines_come_before_those_that_wait)
{
	struct outbox *outbox = outbox_create();

	put(outbox, "one");
	put(outbox, "/who");
	put(outbox, "two");
	expect(outbox, "one\n/who\ntwo\n");
	put(outbox, "three");
	CHECK_EQUAL(outbox_lost(outbox, true), 2);
	put(outbox, "four");
	expect(outbox, "one\ntwo\nthree\nfour\n");
	CHECK_EQUAL(outbox_lost(outbox, true), 4);
	CHECK_EQUAL(outbox_lost(outbox, true), 0);
	put(outbox, "five");
	expect(outbox, "one\ntwo\nthree\nfour\nfive\n");
	outbox_destroy(outbox);
}

TEST(lost_lines_are_forgotten_when_they_must_not_be_said_twice)
{
	struct outbox *outbox = outbox_create();

	put(outbox, "one");
	expect(outbox, "one\n");
	put(outbox, "two");
	CHECK_EQUAL(outbox_lost(outbox, false), 1);
	expect(outbox, "two\n");
	outbox_destroy(outbox);
}

TEST(no_more_lines_than_the_bound_are_taken)
{
	struct outbox *outbox = outbox_create();

	for (int i = 0; i < OUTBOX_LINES_MAX; i++)
		put(outbox, "x");
	CHECK(!outbox_has_room(outbox, 1, 1));
	CHECK(!outbox_put(outbox, "x", 1));
	CHECK_EQUAL(outbox_state(outbox).waiting, OUTBOX_LINES_MAX);
	outbox_destroy(outbox);
}

TEST(no_more_bytes_than_the_bound_are_taken_even_after_they_were_sent)
{
	static char line[OUTBOX_LINE_SIZE_MAX + 1];
	struct outbox *outbox = outbox_create();
	bool quit = false;
	int count = 0;

	memset(line, 'x', sizeof line);
	CHECK(!outbox_put(outbox, line, sizeof line));
	while (outbox_put(outbox, line, OUTBOX_LINE_SIZE_MAX))
		count++;
	CHECK_EQUAL(count, OUTBOX_BYTES_MAX / OUTBOX_LINE_SIZE_MAX);
	CHECK(outbox_take(outbox, taken, sizeof taken, true, &quit) > 0);
	CHECK(!outbox_put(outbox, line, OUTBOX_LINE_SIZE_MAX));
	outbox_acknowledge(outbox, line, OUTBOX_LINE_SIZE_MAX, false);
	CHECK(outbox_put(outbox, line, OUTBOX_LINE_SIZE_MAX));
	outbox_destroy(outbox);
}

TEST(whole_lines_are_taken_as_many_as_fit)
{
	static char line[OUTBOX_LINE_SIZE_MAX];
	static char room[OUTBOX_LINE_SIZE_MAX + 1];
	struct outbox *outbox = outbox_create();
	bool quit = false;

	memset(line, 'x', sizeof line);
	CHECK(outbox_put(outbox, line, sizeof line));
	put(outbox, "y");
	CHECK_EQUAL(outbox_take(outbox, room, sizeof room, true, &quit), sizeof room);
	CHECK_EQUAL(outbox_take(outbox, room, sizeof room, true, &quit), 2);
	outbox_destroy(outbox);
}

TEST(quit_is_noticed)
{
	struct outbox *outbox = outbox_create();
	bool quit = false;

	put(outbox, "//quit");
	put(outbox, "/quitter");
	(void)outbox_take(outbox, taken, sizeof taken, true, &quit);
	CHECK(!quit);
	put(outbox, "/quit");
	(void)outbox_take(outbox, taken, sizeof taken, true, &quit);
	CHECK(quit);
	outbox_destroy(outbox);
}

TEST(a_plan_is_not_taken_back)
{
	struct outbox *outbox = outbox_create();

	CHECK_EQUAL(outbox_state(outbox).plan, OUTBOX_GO_ON);
	outbox_plan(outbox, OUTBOX_LEAVE);
	outbox_plan(outbox, OUTBOX_FINISH);
	CHECK_EQUAL(outbox_state(outbox).plan, OUTBOX_LEAVE);
	outbox_destroy(outbox);
}

static void *acknowledge(void *argument)
{
	outbox_acknowledge(argument, "x", 1, true);
	return NULL;
}

TEST(who_waits_for_room_is_woken)
{
	struct outbox *outbox = outbox_create();
	bool quit = false;
	pthread_t thread;

	for (int i = 0; i < OUTBOX_LINES_MAX; i++)
		put(outbox, "x");
	(void)outbox_take(outbox, taken, sizeof taken, true, &quit);
	CHECK(thread_start(&thread, 0, acknowledge, outbox) == 0);
	CHECK(outbox_wait(outbox));
	thread_join(thread);
	put(outbox, "x");
	outbox_stop(outbox);
	CHECK(!outbox_wait(outbox));
	outbox_destroy(outbox);
}

static bool is_text(const char *line, size_t size, const void *context)
{
	return size == strlen(context) && memcmp(line, context, size) == 0;
}

TEST(what_nobody_typed_is_counted_apart_and_forgotten_before_it_is_sent)
{
	struct outbox *outbox = outbox_create();
	struct outbox_state state;
	struct buffer out = {0};
	bool quit = false;
	size_t too_long = 0;

	put(outbox, "one");
	CHECK(outbox_ask(outbox, "/who"));
	CHECK(outbox_has(outbox, is_text, "/who"));
	outbox_take_requests(outbox, &out, 1, &quit, &too_long);
	(void)outbox_ask(outbox, "/switch \"tea\"");
	state = outbox_state(outbox);
	CHECK_EQUAL(state.sent, 1);
	CHECK_EQUAL(state.asked_sent, 0);
	CHECK_EQUAL(state.waiting, 2);
	CHECK_EQUAL(state.asked_waiting, 2);
	outbox_forget_asked(outbox);
	check_counts(outbox, 0, 1);
	CHECK(!outbox_has(outbox, is_text, "/who"));
	(void)outbox_ask(outbox, "/who");
	buffer_clear(&out);
	outbox_take_requests(outbox, &out, 1, &quit, &too_long);
	CHECK_EQUAL(outbox_state(outbox).asked_sent, 1);
	CHECK_EQUAL(outbox_lost(outbox, true), 1);
	state = outbox_state(outbox);
	CHECK_EQUAL(state.waiting, 1);
	CHECK_EQUAL(state.asked_waiting, 0);
	buffer_fini(&out);
	outbox_destroy(outbox);
}

/* In a new folder, with the lines of the client before, if there was one. */
static struct outbox *keeping(const char *path, bool goes_on)
{
	struct outbox *outbox = outbox_create();
	struct unsent *unsent;
	size_t left;

	CHECK_EQUAL(unsent_open(path, goes_on, &left, &unsent), 0);
	outbox_keep(outbox, unsent);
	return outbox;
}

static void take_all(struct outbox *outbox, const char *expected)
{
	struct buffer out = {0};
	bool quit = false;
	size_t too_long = 0;

	outbox_take_requests(outbox, &out, 100000, &quit, &too_long);
	buffer_add(&out, "", 1);
	CHECK_TEXT(out.bytes, expected);
	buffer_fini(&out);
}

TEST(what_was_said_is_kept_until_it_is_answered)
{
	static const char second[] = "{\"op\":\"send\",\"room\":\"tea\",\"text\":\"two\",\"id\":2}\n";
	char path[] = "outbox-XXXXXX";
	struct buffer line = {0};
	struct outbox *outbox;
	int file = mkstemp(path);

	CHECK(file >= 0);
	(void)close(file);
	outbox = keeping(path, false);
	put(outbox, "one");
	CHECK(outbox_put_to(outbox, "tea", "two", 3));
	put(outbox, "/who");
	take_all(outbox,
		"{\"op\":\"send\",\"text\":\"one\",\"id\":1}\n{\"op\":\"send\",\"room\":\"tea\",\"text\":\"two\",\"id\":2}\n"
		"{\"op\":\"who\",\"id\":4503599627370497}\n");
	CHECK(outbox_answered(outbox, 1, &line));
	CHECK_EQUAL(outbox_state(outbox).kept, 1);
	CHECK_EQUAL(outbox_lost(outbox, true), 1);
	take_all(outbox, second);
	outbox_destroy(outbox);

	outbox = keeping(path, true);
	take_all(outbox, second);
	CHECK(outbox_answered(outbox, 2, &line));
	CHECK_EQUAL(outbox_state(outbox).kept, 0);
	outbox_destroy(outbox);
	CHECK(access(path, F_OK) != 0);
	buffer_fini(&line);
}

TEST(what_a_plain_server_was_given_is_not_kept)
{
	char path[] = "outbox-XXXXXX";
	struct outbox *outbox;
	int file = mkstemp(path);
	static char bytes[70000];
	bool quit = false;

	CHECK(file >= 0);
	(void)close(file);
	outbox = keeping(path, false);
	put(outbox, "one");
	put(outbox, "two");
	CHECK_EQUAL(outbox_state(outbox).kept, 2);
	CHECK_EQUAL(outbox_take(outbox, bytes, sizeof bytes, false, &quit), 8);
	CHECK_EQUAL(outbox_state(outbox).kept, 0);
	outbox_destroy(outbox);
}

TEST(what_waits_long_is_told)
{
	struct outbox *outbox = outbox_create();
	struct buffer lines = {0};
	int next_ms;

	put(outbox, "one");
	put(outbox, "two");
	CHECK(outbox_ask(outbox, "/who"));
	CHECK_EQUAL(outbox_pending(outbox, 10000, 3, &lines, &next_ms), 0);
	CHECK(next_ms > 0 && next_ms <= 10000);
	CHECK_EQUAL(outbox_pending(outbox, 0, 1, &lines, &next_ms), 2);
	CHECK_EQUAL(next_ms, -1);
	buffer_add(&lines, "", 1);
	CHECK_TEXT(lines.bytes, "one\n");
	buffer_fini(&lines);
	outbox_destroy(outbox);
}
