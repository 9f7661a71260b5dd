#include "tcpserver/core/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/health.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/journals/memory.h"

#include "tests/check.h"

enum { THREADS = 8, COUNTS = 20000, BUFFER_SIZE = 4096 };

#define SECOND_NS INT64_C(1000000000)

static size_t encode(const struct message *message, char *out, size_t size)
{
	if (message->text_size + 1 <= size) {
		if (message->text_size > 0)
			memcpy(out, message->text, message->text_size);
		out[message->text_size] = '\n';
	}
	return message->text_size + 1;
}

static char *no_words(const struct telling *telling, size_t *size)
{
	(void)telling;
	*size = 0;
	return NULL;
}

static const struct format format = {.name = "test", .encode = encode, .recall = encode};
static const struct door line = {.name = "line", .words = no_words};
static const struct door event = {.name = "event", .words = no_words};
static const struct door strange = {.name = "strange", .words = no_words};

static struct talk talk;
static struct journal *journal;

static void start(void)
{
	outlet_prepare_process();
	journal = memory_journal_create(1000);
	CHECK(journal != NULL);
	CHECK(talk_init(&talk, journal, 10));
	talk.started_ns = clock_wall_ns();
}

static void stop(void)
{
	talk_fini(&talk);
	journal->ops->destroy(journal);
}

/* The value in the line that begins with 'sample' and a space. */
static double value(const char *sample)
{
	size_t size;
	char *text = metrics_print(&talk, &size);
	const char *at = text;
	size_t length = strlen(sample);
	double found;

	CHECK(text != NULL);
	CHECK_EQUAL(strlen(text), size);
	while (at != NULL && (strncmp(at, sample, length) != 0 || at[length] != ' ')) {
		at = strchr(at, '\n');
		at = at == NULL ? NULL : at + 1;
	}
	if (at == NULL)
		FAIL("there is no %s in:\n%s", sample, text);
	found = strtod(at + length, NULL);
	free(text);
	return found;
}

static void expect(const char *sample, double expected)
{
	double actual = value(sample);

	if (actual > expected || actual < expected)
		FAIL("%s is %g, not %g", sample, actual, expected);
}

/* ---- The text. ---- */

static size_t name_length(const char *text)
{
	return strspn(text, "abcdefghijklmnopqrstuvwxyz_");
}

/* The rest behind a label, or the text itself if there is none. */
static const char *skip_label(const char *text)
{
	size_t length;

	if (text[0] != '{')
		return text;
	length = name_length(text + 1);
	CHECK(length > 0 && strncmp(text + 1 + length, "=\"", 2) == 0);
	text += length + 3;
	length = strcspn(text, "\"\\\n");
	CHECK(length > 0 && strncmp(text + length, "\"}", 2) == 0); /* nothing that would have to be escaped */
	return text + length + 2;
}

/* Whether 'name' is that of the family, or of a part of its histogram. */
static bool is_of_family(const char *name, size_t length, const char *family)
{
	static const char *const parts[] = {"", "_bucket", "_sum", "_count"};
	size_t whole = strlen(family);

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (length == whole + strlen(parts[i]) && strncmp(name, family, whole) == 0 &&
			strncmp(name + whole, parts[i], length - whole) == 0)
			return true;
	}
	return false;
}

TEST(each_line_is_a_head_or_a_sample_of_the_family_above_it)
{
	char family[100] = "";
	char type[20] = "";
	char *text;
	size_t size;
	size_t samples = 0;

	start();
	metrics_answered_http(200);
	text = metrics_print(&talk, &size);
	CHECK(text != NULL && size > 0 && text[size - 1] == '\n');
	for (char *at = text, *end; *at != '\0'; at = end + 1) {
		char *number;

		end = strchr(at, '\n');
		*end = '\0';
		if (strncmp(at, "# HELP ", 7) == 0) {
			CHECK(sscanf(at, "# HELP %99s", family) == 1);
			CHECK(strlen(at) > 10 + strlen(family));
			continue;
		}
		if (at[0] == '#') {
			char typed[100];

			CHECK(sscanf(at, "# TYPE %99s %19s", typed, type) == 2);
			CHECK_TEXT(typed, family);
			CHECK(strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0 || strcmp(type, "histogram") == 0);
			continue;
		}
		CHECK(is_of_family(at, name_length(at), family));
		CHECK((strcmp(type, "counter") != 0) == (strstr(family, "_total") == NULL)); /* as names should be */
		at += name_length(at);
		at = (char *)(uintptr_t)skip_label(at);
		CHECK(*at == ' ');
		(void)strtod(at + 1, &number);
		CHECK(number > at + 1 && *number == '\0');
		samples++;
	}
	CHECK(samples > 50);
	free(text);
	stop();
}

TEST(the_process_is_told)
{
	struct rlimit limit;
	double descriptors;
	int one;

	start();
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	expect("process_max_fds", (double)limit.rlim_cur);
	CHECK(value("process_threads") >= 1 && value("process_threads") < 10); /* a sanitizer may have one */
	CHECK(value("process_resident_memory_bytes") > 100000);
	CHECK(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
	CHECK(value("process_cpu_seconds_total") < 100);
	CHECK(value("process_start_time_seconds") > 1.7e9);
	descriptors = value("process_open_fds");
	one = dup(0);
	CHECK(one >= 0);
	expect("process_open_fds", descriptors + 1);
	(void)close(one);
	expect("chat_build_info{version=\"" TCPCHAT_VERSION "\"}", 1);
	stop();
}

/* ---- Counting. ---- */

static void *count_a_lot(void *argument)
{
	(void)argument;
	for (int i = 0; i < COUNTS; i++) {
		metrics_published(MESSAGE_TEXT);
		metrics_sent(3);
		metrics_delivered(i);
		metrics_changed_behind(1);
		metrics_changed_behind(-1);
	}
	return NULL;
}

TEST(what_many_threads_count_adds_up)
{
	pthread_t threads[THREADS];

	start();
	for (size_t i = 0; i < THREADS; i++)
		CHECK_EQUAL(thread_start(&threads[i], 0, count_a_lot, NULL), 0);
	for (int i = 0; i < 20; i++)
		CHECK(value("chat_readers_behind") <= THREADS); /* and never less than none */
	for (size_t i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	expect("chat_messages_total{kind=\"message\"}", THREADS * COUNTS);
	expect("chat_bytes_sent_total", 3.0 * THREADS * COUNTS);
	expect("chat_delivery_seconds_count", THREADS * COUNTS);
	expect("chat_readers_behind", 0);
	stop();
}

TEST(connections_are_counted_by_the_door_that_serves_them_now)
{
	struct client client = {.number = 1};
	struct outlet *outlet;

	start();
	outlet = outlet_create(-1, &line, 1000);
	CHECK(outlet != NULL);
	client_list_set_outlet(&talk.clients, &client, outlet, &line);
	expect("chat_connections{door=\"line\"}", 1);
	client_list_set_outlet(&talk.clients, &client, outlet, &event);
	expect("chat_connections{door=\"line\"}", 0);
	expect("chat_connections{door=\"event\"}", 1);
	client_list_set_outlet(&talk.clients, &client, outlet, &strange);
	expect("chat_connections{door=\"event\"}", 0);
	expect("chat_connections{door=\"other\"}", 1);
	client_list_set_outlet(&talk.clients, &client, NULL, NULL);
	expect("chat_connections{door=\"other\"}", 0);
	outlet_release(outlet);
	stop();
}

TEST(connections_that_are_turned_away_are_counted_by_why)
{
	start();
	metrics_accepted();
	metrics_accepted();
	metrics_refused(METRICS_SERVER_FULL);
	metrics_refused(METRICS_NO_THREAD);
	expect("chat_connections_accepted_total", 2);
	expect("chat_connections_refused_total{reason=\"server-full\"}", 1);
	expect("chat_connections_refused_total{reason=\"address-full\"}", 0);
	expect("chat_connections_refused_total{reason=\"no-thread\"}", 1);
	stop();
}

TEST(requests_are_counted_by_the_code_of_their_answer)
{
	start();
	metrics_answered_http(99);
	metrics_answered_http(600);
	metrics_answered_http(200);
	metrics_answered_http(404);
	metrics_answered_http(404);
	expect("chat_http_requests_total{code=\"200\"}", 1);
	expect("chat_http_requests_total{code=\"404\"}", 2);
	stop();
}

TEST(a_bucket_holds_what_is_not_above_its_bound)
{
	start();
	metrics_delivered(-5); /* a clock never goes back; if it did, no harm is done */
	metrics_delivered(SECOND_NS / 1000);
	metrics_delivered(SECOND_NS / 1000 + 1);
	metrics_delivered(100 * SECOND_NS);
	expect("chat_delivery_seconds_bucket{le=\"0.0001\"}", 1);
	expect("chat_delivery_seconds_bucket{le=\"0.0005\"}", 1);
	expect("chat_delivery_seconds_bucket{le=\"0.001\"}", 2);
	expect("chat_delivery_seconds_bucket{le=\"0.0025\"}", 3);
	expect("chat_delivery_seconds_bucket{le=\"10\"}", 3);
	expect("chat_delivery_seconds_bucket{le=\"+Inf\"}", 4);
	expect("chat_delivery_seconds_count", 4);
	CHECK(value("chat_delivery_seconds_sum") > 100.0019 && value("chat_delivery_seconds_sum") < 100.0021);
	metrics_committed(3, SECOND_NS);
	metrics_committed(100000, SECOND_NS);
	expect("chat_commit_messages_bucket{le=\"2\"}", 0);
	expect("chat_commit_messages_bucket{le=\"5\"}", 1);
	expect("chat_commit_messages_bucket{le=\"10000\"}", 1);
	expect("chat_commit_messages_bucket{le=\"+Inf\"}", 2);
	expect("chat_commit_messages_sum", 100003);
	expect("chat_commit_seconds_bucket{le=\"1\"}", 2);
	stop();
}

/* ---- What the talk counts. ---- */

struct person {
	struct client client;
	struct outlet *outlet;
	struct member *member;
	int pair[2];
};

static void come(struct person *person, const char *name)
{
	const struct saying joined = {.kind = MESSAGE_JOINED, .name = name};
	int size = BUFFER_SIZE;

	*person = (struct person){.client = {.number = 1}};
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, person->pair) == 0);
	CHECK(setsockopt(person->pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
	person->outlet = outlet_create(person->pair[0], &line, BUFFER_SIZE);
	CHECK(person->outlet != NULL);
	CHECK(client_list_add(&talk.clients, &person->client, NULL, &talk.limits) == CLIENT_ADMITTED);
	client_list_set_outlet(&talk.clients, &person->client, person->outlet, &line);
	CHECK_EQUAL(client_list_register(&talk.clients, &person->client, name), 0);
	person->member = member_create(person->outlet, &person->client, room_acquire(talk.lobby), &format);
	CHECK(person->member != NULL);
	CHECK_EQUAL(rooms_enter(&talk.rooms, person->member), ROOMS_DONE);
	room_say(talk.lobby, person->member, NULL, &joined);
	room_flush(talk.lobby);
}

static void go(struct person *person)
{
	member_leave(person->member, false);
	rooms_exit(&talk.rooms, person->member);
	room_leave(talk.lobby, person->member, person->client.name, "normally");
	member_release(person->member);
	client_list_unregister(&talk.clients, &person->client);
	client_list_set_outlet(&talk.clients, &person->client, NULL, NULL);
	client_list_remove(&talk.clients, &person->client);
	outlet_detach(person->outlet);
	outlet_release(person->outlet);
	(void)close(person->pair[0]);
	(void)close(person->pair[1]);
}

static void say(struct person *person, const char *text)
{
	const struct saying saying = {
		.kind = MESSAGE_TEXT, .name = person->client.name, .text = text, .text_size = strlen(text)};

	room_say(talk.lobby, person->member, person->outlet, &saying);
	room_flush(talk.lobby);
}

TEST(what_is_said_is_counted_and_its_delivery_timed)
{
	struct person ann;

	start();
	come(&ann, "ann");
	expect("chat_people", 1);
	expect("chat_rooms_open", 1);
	expect("chat_messages_total{kind=\"joined\"}", 1);
	expect("chat_delivery_seconds_count", 1);
	say(&ann, "hello");
	room_flush(talk.lobby); /* there is nothing new to send */
	expect("chat_messages_total{kind=\"message\"}", 1);
	expect("chat_delivery_seconds_count", 2);
	expect("chat_delivery_seconds_bucket{le=\"10\"}", 2);
	expect("chat_bytes_sent_total", 6);
	go(&ann);
	expect("chat_messages_total{kind=\"left\"}", 1);
	expect("chat_people", 0);
	stop();
}

static int refuse_all(struct journal_room *room, const struct draft *draft)
{
	(void)room;
	(void)draft;
	return -ENOSPC;
}

TEST(what_cannot_be_kept_is_counted_apart)
{
	struct journal_ops ops;
	struct person ann;

	start();
	ops = *journal->ops;
	journal->ops = &ops;
	talk_fini(&talk);
	CHECK(talk_init(&talk, journal, 10)); /* its lobby knows the table that can fail */
	come(&ann, "ann");
	ops.append = refuse_all;
	say(&ann, "hello");
	expect("chat_messages_refused_total", 1);
	expect("chat_messages_total{kind=\"message\"}", 0);
	go(&ann);
	stop();
}

TEST(who_is_behind_is_counted_until_it_has_caught_up_or_left)
{
	char text[1024];
	struct person ann;

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	start();
	come(&ann, "ann");
	expect("chat_readers_behind", 0);
	expect("chat_lag_messages_max", 0);
	for (int i = 0; i < 100; i++)
		say(&ann, text); /* nobody reads it */
	expect("chat_readers_behind", 1);
	CHECK(value("chat_lag_messages_max") > 50 && value("chat_lag_messages_max") <= 100);
	CHECK(room_jump(talk.lobby, ann.member) > 0);
	expect("chat_readers_behind", 0);
	expect("chat_lag_messages_max", 0);
	room_reread(talk.lobby, ann.member, 1, true); /* history */
	expect("chat_readers_behind", 1);
	expect("chat_lag_messages_max", 0);
	go(&ann);
	expect("chat_readers_behind", 0);
	stop();
}

/* ---- Health. ---- */

TEST(the_server_is_ready_unless_it_stops_or_its_journal_cannot_be_written)
{
	const char *why = NULL;

	start();
	CHECK(health_is_ready(&talk, &why));
	CHECK(why == NULL);
	expect("chat_ready", 1);
	health_note_journal(ENOSPC);
	CHECK(!health_is_ready(&talk, &why));
	CHECK_CONTAINS(why, "disk is full");
	expect("chat_ready", 0);
	health_note_journal(EIO);
	CHECK(!health_is_ready(&talk, &why));
	CHECK_CONTAINS(why, "disk fails");
	health_note_journal(EROFS);
	CHECK(!health_is_ready(&talk, &why));
	CHECK_CONTAINS(why, "read-only");
	health_note_journal(ENOENT);
	CHECK(!health_is_ready(&talk, &why));
	CHECK_CONTAINS(why, "journal-failed");
	health_note_journal(0);
	CHECK(health_is_ready(&talk, NULL));
	atomic_store(&talk.stopping, true);
	CHECK(!health_is_ready(&talk, &why));
	CHECK_TEXT(why, "the server stops");
	stop();
}
