#include "tests/tcpserver/journals/database.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"
#include "tests/check.h"

static const char schema[] =
	"PRAGMA application_id = 0x74636874; PRAGMA user_version = 2; PRAGMA journal_mode = WAL;"
	"PRAGMA synchronous = OFF;"
	"CREATE TABLE room(number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT, key TEXT UNIQUE,"
	" creator TEXT NOT NULL, topic TEXT NOT NULL DEFAULT '', capacity INTEGER NOT NULL, flags INTEGER NOT NULL,"
	" created INTEGER NOT NULL, next INTEGER NOT NULL DEFAULT 1, indexed INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE message(place INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind INTEGER NOT NULL,"
	" participant TEXT NOT NULL, text TEXT NOT NULL);"
	"CREATE TABLE sent(id INTEGER PRIMARY KEY, client BLOB NOT NULL, number INTEGER NOT NULL, place INTEGER NOT NULL,"
	" at INTEGER NOT NULL, UNIQUE(client, number));"
	"CREATE TABLE mark(name TEXT, room INTEGER, seq INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY(name, room))"
	" WITHOUT ROWID;"
	"CREATE VIRTUAL TABLE word USING fts5(words, content='', columnsize=0, tokenize='ascii');";

sqlite3 *database_create(const char *path)
{
	sqlite3 *db = NULL;

	CHECK_EQUAL(sqlite3_open(path, &db), SQLITE_OK);
	database_run(db, "%s", schema);
	return db;
}

void database_run(sqlite3 *db, const char *format, ...)
{
	va_list arguments;
	char *sql;

	va_start(arguments, format);
	sql = sqlite3_vmprintf(format, arguments);
	va_end(arguments);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		FAIL("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_free(sql);
}

int64_t database_number(sqlite3 *db, const char *format, ...)
{
	va_list arguments;
	sqlite3_stmt *statement = NULL;
	int64_t number;
	char *sql;

	va_start(arguments, format);
	sql = sqlite3_vmprintf(format, arguments);
	va_end(arguments);
	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
		FAIL("%s: %s", sql, sqlite3_errmsg(db));
	(void)sqlite3_step(statement);
	number = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	sqlite3_free(sql);
	return number;
}

void database_room_id(int64_t number, char id[21])
{
	(void)snprintf(id, 21, "%020llx", (unsigned long long)number);
}

void database_add_room(sqlite3 *db, int64_t number, const char *name, int flags)
{
	char key[NAME_KEY_SIZE] = "";
	char id[21];

	database_room_id(number, id);
	if (name != NULL)
		(void)name_key(name, key);
	database_run(db,
		"INSERT INTO room(number, id, name, key, creator, capacity, flags, created)"
		" VALUES(%lld, %Q, %Q, %Q, 'bob', 0, %d, 1700000000000)",
		(long long)number, id, name, name == NULL ? NULL : key, flags);
}

void database_add(sqlite3 *db, int64_t room, int64_t seq, int64_t at_ms, enum message_kind kind, const char *participant,
	const char *text)
{
	static sqlite3 *prepared_for;
	static sqlite3_stmt *statement;

	if (prepared_for != db) { /* tests have one database at a time; the statement goes with the process */
		prepared_for = db;
		CHECK_EQUAL(sqlite3_prepare_v2(db, "INSERT INTO message VALUES(?1, ?2, ?3, ?4, ?5)", -1, &statement, NULL), 0);
	}
	(void)sqlite3_bind_int64(statement, 1, room * (INT64_C(1) << 36) + seq);
	(void)sqlite3_bind_int64(statement, 2, at_ms);
	(void)sqlite3_bind_int(statement, 3, (int)kind);
	(void)sqlite3_bind_text(statement, 4, participant, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(statement, 5, text, -1, SQLITE_STATIC);
	CHECK_EQUAL(sqlite3_step(statement), SQLITE_DONE);
	(void)sqlite3_reset(statement);
	database_run(db, "UPDATE room SET next = %lld WHERE number = %lld", (long long)seq + 1, (long long)room);
}
