/*
 * What the parts of a shared journal have in common: the queue of what is to be done, and the rooms that are open.
 *
 * What is said goes from append() through the queue to the journal's thread (shared_thread.c), which has it kept and publishes it. Small deeds
 * that nobody waits for (a room is forgotten, a name is free) go the same way, so that each comes after what was before it.
 * Questions are asked by whoever has them (shared.c), through links of their own, after the deeds before them were done.
 */
#ifndef TCPSERVER_JOURNALS_SHARED_JOURNAL_H
#define TCPSERVER_JOURNALS_SHARED_JOURNAL_H

#include <stdatomic.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/locks.h"
#include "tcpserver/journals/shared.h"
#include "tcpserver/journals/shared_links.h"

enum {
	SHARED_OPEN_BUCKETS = 8192,
	SHARED_STOP_MS = 2000, /* for which an engine that is away is waited for when the server stops */
};

struct journal_room {
	struct shared_journal *journal; /* constant, as all up to 'label' */
	const struct journal_listener *listener;
	void *room;
	char id[ROOM_ID_SIZE];
	char label[NAME_SIZE];

	atomic_uint pending;                         /* drafts on their way; the room is held while there are any */
	pthread_mutex_t mutex;                       /* JOURNAL_LOCK */
	uint64_t published GUARDED_BY(JOURNAL_LOCK); /* number of the last message that was */

	/* The thread's own. */
	unsigned settled; /* drafts of this group; 0 without 'touched': it is not on the list of those */
	bool touched;
	struct journal_room *next_touched;

	bool ready GUARDED_BY(JOURNAL_QUEUE_LOCK);   /* the engine has opened it      */
	bool is_news GUARDED_BY(JOURNAL_QUEUE_LOCK); /* others have said something there while it was opened */
	bool is_over; /* the thread's own: it was forgotten elsewhere, and that was told */
	struct journal_room *next_open GUARDED_BY(JOURNAL_QUEUE_LOCK);
};

enum deed {
	DEED_APPEND,
	DEED_FORGET,  /* of a room, as all up to DEED_TRIM */
	DEED_FORGET_UNUSED,
	DEED_WAIT,
	DEED_WAIT_NO_MORE,
	DEED_MARK,    /* with 'key' and 'seq' */
	DEED_ABSENT,  /* with 'key'           */
	DEED_TRIM,    /* with 'seq'           */
	DEED_RELEASE, /* of the name 'key'    */
	DEED_LOOK,    /* at a room: there may be something new */
	DEED_NONE,    /* it was done, or refused */
};

/* Something to do, in the queue. */
struct shared_item {
	enum deed deed;
	struct draft *draft;       /* of DEED_APPEND; owned  */
	struct journal_room *room; /* of DEED_APPEND         */
	long long until_ms;        /* of DEED_APPEND: until then it waits for an engine that is away */
	unsigned char client[CLIENT_ID_SIZE];
	uint64_t number; /* the draft's, or one that it was given: with it, it can be tried again */
	bool unknown;    /* it may have been kept: the link broke while it was */
	char id[ROOM_ID_SIZE]; /* of the others */
	char *key;             /* owned, or NULL */
	uint64_t seq;
};

struct shared_queue {
	struct shared_item *items;
	size_t first; /* those before it were done */
	size_t count;
	size_t capacity;
	size_t drafts; /* among them; and the bytes of their messages */
	size_t bytes;
};

struct shared_journal {
	struct journal journal;
	struct journal_ops ops; /* constant: without what the engine cannot do */
	struct engine *engine;
	struct shared_options options; /* constant */
	char server[ROOM_ID_SIZE];     /* constant */
	unsigned char token[CLIENT_ID_SIZE]; /* constant: whose numbers those are that drafts without one get */
	struct shared_links links;
	pthread_t thread;
	int wake; /* eventfd: there is something in the queue */

	/* The thread's own. */
	struct link *writer; /* NULL: there is none now */
	struct link *news;
	struct shared_queue work;
	struct entry *entries; /* ENGINE_GROUP_MOST of them; owned */
	struct journal_room *touched; /* rooms of this group's drafts */
	bool was_there; /* the engine knows this server */
	uint64_t numbers;        /* that were given under 'token' */
	bool failed;             /* the last try did, and the log knows */
	long long next_try_ms;   /* of connecting */
	long long next_look_ms;  /* at the ends of all rooms */
	long long next_beat_ms;
	long long judge_ms;      /* until then the others have not had the time to beat, as the engine was away from here */
	bool lost;               /* the engine has less than was published, and the log knows */
	char fault[ENGINE_FAULT_SIZE];

	pthread_mutex_t mutex; /* JOURNAL_QUEUE_LOCK */
	pthread_cond_t space;  /* there is space in the queue again, or deeds were done */
	pthread_cond_t closed; /* a room was closed */
	struct shared_queue queue GUARDED_BY(JOURNAL_QUEUE_LOCK);
	uint64_t deeds_given GUARDED_BY(JOURNAL_QUEUE_LOCK); /* all but DEED_APPEND */
	uint64_t deeds_done GUARDED_BY(JOURNAL_QUEUE_LOCK);
	bool thread_sleeps GUARDED_BY(JOURNAL_QUEUE_LOCK);
	bool stopping GUARDED_BY(JOURNAL_QUEUE_LOCK);
	atomic_llong over_ms; /* the server stops: from then on nobody waits for an engine that is away; 0: it does not */
	const struct journal_watcher *watcher GUARDED_BY(JOURNAL_QUEUE_LOCK);
	void *watcher_context GUARDED_BY(JOURNAL_QUEUE_LOCK);
	struct journal_room *open[SHARED_OPEN_BUCKETS] GUARDED_BY(JOURNAL_QUEUE_LOCK);
};

static inline void shared_lock(struct shared_journal *journal) ACQUIRES(JOURNAL_QUEUE_LOCK) UNCHECKED;
static inline void shared_unlock(struct shared_journal *journal) RELEASES(JOURNAL_QUEUE_LOCK) UNCHECKED;

static inline void shared_lock(struct shared_journal *journal)
{
	mutex_lock(&journal->mutex);
}

static inline void shared_unlock(struct shared_journal *journal)
{
	mutex_unlock(&journal->mutex);
}

static inline void shared_room_lock(struct journal_room *room) ACQUIRES(JOURNAL_LOCK) UNCHECKED;
static inline void shared_room_unlock(struct journal_room *room) RELEASES(JOURNAL_LOCK) UNCHECKED;

static inline void shared_room_lock(struct journal_room *room)
{
	mutex_lock(&room->mutex);
}

static inline void shared_room_unlock(struct journal_room *room)
{
	mutex_unlock(&room->mutex);
}

/* Where a room of this id would be found, or the end of its chain. */
struct journal_room **shared_find_open(struct shared_journal *journal, const char *id) REQUIRES(JOURNAL_QUEUE_LOCK);
/* Wakes the thread if it sleeps. */
void shared_wake(struct shared_journal *journal) REQUIRES(JOURNAL_QUEUE_LOCK);

/* Connects for the first time. Returns 0, or -errno, and 'fault' says why. */
int shared_start(struct shared_journal *journal, char fault[ENGINE_FAULT_SIZE]) MUST_CHECK;
/* The thread. */
void *shared_run(void *journal);

#endif
