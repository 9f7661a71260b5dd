/*
 * Moves what was committed from SQLite's write-ahead log to the file, by a thread of its own.
 *
 * SQLite up to 3.51.2 may lose what is written when a checkpoint starts on a log of which all is in the file already,
 * while a commit starts that log anew. So one is started only for a log of which something is not in the file: no
 * commit can start it anew before the checkpoint has ended. For the same reason only one thread makes checkpoints at a
 * time.
 *
 * Threads: as each function says.
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_CHECKPOINTS_H
#define TCPSERVER_JOURNALS_SQLITE_CHECKPOINTS_H

#include <stdbool.h>

#include "tcpserver/core/locks.h"
#include "tcpserver/journals/sqlite_store.h"

struct sqlite_checkpoints {
	const char *path; /* constant, as 'sync' */
	enum sqlite_sync sync;
	pthread_t thread;
	pthread_mutex_t mutex; /* JOURNAL_CHECKPOINTS_LOCK */
	pthread_cond_t wanted;
	int log_pages GUARDED_BY(JOURNAL_CHECKPOINTS_LOCK);   /* in the log                          */
	int moved_pages GUARDED_BY(JOURNAL_CHECKPOINTS_LOCK); /* of those, the ones that are in the file, too */
	bool idle GUARDED_BY(JOURNAL_CHECKPOINTS_LOCK);       /* there is time: a short log is worth it, too */
	bool found GUARDED_BY(JOURNAL_CHECKPOINTS_LOCK);      /* an earlier server may have left a log, of unknown length */
	bool running GUARDED_BY(JOURNAL_CHECKPOINTS_LOCK);
	bool stopping GUARDED_BY(JOURNAL_CHECKPOINTS_LOCK);
};

/* 'path' is borrowed until the end. Returns 0 or -errno. */
int sqlite_checkpoints_start(
	struct sqlite_checkpoints *checkpoints, const char *path, enum sqlite_sync sync) MUST_CHECK;
void sqlite_checkpoints_stop(struct sqlite_checkpoints *checkpoints);

/* After a commit of the writer: the log has so many pages now. Makes a checkpoint by 'store' if the log is so long that
 * the thread does not come to its end. Threads: the writer's. */
void sqlite_checkpoints_note(struct sqlite_checkpoints *checkpoints, struct sqlite_store *store);
/*
 * The disk is full: the log is moved to the file, and its room given back. Returns whether there was something to give back, so
 * that it is worth while to try again. No transaction may be open. Threads: the writer's.
 */
bool sqlite_checkpoints_give_back(struct sqlite_checkpoints *checkpoints, struct sqlite_store *store) MUST_CHECK;
/* Nothing has been written for a while. Threads: the writer's. */
void sqlite_checkpoints_note_idle(struct sqlite_checkpoints *checkpoints);

#endif
