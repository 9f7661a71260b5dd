/*
 * Searching what an SQLite journal keeps: an index that the writer fills when it has nothing better to do, and the search
 * in it.
 *
 * The index is the table 'word' (FTS5), which holds no text: for each message that people wrote (text, action, topic) its
 * words (words.h), and one more for who wrote it, under the message's place. It knows the messages of a room up to
 * room.indexed. So what is said is found a little later; nobody who says something waits for it.
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_SEARCH_H
#define TCPSERVER_JOURNALS_SQLITE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <sqlite3.h>

#include "common/sync.h"
#include "tcpserver/core/journal.h"

enum {
	SQLITE_INDEX_MESSAGES = 200, /* most in one step                                */
	SQLITE_INDEX_STEP_US = 4000, /* after which a step takes no more messages       */
	SQLITE_INDEX_PAGES = 64,     /* most that one step merges                       */
	SQLITE_INDEX_ROOMS = 64,     /* that are remembered as having something new     */
	SQLITE_SEARCH_DEPTH = 100000, /* 'skip' and page together; there is nothing beyond */
	SQLITE_BEHIND_COUNTED = 1000, /* new messages of a room, of which those that can be found are counted */
	SQLITE_SEARCH_MS = 2000,     /* that a search may take                          */
	SQLITE_SEARCH_OPERATIONS = 1000, /* of SQLite's, after which the time is looked at */
};

struct sqlite_store;

/* What is to be indexed. Threads: the writer's alone, as for all functions on it. */
struct sqlite_index {
	sqlite3 *db;                /* borrowed */
	struct sqlite_store *store; /* borrowed: that of 'db', which commits; NULL: there is none */
	int64_t rooms[SQLITE_INDEX_ROOMS]; /* numbers of rooms with something new */
	size_t room_count;
	int64_t looked; /* rooms up to this number were looked at; only while 'looking'    */
	bool looking;   /* looks through all rooms, at the start or when 'rooms' overflowed */
	bool tuned;     /* the index merges its parts only when it is told to               */
	bool merging;   /* there may be parts to merge                                      */
	bool merges;    /* the next step does, so that the two take turns                   */
};

/* Begins with a look through all rooms, a bit at each step. */
void sqlite_index_init(struct sqlite_index *index, sqlite3 *db);
/* The same, for the connection of a store, which looks after the room on the disk. */
void sqlite_index_init_store(struct sqlite_index *index, struct sqlite_store *store);

/* Something was said in this room. Cheap, and may be said for each message. */
void sqlite_index_note(struct sqlite_index *index, int64_t room);

/*
 * Indexes some messages, or merges some parts of the index, in a transaction of its own: none may be open. Returns 1 when
 * there may be more to do, 0 when all is done (and costs nothing then), or -errno, after which the same step may be tried
 * again.
 */
int sqlite_index_step(struct sqlite_index *index) MUST_CHECK;

/*
 * Takes the messages with these places out of the index, in the transaction of the caller, who deletes them afterwards, and
 * the rooms after that. Returns 0 or -errno.
 */
int sqlite_index_remove(sqlite3 *db, int64_t first_place, int64_t last_place) MUST_CHECK;

/* Empties the index, in the transaction of the caller: all is indexed anew after sqlite_index_init(). */
int sqlite_index_clear(sqlite3 *db) MUST_CHECK;

/*
 * As 'search' in journal.h. Newest first: the messages of a room stay in the room's order, whatever the clock was set to;
 * those of several rooms are merged by their time, and at the same time by their place. When only white space was typed,
 * all that people wrote is found. It is given up when clock_ms() has reached 'end_ms': -ETIMEDOUT. Threads: that of 'db';
 * little of its stack is used.
 */
ssize_t sqlite_search(sqlite3 *db, const struct search *search, long long end_ms, struct found *found, size_t capacity,
	uint64_t *behind) MUST_CHECK;

#endif
