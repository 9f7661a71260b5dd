#include "tcpserver/journals/sqlite_schema.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tcpserver/journals/sqlite_store.h"

#define CHECKED_BYTES_MOST (INT64_C(1) << 30)

/* What brings a file from each version to the next; those that were released are never changed. */
static const char *const migrations[SQLITE_SCHEMA_VERSION] = {
	/* Rooms, what was said in them, and what clients have sent.
	 * room.flags: 1 listed, 2 persistent, 4 ends with a member, 8 waits, 16 removed.
	 * room.next: no message gets a lesser number. message.place: room.number << 36 | the message's own number. */
	"CREATE TABLE room(number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT, key TEXT UNIQUE, "
	"creator TEXT NOT NULL, topic TEXT NOT NULL DEFAULT '', capacity INTEGER NOT NULL, flags INTEGER NOT NULL, "
	"created INTEGER NOT NULL, next INTEGER NOT NULL DEFAULT 1);"
	"CREATE TABLE message(place INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind INTEGER NOT NULL, "
	"participant TEXT NOT NULL, text TEXT NOT NULL);"
	"CREATE TABLE sent(id INTEGER PRIMARY KEY, client BLOB NOT NULL, number INTEGER NOT NULL, "
	"place INTEGER NOT NULL, at INTEGER NOT NULL, UNIQUE(client, number));",
	/* How far people have read, and the words of messages. room.indexed: the words are known up to this number. */
	"CREATE TABLE mark(name TEXT, room INTEGER, seq INTEGER NOT NULL, at INTEGER NOT NULL, "
	"PRIMARY KEY(name, room)) WITHOUT ROWID;"
	"CREATE INDEX mark_room ON mark(room);"
	"ALTER TABLE room ADD indexed INTEGER NOT NULL DEFAULT 0;"
	"CREATE VIRTUAL TABLE word USING fts5(words, content='', columnsize=0, tokenize='ascii');",
	/* Words are without accents: all is indexed anew, bit by bit. */
	"INSERT INTO word(word) VALUES('delete-all'); UPDATE room SET indexed = 0;",
};

static int schema_number(struct sqlite_store *store, const char *sql, int64_t *number)
{
	sqlite3_stmt *statement;
	int result = sqlite3_prepare_v2(store->connection, sql, -1, &statement, NULL);

	if (result != SQLITE_OK)
		return result;
	result = sqlite3_step(statement);
	if (result == SQLITE_ROW)
		*number = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	return result == SQLITE_ROW ? SQLITE_OK : result == SQLITE_DONE ? SQLITE_CORRUPT : result;
}

int sqlite_schema_fault(const struct sqlite_store *store, int result, const char *path, char *fault, size_t fault_size)
{
	int error = sqlite_store_errno(store, result);
	const char *why = store->connection == NULL ? sqlite3_errstr(result) : sqlite3_errmsg(store->connection);

	if (error == EUCLEAN)
		(void)snprintf(fault, fault_size,
			"the journal %s is damaged (%s); 'tcpserver --check %s' checks it, and 'tcpserver --salvage %s "
			"NEW' saves "
			"what can be read",
			path, why, path, path);
	else
		(void)snprintf(fault, fault_size,
			"the journal %s cannot be used: %s; look at the file, its directory and the disk, or choose "
			"another with "
			"--journal sqlite:FILE",
			path, why);
	return -error;
}

static int schema_refuse(const char *path, const char *why, char *fault, size_t fault_size)
{
	(void)snprintf(fault, fault_size, "the journal %s cannot be used: %s", path, why);
	return -EINVAL;
}

/* Looks through the whole file for damage. '*found' stays empty if there is none. */
static int schema_check_pages(struct sqlite_store *store, char *found, size_t found_size)
{
	int64_t pages = 0;
	int64_t page_size = 0;
	sqlite3_stmt *statement;
	int result = schema_number(store, "PRAGMA page_count", &pages);

	found[0] = '\0';
	if (result == SQLITE_OK)
		result = schema_number(store, "PRAGMA page_size", &page_size);
	if (result != SQLITE_OK || pages * page_size > CHECKED_BYTES_MOST)
		return result;
	result = sqlite3_prepare_v2(store->connection, "PRAGMA quick_check(1)", -1, &statement, NULL);
	if (result != SQLITE_OK)
		return result;
	result = sqlite3_step(statement);
	if (result == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0)
		(void)snprintf(found, found_size, "%s", (const char *)sqlite3_column_text(statement, 0));
	(void)sqlite3_finalize(statement);
	return result == SQLITE_ROW || result == SQLITE_DONE ? SQLITE_OK : result;
}

static int schema_set_version(struct sqlite_store *store)
{
	char sql[96];

	(void)snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", SQLITE_SCHEMA_ID,
		SQLITE_SCHEMA_VERSION);
	return sqlite3_exec(store->connection, sql, NULL, NULL, NULL);
}

/* Brings the file from 'version' to the present one: all of it, or nothing. */
static int schema_migrate(struct sqlite_store *store, int64_t version)
{
	int result = sqlite_store_begin(store);

	for (; result == SQLITE_OK && version < SQLITE_SCHEMA_VERSION; version++)
		result = sqlite3_exec(store->connection, migrations[version], NULL, NULL, NULL);
	if (result == SQLITE_OK)
		result = schema_set_version(store);
	if (result == SQLITE_OK)
		result = sqlite_store_commit(store);
	if (result != SQLITE_OK)
		sqlite_store_rollback(store);
	return result;
}

/* Whose file is it? */
static int schema_identify(struct sqlite_store *store, int64_t *id, int64_t *version, int64_t *tables)
{
	int result = schema_number(store, "PRAGMA application_id", id);

	if (result == SQLITE_OK)
		result = schema_number(store, "PRAGMA user_version", version);
	if (result == SQLITE_OK)
		result = schema_number(store, "SELECT count(*) FROM sqlite_schema", tables);
	return result;
}

int sqlite_schema_open(struct sqlite_store *store, const char *path, char *fault, size_t fault_size)
{
	int64_t id = 0;
	int64_t version = 0;
	int64_t tables = 0;
	char found[256];
	int result = schema_identify(store, &id, &version, &tables);
	bool empty = id == 0 && version == 0 && tables == 0;

	if (result != SQLITE_OK)
		return sqlite_schema_fault(store, result, path, fault, fault_size);
	if (!empty && id != SQLITE_SCHEMA_ID)
		return schema_refuse(
			path, "it is the database of another program; choose another file", fault, fault_size);
	if (version > SQLITE_SCHEMA_VERSION)
		return schema_refuse(path, "a newer tcpserver has written it; use that one, or choose another file",
			fault, fault_size);
	if (!empty && version < 1)
		return sqlite_schema_fault(store, SQLITE_CORRUPT, path, fault, fault_size);
	result = sqlite_store_start_writing(store, empty);
	if (result == SQLITE_OK)
		result = schema_check_pages(store, found, sizeof found);
	if (result == SQLITE_OK && found[0] != '\0') {
		(void)snprintf(fault, fault_size,
			"the journal %s is damaged (%s); 'tcpserver --check %s' checks it, and 'tcpserver --salvage %s "
			"NEW' saves "
			"what can be read",
			path, found, path, path);
		return -EUCLEAN;
	}
	if (result == SQLITE_OK && version < SQLITE_SCHEMA_VERSION)
		result = schema_migrate(store, version);
	if (result == SQLITE_OK)
		result = sqlite_store_prepare_all(store);
	return result == SQLITE_OK ? 0 : sqlite_schema_fault(store, result, path, fault, fault_size);
}
