#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/journals/sqlite_rows.h"
#include "tcpserver/journals/sqlite_salvage.h"

/* Findings that are written out; the others are counted. */
enum { FINDINGS_MAX = 100, TEXT_SIZE_MAX = 3 * 65535 };

#define AT_MS_MAX INT64_C(253402300799999) /* the end of the year 9999 */

struct check {
	const char *path;
	FILE *out;
	struct sqlite_rows rows;
	uint64_t findings;
	uint64_t notes;
	uint64_t rooms;
	uint64_t messages;
	/* The room of the messages that are read. */
	sqlite3_stmt *find_room;
	int64_t room;
	int64_t last;
};

static void found(struct check *check, const char *format, ...) PRINTF_LIKE(2, 3);
static void found(struct check *check, const char *format, ...)
{
	va_list arguments;

	if (check->findings++ >= FINDINGS_MAX)
		return;
	va_start(arguments, format);
	(void)fprintf(check->out, "%s: ", check->path);
	(void)vfprintf(check->out, format, arguments);
	(void)fputc('\n', check->out);
	va_end(arguments);
}

static sqlite3_stmt *check_prepare(struct check *check, const char *sql)
{
	sqlite3_stmt *statement = NULL;

	if (sqlite3_prepare_v2(check->rows.db, sql, -1, &statement, NULL) != SQLITE_OK)
		found(check, "%s", sqlite3_errmsg(check->rows.db));
	return statement;
}

/* Calls 'look' for each row, and ends the statement. */
static void each_row(struct check *check, const char *sql, void (*look)(struct check *check, sqlite3_stmt *row))
{
	sqlite3_stmt *statement = check_prepare(check, sql);
	int code = SQLITE_DONE;

	while (statement != NULL && (code = sqlite3_step(statement)) == SQLITE_ROW)
		look(check, statement);
	if (code != SQLITE_DONE)
		found(check, "%s", sqlite3_errmsg(check->rows.db));
	(void)sqlite3_finalize(statement);
}

static void look_at_pages(struct check *check, sqlite3_stmt *row)
{
	const char *text = sqlite_rows_text(row, 0);

	if (strcmp(text, "ok") != 0)
		found(check, "%.300s", text);
}

/* ---- Rooms. ---- */

/*
 * A row of (number, id, name, creator, topic, capacity, flags, next, indexed, last). One that is removed has lost its name.
 * The next number counts only when the last messages were deleted, so it may well be less than the last.
 */
static void look_at_room(struct check *check, sqlite3_stmt *row)
{
	int64_t number = sqlite3_column_int64(row, 0);
	bool removed = (sqlite3_column_int64(row, 6) & ROOM_IS_REMOVED) != 0;
	int64_t next = sqlite3_column_int64(row, 7);
	int64_t indexed = sqlite3_column_int64(row, 8);

	check->rooms++;
	if (number < 1 || number > ROOM_NUMBER_MAX)
		found(check, "room %" PRId64 ": no room can have this number", number);
	if (!sqlite_rows_is_clean(row, 1, ROOM_ID_SIZE - 1) || sqlite3_column_bytes(row, 1) == 0)
		found(check, "room %" PRId64 ": its id is not one", number);
	if (!removed && sqlite3_column_type(row, 2) != SQLITE_NULL && !sqlite_rows_is_clean(row, 2, NAME_SIZE - 1))
		found(check, "room %" PRId64 ": its name is not one", number);
	if (!sqlite_rows_is_clean(row, 3, NAME_SIZE - 1))
		found(check, "room %" PRId64 ": the name of its creator is not one", number);
	if (!sqlite_rows_is_clean(row, 4, ROOM_TOPIC_SIZE - 1))
		found(check, "room %" PRId64 ": its topic is no clean text", number);
	if (sqlite3_column_int64(row, 5) < 0)
		found(check, "room %" PRId64 ": no room can hold so many people", number);
	if (next < 1 || next > SEQ_MASK)
		found(check, "room %" PRId64 ": no message can have its next number, %" PRId64, number, next);
	if (indexed < 0 || (indexed >= next && indexed > sqlite3_column_int64(row, 9)))
		found(check, "room %" PRId64 ": indexed up to %" PRId64 ", which was not said yet", number, indexed);
}

/* ---- Messages. ---- */

static bool is_room(struct check *check, int64_t number)
{
	bool known;

	(void)sqlite3_bind_int64(check->find_room, 1, number);
	known = sqlite3_step(check->find_room) == SQLITE_ROW;
	(void)sqlite3_reset(check->find_room);
	return known;
}

/* The messages of another room begin. */
static void change_room(struct check *check, int64_t number)
{
	if (!is_room(check, number))
		found(check, "there are messages of room %" PRId64 ", which is not there", number);
	check->room = number;
	check->last = 0;
}

static void look_at_hole(struct check *check, int64_t seq)
{
	if (check->last == 0 || seq == check->last + 1)
		return;
	if (check->notes++ < FINDINGS_MAX)
		(void)fprintf(check->out, "%s: room %" PRId64 ": messages %" PRId64 " to %" PRId64 " are missing\n", check->path,
			check->room, check->last + 1, seq - 1);
}

/* A row of (place, at, kind, participant, text). */
static void look_at_message(struct check *check, sqlite3_stmt *row)
{
	int64_t place = sqlite3_column_int64(row, 0);
	int64_t at = sqlite3_column_int64(row, 1);
	int64_t kind = sqlite3_column_int64(row, 2);

	check->messages++;
	if (place <= SEQ_MASK || (place & SEQ_MASK) == 0) {
		found(check, "no message can have the place %" PRId64, place);
		return;
	}
	if (place >> SEQ_BITS != check->room)
		change_room(check, place >> SEQ_BITS);
	look_at_hole(check, place & SEQ_MASK);
	check->last = place & SEQ_MASK;
	if (sqlite3_column_type(row, 1) != SQLITE_INTEGER || at < 0 || at > AT_MS_MAX)
		found(check, "room %" PRId64 ", message %" PRId64 ": its time is none", check->room, check->last);
	if (sqlite3_column_type(row, 2) != SQLITE_INTEGER || kind < 0 || kind >= MESSAGE_KINDS)
		found(check, "room %" PRId64 ", message %" PRId64 ": there is no kind %" PRId64, check->room, check->last, kind);
	if (!sqlite_rows_is_clean(row, 3, NAME_SIZE - 1))
		found(check, "room %" PRId64 ", message %" PRId64 ": its author has no name that can be", check->room, check->last);
	if (!sqlite_rows_is_clean(row, 4, TEXT_SIZE_MAX))
		found(check, "room %" PRId64 ", message %" PRId64 ": its text is not clean", check->room, check->last);
}

/* ---- The whole. ---- */

static void check_all(struct check *check)
{
	each_row(check, "PRAGMA integrity_check(100)", look_at_pages);
	each_row(check,
		"SELECT number, id, name, creator, topic, capacity, flags, next, indexed,"
		" coalesce((SELECT place & 0xFFFFFFFFF FROM message WHERE place BETWEEN number << 36 AND (number << 36) + 0xFFFFFFFFF"
		" ORDER BY place DESC LIMIT 1), 0) FROM room",
		look_at_room);
	check->find_room = check_prepare(check, "SELECT 1 FROM room WHERE number = ?1");
	if (check->find_room != NULL)
		each_row(check, "SELECT place, at, kind, participant, text FROM message ORDER BY place", look_at_message);
	(void)sqlite3_finalize(check->find_room);
}

int sqlite_check(const char *path, FILE *out)
{
	struct check check = {.path = path, .out = out};
	char fault[300];

	if (sqlite_rows_open(path, &check.rows, fault, sizeof fault) != 0) {
		(void)fprintf(out, "%s\n", fault);
		return 1;
	}
	if (sqlite3_exec(check.rows.db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) /* one moment for all that is read */
		found(&check, "%s", sqlite3_errmsg(check.rows.db));
	else
		check_all(&check);
	if (check.findings > FINDINGS_MAX)
		(void)fprintf(out, "%s: and %" PRIu64 " more\n", path, check.findings - FINDINGS_MAX);
	(void)fprintf(out, "%s: %" PRIu64 " room%s, %" PRIu64 " message%s, %s\n", path, check.rooms,
		check.rooms == 1 ? "" : "s", check.messages, check.messages == 1 ? "" : "s",
		check.findings == 0 ? "no damage" : "damaged: tcpserver --salvage saves what can be read");
	sqlite_rows_close(&check.rows);
	return check.findings == 0 ? 0 : 1;
}
