/*
 * What the parts of the SQLite journal share: the queue of what is to be written, and the rooms.
 *
 * A room's fields belong to different threads; each says to which. A draft goes from append() through the queue to the
 * writer, which numbers it, keeps it, and publishes it (sqlite_writer.c).
 *
 * What is to be written about a room itself (whether somebody waits, that it is to be forgotten) is its 'state'; a room
 * whose state is not in the file is on the list of changed rooms, and is not freed before it is. While it is there, a
 * room that was forgotten hides what the file still says of it.
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_JOURNAL_H
#define TCPSERVER_JOURNALS_SQLITE_JOURNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/locks.h"
#include "tcpserver/journals/sqlite.h"
#include "tcpserver/journals/sqlite_checkpoints.h"
#include "tcpserver/journals/sqlite_marks.h"
#include "tcpserver/journals/sqlite_readers.h"
#include "tcpserver/journals/sqlite_search.h"
#include "tcpserver/journals/sqlite_store.h"
#include "tcpserver/journals/sqlite_upkeep.h"

enum {
	SQLITE_OPEN_BUCKETS = 8192,
	SQLITE_SEARCHERS = 2,         /* searches at a time */
	SQLITE_ROOM_CLOSED = 1 << 30, /* in a room's state, beside what the file says (STORE_LISTED...) */
};

struct journal_room {
	struct sqlite_journal *journal; /* constant, as all up to 'created_ms' */
	const struct journal_listener *listener;
	void *room;
	int64_t number;
	char id[ROOM_ID_SIZE];
	const char *name; /* these point behind the structure; NULL: none */
	const char *creator;
	const char *topic; /* when it was opened */
	size_t capacity;
	int64_t created_ms;

	atomic_uint pending;                        /* drafts on their way; the room is held while there are any */
	pthread_mutex_t mutex;                      /* JOURNAL_LOCK */
	uint64_t next_seq GUARDED_BY(JOURNAL_LOCK); /* after what was published */

	/* The writer's own. */
	uint64_t next;        /* the number for the next draft; in a transaction, ahead of what is in the file */
	int64_t last_ms;      /* when the last message was kept */
	bool is_kept;         /* the file has a row of it */
	uint64_t next_before; /* as it was before the transaction, like the two that follow */
	int64_t last_ms_before;
	bool was_kept;
	unsigned settled; /* drafts of this transaction; 0: it is not on the list of touched rooms */
	struct journal_room *next_touched;
	unsigned state_written; /* in this transaction */

	unsigned state GUARDED_BY(JOURNAL_QUEUE_LOCK);
	bool changed GUARDED_BY(JOURNAL_QUEUE_LOCK);
	struct journal_room *next_changed GUARDED_BY(JOURNAL_QUEUE_LOCK);
	struct journal_room *next_open GUARDED_BY(JOURNAL_QUEUE_LOCK);
};

/* A draft in the queue, and what becomes of it. */
struct queued {
	struct draft *draft;
	struct journal_room *room;
	char *repeated_in; /* what people call the room where it was, if that is another one; owned; or NULL */
	uint64_t repeated; /* the number under which it was kept before; 0: it is new */
	int error;         /* a positive errno: it is not kept */
	bool restored;     /* it came with its number and its time */
};

struct queue {
	struct queued *items;
	size_t count;
	size_t capacity;
	size_t bytes;
};

struct sqlite_journal {
	struct journal journal;
	struct sqlite_options options; /* constant; the path is owned, and absolute */
	int descriptor;                /* of the locked file */
	int index_descriptor;          /* of the index of its log; or -1 */
	struct sqlite_store keeper;    /* never closed meanwhile, see sqlite_keep_log() */
	struct sqlite_readers readers;
	struct sqlite_readers searchers; /* so that nobody who comes, or reads on, waits for a slow search */
	struct sqlite_checkpoints checkpoints;
	struct sqlite_marks marks;
	pthread_t writer;

	/* The writer's own. */
	struct sqlite_store store;
	struct sqlite_upkeep upkeep;
	struct sqlite_index index; /* of the store's connection */
	int failure;           /* the errno of the last try, if it failed */
	long long next_try_ms; /* what comes before is refused at once */
	long long upkeep_ms;   /* when there is more upkeep to do */
	long long batch_ms;    /* when something was written last */

	pthread_mutex_t mutex; /* JOURNAL_QUEUE_LOCK */
	pthread_cond_t work;   /* the writer waits for it */
	pthread_cond_t space;  /* there is space in the queue again */
	pthread_cond_t closed; /* a room was closed */
	struct queue queue GUARDED_BY(JOURNAL_QUEUE_LOCK);
	bool writer_sleeps GUARDED_BY(JOURNAL_QUEUE_LOCK);
	bool stopping GUARDED_BY(JOURNAL_QUEUE_LOCK);
	bool news GUARDED_BY(JOURNAL_QUEUE_LOCK); /* about changed rooms, since the writer looked at them last */
	struct journal_room *changed GUARDED_BY(JOURNAL_QUEUE_LOCK);
	uint64_t forgotten GUARDED_BY(JOURNAL_QUEUE_LOCK);  /* how many rooms were removed from the file */
	int64_t last_number GUARDED_BY(JOURNAL_QUEUE_LOCK); /* of a room */
	struct journal_room *open[SQLITE_OPEN_BUCKETS] GUARDED_BY(JOURNAL_QUEUE_LOCK);
};

static inline void sqlite_lock(struct sqlite_journal *journal) ACQUIRES(JOURNAL_QUEUE_LOCK) UNCHECKED;
static inline void sqlite_unlock(struct sqlite_journal *journal) RELEASES(JOURNAL_QUEUE_LOCK) UNCHECKED;

static inline void sqlite_lock(struct sqlite_journal *journal)
{
	mutex_lock(&journal->mutex);
}

static inline void sqlite_unlock(struct sqlite_journal *journal)
{
	mutex_unlock(&journal->mutex);
}

/* Where a room of this id would be found, or the end of its chain. */
struct journal_room **sqlite_find_open(struct sqlite_journal *journal, const char *id) REQUIRES(JOURNAL_QUEUE_LOCK);
/* Puts a room on the list of changed ones, and wakes the writer. */
void sqlite_note_change(struct journal_room *room) REQUIRES(JOURNAL_QUEUE_LOCK);
/* Wakes the writer if it sleeps. */
void sqlite_wake_writer(struct sqlite_journal *journal) REQUIRES(JOURNAL_QUEUE_LOCK);
/* Forgets a room that is not open, unless somebody opens it now. Without memory it stays until the next time. */
void sqlite_forget_closed_room(struct sqlite_journal *journal, int64_t number, const char *id, unsigned flags);
/* Frees a room that is closed. */
void sqlite_free_room(struct journal_room *room);

#endif
