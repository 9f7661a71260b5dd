#include "tcpserver/journals/sqlite_rows.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
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

/* ---- The file. ---- */

/*
 * A database in WAL mode cannot be read by SQLite without files beside it, which it would make, and leave behind. But when no
 * server is at work with the journal, and none can begin, and its log is empty, all is in the file itself, which nobody changes.
 */

static void rows_lock(struct sqlite_rows *rows, const char *path)
{
	rows->lock = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (rows->lock >= 0 && flock(rows->lock, LOCK_SH | LOCK_NB) != 0) {
		(void)close(rows->lock); /* before SQLite opens the file: it would lose its own locks */
		rows->lock = -1;
	}
}

/* A file beside the journal. Returns its size, -1 if there is none; '*name', in new memory, becomes its path. */
static int64_t rows_beside(const char *path, const char *suffix, char **name)
{
	struct stat status;

	if (asprintf(name, "%s%s", path, suffix) < 0) {
		*name = NULL;
		return -1;
	}
	return stat(*name, &status) == 0 ? (int64_t)status.st_size : -1;
}

static bool rows_has_log(const char *path)
{
	char *name;
	int64_t size = rows_beside(path, "-wal", &name);
	bool has = size > 0 || name == NULL;

	free(name);
	return has;
}

/* The path as a URI; NULL without memory. */
static char *rows_immutable_uri(const char *path)
{
	char *uri = malloc(3 * strlen(path) + sizeof "file:?immutable=1");
	char *end = uri;

	if (uri == NULL)
		return NULL;
	end += sprintf(end, "file:");
	for (const char *at = path; *at != '\0'; at++) {
		bool plain = isalnum((unsigned char)*at) || strchr("._-~", *at) != NULL || (*at == '/' && at[1] != '/');

		end += sprintf(end, plain ? "%c" : "%%%02X", (unsigned char)*at);
	}
	(void)strcpy(end, "?immutable=1");
	return uri;
}

static int rows_open_file(struct sqlite_rows *rows, const char *path)
{
	int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
	char *uri;
	int code;

	if (rows->lock >= 0 && !rows_has_log(path)) {
		uri = rows_immutable_uri(path);
		code = uri == NULL ? SQLITE_NOMEM : sqlite3_open_v2(uri, &rows->db, flags | SQLITE_OPEN_URI, NULL);
		free(uri);
		return code;
	}
	if (rows->lock >= 0 && rows_beside(path, "-shm", &rows->leaves) >= 0) {
		free(rows->leaves); /* it was there already */
		rows->leaves = NULL;
	}
	return sqlite3_open_v2(path, &rows->db, flags, NULL);
}

static int rows_fault(struct sqlite_rows *rows, const char *path, const char *why, char *fault, size_t fault_size)
{
	const char *advice = rows->db != NULL && rows->lock >= 0 && rows_has_log(path)
		? "; what was written last is in its log, and to read that, the folder has to be writable: copy the file, and "
		  "the one beside it that ends with -wal, to another folder"
		: "";

	(void)snprintf(fault, fault_size, "%s: %s%s", path, why, advice);
	sqlite_rows_close(rows);
	return -1;
}

static int rows_identify(struct sqlite_rows *rows, const char *path, char *fault, size_t fault_size)
{
	int64_t application = pragma_number(rows->db, "PRAGMA application_id");
	int64_t version = pragma_number(rows->db, "PRAGMA user_version");
	const char *why = NULL;

	if (application < 0 || version < 0)
		return rows_fault(rows, path, sqlite3_errmsg(rows->db), fault, fault_size);
	if (application != JOURNAL_APPLICATION_ID)
		why = "this is not a journal of tcpserver";
	else if (version < JOURNAL_USER_VERSION_LEAST || version > JOURNAL_USER_VERSION)
		why = "this version of tcpserver does not know the journal's; start the server with it once, or use a newer one";
	if (why == NULL)
		return 0;
	(void)snprintf(fault, fault_size, "%s: %s", path, why);
	sqlite_rows_close(rows);
	return -1;
}

int sqlite_rows_open(const char *path, struct sqlite_rows *rows, char *fault, size_t fault_size)
{
	*rows = (struct sqlite_rows){.lock = -1};
	if (access(path, R_OK) != 0)
		return rows_fault(rows, path, strerror(errno), fault, fault_size);
	rows_lock(rows, path);
	if (rows_open_file(rows, path) != SQLITE_OK)
		return rows_fault(
			rows, path, rows->db == NULL ? strerror(ENOMEM) : sqlite3_errmsg(rows->db), fault, fault_size);
	(void)sqlite3_busy_timeout(rows->db, BUSY_MS);
	(void)sqlite3_db_config(rows->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(rows->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_exec(rows->db, "PRAGMA cell_size_check = ON", NULL, NULL, NULL);
	return rows_identify(rows, path, fault, fault_size);
}

void sqlite_rows_close(struct sqlite_rows *rows)
{
	(void)sqlite3_close(rows->db);
	/* Nobody else reads it, so nobody has the file that SQLite made. */
	if (rows->leaves != NULL && flock(rows->lock, LOCK_EX | LOCK_NB) == 0)
		(void)unlink(rows->leaves);
	free(rows->leaves);
	if (rows->lock >= 0)
		(void)close(rows->lock); /* after SQLite closed the file */
	*rows = (struct sqlite_rows){.lock = -1};
}
