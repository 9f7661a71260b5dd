/*
 * Who waits for a stranger: first come, first served, each in a pair room of its own.
 *
 * Nobody is paired with somebody whom one of the two ignores, nor twice in a row with the same one while others wait.
 * Who goes withdraws first, so that nobody who is gone is ever handed out.
 *
 * Threads: any.
 */
#ifndef TCPSERVER_CORE_STRANGERS_H
#define TCPSERVER_CORE_STRANGERS_H

#include <stdbool.h>
#include <stdint.h>

#include "tcpserver/core/locks.h"

struct room;

/* What a person is to this list; a part of its session. */
struct stranger {
	uint64_t number;       /* of the person; constant, never 0                         */
	const void *person;    /* for 'may_meet'                                           */
	struct room *waits_in GUARDED_BY(STRANGERS_LOCK); /* NULL: does not wait            */
	int64_t waits_since GUARDED_BY(STRANGERS_LOCK);
	uint64_t last_partner GUARDED_BY(STRANGERS_LOCK); /* 0: none                        */
	struct stranger *next GUARDED_BY(STRANGERS_LOCK);
};

struct strangers {
	pthread_mutex_t mutex; /* STRANGERS_LOCK */
	/* Whether the two may meet; constant. Called under the lock. */
	bool (*may_meet)(const void *one, const void *other, void *context);
	void *context;
	struct stranger *first GUARDED_BY(STRANGERS_LOCK);
	struct stranger **end GUARDED_BY(STRANGERS_LOCK);
	int64_t latest GUARDED_BY(STRANGERS_LOCK); /* since when the last one waits, or one who was there */
};

void strangers_init(struct strangers *strangers,
	bool (*may_meet)(const void *one, const void *other, void *context), void *context) UNCHECKED;
void strangers_fini(struct strangers *strangers) UNCHECKED;

/*
 * Finds the one who waits longest and may meet 'stranger', and takes it off the list. Returns its room, with a reference;
 * NULL when nobody fitting waits.
 */
struct room *strangers_match(struct strangers *strangers, struct stranger *stranger) MUST_CHECK;
/* 'stranger' waits in 'room', since the room was made, and stays there until it has withdrawn or was matched. */
void strangers_wait(struct strangers *strangers, struct stranger *stranger, struct room *room);
/* As strangers_match(), and if nobody fitting waits, as strangers_wait(), in one step: of two who look at the same time, one
 * finds the other. */
struct room *strangers_match_or_wait(struct strangers *strangers, struct stranger *stranger, struct room *room) MUST_CHECK;
/* The stranger waits no longer in 'room', if it did. */
void strangers_withdraw(struct strangers *strangers, struct stranger *stranger, const struct room *room);

#endif
