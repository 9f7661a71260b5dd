#include "tests/load/senders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/load/crowd.h"
#include "tests/load/verdict.h"
#include "tests/load/wire.h"

enum { SENDERS_FILLS = 4 }; /* the window is filled up when a quarter of it is free */

static void senders_open_outlet(struct senders *senders, size_t index)
{
	struct outlet *outlet = &senders->outlets[index];

	outlet->line = malloc(senders->line_size);
	outlet->pending = malloc(senders->outlet_lines * senders->line_size);
	if (outlet->line == NULL || outlet->pending == NULL)
		verdict_abort("not enough memory for %zu senders", senders->outlet_count);
	wire_write_line(outlet->line, senders->line_size, 0, 0);
}

void senders_open(struct senders *senders, struct crowd *crowd)
{
	*senders = (struct senders){
		.crowd = crowd,
		.line_size = (size_t)crowd->options->line_size,
		.outlet_count = (size_t)crowd->options->senders,
	};
	senders->outlet_lines = crowd->window_lines / senders->outlet_count + 1;
	senders->outlets = calloc(senders->outlet_count, sizeof *senders->outlets);
	if (senders->outlets == NULL)
		verdict_abort("not enough memory for %zu senders", senders->outlet_count);
	for (size_t i = 0; i < senders->outlet_count; i++)
		senders_open_outlet(senders, i);
	pthread_mutex_init(&senders->mutex, NULL);
}

void senders_close(struct senders *senders)
{
	pthread_mutex_destroy(&senders->mutex);
	for (size_t i = 0; i < senders->outlet_count; i++) {
		free(senders->outlets[i].line);
		free(senders->outlets[i].pending);
	}
	free(senders->outlets);
}

/* Sends what the socket takes now. */
static void senders_flush(struct senders *senders, struct outlet *outlet)
{
	while (outlet->pending_sent < outlet->pending_size) {
		ssize_t sent = send(outlet->fd, outlet->pending + outlet->pending_sent,
			outlet->pending_size - outlet->pending_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN && errno != EINTR) {
			verdict_fault("a sender cannot send: %s", strerror(errno));
			senders->running = false;
		}
		if (sent < 0)
			return;
		outlet->pending_sent += (size_t)sent;
	}
	outlet->pending_size = 0;
	outlet->pending_sent = 0;
}

static void senders_fill(struct senders *senders, struct outlet *outlet, size_t line_count)
{
	for (size_t i = 0; i < line_count; i++) {
		memcpy(outlet->pending + outlet->pending_size, outlet->line, senders->line_size);
		outlet->pending_size += senders->line_size;
		wire_step_line(outlet->line);
	}
	senders->sent += line_count;
}

/* Shares 'free_lines' among the senders; one whose socket is full gets no more until that is sent. */
static void senders_speak(struct senders *senders, size_t free_lines)
{
	size_t share = free_lines / senders->outlet_count;

	for (size_t i = 0; i < senders->outlet_count; i++) {
		struct outlet *outlet = &senders->outlets[i];

		if (outlet->pending_size == 0)
			senders_fill(senders, outlet, share);
		senders_flush(senders, outlet);
	}
}

/* Tells the server how many lines it may have made; see limit.c. */
static void senders_grant(struct senders *senders, size_t free_lines)
{
	struct outlet *outlet = &senders->outlets[0];

	if (outlet->pending_size == 0) {
		senders->sent += free_lines - free_lines % senders->outlet_count;
		outlet->pending_size = (size_t)snprintf(
			outlet->pending, senders->line_size, "%llu\n", (unsigned long long)senders->sent);
	}
	senders_flush(senders, outlet);
}

void senders_pump(struct senders *senders)
{
	struct crowd *crowd = senders->crowd;
	size_t free_lines;

	pthread_mutex_lock(&senders->mutex);
	free_lines = crowd->window_lines - (size_t)(senders->sent - crowd_slowest(crowd));
	if (!senders->running)
		free_lines = 0;
	if (free_lines < crowd->window_lines / SENDERS_FILLS)
		free_lines = 0;
	if (crowd->options->no_senders && free_lines > 0)
		senders_grant(senders, free_lines);
	else
		senders_speak(senders, free_lines);
	pthread_mutex_unlock(&senders->mutex);
}

void senders_start(struct senders *senders)
{
	struct crowd *crowd = senders->crowd;

	for (size_t i = 0; i < senders->outlet_count; i++)
		senders->outlets[i].fd = crowd->members[CROWD_FIRST_SENDER + i].fd;
	if (crowd->options->no_senders)
		senders->outlets[0].fd = crowd->members[CROWD_ANNOUNCER].fd;
	pthread_mutex_lock(&senders->mutex);
	senders->running = true;
	pthread_mutex_unlock(&senders->mutex);
	senders_pump(senders);
}

uint64_t senders_stop(struct senders *senders)
{
	uint64_t sent;

	pthread_mutex_lock(&senders->mutex);
	senders->running = false;
	sent = senders->sent;
	pthread_mutex_unlock(&senders->mutex);
	return sent;
}
