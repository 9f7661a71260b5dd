/*
 * A journal whose messages an engine keeps (engine.h), so that several servers can share them: a room is the same room on each.
 *
 * One thread has the links that write and that bring news. It takes what waits as one group, has it kept, and publishes it in the order of the
 * numbers; where a number is missing, another server has it: the thread fetches that first. Word of what others have kept makes it
 * fetch as well, and every second it looks by itself, so that lost word only delays.
 *
 * When the engine is away, what is said waits, for the patience at most, and is refused then. What the engine may have kept when the link broke
 * waits until that is known, however long: its sender is told the truth. All else comes back by itself.
 *
 * Threads: as journal.h says.
 */
#ifndef TCPSERVER_JOURNALS_SHARED_H
#define TCPSERVER_JOURNALS_SHARED_H

#include "common/sync.h"
#include "tcpserver/journals/engine.h"

struct shared_options {
	unsigned patience_ms; /* how long what is said waits for an engine that is away       */
	const char *place;    /* where this server is, and no other at the same time (engine.h); NULL: not known; borrowed until it is open */
	bool wait_at_start;   /* for an engine that is away: for the patience, else not at all */
};

/* Makes a journal of the engine, which it takes in any case. Returns 0, or -errno, and 'fault' says why. May block. */
int shared_journal_open(struct engine *engine, const struct shared_options *options, struct journal **journal,
	char fault[ENGINE_FAULT_SIZE]) MUST_CHECK;

#endif
