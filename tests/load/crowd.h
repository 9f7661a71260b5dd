/*
 * The members of a load run and the threads that receive for them.
 *
 * Member 0 is the announcer, 1 to 'senders' send, the rest only listen. crowd_join() connects them all; from then on
 * each byte that any of them gets is checked by its reader (see member.h). What a run wants to know while it goes on
 * is in the 'tally' of each reader.
 *
 * Threads: functions are for the main thread unless they say otherwise. A member belongs to its reader; but its 'fd'
 * and 'name' are constant once it has joined, and anybody may send to the former.
 */
#ifndef TCPCHAT_LOAD_CROWD_H
#define TCPCHAT_LOAD_CROWD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/load/histogram.h"
#include "tests/load/options.h"
#include "tests/load/score.h"

enum {
	CROWD_NAME_SIZE = 8,
	CROWD_CARRY_SIZE = 1280, /* the longest line that may come in two parts */
	CROWD_ANNOUNCER = 0,
	CROWD_FIRST_SENDER = 1,
};

struct crowd;
struct reader;

struct member {
	int fd;
	uint32_t heard;    /* the last announcement */
	uint64_t position; /* bytes of records so far */
	uint32_t *next;    /* what each talker's next number must be, where the room has no order */
	char *carry;       /* the beginning of a line whose rest is to come */
	uint32_t carry_size;
	bool ready; /* the server is known to have it in the room */
	char name[CROWD_NAME_SIZE];
};

/* What a reader has seen; written by it after each pass, read by all without any order. */
struct tally {
	_Atomic uint64_t record_bytes; /* by all its members together                      */
	_Atomic uint64_t slowest;      /* position that all its members have reached       */
	_Atomic uint64_t announcement; /* the newest heard, and in the low half by how many */
	_Atomic uint64_t ready_count;
	_Atomic uint64_t welcome_count;
	_Atomic uint64_t foreign_count; /* lines that are no records, notices mostly        */
	_Atomic uint64_t heard_last_ns; /* when an announcement was last heard              */
};

struct reader {
	struct crowd *crowd;
	pthread_t thread;
	int epoll;
	size_t index;
	char *buffer;
	struct score score;
	struct histogram *delays; /* only where delays are measured, else NULL */
	uint64_t received_ns;     /* when the bytes in 'buffer' came; only where delays are measured */
	uint64_t mark;            /* 'tally.slowest' is found anew when all its members are past this */
	size_t below_mark;        /* how many are not */
	uint64_t record_bytes;
	uint64_t ready_count;
	uint64_t welcome_count;
	uint64_t foreign_count;
	uint32_t announcement;
	uint32_t announcement_heard;
	uint64_t heard_last_ns;
	struct tally tally;
};

struct crowd {
	const struct options *options;
	size_t record_size;
	size_t window_lines;
	size_t member_count;
	size_t reader_count;
	size_t talker_count; /* how many are told apart in 'next'; 0 where the room has an order */
	struct member *members;
	struct reader *readers;
	char *carries;
	uint32_t *nexts;
	uint32_t announcement; /* how many were made */
	bool greets;           /* the server welcomes each member by name */
	atomic_bool stopping;

	/* What a mode may add; all else is zero before crowd_open(). */
	void *context;
	bool measures_delays;
	/* Called by each reader after each pass. */
	void (*after_pass)(struct crowd *crowd);
	/* Takes a line that nobody else knows, without its LF; false if it does not know it either. Called by readers.
	 */
	bool (*take_line)(struct reader *reader, struct member *member, const char *line, size_t size);
};

enum crowd_order {
	CROWD_ROOM_ORDER,   /* everybody gets all in one order: cheap to check */
	CROWD_TALKER_ORDER, /* only what one talker says has an order          */
};

/*
 * Makes a crowd without connections; ends the program when there is no memory.
 * 'talker_count' talkers are told apart in CROWD_TALKER_ORDER.
 */
void crowd_open(struct crowd *crowd, const struct options *options, enum crowd_order order, size_t talker_count);

/* Starts the readers, connects all members and waits until the server has them all in the room. */
void crowd_join(struct crowd *crowd);

/* Stops the readers, after which all that they hold may be read, and closes all connections. */
void crowd_stop(struct crowd *crowd);
void crowd_close(struct crowd *crowd);

/* Lets the announcer say a line and waits until everybody heard it, and so all that was said before. False on a fault.
 */
bool crowd_announce(struct crowd *crowd);

/* Waits until 'condition' holds, for the time limit of the options at most. False when it never did, or on a fault. */
bool crowd_wait(struct crowd *crowd, bool (*condition)(struct crowd *crowd, uint64_t value), uint64_t value);

/* Sleeps while the crowd works; wakes early, and answers false, on a fault. */
bool crowd_let_pass(uint64_t duration_ns);

/* How many records arrived so far, at all members together. Threads: any. */
uint64_t crowd_delivered(struct crowd *crowd);

/* Conditions for crowd_wait(). */
bool crowd_has_delivered(struct crowd *crowd, uint64_t record_count);
bool crowd_has_heard(struct crowd *crowd, uint64_t announcement);

/* How many records each member has at least. Threads: any. */
uint64_t crowd_slowest(struct crowd *crowd);

uint64_t crowd_foreign_lines(struct crowd *crowd);

/* Notes a fault for each member that does not have exactly 'record_count' records. After crowd_stop(). */
void crowd_check_counts(struct crowd *crowd, uint64_t record_count);

#endif
