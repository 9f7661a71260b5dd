/*
 * Many rooms with two members each: what does a quiet room cost, and does a line in one cost anything in the others?
 *
 * The members speak event mode, in which a client is in many rooms at once; so the cost of rooms is told from that of
 * clients, and there are descriptors for them all.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/load/modes.h"
#include "tests/load/net.h"
#include "tests/load/process.h"
#include "tests/load/verdict.h"

enum {
	MANYROOMS_EACH = 31, /* rooms of a member, beside the lobby; the server allows 32 in all */
	MANYROOMS_LINES = 40000, /* enough that the clock of /proc, which counts in 10 ms, tells their cost */
	MANYROOMS_BATCH = 50, /* lines that are said before their echo is read */
	MANYROOMS_BUFFER_SIZE = 64 * 1024,
};

struct person {
	int fd;
	size_t size;         /* bytes in 'buffer' */
	uint64_t messages;   /* lines that somebody said, and this one heard */
	char *buffer;
};

static void manyrooms_say(const struct person *person, const char *text, size_t size)
{
	if (net_send_all(person->fd, text, size) != 0)
		verdict_abort("a member was disconnected");
}

/* Takes a line that somebody said, or happened; anything that is an error is a fault. */
static void manyrooms_take(struct person *person, const char *line)
{
	if (strncmp(line, "! ", 2) == 0 || strstr(line, "\"kind\":\"error\"") != NULL)
		verdict_fault("a member was told: %s", line);
	person->messages += strstr(line, "\"kind\":\"message\"") != NULL;
}

/* Reads lines until one holds 'wanted'. */
static void manyrooms_await(struct person *person, const char *wanted)
{
	for (bool found = false; !found;) {
		char *end = memchr(person->buffer, '\n', person->size);
		ssize_t received;

		if (end != NULL) {
			*end = '\0';
			manyrooms_take(person, person->buffer);
			found = strstr(person->buffer, wanted) != NULL;
			person->size -= (size_t)(end + 1 - person->buffer);
			memmove(person->buffer, end + 1, person->size);
			continue;
		}
		received = recv(person->fd, person->buffer + person->size, MANYROOMS_BUFFER_SIZE - person->size, 0);
		if (received <= 0)
			verdict_abort("waited for %s: %s", wanted, received == 0 ? "end of stream" : strerror(errno));
		person->size += (size_t)received;
	}
}

static struct person manyrooms_connect(const struct options *options, long number)
{
	struct timeval limit = {.tv_sec = options->timeout_s};
	struct person person = {.buffer = malloc(MANYROOMS_BUFFER_SIZE)};
	char text[64];
	int size = snprintf(text, sizeof text, "m%05ld\n/events\n", number);

	person.fd = net_connect(&options->address, (int)options->timeout_s * 1000);
	if (person.fd < 0 || person.buffer == NULL)
		verdict_abort("member %ld cannot connect", number);
	(void)setsockopt(person.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit); /* without it, it waits for longer */
	manyrooms_say(&person, text, (size_t)size);
	return person;
}

static void manyrooms_ping(struct person *person)
{
	static unsigned long count;
	char text[64];
	char pong[64];
	int size = snprintf(text, sizeof text, "/ping %lu.\n", ++count);

	(void)snprintf(pong, sizeof pong, "\"text\":\"%lu.\"", count);
	manyrooms_say(person, text, (size_t)size);
	manyrooms_await(person, pong);
}

static void manyrooms_ping_all(struct person *people, long count)
{
	for (long i = 0; i < count; i++)
		manyrooms_ping(&people[i]);
}

/* Enters the room; its last one gets what is said by then. */
static void manyrooms_join(struct person *person, long room)
{
	char text[32];
	int size = snprintf(text, sizeof text, "/join r%ld\n", room);

	manyrooms_say(person, text, (size_t)size);
}

/* One of the two in a room says lines, both hear them. Returns the server's CPU time a line in microseconds. */
static double manyrooms_talk(const struct options *options, struct person *one, struct person *other)
{
	uint64_t start_ns = process_cpu_ns((pid_t)options->server_pid);

	for (int i = 0; i < MANYROOMS_LINES; i += MANYROOMS_BATCH) {
		char text[16];
		char batch[MANYROOMS_BATCH * sizeof text];
		size_t size = 0;

		for (int j = i; j < i + MANYROOMS_BATCH; j++)
			size += (size_t)snprintf(batch + size, sizeof batch - size, "%d.\n", j);
		manyrooms_say(one, batch, size);
		(void)snprintf(text, sizeof text, "\"text\":\"%d.\"", i + MANYROOMS_BATCH - 1);
		manyrooms_await(one, text);
		manyrooms_await(other, text);
	}
	return (double)(process_cpu_ns((pid_t)options->server_pid) - start_ns) / 1e3 / MANYROOMS_LINES;
}

/* Nobody but the first two has heard anything that was said. */
static void manyrooms_check_silence(struct person *people, long count)
{
	manyrooms_ping_all(people, count);
	for (long i = 0; i < count; i++) {
		uint64_t expected = i < 2 ? 2 * MANYROOMS_LINES : 0;

		if (people[i].messages != expected)
			verdict_fault("member %ld heard %llu lines instead of %llu", i, (unsigned long long)people[i].messages,
				(unsigned long long)expected);
	}
}

void manyrooms_run(const struct options *options, struct report *report)
{
	long count = 2 * ((options->rooms + MANYROOMS_EACH - 1) / MANYROOMS_EACH);
	struct person *people = calloc((size_t)count, sizeof *people);
	uint64_t pss;
	double before_us;
	double after_us;
	uint64_t start_ns;

	if (people == NULL)
		verdict_abort("not enough memory for %ld members", count);
	for (long i = 0; i < count; i++) {
		people[i] = manyrooms_connect(options, i);
		manyrooms_await(&people[i], "\"kind\":\"welcome\"");
	}
	manyrooms_join(&people[0], 0);
	manyrooms_join(&people[1], 0);
	manyrooms_ping_all(people, count);
	before_us = manyrooms_talk(options, &people[0], &people[1]);
	manyrooms_ping_all(people, count);
	pss = process_pss((pid_t)options->server_pid);
	start_ns = net_now_ns();
	for (long room = 1; room < options->rooms; room++) {
		struct person *pair = &people[2 * (room % (count / 2))];

		manyrooms_join(&pair[0], room);
		manyrooms_join(&pair[1], room);
	}
	manyrooms_ping_all(people, count);
	report_add(report, "joined_s", (double)(net_now_ns() - start_ns) / 1e9);
	report_add(report, "kb_per_room",
		((double)process_pss((pid_t)options->server_pid) - (double)pss) / 1e3 / (double)(options->rooms - 1));
	manyrooms_say(&people[0], "/switch r0\n", strlen("/switch r0\n"));
	manyrooms_ping(&people[0]);
	after_us = manyrooms_talk(options, &people[0], &people[1]);
	manyrooms_check_silence(people, count);
	report_add(report, "line_cpu_us_one_room", before_us);
	report_add(report, "line_cpu_us_all_rooms", after_us);
	report_add(report, "rooms", (double)options->rooms);
	report_add(report, "members", (double)count);
	for (long i = 0; i < count; i++) {
		(void)close(people[i].fd);
		free(people[i].buffer);
	}
	free(people);
}
