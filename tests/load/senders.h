/*
 * Senders at full speed, held back only by the window.
 *
 * "Full speed" is the same for every server under test: all senders together may be so many lines ahead of the slowest
 * member that the window of the options is full, and whoever finds room in it fills it at once. So a server is never
 * drowned, and never waits for lines while it could deliver.
 *
 * With --no-senders the server makes the lines itself; then the announcer tells it, as a line with a number, how many
 * lines it may have made in total.
 *
 * Threads: senders_pump() any, it is what the readers call after each pass; the others are for the main thread.
 */
#ifndef TCPCHAT_LOAD_SENDERS_H
#define TCPCHAT_LOAD_SENDERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crowd;

/* What one sender says. */
struct outlet {
	int fd;
	char *line;    /* the next one         */
	char *pending; /* lines on their way   */
	size_t pending_size;
	size_t pending_sent;
};

struct senders {
	struct crowd *crowd;
	size_t line_size;
	size_t outlet_count;
	size_t outlet_lines; /* room in 'pending' */
	struct outlet *outlets;
	pthread_mutex_t mutex; /* guards the outlets, and all below */
	bool running;
	uint64_t sent; /* lines that were given to the outlets, or granted */
};

/* Prepares the senders of a crowd; ends the program when there is no memory. */
void senders_open(struct senders *senders, struct crowd *crowd);
void senders_close(struct senders *senders);

/* Begins to send, once the crowd has joined. */
void senders_start(struct senders *senders);

/* Stops making new lines. Returns how many there are in all; they are still on their way. */
uint64_t senders_stop(struct senders *senders);

/* Fills the window. */
void senders_pump(struct senders *senders);

#endif
