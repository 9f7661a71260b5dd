#include "tcpserver/journals/sqlite_rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"

#define MILLISECOND_NS INT64_C(1000000)

enum { BUSY_MS = 5000 };

int64_t sqlite_place(int64_t room, int64_t seq)
{
	return (int64_t)(((uint64_t)room << SEQ_BITS) + (uint64_t)seq);
}

int sqlite_rows_error(int code)
{
	switch (code & 0xFF) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_INTERRUPT:
		return -ETIMEDOUT;
	default:
		return -EIO;
	}
}

const char *sqlite_rows_text(sqlite3_stmt *row, int column)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	return text == NULL ? "" : text;
}

char *sqlite_rows_clean(sqlite3_stmt *row, int column, size_t *size)
{
	const char *text = sqlite_rows_text(row, column);
	size_t dirty = (size_t)sqlite3_column_bytes(row, column);
	char *clean = malloc(TEXT_CLEAN_SIZE(dirty) + 1);

	if (clean == NULL)
		return NULL;
	*size = text_clean(text, dirty, clean);
	clean[*size] = '\0';
	return clean;
}

bool sqlite_rows_is_clean(sqlite3_stmt *row, int column, size_t most)
{
	const char *text = sqlite_rows_text(row, column);
	size_t size = (size_t)sqlite3_column_bytes(row, column);

	return sqlite3_column_type(row, column) == SQLITE_TEXT && size <= most && text_is_clean(text, size);
}

int64_t sqlite_rows_ns(int64_t at_ms)
{
	int64_t most = INT64_MAX / MILLISECOND_NS;

	return (at_ms > most ? most : at_ms < 0 ? 0 : at_ms) * MILLISECOND_NS;
}

struct message *sqlite_rows_message(sqlite3_stmt *row, const char *label)
{
	size_t name_size = 0;
	size_t text_size = 0;
	char *name = sqlite_rows_clean(row, 3, &name_size);
	char *text = sqlite_rows_clean(row, 4, &text_size);
	struct message *message = NULL;

	if (name != NULL && text != NULL)
		message = message_create((enum message_kind)sqlite3_column_int(row, 2), label, name, text, text_size);
	if (message != NULL) {
		message->seq = (uint64_t)(sqlite3_column_int64(row, 0) & SEQ_MASK);
		message->at_ns = sqlite_rows_ns(sqlite3_column_int64(row, 1));
	}
	free(name);
	free(text);
	return message;
}

/* The number that a pragma gives; -1 when it cannot be read. */
static int64_t pragma_number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	int64_t number = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	return number;
}

static int rows_fault(sqlite3 **db, const char *path, const char *why, char *fault, size_t fault_size)
{
	(void)snprintf(fault, fault_size, "%s: %s", path, why);
	(void)sqlite3_close(*db);
	*db = NULL;
	return -1;
}

int sqlite_rows_open(const char *path, sqlite3 **db, char *fault, size_t fault_size)
{
	int64_t application;
	int64_t version;

	*db = NULL;
	if (access(path, R_OK) != 0)
		return rows_fault(db, path, strerror(errno), fault, fault_size);
	if (sqlite3_open_v2(path, db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return rows_fault(db, path, *db == NULL ? strerror(ENOMEM) : sqlite3_errmsg(*db), fault, fault_size);
	(void)sqlite3_busy_timeout(*db, BUSY_MS);
	(void)sqlite3_db_config(*db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(*db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_exec(*db, "PRAGMA cell_size_check = ON", NULL, NULL, NULL);
	application = pragma_number(*db, "PRAGMA application_id");
	version = pragma_number(*db, "PRAGMA user_version");
	if (application < 0 || version < 0)
		return rows_fault(db, path, sqlite3_errmsg(*db), fault, fault_size);
	if (application != JOURNAL_APPLICATION_ID)
		return rows_fault(db, path, "this is not a journal of tcpserver", fault, fault_size);
	if (version != JOURNAL_USER_VERSION)
		return rows_fault(db, path,
			"this version of tcpserver does not know the journal's; start the server with it once, or use a newer one",
			fault, fault_size);
	return 0;
}
