/*
 * What the SQLite journal does when nothing waits to be written: writes marks, deletes what was forgotten or is too
 * old, and gives the space back. All in small steps, each a transaction of a few milliseconds.
 *
 * Threads: the writer's.
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_UPKEEP_H
#define TCPSERVER_JOURNALS_SQLITE_UPKEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sync.h"

struct sqlite_journal;

struct sqlite_upkeep {
	size_t next_step;   /* which kind of work is next                              */
	long long sent_ms;  /* when to look for numbers of clients that are old         */
	long long sweep_ms; /* when to go over the rooms next                           */
	long long sweep_began_ms;
	bool sweeping;
	int64_t swept; /* the number of the room that was looked at last           */
};

/*
 * Does a step of one kind of work. '*more' says whether there is more to do now, of any kind. Returns an SQLite result;
 * what failed is tried again later.
 */
int sqlite_upkeep_step(struct sqlite_journal *journal, bool *more) MUST_CHECK;
/* Takes up what a server that ended left undone. */
int sqlite_upkeep_start(struct sqlite_journal *journal) MUST_CHECK;

#endif
