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
	long long away_until_ms GUARDED_BY(JOURNAL_READERS_LOCK); /* the engine could not be reached: nobody tries before */
};

void shared_links_init(struct shared_links *links, struct engine *engine) UNCHECKED;
void shared_links_fini(struct shared_links *links);

/* What is asked of the engine; returns as the engine does. */
typedef ssize_t shared_question(struct link *link, void *context);

/* Asks through a link of its own; once more through a new one if the first has broken. Returns what the question does, or -EIO when the
 * engine cannot be reached. May block for a few seconds. */
ssize_t shared_links_ask(struct shared_links *links, shared_question *question, void *context) MUST_CHECK;

#endif
