/*
 * How far people have read, before it is written: marks are set often, and only the last one counts.
 *
 * Threads: any, but for opening, closing and writing, which is the writer's.
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_MARKS_H
#define TCPSERVER_JOURNALS_SQLITE_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcpserver/core/locks.h"

struct sqlite_mark;
struct sqlite_store;

enum { SQLITE_MARKS_BUCKETS = 1024, SQLITE_MARKS_MOST = 100000 };

struct sqlite_marks {
	pthread_mutex_t mutex; /* JOURNAL_MARKS_LOCK */
	size_t count GUARDED_BY(JOURNAL_MARKS_LOCK);
	struct sqlite_mark *buckets[SQLITE_MARKS_BUCKETS] GUARDED_BY(JOURNAL_MARKS_LOCK);
	size_t next_bucket; /* the writer's: where it goes on */
};

void sqlite_marks_init(struct sqlite_marks *marks);
void sqlite_marks_fini(struct sqlite_marks *marks);

/* Notes that 'name' has read the room up to 'seq'. Without memory, and beyond SQLITE_MARKS_MOST, it is lost. */
void sqlite_marks_set(struct sqlite_marks *marks, int64_t room, const char *name, uint64_t seq);
/* What was noted and is not written yet; 0: nothing. */
uint64_t sqlite_marks_find(struct sqlite_marks *marks, int64_t room, const char *name);
bool sqlite_marks_are_written(struct sqlite_marks *marks);
/* Writes some of them, in a transaction of its own. Returns an SQLite result. */
int sqlite_marks_write(struct sqlite_marks *marks, struct sqlite_store *store) MUST_CHECK;

#endif
