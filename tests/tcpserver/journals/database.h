/*
 * Small SQLite journals for tests, filled without the journal.
 */
#ifndef TESTS_TCPSERVER_JOURNALS_DATABASE_H
#define TESTS_TCPSERVER_JOURNALS_DATABASE_H

#include <stdint.h>

#include <sqlite3.h>

#include "tcpserver/core/message.h"

/* Makes a new journal and opens its file. */
sqlite3 *database_create(const char *path);
/* The same in memory. */
sqlite3 *database_create_unnamed(void);

/* Runs SQL made as by sqlite3_mprintf(); the test fails if that fails. */
void database_run(sqlite3 *db, const char *format, ...);

/* The number that a query gives first; 0 if it gives none. */
int64_t database_number(sqlite3 *db, const char *format, ...);

/* Keeps a room with the id made of its number. 'name' may be NULL. */
void database_add_room(sqlite3 *db, int64_t number, const char *name, int flags);

/* Writes such an id. */
void database_room_id(int64_t number, char id[21]);

/* Keeps a message. */
void database_add(sqlite3 *db, int64_t room, int64_t seq, int64_t at_ms, enum message_kind kind, const char *participant,
	const char *text);

#endif
