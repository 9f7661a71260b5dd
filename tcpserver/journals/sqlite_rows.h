/*
 * What the tools on an SQLite journal share: its numbers, and its rows read with care. A damaged file may hold anything.
 *
 * Threads: that of the connection.
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_ROWS_H
#define TCPSERVER_JOURNALS_SQLITE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "common/sync.h"
#include "tcpserver/core/message.h"

/* A place is the room's number and, in the lower bits, the message's. */
#define SEQ_BITS    36
#define SEQ_MASK    ((INT64_C(1) << SEQ_BITS) - 1)
#define ROOM_NUMBER_MAX ((INT64_C(1) << 27) - 1)

#define JOURNAL_APPLICATION_ID 0x74636874
#define JOURNAL_USER_VERSION   3
#define JOURNAL_USER_VERSION_LEAST 2 /* that can be read: only the index is another */

/* room.flags */
enum {
	ROOM_IS_LISTED = 1,
	ROOM_IS_PERSISTENT = 2,
	ROOM_ENDS_WITH_MEMBER = 4,
	ROOM_WAITS = 8,
	ROOM_IS_REMOVED = 16,
};

int64_t sqlite_place(int64_t room, int64_t seq);

/* 0, or -errno for a result code of SQLite's. */
int sqlite_rows_error(int code);

/* The text of a column, ended by NUL; "" instead of NULL. */
const char *sqlite_rows_text(sqlite3_stmt *row, int column);

/* The text made clean, in new memory, ended by NUL, which is the only one unless it stands within. NULL without memory. */
char *sqlite_rows_clean(sqlite3_stmt *row, int column, size_t *size) MUST_CHECK;

/* Whether the column holds clean text, of 'most' bytes at most. */
bool sqlite_rows_is_clean(sqlite3_stmt *row, int column, size_t most);

/* A time of the file in nanoseconds, as near as it can be had. */
int64_t sqlite_rows_ns(int64_t at_ms);

/*
 * Makes a message of a row that begins with (place, at, kind, participant, text). The kind has to be a good one. NULL
 * without memory.
 */
struct message *sqlite_rows_message(sqlite3_stmt *row, const char *label) MUST_CHECK;

/* A journal that is open to be read. */
struct sqlite_rows {
	sqlite3 *db;
	int lock;           /* keeps servers away; -1: one is at work with it */
	char *leaves;       /* a file that SQLite makes and leaves behind, owned; or NULL */
};

/*
 * Opens a journal to be read, while a server may be at work with it. Nothing is written, so file and folder may be read-only,
 * unless a server that was killed has left something in its log. Returns 0; or -1, and 'fault' says what is wrong and what
 * to do.
 */
int sqlite_rows_open(const char *path, struct sqlite_rows *rows, char *fault, size_t fault_size) MUST_CHECK;
/* Closes it, and leaves nothing behind. */
void sqlite_rows_close(struct sqlite_rows *rows);

#endif
