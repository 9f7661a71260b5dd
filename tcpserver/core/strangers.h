/*
 * Who waits for a stranger: first come, first served, each in a pair room of its own.
 *
 * Nobody is paired with somebody whom one of the two ignores, nor twice in a row with the same one while others wait.
 * Who goes withdraws first, so that nobody who is gone is ever handed out.
 *
 * Where several servers share the journal the list is the journal's: whoever waits on one may be met from another. There names stand for
 * people, and who was handed out may be gone: its room says so.
 *
 * Threads: any; where the journal is shared all but the first functions may block.
 */
#ifndef TCPSERVER_CORE_STRANGERS_H
#define TCPSERVER_CORE_STRANGERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcpserver/core/locks.h"

struct room;
struct rooms;

enum { STRANGERS_AVOIDED_MOST = 200 };

/* What a person is to this list; a part of its session. */
struct stranger {
	uint64_t number;       /* of the person; constant, never 0                         */
	const void *person;    /* for 'may_meet'                                           */
	struct room *waits_in GUARDED_BY(STRANGERS_LOCK); /* NULL: does not wait            */
	int64_t waits_since GUARDED_BY(STRANGERS_LOCK);
	uint64_t last_partner GUARDED_BY(STRANGERS_LOCK); /* 0: none                        */
	struct stranger *next GUARDED_BY(STRANGERS_LOCK);
	/* Where the journal is shared, and its own thread's: */
	char *last_key; /* name_key() of the last partner; NULL: none; owned */
	int error;      /* positive errno: why the journal did not help it to wait, or to meet somebody; 0: it did */
};

struct strangers {
	pthread_mutex_t mutex; /* STRANGERS_LOCK */
	/* Whether the two may meet; constant. Called under the lock. */
	bool (*may_meet)(const void *one, const void *other, void *context);
	void *context;
	struct stranger *first GUARDED_BY(STRANGERS_LOCK);
	struct stranger **end GUARDED_BY(STRANGERS_LOCK);
	int64_t latest GUARDED_BY(STRANGERS_LOCK); /* since when the last one waits, or one who was there */
	struct rooms *rooms; /* constant; of the journal that is shared; NULL: it is not */
	/* What a person's name counts as (name_key()), and up to STRANGERS_AVOIDED_MOST keys of those whom it ignores, in new memory, which may be
	 * NULL; constant. */
	void (*describe)(const void *person, char *key, const char ***avoid, size_t *avoid_count, void *context);
};

void strangers_init(struct strangers *strangers,
	bool (*may_meet)(const void *one, const void *other, void *context), void *context) UNCHECKED;
void strangers_fini(struct strangers *strangers) UNCHECKED;
/* The journal of the rooms is shared: it has the list from now on. */
void strangers_share(struct strangers *strangers, struct rooms *rooms,
	void (*describe)(const void *person, char *key, const char ***avoid, size_t *avoid_count, void *context));
/* The stranger has met the one of that name. Threads: its own. */
void stranger_note_partner(struct stranger *stranger, const char *name);

/*
 * Finds the one who waits longest and may meet 'stranger', and takes it off the list. Returns its room, with a reference;
 * NULL when nobody fitting waits; or when stranger->error says that the journal does not know.
 */
struct room *strangers_match(struct strangers *strangers, struct stranger *stranger) MUST_CHECK;
/* 'stranger' waits in 'room', since the room was made, and stays there until it has withdrawn or was matched; unless stranger->error
 * says that it could not be kept. */
void strangers_wait(struct strangers *strangers, struct stranger *stranger, struct room *room);
/* As strangers_match(), and if nobody fitting waits, as strangers_wait(), in one step: of two who look at the same time, one
 * finds the other. */
struct room *strangers_match_or_wait(struct strangers *strangers, struct stranger *stranger, struct room *room) MUST_CHECK;
/* The stranger waits no longer in 'room', if it did. */
void strangers_withdraw(struct strangers *strangers, struct stranger *stranger, struct room *room);

#endif
