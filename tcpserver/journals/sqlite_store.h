/*
 * One connection to the file of the SQLite journal, with its prepared statements.
 *
 * Functions return SQLite's result codes; sqlite_store_errno() makes errno numbers of them. What comes out of the file
 * may be anything, so it is looked at and made safe here.
 *
 * Threads: a store belongs to one thread at a time.
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_STORE_H
#define TCPSERVER_JOURNALS_SQLITE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <sqlite3.h>

#include "common/sync.h"
#include "tcpserver/journals/sqlite.h"

struct message;
struct room_record;

/* A message's place in the file: the number of its room, then its own. */
enum { STORE_SEQ_BITS = 36, STORE_ROOM_BITS = 27 };
#define STORE_SEQ_MOST    ((UINT64_C(1) << STORE_SEQ_BITS) - 1)
#define STORE_NUMBER_MOST ((INT64_C(1) << STORE_ROOM_BITS) - 1)
#define STORE_MS_MOST     (INT64_MAX / 1000000) /* as nanoseconds in an int64_t: the spring of 2262 */

/* What the file says of a room, in one number; part of the format. */
enum {
	STORE_LISTED = 1,
	STORE_PERSISTENT = 2,
	STORE_ENDS_WITH_MEMBER = 4,
	STORE_WAITS = 8,
	STORE_REMOVED = 16, /* nobody finds it any more; its messages are deleted bit by bit */
	STORE_FLAGS = 31,   /* all of these */
};

enum { STORE_BUSY_MS = 1000 }; /* for which another program may hold the file up */

enum store_use { STORE_WRITES, STORE_READS, STORE_CHECKPOINTS };

enum store_statement {
	STORE_BEGIN,
	STORE_COMMIT,
	STORE_ROLLBACK,
	STORE_ADD_ROOM,
	STORE_SET_FLAGS,
	STORE_REMOVE_ROOM,
	STORE_SET_TOPIC,
	STORE_ADD_MESSAGE,
	STORE_ADD_SENT,
	STORE_FIND_SENT,
	STORE_DROP_SENT,
	STORE_SET_MARK,
	STORE_LAST_NUMBER,
	STORE_READ_MESSAGES,
	STORE_OPEN_ROOM,
	STORE_LABEL,
	STORE_FIND_KEY,
	STORE_FIND_ID,
	STORE_LIST_ROOMS,
	STORE_READ_MARK,
	/* upkeep */
	STORE_EXPIRE_SENT,
	STORE_CLOSE_REMOVED,
	STORE_NEXT_REMOVED,
	STORE_PASSED_MESSAGES,
	STORE_DELETE_MESSAGES,
	STORE_DELETE_MARKS,
	STORE_DELETE_ROOM,
	STORE_NEXT_ROOM,
	STORE_LAST_PLACE,
	STORE_RAISE_NEXT,
	STORE_PAGES,
	STORE_PAGE_SIZE,
	STORE_FREE_PAGES,
	STORE_VACUUM,
	STORE_STATEMENTS,
};

struct sqlite_store {
	sqlite3 *connection; /* NULL: not open */
	sqlite3_stmt *statements[STORE_STATEMENTS];
	int log_pages;     /* of the write-ahead log, after the last commit of this store */
	int descriptor;    /* of the file, borrowed, by which it is kept as long as a checkpoint will need it; -1: it is not */
};

/* A room as it is written when its first message is. */
struct store_room {
	int64_t number;
	const char *id;
	const char *name; /* or NULL */
	const char *creator;
	const char *topic;
	size_t capacity;
	unsigned flags;
	int64_t created_ms;
};

/* What is to be known of a room when it is opened. */
struct store_opened {
	int64_t number;
	uint64_t next;   /* the number of its next message                       */
	int64_t last_ms; /* when its last message was kept; 0: there is none      */
	unsigned flags;
};

/* Opens the file, which has to exist. When it fails, the store is not open. */
int sqlite_store_open(
	struct sqlite_store *store, const char *path, enum store_use use, enum sqlite_sync sync) MUST_CHECK;
/* Makes a store that was opened to write ready for it. The file is the journal's own, or empty. */
int sqlite_store_start_writing(struct sqlite_store *store, bool empty) MUST_CHECK;
/* Closes it, if it is open. */
void sqlite_store_close(struct sqlite_store *store);
/* A positive errno for a result of this store. */
int sqlite_store_errno(const struct sqlite_store *store, int result);
/* Whether the connection should not be used any more after this result. */
bool sqlite_store_is_broken(int result);
/* Whether only the statement failed, and the transaction can go on. */
bool sqlite_store_is_harmless(int result);

/* The statement, ready to be bound; NULL if it cannot be prepared, and '*result' says why. sqlite_store_end() has to
 * follow. */
sqlite3_stmt *sqlite_store_statement(struct sqlite_store *store, enum store_statement which, int *result);
/* Ends the use of a statement. Returns SQLITE_OK for SQLITE_ROW and SQLITE_DONE, else 'result' as it is. */
int sqlite_store_end(sqlite3_stmt *statement, int result);
/* Runs a statement with whole numbers for its parameters, 'count' of them. '*answer', unless NULL, becomes the first
 * column of its first row, and stays as it is if there is none. */
int sqlite_store_run(struct sqlite_store *store, enum store_statement which, const int64_t *numbers, int count,
	int64_t *answer) MUST_CHECK;
/* Prepares every statement: a file that lacks a table or a column cannot. */
int sqlite_store_prepare_all(struct sqlite_store *store) MUST_CHECK;

/* ---- Transactions that write. ---- */

int sqlite_store_begin(struct sqlite_store *store) MUST_CHECK;
/* With a descriptor: SQLITE_FULL when there is no room in the file for what is committed, see sqlite_store_reserve(). */
int sqlite_store_commit(struct sqlite_store *store) MUST_CHECK;
/*
 * Takes care that the file has room for its pages, those of the open transaction included. What is only in
 * the write-ahead log has to be moved to the file one day, and without room it could not: the log, which may take most of a
 * disk that is full, could not be emptied any more, and nothing could ever be kept again. SQLITE_FULL: there is no room.
 */
int sqlite_store_reserve(struct sqlite_store *store) MUST_CHECK;
void sqlite_store_rollback(struct sqlite_store *store);
/* Writes something that says nothing, in a transaction of its own. */
int sqlite_store_write_nothing(struct sqlite_store *store) MUST_CHECK;
/*
 * A commit of which the sync failed has left all of itself in the log: SQLite does not look at it any more, but who opens the
 * file after a kill would take it for kept. So something that says nothing is written over it.
 */
void sqlite_store_erase_failed(struct sqlite_store *store);

/* ---- Rows, written. ---- */

int sqlite_store_add_room(struct sqlite_store *store, const struct store_room *room) MUST_CHECK;
/* Keeps the flags; one that is removed loses its key and its id, so that both are free for another room. */
int sqlite_store_set_flags(struct sqlite_store *store, int64_t number, unsigned flags, bool open) MUST_CHECK;
int sqlite_store_set_topic(struct sqlite_store *store, int64_t number, const char *topic, size_t size) MUST_CHECK;
int sqlite_store_add_message(
	struct sqlite_store *store, int64_t place, int64_t at_ms, const struct message *message) MUST_CHECK;
/* Notes that a client's message was kept at 'place'; '*before' becomes the place where it was kept before, or 0. */
int sqlite_store_add_sent(struct sqlite_store *store, const unsigned char *client, uint64_t number, int64_t place,
	int64_t at_ms, int64_t *before) MUST_CHECK;
int sqlite_store_drop_sent(struct sqlite_store *store, const unsigned char *client, uint64_t number) MUST_CHECK;
int sqlite_store_set_mark(struct sqlite_store *store, const char *name, int64_t room, uint64_t seq) MUST_CHECK;

/* ---- Rows, read. ---- */

/* The greatest number of a room that anything in the file belongs to. */
int sqlite_store_last_number(struct sqlite_store *store, int64_t *number) MUST_CHECK;
/* SQLITE_DONE: there is no such room. */
int sqlite_store_open_room(struct sqlite_store *store, const char *id, struct store_opened *opened) MUST_CHECK;
/* Finds a room by key or by id, as 'which' says. SQLITE_DONE: there is none. */
int sqlite_store_find_room(struct sqlite_store *store, enum store_statement which, const char *text,
	struct room_record *record, int64_t *number) MUST_CHECK;
/* What people call a room that is there, in new memory; NULL: it is not, or there is no memory. */
char *sqlite_store_label(struct sqlite_store *store, int64_t number) MUST_CHECK;
/* Reads up to 'capacity' rooms behind the id 'after'; '*count' says how many. */
int sqlite_store_list_rooms(struct sqlite_store *store, const char *after, bool listed, struct room_record *records,
	int64_t *numbers, size_t capacity, size_t *count) MUST_CHECK;
/* Reads messages of a room, which people call 'label', from 'from' on; '*count' says how many. SQLITE_NOMEM without
 * memory. */
int sqlite_store_read(struct sqlite_store *store, int64_t number, const char *label, uint64_t from,
	struct message **messages, size_t capacity, size_t *count) MUST_CHECK;
/* SQLITE_DONE: there is none. */
int sqlite_store_read_mark(struct sqlite_store *store, const char *name, int64_t room, uint64_t *seq) MUST_CHECK;

static inline int64_t store_place(int64_t room, uint64_t seq)
{
	return (int64_t)((uint64_t)room << STORE_SEQ_BITS | seq);
}

static inline int64_t store_number(int64_t place)
{
	return place >> STORE_SEQ_BITS;
}

static inline uint64_t store_seq(int64_t place)
{
	return (uint64_t)place & STORE_SEQ_MOST;
}

#endif
