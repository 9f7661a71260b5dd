/*
 * A room where some are asleep: how long does a line take to those who are awake?
 *
 * Sleepers join and never read again. Then so much is said that their sockets are full and that they are far behind what the
 * server has in memory; without sleepers the same is said. What is measured comes after that: single lines at the given rate.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/load/crowd.h"
#include "tests/load/modes.h"
#include "tests/load/net.h"
#include "tests/load/process.h"
#include "tests/load/verdict.h"

enum {
	ASLEEP_SAID_BYTES = 8 * 1024 * 1024,
	ASLEEP_SAID_PER_S = 200000, /* lines; as fast as the server takes them */
	ASLEEP_PAUSE_S = 3, /* the server does meanwhile what it put off, such as its index */
	ASLEEP_RECEIVE_BUFFER = 4096,
	ASLEEP_WELCOME_SIZE = 4096,
};

/* Reads until it is welcome, and then nothing more. */
static bool asleep_wait_for_welcome(int fd)
{
	char words[ASLEEP_WELCOME_SIZE];
	size_t size = 0;

	while (size < sizeof words - 1) {
		ssize_t got = recv(fd, words + size, sizeof words - 1 - size, 0);

		if (got <= 0)
			return false;
		size += (size_t)got;
		words[size] = '\0';
		if (strstr(words, "Welcome") != NULL)
			return true;
	}
	return false;
}

static int asleep_join(const struct options *options, long number)
{
	int buffer = ASLEEP_RECEIVE_BUFFER;
	int fd = net_connect(&options->address, (int)options->timeout_s * 1000);
	char name[32];

	if (fd < 0)
		verdict_abort("a sleeper cannot connect: %s", strerror(-fd));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
	snprintf(name, sizeof name, "sleeper%ld\n", number);
	if (net_send_all(fd, name, strlen(name)) != 0 || !asleep_wait_for_welcome(fd))
		verdict_fault("a sleeper was not welcome");
	return fd;
}

/* Nobody is thrown out for being asleep. */
static void asleep_leave(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof info;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_state != TCP_ESTABLISHED)
		verdict_fault("a sleeper was disconnected");
	close(fd);
}

void asleep_run(const struct options *options, struct report *report)
{
	struct crowd crowd = {.measures_delays = true};
	uint64_t lines_per_s = (uint64_t)(options->rate * options->senders);
	int *sleepers = calloc((size_t)options->sleepers + 1, sizeof *sleepers);
	uint64_t sent = 0;

	if (sleepers == NULL)
		verdict_abort("no memory");
	crowd_open(&crowd, options, CROWD_TALKER_ORDER, (size_t)options->senders);
	crowd_join(&crowd);
	for (long i = 0; i < options->sleepers; i++)
		sleepers[i] = asleep_join(options, i);
	(void)crowd_announce(&crowd);
	latency_talk(&crowd, ASLEEP_SAID_BYTES / (uint64_t)options->line_size, ASLEEP_SAID_PER_S, false, &sent);
	(void)crowd_let_pass(ASLEEP_PAUSE_S * 1000000000ULL);
	latency_talk(&crowd, lines_per_s * (uint64_t)options->warmup_ms / 1000, lines_per_s, false, &sent);
	latency_talk(&crowd, lines_per_s * (uint64_t)options->seconds, lines_per_s, true, &sent);
	if (!verdict_failed())
		(void)crowd_announce(&crowd);
	crowd_stop(&crowd);
	if (!verdict_failed())
		crowd_check_counts(&crowd, sent);
	for (long i = 0; i < options->sleepers; i++)
		asleep_leave(sleepers[i]);
	latency_report(&crowd, report);
	report_add(report, "sleepers", (double)options->sleepers);
	crowd_close(&crowd);
	free(sleepers);
}
