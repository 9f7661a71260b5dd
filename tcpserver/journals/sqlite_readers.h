/*
 * The connections by which the SQLite journal is read: a few, each used by one thread at a time.
 *
 * Threads: any, but for opening and closing.
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_READERS_H
#define TCPSERVER_JOURNALS_SQLITE_READERS_H

#include <stdbool.h>

#include "tcpserver/core/locks.h"
#include "tcpserver/journals/sqlite_store.h"

enum { SQLITE_READERS = 4 }; /* at most */

struct sqlite_readers {
	const char *path;      /* constant, as 'count' */
	int count;
	pthread_mutex_t mutex; /* JOURNAL_READERS_LOCK */
	pthread_cond_t freed;
	bool used[SQLITE_READERS] GUARDED_BY(JOURNAL_READERS_LOCK);
	struct sqlite_store stores[SQLITE_READERS]; /* each belongs to who uses it */
};

/* At most 'count' connections. 'path' is borrowed until the end. They are opened when they are needed. */
void sqlite_readers_init(struct sqlite_readers *readers, const char *path, int count);
void sqlite_readers_fini(struct sqlite_readers *readers);

/* A connection for the calling thread, after waiting for one that is free. It is not open if it cannot be: what is
 * asked of it fails then. */
struct sqlite_store *sqlite_readers_acquire(struct sqlite_readers *readers);
/* Gives it back, with the 'result' of what was done by it: one that is broken is opened anew for who is next. Returns
 * the result as 0 or -errno; SQLITE_DONE becomes -ENOENT. */
int sqlite_readers_release(struct sqlite_readers *readers, struct sqlite_store *store, int result);

#endif
