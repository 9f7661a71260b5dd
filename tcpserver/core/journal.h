/*
 * A journal gives each message its place in its room and keeps it. Nobody sees a message before the journal has kept it.
 *
 * Appending is asynchronous: the caller hands over a draft and goes on; the journal calls back, in the order of the
 * sequence numbers, once the draft is kept. A journal may call back before append() returns.
 *
 * One contract test runs against all journals (tests/tcpserver/journals/).
 */
#ifndef TCPSERVER_CORE_JOURNAL_H
#define TCPSERVER_CORE_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "tcpserver/core/locks.h"

struct journal;
struct journal_room; /* what a journal keeps of one room; each journal has its own */
struct member;
struct message;

/* A message on its way to its place. */
struct draft {
	struct message *message; /* a reference; 'seq' and 'at_ns' are the journal's to set          */
	struct member *author;   /* borrowed; stays until the draft was published or refused; or NULL */
};

/* What a journal calls back; 'room' is the one given to open_room(). */
struct journal_listener {
	/*
	 * The draft is kept as draft->message->seq: one more than the last. The message is borrowed. Called under
	 * the JOURNAL_LOCK of the room, so that the order holds: short, and never blocking.
	 */
	void (*publish)(void *room, const struct draft *draft);
	/* The draft could not be kept; nobody will see it. 'error' is a positive errno. */
	void (*refuse)(void *room, const struct draft *draft, int error);
	/* After one or more publish(), without a lock. A journal that publishes within append() leaves this to the caller
	 * of append(), who may have more to append. */
	void (*flush)(void *room);
};

struct journal_ops {
	const char *name;
	/* Opens what is kept of the room 'id', empty if there is nothing. NULL without memory. */
	struct journal_room *(*open_room)(
		struct journal *journal, const char *id, const struct journal_listener *listener, void *room);
	void (*close_room)(struct journal_room *room);
	/*
	 * Takes the draft's message reference. Threads: any. Returns 0, after which publish() or refuse() follows for sure;
	 * or -errno, after which neither does.
	 */
	int (*append)(struct journal_room *room, const struct draft *draft);
	/*
	 * Reads kept messages from number 'from' on, 'capacity' at most, in order and without holes; the caller releases
	 * them. What is not kept any more is left out at the start: the first one's number tells. Returns how many.
	 * Threads: any; may block on a disk or a network, so no lock may be held.
	 */
	size_t (*read)(struct journal_room *room, uint64_t from, struct message **messages, size_t capacity);
	/* The number that the next message will have. */
	uint64_t (*next_seq)(struct journal_room *room);
	/* Ends the journal after all rooms were closed. */
	void (*destroy)(struct journal *journal);
};

/* Each implementation has this as its first field. */
struct journal {
	const struct journal_ops *ops;
};

#endif
