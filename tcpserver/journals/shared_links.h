/*
 * The links of a shared journal that any thread may use, one at a time.
 *
 * Threads: any.
 */
#ifndef TCPSERVER_JOURNALS_SHARED_LINKS_H
#define TCPSERVER_JOURNALS_SHARED_LINKS_H

#include <stdbool.h>
#include <stddef.h>

#include "tcpserver/core/locks.h"
#include "tcpserver/journals/engine.h"

enum { SHARED_LINKS = 8 };

struct shared_links {
	struct engine *engine; /* constant */
	pthread_mutex_t mutex; /* JOURNAL_READERS_LOCK */
	pthread_cond_t freed;
	struct link *links[SHARED_LINKS]; /* NULL: not open; of the one that uses it */
	bool used[SHARED_LINKS] GUARDED_BY(JOURNAL_READERS_LOCK);
	unsigned patience_ms; /* constant */
	bool ending GUARDED_BY(JOURNAL_READERS_LOCK); /* nobody waits any more */
	long long away_until_ms GUARDED_BY(JOURNAL_READERS_LOCK); /* the engine could not be reached: nobody tries before */
};

void shared_links_init(struct shared_links *links, struct engine *engine, unsigned patience_ms) UNCHECKED;
/* The server stops: from now on an engine that is away is not waited for. */
void shared_links_end(struct shared_links *links);
void shared_links_fini(struct shared_links *links);

/* What is asked of the engine; returns as the engine does. */
typedef ssize_t shared_question(struct link *link, void *context);

/* Asks through a link of its own; again through a new one if the first has broken, or the engine is away, for the patience at most. Returns
 * what the question does, or -EIO when the engine cannot be reached. May block for the patience and a few seconds. */
ssize_t shared_links_ask(struct shared_links *links, shared_question *question, void *context) MUST_CHECK;

#endif
