#include "tcpserver/journals/sqlite_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/message.h"
#include "tcpserver/journals/sqlite_file.h"
#include "tcpserver/journals/sqlite_schema.h"

enum {
	TEXT_MOST = 3 * 65535,            /* bytes of a message that are read: a line's, each byte made U+FFFD */
	CELL_MOST = 16 * 1024 * 1024,     /* bytes of one value, however large the file says it is             */
	LOG_KEPT_MOST = 16 * 1024 * 1024, /* bytes of the write-ahead log that stay when it starts anew      */
	WRITER_CACHE_KIB = 16 * 1024,
	READER_CACHE_KIB = 256, /* who reads on and on has no use for more, and it is not to cost the others memory */
};

#define ROOM_COLUMNS                                                                                                   \
	"number, id, name, creator, topic, capacity, flags, created, max(next - 1, coalesce((SELECT max(place) FROM message " \
	"WHERE place >= room.number << 36 AND place < (room.number + 1) << 36) & 68719476735, 0))"

static const char *const store_sql[STORE_STATEMENTS] = {
	[STORE_BEGIN] = "BEGIN IMMEDIATE",
	[STORE_COMMIT] = "COMMIT",
	[STORE_ROLLBACK] = "ROLLBACK",
	[STORE_ADD_ROOM] = "INSERT INTO room(number, id, name, key, creator, topic, capacity, flags, created) "
			   "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[STORE_SET_FLAGS] = "UPDATE room SET flags = ?2 WHERE number = ?1",
	[STORE_REMOVE_ROOM] = "UPDATE room SET flags = ?2, key = NULL, id = ?3 WHERE number = ?1",
	[STORE_SET_TOPIC] = "UPDATE room SET topic = ?2 WHERE number = ?1",
	[STORE_ADD_MESSAGE] = "INSERT INTO message(place, at, kind, participant, text) VALUES(?1, ?2, ?3, ?4, ?5)",
	[STORE_ADD_SENT] = "INSERT OR IGNORE INTO sent(client, number, place, at) VALUES(?1, ?2, ?3, ?4)",
	[STORE_FIND_SENT] = "SELECT place FROM sent WHERE client = ?1 AND number = ?2",
	[STORE_DROP_SENT] = "DELETE FROM sent WHERE client = ?1 AND number = ?2",
	[STORE_SET_MARK] = "INSERT INTO mark(name, room, seq, at) SELECT ?1, ?2, ?3, ?4 "
			   "WHERE EXISTS (SELECT 1 FROM room WHERE number = ?2 AND NOT flags & 16) "
			   "ON CONFLICT(name, room) DO UPDATE SET at = excluded.at, seq = max(seq, excluded.seq)",
	[STORE_LAST_NUMBER] = "SELECT max(coalesce((SELECT max(number) FROM room), 0), "
			      "coalesce((SELECT max(place) FROM message), 0) >> 36, "
			      "coalesce((SELECT max(room) FROM mark), 0))",
	[STORE_READ_MESSAGES] = "SELECT place, at, kind, participant, text FROM message "
				"WHERE place >= ?1 AND place < ?2 ORDER BY place",
	[STORE_OPEN_ROOM] =
		"SELECT r.number, r.next, r.flags, m.place, m.at FROM room r LEFT JOIN message m ON m.place = "
		"(SELECT max(place) FROM message WHERE place >= r.number << 36 AND place < (r.number + 1) << 36) "
		"WHERE r.id = ?1 AND NOT r.flags & 16",
	[STORE_LABEL] = "SELECT coalesce(name, id) FROM room WHERE number = ?1 AND NOT flags & 16",
	[STORE_FIND_KEY] = "SELECT " ROOM_COLUMNS " FROM room WHERE key = ?1 AND NOT flags & 16",
	[STORE_FIND_ID] = "SELECT " ROOM_COLUMNS " FROM room WHERE id = ?1 AND NOT flags & 16",
	[STORE_LIST_ROOMS] = "SELECT " ROOM_COLUMNS " FROM room WHERE id > ?1 AND NOT flags & 16 AND flags & 1 >= ?2 "
			     "ORDER BY id",
	[STORE_READ_MARK] = "SELECT seq FROM mark WHERE name = ?1 AND room = ?2",
	[STORE_EXPIRE_SENT] = "DELETE FROM sent WHERE id IN (SELECT id FROM sent ORDER BY id LIMIT ?2) AND at < ?1",
	[STORE_CLOSE_REMOVED] = "UPDATE room SET id = '-' || number WHERE id >= '!' AND id < '\"'",
	[STORE_NEXT_REMOVED] = "SELECT number FROM room WHERE id >= '-' AND id < '.' ORDER BY id LIMIT 1",
	[STORE_PASSED_MESSAGES] = "SELECT place, at FROM message WHERE place >= ?1 AND place < ?2 ORDER BY place",
	[STORE_DELETE_MESSAGES] = "DELETE FROM message WHERE place >= ?1 AND place < ?2",
	[STORE_DELETE_MARKS] =
		"DELETE FROM mark WHERE (name, room) IN (SELECT name, room FROM mark WHERE room = ?1 LIMIT ?2)",
	[STORE_DELETE_ROOM] = "DELETE FROM room WHERE number = ?1",
	[STORE_NEXT_ROOM] = "SELECT number, id, flags, created FROM room WHERE number > ?1 ORDER BY number LIMIT 1",
	[STORE_LAST_PLACE] = "SELECT max(place) FROM message WHERE place >= ?1 AND place < ?2",
	[STORE_RAISE_NEXT] = "UPDATE room SET next = ?2 WHERE number = ?1 AND next < ?2",
	[STORE_PAGES] = "PRAGMA page_count",
	[STORE_PAGE_SIZE] = "PRAGMA page_size",
	[STORE_FREE_PAGES] = "PRAGMA freelist_count",
	[STORE_VACUUM] = "PRAGMA incremental_vacuum(64)",
};

/* ---- The connection. ---- */

/* Notes how long the write-ahead log is; SQLite's own checkpoint at this point is not wanted. */
static int store_note_log(void *context, sqlite3 *connection, const char *database, int pages)
{
	struct sqlite_store *store = context;

	(void)connection;
	(void)database;
	store->log_pages = pages;
	return SQLITE_OK;
}

static const char *store_sync_pragma(enum sqlite_sync sync)
{
	switch (sync) {
	case SQLITE_JOURNAL_OFF:
		return "PRAGMA synchronous = OFF";
	case SQLITE_JOURNAL_NORMAL:
		return "PRAGMA synchronous = NORMAL";
	case SQLITE_JOURNAL_FULL:
		break;
	}
	return "PRAGMA synchronous = FULL";
}

/* The file may be anybody's work: what a schema could do on its own is switched off. */
static int store_distrust(sqlite3 *connection)
{
	int result = sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);

	if (result == SQLITE_OK)
		result = sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_limit(connection, SQLITE_LIMIT_LENGTH, CELL_MOST);
	if (result == SQLITE_OK)
		result = sqlite3_exec(
			connection, "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY", NULL, NULL, NULL);
	return result;
}

static int store_set_up(struct sqlite_store *store, enum store_use use, enum sqlite_sync sync)
{
	char sql[40];
	int result;

	(void)sqlite3_extended_result_codes(store->connection, 1);
	(void)sqlite3_busy_timeout(store->connection, STORE_BUSY_MS);
	result = store_distrust(store->connection);
	if (result == SQLITE_OK && use == STORE_CHECKPOINTS)
		(void)sqlite3_wal_autocheckpoint(store->connection, 0);
	if (result == SQLITE_OK)
		result = sqlite3_exec(store->connection, store_sync_pragma(sync), NULL, NULL, NULL);
	if (result == SQLITE_OK && use == STORE_READS) {
		(void)snprintf(sql, sizeof sql, "PRAGMA cache_size = -%d", READER_CACHE_KIB);
		result = sqlite3_exec(store->connection, sql, NULL, NULL, NULL);
	}
	return result;
}

int sqlite_store_open(struct sqlite_store *store, const char *path, enum store_use use, enum sqlite_sync sync)
{
	int flags = SQLITE_OPEN_NOMUTEX | (use == STORE_READS ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
	int result;

	*store = (struct sqlite_store){.descriptor = -1};
	result = sqlite3_open_v2(path, &store->connection, flags, NULL);
	if (result == SQLITE_OK)
		result = store_set_up(store, use, sync);
	if (result != SQLITE_OK)
		sqlite_store_close(store);
	return result;
}

/* Where the file system has no shared memory, there is no write-ahead log. */
static int store_start_log(struct sqlite_store *store)
{
	sqlite3_stmt *statement;
	int result = sqlite3_prepare_v2(store->connection, "PRAGMA journal_mode = WAL", -1, &statement, NULL);

	if (result != SQLITE_OK)
		return result;
	result = sqlite3_step(statement);
	if (result == SQLITE_ROW)
		result = strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0 ? SQLITE_OK : SQLITE_NOLFS;
	(void)sqlite3_finalize(statement);
	return result;
}

/* Whether space can be given back is decided when the file is empty; to set it again would write to the file. */
int sqlite_store_start_writing(struct sqlite_store *store, bool empty)
{
	char sql[160];
	int result;

	(void)sqlite3_wal_hook(store->connection, store_note_log, store);
	(void)snprintf(sql, sizeof sql, "PRAGMA journal_size_limit = %d; PRAGMA cache_size = -%d%s", LOG_KEPT_MOST,
		WRITER_CACHE_KIB, empty ? "; PRAGMA auto_vacuum = INCREMENTAL" : "");
	result = sqlite3_exec(store->connection, sql, NULL, NULL, NULL);
	return result == SQLITE_OK ? store_start_log(store) : result;
}

void sqlite_store_close(struct sqlite_store *store)
{
	for (size_t i = 0; i < STORE_STATEMENTS; i++)
		(void)sqlite3_finalize(store->statements[i]); /* repeats the statement's last error */
	(void)sqlite3_close(store->connection);               /* busy only while there are statements */
	*store = (struct sqlite_store){.descriptor = -1};
}

int sqlite_store_errno(const struct sqlite_store *store, int result)
{
	int error = store->connection == NULL ? 0 : sqlite3_system_errno(store->connection);

	switch (result & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_IOERR:
		return error == ENOSPC || error == EDQUOT ? error : EIO;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a table is not as it was */
		return EUCLEAN;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EAGAIN;
	case SQLITE_CONSTRAINT:
		return EEXIST;
	case SQLITE_TOOBIG:
		return EFBIG;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return EACCES;
	default:
		return EIO;
	}
}

bool sqlite_store_is_broken(int result)
{
	switch (result & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
	case SQLITE_FULL:
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_NOMEM:
		return false;
	default:
		return true;
	}
}

bool sqlite_store_is_harmless(int result)
{
	return (result & 0xff) == SQLITE_CONSTRAINT || (result & 0xff) == SQLITE_TOOBIG;
}

/* ---- Statements. ---- */

sqlite3_stmt *sqlite_store_statement(struct sqlite_store *store, enum store_statement which, int *result)
{
	*result = SQLITE_OK;
	if (store->connection == NULL)
		*result = SQLITE_CANTOPEN;
	else if (store->statements[which] == NULL)
		*result = sqlite3_prepare_v3(store->connection, store_sql[which], -1, SQLITE_PREPARE_PERSISTENT,
			&store->statements[which], NULL);
	return store->statements[which];
}

int sqlite_store_end(sqlite3_stmt *statement, int result)
{
	(void)sqlite3_reset(statement); /* repeats the error of the last step */
	return result == SQLITE_ROW || result == SQLITE_DONE ? SQLITE_OK : result;
}

int sqlite_store_run(
	struct sqlite_store *store, enum store_statement which, const int64_t *numbers, int count, int64_t *answer)
{
	int result;
	sqlite3_stmt *statement = sqlite_store_statement(store, which, &result);

	if (statement == NULL)
		return result;
	for (int i = 0; i < count; i++)
		(void)sqlite3_bind_int64(statement, i + 1, numbers[i]);
	result = sqlite3_step(statement);
	if (result == SQLITE_ROW && answer != NULL)
		*answer = sqlite3_column_int64(statement, 0);
	while (result == SQLITE_ROW && answer == NULL)
		result = sqlite3_step(statement); /* incremental_vacuum frees a page a step */
	return sqlite_store_end(statement, result);
}

int sqlite_store_prepare_all(struct sqlite_store *store)
{
	int result = SQLITE_OK;

	for (int i = 0; i < STORE_STATEMENTS && result == SQLITE_OK; i++)
		(void)sqlite_store_statement(store, (enum store_statement)i, &result);
	return result;
}

int sqlite_store_begin(struct sqlite_store *store)
{
	return sqlite_store_run(store, STORE_BEGIN, NULL, 0, NULL);
}

int sqlite_store_reserve(struct sqlite_store *store)
{
	int64_t pages = 0;
	int64_t page_size = 0;
	int result;

	if (store->descriptor < 0)
		return SQLITE_OK;
	result = sqlite_store_run(store, STORE_PAGES, NULL, 0, &pages);
	if (result == SQLITE_OK)
		result = sqlite_store_run(store, STORE_PAGE_SIZE, NULL, 0, &page_size);
	if (result == SQLITE_OK && sqlite_file_reserve(store->descriptor, pages * page_size) != 0)
		result = SQLITE_FULL;
	return result;
}

int sqlite_store_commit(struct sqlite_store *store)
{
	int result = sqlite_store_reserve(store);

	return result == SQLITE_OK ? sqlite_store_run(store, STORE_COMMIT, NULL, 0, NULL) : result;
}

void sqlite_store_rollback(struct sqlite_store *store)
{
	if (store->connection != NULL && sqlite3_get_autocommit(store->connection) == 0)
		(void)!sqlite_store_run(store, STORE_ROLLBACK, NULL, 0, NULL); /* closing it would do the same */
}

int sqlite_store_write_nothing(struct sqlite_store *store)
{
	char sql[48];

	(void)snprintf(sql, sizeof sql, "PRAGMA user_version = %d", SQLITE_SCHEMA_VERSION);
	return store->connection == NULL ? SQLITE_CANTOPEN : sqlite3_exec(store->connection, sql, NULL, NULL, NULL);
}

void sqlite_store_erase_failed(struct sqlite_store *store)
{
	(void)!sqlite_store_write_nothing(store); /* that it is not synced either is all right */
}

/* ---- Rows, written. SQLite need not copy what it is given: it is there until the statement is reset. ---- */

static void store_bind_text(sqlite3_stmt *statement, int parameter, const char *text, size_t size)
{
	(void)sqlite3_bind_text64(statement, parameter, text, size, SQLITE_STATIC, SQLITE_UTF8);
}

static void store_bind_string(sqlite3_stmt *statement, int parameter, const char *text)
{
	if (text == NULL)
		(void)sqlite3_bind_null(statement, parameter);
	else
		store_bind_text(statement, parameter, text, strlen(text));
}

/* What a removed room has in place of its id: '!' while it is open, '-' when it can be deleted. */
static void store_removed_id(char id[ROOM_ID_SIZE], int64_t number, bool open)
{
	(void)snprintf(id, ROOM_ID_SIZE, "%c%lld", open ? '!' : '-', (long long)number);
}

int sqlite_store_add_room(struct sqlite_store *store, const struct store_room *room)
{
	int result;
	sqlite3_stmt *statement = sqlite_store_statement(store, STORE_ADD_ROOM, &result);
	bool removed = (room->flags & STORE_REMOVED) != 0;
	char id[ROOM_ID_SIZE];
	char key[NAME_KEY_SIZE];

	if (statement == NULL)
		return result;
	if (removed)
		store_removed_id(id, room->number, true);
	if (room->name != NULL)
		(void)name_key(room->name, key);
	(void)sqlite3_bind_int64(statement, 1, room->number);
	store_bind_string(statement, 2, removed ? id : room->id);
	store_bind_string(statement, 3, room->name);
	store_bind_string(statement, 4, removed || room->name == NULL ? NULL : key);
	store_bind_string(statement, 5, room->creator);
	store_bind_string(statement, 6, room->topic);
	(void)sqlite3_bind_int64(statement, 7, (int64_t)room->capacity);
	(void)sqlite3_bind_int64(statement, 8, room->flags);
	(void)sqlite3_bind_int64(statement, 9, room->created_ms);
	return sqlite_store_end(statement, sqlite3_step(statement));
}

int sqlite_store_set_flags(struct sqlite_store *store, int64_t number, unsigned flags, bool open)
{
	const int64_t numbers[] = {number, flags};
	char id[ROOM_ID_SIZE];
	sqlite3_stmt *statement;
	int result;

	if ((flags & STORE_REMOVED) == 0)
		return sqlite_store_run(store, STORE_SET_FLAGS, numbers, 2, NULL);
	statement = sqlite_store_statement(store, STORE_REMOVE_ROOM, &result);
	if (statement == NULL)
		return result;
	store_removed_id(id, number, open);
	(void)sqlite3_bind_int64(statement, 1, number);
	(void)sqlite3_bind_int64(statement, 2, flags);
	store_bind_string(statement, 3, id);
	return sqlite_store_end(statement, sqlite3_step(statement));
}

int sqlite_store_set_topic(struct sqlite_store *store, int64_t number, const char *topic, size_t size)
{
	int result;
	sqlite3_stmt *statement = sqlite_store_statement(store, STORE_SET_TOPIC, &result);

	if (statement == NULL)
		return result;
	(void)sqlite3_bind_int64(statement, 1, number);
	store_bind_text(statement, 2, topic, size);
	return sqlite_store_end(statement, sqlite3_step(statement));
}

int sqlite_store_add_message(struct sqlite_store *store, int64_t place, int64_t at_ms, const struct message *message)
{
	int result;
	sqlite3_stmt *statement = sqlite_store_statement(store, STORE_ADD_MESSAGE, &result);

	if (statement == NULL)
		return result;
	(void)sqlite3_bind_int64(statement, 1, place);
	(void)sqlite3_bind_int64(statement, 2, at_ms);
	(void)sqlite3_bind_int(statement, 3, (int)message->kind);
	store_bind_text(statement, 4, message->participant, message->participant_size);
	store_bind_text(statement, 5, message->text, message->text_size);
	return sqlite_store_end(statement, sqlite3_step(statement));
}

/* A statement about one message of one client. */
static sqlite3_stmt *store_sent_statement(struct sqlite_store *store, enum store_statement which,
	const unsigned char *client, uint64_t number, int *result)
{
	sqlite3_stmt *statement = sqlite_store_statement(store, which, result);

	if (statement == NULL)
		return NULL;
	(void)sqlite3_bind_blob(statement, 1, client, CLIENT_ID_SIZE, SQLITE_STATIC);
	(void)sqlite3_bind_int64(statement, 2, (int64_t)number);
	return statement;
}

static int store_find_sent(struct sqlite_store *store, const unsigned char *client, uint64_t number, int64_t *place)
{
	int result;
	sqlite3_stmt *statement = store_sent_statement(store, STORE_FIND_SENT, client, number, &result);

	if (statement == NULL)
		return result;
	result = sqlite3_step(statement);
	if (result == SQLITE_ROW)
		*place = sqlite3_column_int64(statement, 0);
	else if (result == SQLITE_DONE)
		result = SQLITE_CORRUPT; /* it was not added because it is there */
	return sqlite_store_end(statement, result);
}

int sqlite_store_add_sent(struct sqlite_store *store, const unsigned char *client, uint64_t number, int64_t place,
	int64_t at_ms, int64_t *before)
{
	int result;
	sqlite3_stmt *statement = store_sent_statement(store, STORE_ADD_SENT, client, number, &result);

	if (statement == NULL)
		return result;
	(void)sqlite3_bind_int64(statement, 3, place);
	(void)sqlite3_bind_int64(statement, 4, at_ms);
	result = sqlite_store_end(statement, sqlite3_step(statement));
	*before = 0;
	if (result == SQLITE_OK && sqlite3_changes(store->connection) == 0)
		result = store_find_sent(store, client, number, before);
	return result;
}

int sqlite_store_drop_sent(struct sqlite_store *store, const unsigned char *client, uint64_t number)
{
	int result;
	sqlite3_stmt *statement = store_sent_statement(store, STORE_DROP_SENT, client, number, &result);

	return statement == NULL ? result : sqlite_store_end(statement, sqlite3_step(statement));
}

int sqlite_store_set_mark(struct sqlite_store *store, const char *name, int64_t room, uint64_t seq)
{
	int result;
	sqlite3_stmt *statement = sqlite_store_statement(store, STORE_SET_MARK, &result);

	if (statement == NULL)
		return result;
	store_bind_string(statement, 1, name);
	(void)sqlite3_bind_int64(statement, 2, room);
	(void)sqlite3_bind_int64(statement, 3, (int64_t)seq);
	(void)sqlite3_bind_int64(statement, 4, clock_wall_ns() / 1000000);
	return sqlite_store_end(statement, sqlite3_step(statement));
}

/* ---- Rows, read. ---- */

static int64_t store_between(int64_t number, int64_t least, int64_t most)
{
	return number < least ? least : number > most ? most : number;
}

/*
 * The text in a column, clean: where it lies if it is clean, else in '*buffer', which the caller frees. No more than
 * 'most' bytes, cut between characters. NULL without memory.
 */
static const char *store_clean_text(sqlite3_stmt *statement, int column, size_t most, size_t *size, char **buffer)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);
	size_t length = (size_t)sqlite3_column_bytes(statement, column);

	*buffer = NULL;
	if (text == NULL) {
		*size = 0;
		return sqlite3_column_type(statement, column) == SQLITE_NULL ? "" : NULL;
	}
	if (!text_is_clean(text, length)) {
		length = length < most ? length : most;
		*buffer = malloc(TEXT_CLEAN_SIZE(length) + 1);
		if (*buffer == NULL)
			return NULL;
		length = text_clean(text, length, *buffer);
		text = *buffer;
	}
	*size = text_prefix(text, length, most);
	return text;
}

/* Copies a column to 'out', of 'out_size' bytes, clean and ended by NUL. Returns SQLITE_NOMEM without memory. */
static int store_copy_text(sqlite3_stmt *statement, int column, char *out, size_t out_size)
{
	char *buffer;
	size_t size;
	const char *text = store_clean_text(statement, column, out_size - 1, &size, &buffer);

	if (text == NULL)
		return SQLITE_NOMEM;
	memcpy(out, text, size);
	out[size] = '\0';
	free(buffer);
	return SQLITE_OK;
}

int sqlite_store_last_number(struct sqlite_store *store, int64_t *number)
{
	return sqlite_store_run(store, STORE_LAST_NUMBER, NULL, 0, number);
}

static int store_opened(sqlite3_stmt *statement, struct store_opened *opened)
{
	int64_t next = store_between(sqlite3_column_int64(statement, 1), 1, (int64_t)STORE_SEQ_MOST);

	*opened = (struct store_opened){
		.number = sqlite3_column_int64(statement, 0),
		.next = (uint64_t)next,
		.flags = (unsigned)sqlite3_column_int64(statement, 2) & STORE_FLAGS,
	};
	if (opened->number < 1 || opened->number > STORE_NUMBER_MOST)
		return SQLITE_CORRUPT;
	if (sqlite3_column_type(statement, 3) == SQLITE_NULL)
		return SQLITE_ROW;
	if (store_seq(sqlite3_column_int64(statement, 3)) >= opened->next)
		opened->next = store_seq(sqlite3_column_int64(statement, 3)) + 1;
	opened->last_ms = store_between(sqlite3_column_int64(statement, 4), 0, STORE_MS_MOST);
	return SQLITE_ROW;
}

int sqlite_store_open_room(struct sqlite_store *store, const char *id, struct store_opened *opened)
{
	int result;
	sqlite3_stmt *statement = sqlite_store_statement(store, STORE_OPEN_ROOM, &result);

	if (statement == NULL)
		return result;
	store_bind_string(statement, 1, id);
	result = sqlite3_step(statement);
	if (result == SQLITE_ROW)
		result = store_opened(statement, opened);
	if (result == SQLITE_DONE) {
		(void)sqlite_store_end(statement, result);
		return SQLITE_DONE;
	}
	return sqlite_store_end(statement, result);
}

/* Whether a column is this text, which is not empty. An id that had to be cleaned or cut would lead nowhere. */
static bool store_is_text(sqlite3_stmt *statement, int column, const char *text)
{
	size_t size = strlen(text);

	return size > 0 && (size_t)sqlite3_column_bytes(statement, column) == size &&
	       memcmp(sqlite3_column_text(statement, column), text, size) == 0;
}

/* Makes a record of a row of ROOM_COLUMNS. SQLITE_CORRUPT: it makes no sense. */
static int store_record(sqlite3_stmt *statement, struct room_record *record, int64_t *number)
{
	unsigned flags = (unsigned)sqlite3_column_int64(statement, 6);
	bool named = sqlite3_column_type(statement, 2) != SQLITE_NULL;
	int result = store_copy_text(statement, 1, record->id, sizeof record->id);

	if (result == SQLITE_OK)
		result = store_copy_text(statement, 2, record->name, sizeof record->name);
	if (result == SQLITE_OK)
		result = store_copy_text(statement, 3, record->creator, sizeof record->creator);
	if (result == SQLITE_OK)
		result = store_copy_text(statement, 4, record->topic, sizeof record->topic);
	if (result != SQLITE_OK)
		return result;
	*number = sqlite3_column_int64(statement, 0);
	record->last = (uint64_t)store_between(sqlite3_column_int64(statement, 8), 0, (int64_t)STORE_SEQ_MOST);
	record->attributes = (struct room_attributes){
		.id = record->id,
		.name = named ? record->name : NULL,
		.creator = record->creator,
		.topic = record->topic[0] == '\0' ? NULL : record->topic,
		.created_ns = store_between(sqlite3_column_int64(statement, 7), 1, STORE_MS_MOST) * 1000000,
		.capacity = (size_t)store_between(sqlite3_column_int64(statement, 5), 0, INT32_MAX),
		.listed = (flags & STORE_LISTED) != 0,
		.persistent = (flags & STORE_PERSISTENT) != 0,
		.ends_with_member = (flags & STORE_ENDS_WITH_MEMBER) != 0,
		.waits = (flags & STORE_WAITS) != 0,
	};
	if (!store_is_text(statement, 1, record->id) || (named && record->name[0] == '\0'))
		return SQLITE_CORRUPT;
	return SQLITE_ROW;
}

int sqlite_store_find_room(struct sqlite_store *store, enum store_statement which, const char *text,
	struct room_record *record, int64_t *number)
{
	int result;
	sqlite3_stmt *statement = sqlite_store_statement(store, which, &result);

	if (statement == NULL)
		return result;
	store_bind_string(statement, 1, text);
	result = sqlite3_step(statement);
	if (result == SQLITE_ROW)
		result = store_record(statement, record, number);
	if (result == SQLITE_DONE) {
		(void)sqlite_store_end(statement, result);
		return SQLITE_DONE;
	}
	return sqlite_store_end(statement, result);
}

char *sqlite_store_label(struct sqlite_store *store, int64_t number)
{
	int result;
	sqlite3_stmt *statement = sqlite_store_statement(store, STORE_LABEL, &result);
	char label[NAME_SIZE];
	char *copy = NULL;

	if (statement == NULL)
		return NULL;
	(void)sqlite3_bind_int64(statement, 1, number);
	if (sqlite3_step(statement) == SQLITE_ROW && store_copy_text(statement, 0, label, sizeof label) == SQLITE_OK)
		copy = strdup(label);
	(void)sqlite3_reset(statement); /* without an answer there is one, too */
	return copy;
}

int sqlite_store_list_rooms(struct sqlite_store *store, const char *after, bool listed, struct room_record *records,
	int64_t *numbers, size_t capacity, size_t *count)
{
	int result;
	sqlite3_stmt *statement = sqlite_store_statement(store, STORE_LIST_ROOMS, &result);

	*count = 0;
	if (statement == NULL)
		return result;
	store_bind_string(statement, 1, after);
	(void)sqlite3_bind_int(statement, 2, listed);
	while (*count < capacity && (result = sqlite3_step(statement)) == SQLITE_ROW) {
		result = store_record(statement, &records[*count], &numbers[*count]);
		if (result == SQLITE_ROW)
			++*count;
		else if (result != SQLITE_CORRUPT) /* a row that makes no sense is left out */
			break;
	}
	return sqlite_store_end(statement, result);
}

/* Makes a message of a row; NULL without memory. */
static struct message *store_message(sqlite3_stmt *statement, enum message_kind kind, const char *label)
{
	char participant[NAME_SIZE];
	char *buffer;
	size_t size;
	const char *text = store_clean_text(statement, 4, TEXT_MOST, &size, &buffer);
	struct message *message = NULL;

	if (text != NULL && store_copy_text(statement, 3, participant, sizeof participant) == SQLITE_OK)
		message = message_create(kind, label, participant, text, size);
	free(buffer);
	if (message == NULL)
		return NULL;
	message->seq = store_seq(sqlite3_column_int64(statement, 0));
	message->at_ns = store_between(sqlite3_column_int64(statement, 1), 1, STORE_MS_MOST) * 1000000;
	return message;
}

int sqlite_store_read(struct sqlite_store *store, int64_t number, const char *label, uint64_t from,
	struct message **messages, size_t capacity, size_t *count)
{
	int result;
	sqlite3_stmt *statement = sqlite_store_statement(store, STORE_READ_MESSAGES, &result);

	*count = 0;
	if (statement == NULL)
		return result;
	(void)sqlite3_bind_int64(statement, 1, store_place(number, from));
	(void)sqlite3_bind_int64(statement, 2, store_place(number + 1, 0));
	while (*count < capacity && (result = sqlite3_step(statement)) == SQLITE_ROW) {
		int64_t kind = sqlite3_column_int64(statement, 2);

		if (kind < 0 || kind >= MESSAGE_KINDS)
			continue; /* what is not kept is left out */
		messages[*count] = store_message(statement, (enum message_kind)kind, label);
		if (messages[*count] == NULL) {
			result = SQLITE_NOMEM;
			break;
		}
		++*count;
	}
	return sqlite_store_end(statement, result);
}

int sqlite_store_read_mark(struct sqlite_store *store, const char *name, int64_t room, uint64_t *seq)
{
	int result;
	sqlite3_stmt *statement = sqlite_store_statement(store, STORE_READ_MARK, &result);

	if (statement == NULL)
		return result;
	store_bind_string(statement, 1, name);
	(void)sqlite3_bind_int64(statement, 2, room);
	result = sqlite3_step(statement);
	if (result == SQLITE_ROW)
		*seq = (uint64_t)store_between(sqlite3_column_int64(statement, 0), 0, (int64_t)STORE_SEQ_MOST);
	if (result == SQLITE_DONE) {
		(void)sqlite_store_end(statement, result);
		return SQLITE_DONE;
	}
	return sqlite_store_end(statement, result);
}
