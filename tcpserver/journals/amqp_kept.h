/*
 * What a server has published lately, in the order of its positions in the queue: who has sent what, so that it is not published twice, and
 * the messages that messageapi has not stored yet, so that they can be read.
 *
 * Bounded: by AMQP_UNSTORED_MOST of those that are not stored yet, and AMQP_KEPT_MOST of all; by AMQP_TAIL_BYTES of messages,
 * the oldest go first.
 *
 * Threads: one at a time; the engine's lock is held.
 */
#ifndef TCPSERVER_JOURNALS_AMQP_KEPT_H
#define TCPSERVER_JOURNALS_AMQP_KEPT_H

#include "tcpserver/journals/engine.h"

enum {
	AMQP_KEPT_MOST = 65536,
	AMQP_UNSTORED_MOST = 1000000,
	AMQP_TAIL_BYTES = 64 * 1024 * 1024,
};

struct amqp_kept {
	struct amqp_kept *next;      /* in the order of the positions         */
	struct amqp_kept *next_sent; /* of the same hash of client and number */
	struct amqp_kept *next_seq;  /* of the same hash of room and seq      */
	struct message *message;     /* a reference, or NULL: it is stored, or there were too many */
	uint64_t position;
	uint64_t number;
	uint64_t seq;
	int64_t at_ns;
	unsigned char client[CLIENT_ID_SIZE];
	char room[ROOM_ID_SIZE];
	bool is_confirmed; /* the broker has it                            */
	bool is_told;      /* and who appended it knows                    */
};

struct amqp_tail {
	struct amqp_kept **sent; /* buckets */
	struct amqp_kept **seqs;
	struct amqp_kept *first;
	struct amqp_kept *last;
	struct amqp_kept *first_unstored; /* NULL: all are stored                           */
	struct amqp_kept *first_held;     /* from here on messages are held, if there are any */
	size_t count;
	size_t unstored;
	size_t bytes; /* of the messages */
};

bool amqp_tail_init(struct amqp_tail *tail) MUST_CHECK;
void amqp_tail_fini(struct amqp_tail *tail);
/* Adds an entry that gets the position; takes a reference of its message. NULL without memory. */
struct amqp_kept *amqp_tail_add(struct amqp_tail *tail, const struct entry *entry, uint64_t position) MUST_CHECK;
struct amqp_kept *amqp_tail_find_sent(
	const struct amqp_tail *tail, const unsigned char client[CLIENT_ID_SIZE], uint64_t number);
struct amqp_kept *amqp_tail_find_seq(const struct amqp_tail *tail, const char *room, uint64_t seq);
/* All up to the position is stored. */
void amqp_tail_note_stored(struct amqp_tail *tail, uint64_t position);

#endif
