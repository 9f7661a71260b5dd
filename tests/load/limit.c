/*
 * limit: as fast as lines can be delivered over these sockets at all, a yardstick.
 *
 * It reads a name from each of its members to count them, and then nothing but grants: the first connection tells it,
 * as lines with a number, how many records it may have made (see senders_grant()). It makes the records that the
 * senders would have caused, once, and writes all that is granted to each socket in turn, in batches as large as the
 * window allows. No line is looked at, no list changes, nothing is locked, one thread does it all. The receivers, the
 * window and the checks are the same as for a server.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/load/net.h"
#include "tests/load/wire.h"

enum {
	LIMIT_RING_LINES = 256 * 1024, /* more than the largest window holds */
	LIMIT_EVENTS = 512,
	LIMIT_GREETING_SIZE = 128,
};

struct limit_member {
	int fd;
	uint64_t position; /* bytes sent */
};

struct limit {
	long member_count;
	long sender_count;
	long line_size;
	long batch_size;
	size_t record_size;
	size_t ring_size;
	char *ring;       /* finished records */
	uint64_t made;    /* bytes that were ever in it */
	uint64_t granted; /* records */
	int epoll;
	struct limit_member *members;
};

static _Noreturn void limit_die(const char *what)
{
	fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static const struct option limit_options[] = {
	{"listen", required_argument, NULL, 'l'},
	{"members", required_argument, NULL, 'm'},
	{"senders", required_argument, NULL, 's'},
	{"size", required_argument, NULL, 'z'},
	{"batch", required_argument, NULL, 'b'},
	{0},
};

static _Noreturn void limit_usage(void)
{
	fprintf(stderr,
		"Usage: limit --members N [--senders N] [--size BYTES] [--batch BYTES] [--listen ADDRESS:PORT]\n");
	exit(2);
}

static long limit_number(long min, long max)
{
	char *end;
	long value = strtol(optarg, &end, 10);

	if (end == optarg || *end != '\0' || value < min || value > max)
		limit_usage();
	return value;
}

static const char *limit_read_options(struct limit *limit, int argument_count, char **arguments)
{
	const char *address = "127.0.0.1:0";
	int option;

	while ((option = getopt_long(argument_count, arguments, "", limit_options, NULL)) != -1) {
		if (option == 'l')
			address = optarg;
		else if (option == 'm')
			limit->member_count = limit_number(1, 19000);
		else if (option == 's')
			limit->sender_count = limit_number(1, WIRE_SENDERS_MAX);
		else if (option == 'z')
			limit->line_size = limit_number(WIRE_LINE_MIN, WIRE_LINE_MAX);
		else if (option == 'b')
			limit->batch_size = limit_number(WIRE_RECORD_MAX, 16777216);
		else
			limit_usage();
	}
	if (limit->member_count == 0)
		limit_usage();
	return address;
}

/* Makes the records up to what is granted, the senders taking turns. */
static void limit_make(struct limit *limit)
{
	uint64_t count = limit->made / limit->record_size;

	for (; count < limit->granted; count++) {
		wire_write_record(limit->ring + limit->made % limit->ring_size, (size_t)limit->line_size,
			(unsigned)(count % (uint64_t)limit->sender_count), count / (uint64_t)limit->sender_count);
		limit->made += limit->record_size;
	}
}

/* Reads the name of a new member, and welcomes it. */
static void limit_greet(int fd)
{
	char name[LIMIT_GREETING_SIZE / 2];
	char greeting[LIMIT_GREETING_SIZE];
	size_t size = 0;

	while (size < sizeof name - 1 && recv(fd, name + size, 1, 0) == 1 && name[size] != '\n')
		size++;
	snprintf(greeting, sizeof greeting, "* Welcome %.*s - limit\n", (int)size, name);
	if (net_send_all(fd, greeting, strlen(greeting)) != 0)
		limit_die("a member went before it was welcomed");
}

static void limit_gather(struct limit *limit, int listener)
{
	for (long i = 0; i < limit->member_count; i++) {
		struct limit_member *member = &limit->members[i];
		struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.ptr = member};

		member->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (member->fd < 0)
			limit_die("accept");
		setsockopt(member->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
		limit_greet(member->fd);
		if (i == 0)
			event.events |= EPOLLIN;
		if (epoll_ctl(limit->epoll, EPOLL_CTL_ADD, member->fd, &event) != 0)
			limit_die("epoll");
	}
}

/* Reads grants; the newest counts. False at the end. */
static bool limit_read_grants(struct limit *limit)
{
	static char text[4096];
	static uint64_t number;

	for (;;) {
		ssize_t received = recv(limit->members[0].fd, text, sizeof text, MSG_DONTWAIT);

		if (received < 0 && errno == EAGAIN)
			return true;
		if (received <= 0)
			return false;
		for (ssize_t i = 0; i < received; i++) {
			if (text[i] == '\n') {
				limit->granted = number;
				number = 0;
			} else {
				number = number * 10 + (uint64_t)(text[i] - '0');
			}
		}
	}
}

/* Sends to one member what it lacks, a batch at most. Returns how many bytes. */
static size_t limit_send(struct limit *limit, struct limit_member *member)
{
	size_t at = member->position % limit->ring_size;
	size_t size = (size_t)(limit->made - member->position);
	ssize_t sent;

	if (size > limit->ring_size - at)
		size = limit->ring_size - at;
	if (size > (size_t)limit->batch_size)
		size = (size_t)limit->batch_size;
	if (size == 0)
		return 0;
	sent = send(member->fd, limit->ring + at, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent <= 0)
		return 0;
	member->position += (size_t)sent;
	return (size_t)sent;
}

/* One batch to everybody. Returns how many bytes that were. */
static size_t limit_send_all(struct limit *limit)
{
	size_t sum = 0;

	for (long i = 0; i < limit->member_count; i++)
		sum += limit_send(limit, &limit->members[i]);
	return sum;
}

/* Waits for room in a socket, or for a grant. */
static void limit_wait(struct limit *limit)
{
	struct epoll_event events[LIMIT_EVENTS];

	(void)epoll_wait(limit->epoll, events, LIMIT_EVENTS, 100);
}

int main(int argument_count, char **arguments)
{
	struct limit limit = {.sender_count = 10, .line_size = 64, .batch_size = 262144};
	const char *address = limit_read_options(&limit, argument_count, arguments);
	int listener;

	signal(SIGPIPE, SIG_IGN);
	net_raise_descriptor_limit();
	limit.record_size = wire_record_size((size_t)limit.line_size);
	limit.ring_size = LIMIT_RING_LINES * limit.record_size;
	limit.ring = malloc(limit.ring_size);
	limit.members = calloc((size_t)limit.member_count, sizeof *limit.members);
	limit.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (limit.ring == NULL || limit.members == NULL || limit.epoll < 0)
		limit_die("start");
	listener = net_listen("limit", address);
	limit_gather(&limit, listener);
	while (limit_read_grants(&limit)) {
		limit_make(&limit);
		if (limit_send_all(&limit) == 0)
			limit_wait(&limit);
	}
	return 0;
}
