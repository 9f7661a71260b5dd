#include "tests/tcpserver/journals/database.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/text.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/journals/sqlite.h"
#include "tests/check.h"

/* The journal itself makes the file. */
static void make_file(const char *path)
{
	struct sqlite_options options = {.path = path, .sync = SQLITE_JOURNAL_OFF};
	struct journal *journal;
	char fault[500];

	if (sqlite_journal_open(&options, &journal, fault, sizeof fault) != 0)
		FAIL("%s", fault);
	journal->ops->destroy(journal);
}

static sqlite3 *open_file(const char *path)
{
	sqlite3 *db = NULL;

	CHECK_EQUAL(sqlite3_open(path, &db), SQLITE_OK);
	database_run(db, "PRAGMA synchronous = OFF; PRAGMA locking_mode = NORMAL");
	return db;
}

sqlite3 *database_create(const char *path)
{
	make_file(path);
	return open_file(path);
}

sqlite3 *database_create_unnamed(void)
{
	char folder[] = "/tmp/tcpchat-database-XXXXXX";
	char path[64];
	sqlite3 *from;
	sqlite3 *db = NULL;
	sqlite3_backup *copy;

	CHECK(mkdtemp(folder) != NULL);
	(void)snprintf(path, sizeof path, "%s/db", folder);
	from = database_create(path);
	database_run(from, "PRAGMA journal_mode = DELETE");
	CHECK_EQUAL(sqlite3_open(":memory:", &db), SQLITE_OK);
	copy = sqlite3_backup_init(db, "main", from, "main");
	CHECK_EQUAL(sqlite3_backup_step(copy, -1), SQLITE_DONE);
	(void)sqlite3_backup_finish(copy);
	(void)sqlite3_close(from);
	(void)unlink(path);
	(void)rmdir(folder);
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
	sqlite3_stmt *statement = NULL;

	CHECK_EQUAL(sqlite3_prepare_v2(db, "INSERT INTO message VALUES(?1, ?2, ?3, ?4, ?5)", -1, &statement, NULL), 0);
	(void)sqlite3_bind_int64(statement, 1, room * (INT64_C(1) << 36) + seq);
	(void)sqlite3_bind_int64(statement, 2, at_ms);
	(void)sqlite3_bind_int(statement, 3, (int)kind);
	(void)sqlite3_bind_text(statement, 4, participant, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(statement, 5, text, -1, SQLITE_STATIC);
	CHECK_EQUAL(sqlite3_step(statement), SQLITE_DONE);
	(void)sqlite3_finalize(statement);
	database_run(db, "UPDATE room SET next = %lld WHERE number = %lld", (long long)seq + 1, (long long)room);
}
