#include "tcpserver/journals/sqlite_salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/journals/sqlite.h"
#include "tcpserver/journals/sqlite_pages.h"
#include "tcpserver/journals/sqlite_rows.h"

enum { TEXT_SIZE_MAX = 3 * 65535, ROOM_COLUMNS = 10 /* and one more since version 2 */ };

#define AT_MS_MAX INT64_C(253402300799999) /* the end of the year 9999 */

/*
 * After all rows were taken: what was removed stays removed, rooms of which only messages are left come back, numbers go on
 * after the last; what a client has sent counts only when it is there, and nobody has read what is not there.
 */
static const char finish[] =
	"DELETE FROM message WHERE place >> 36 IN (SELECT number FROM room WHERE flags & 16);"
	"DELETE FROM room WHERE flags & 16;"
	"INSERT OR IGNORE INTO room(number, id, name, key, creator, capacity, flags, created)"
	" SELECT place >> 36, printf('%020x', place >> 36), 'salvaged-' || (place >> 36), 'salvaged-' || (place >> 36), '', 0, 3,"
	" min(at) FROM message WHERE place >> 36 NOT IN (SELECT number FROM room) GROUP BY place >> 36;"
	"INSERT INTO room(number, id, creator, capacity, flags, created)" /* another room has that name already */
	" SELECT place >> 36, lower(hex(randomblob(10))), '', 0, 3, min(at)"
	" FROM message WHERE place >> 36 NOT IN (SELECT number FROM room) GROUP BY place >> 36;"
	"UPDATE room SET next = max(next, coalesce((SELECT place & 0xFFFFFFFFF FROM message"
	" WHERE place BETWEEN number << 36 AND (number << 36) + 0xFFFFFFFFF ORDER BY place DESC LIMIT 1), 0) + 1);"
	"DELETE FROM sent WHERE place NOT IN (SELECT place FROM message);"
	"DELETE FROM mark WHERE room NOT IN (SELECT number FROM room);"
	"UPDATE mark SET seq = min(seq, (SELECT next - 1 FROM room WHERE number = room));"
	"COMMIT;"
	"PRAGMA journal_mode = WAL;";

struct salvage {
	const char *from;
	const char *to;
	FILE *out;
	sqlite3 *db;
	sqlite3_stmt *add_room;
	sqlite3_stmt *add_message;
	sqlite3_stmt *add_sent;
	sqlite3_stmt *add_mark;
	struct sqlite_pages pages;
	uint64_t taken; /* rows that make sense */
	uint64_t lost;
};

static int salvage_fault(const struct salvage *salvage, const char *path, const char *why)
{
	(void)fprintf(salvage->out, "%s: %s\n", path, why);
	return -1;
}

/* ---- What a row may be. ---- */

static bool has_kinds(const struct sqlite_row *row, const char *kinds)
{
	static const char letters[] = {
		[VALUE_NULL] = '-', [VALUE_NUMBER] = 'n', [VALUE_TEXT] = 't', [VALUE_BLOB] = 'b', [VALUE_OTHER] = '?'};

	if (row->count < strlen(kinds))
		return false;
	for (size_t i = 0; kinds[i] != '\0'; i++) {
		char letter = letters[row->values[i].kind];

		if (letter != kinds[i] && (kinds[i] != 'T' || (letter != 't' && letter != '-')))
			return false;
	}
	return true;
}

static bool is_within(int64_t number, int64_t least, int64_t most)
{
	return number >= least && number <= most;
}

static bool is_message(const struct sqlite_row *row)
{
	const struct sqlite_value *values = row->values;

	return row->count == 5 && has_kinds(row, "-nntt") && is_within(row->id >> SEQ_BITS, 1, ROOM_NUMBER_MAX) &&
		is_within(row->id & SEQ_MASK, 1, SEQ_MASK - 1) && is_within(values[1].number, 0, AT_MS_MAX) &&
		is_within(values[2].number, 0, MESSAGE_KINDS - 1) && values[4].size <= TEXT_SIZE_MAX;
}

static bool is_room(const struct sqlite_row *row)
{
	return (row->count == ROOM_COLUMNS || row->count == ROOM_COLUMNS + 1) && has_kinds(row, "-tTTttnnnn") &&
		is_within(row->id, 1, ROOM_NUMBER_MAX);
}

static bool is_sent(const struct sqlite_row *row)
{
	return row->count == 5 && has_kinds(row, "-bnnn") && row->values[1].size == CLIENT_ID_SIZE;
}

static bool is_mark(const struct sqlite_row *row)
{
	const struct sqlite_value *values = row->values;

	return row->of_index && row->count == 4 && has_kinds(row, "tnnn") && values[0].size > 0 &&
	       values[0].size < NAME_KEY_SIZE && text_is_clean(values[0].bytes, values[0].size) &&
	       is_within(values[1].number, 1, ROOM_NUMBER_MAX) && is_within(values[2].number, 1, SEQ_MASK) &&
	       is_within(values[3].number, 0, AT_MS_MAX);
}

/* ---- Rows, written anew. ---- */

/* Runs a statement; what cannot be is left out. Returns a result code of SQLite's. */
static int add_row(sqlite3_stmt *statement)
{
	int code;

	(void)sqlite3_step(statement);
	code = sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return code == SQLITE_CONSTRAINT ? SQLITE_OK : code;
}

/* Binds what is left of a text when it is made clean and cut to 'most' bytes. */
static int bind_clean(sqlite3_stmt *statement, int parameter, const struct sqlite_value *value, size_t most)
{
	char *clean = malloc(TEXT_CLEAN_SIZE(value->size) + 1);
	size_t size;

	if (clean == NULL)
		return SQLITE_NOMEM;
	size = text_clean(value->size == 0 ? "" : value->bytes, value->size, clean);
	return sqlite3_bind_text(statement, parameter, clean, (int)text_prefix(clean, size, most), free);
}

static int add_message(struct salvage *salvage, const struct sqlite_row *row)
{
	sqlite3_stmt *statement = salvage->add_message;
	int code = bind_clean(statement, 4, &row->values[3], NAME_SIZE - 1);

	if (code == SQLITE_OK)
		code = bind_clean(statement, 5, &row->values[4], TEXT_SIZE_MAX);
	(void)sqlite3_bind_int64(statement, 1, row->id);
	(void)sqlite3_bind_int64(statement, 2, row->values[1].number);
	(void)sqlite3_bind_int64(statement, 3, row->values[2].number);
	return code == SQLITE_OK ? add_row(statement) : code;
}

/* The name of a room counts only when it is one. */
static int bind_name(sqlite3_stmt *statement, const struct sqlite_value *value)
{
	char name[NAME_SIZE];
	char key[NAME_KEY_SIZE];

	if (value->kind != VALUE_TEXT || value->size >= NAME_SIZE || !name_make(value->bytes, value->size, name))
		return SQLITE_OK;
	(void)name_key(name, key);
	(void)sqlite3_bind_text(statement, 4, key, -1, SQLITE_TRANSIENT);
	return sqlite3_bind_text(statement, 3, name, -1, SQLITE_TRANSIENT);
}

static int add_room(struct salvage *salvage, const struct sqlite_row *row)
{
	const struct sqlite_value *values = row->values;
	sqlite3_stmt *statement = salvage->add_room;
	int code = bind_clean(statement, 2, &values[1], ROOM_ID_SIZE - 1);

	if (code == SQLITE_OK)
		code = bind_name(statement, &values[2]);
	if (code == SQLITE_OK)
		code = bind_clean(statement, 5, &values[4], NAME_SIZE - 1);
	if (code == SQLITE_OK)
		code = bind_clean(statement, 6, &values[5], ROOM_TOPIC_SIZE - 1);
	(void)sqlite3_bind_int64(statement, 1, row->id);
	(void)sqlite3_bind_int64(statement, 7, is_within(values[6].number, 0, INT32_MAX) ? values[6].number : 0);
	(void)sqlite3_bind_int64(statement, 8, values[7].number & 31);
	(void)sqlite3_bind_int64(statement, 9, is_within(values[8].number, 0, AT_MS_MAX) ? values[8].number : 0);
	(void)sqlite3_bind_int64(statement, 10, is_within(values[9].number, 1, SEQ_MASK) ? values[9].number : 1);
	return code == SQLITE_OK ? add_row(statement) : code;
}

static int add_sent(struct salvage *salvage, const struct sqlite_row *row)
{
	sqlite3_stmt *statement = salvage->add_sent;

	(void)sqlite3_bind_blob(statement, 1, row->values[1].bytes, CLIENT_ID_SIZE, SQLITE_TRANSIENT);
	for (int i = 2; i <= 4; i++)
		(void)sqlite3_bind_int64(statement, i, row->values[i].number);
	return add_row(statement);
}

static int add_mark(struct salvage *salvage, const struct sqlite_row *row)
{
	sqlite3_stmt *statement = salvage->add_mark;

	(void)sqlite3_bind_text(statement, 1, row->values[0].bytes, (int)row->values[0].size, SQLITE_TRANSIENT);
	for (int i = 1; i < 4; i++)
		(void)sqlite3_bind_int64(statement, i + 1, row->values[i].number);
	return add_row(statement);
}

static int take_row(const struct sqlite_row *row, void *context)
{
	struct salvage *salvage = context;

	if (row->of_index)
		return is_mark(row) ? add_mark(salvage, row) : SQLITE_OK;
	salvage->taken++;
	if (is_message(row))
		return add_message(salvage, row);
	if (is_room(row))
		return add_room(salvage, row);
	if (is_sent(row))
		return add_sent(salvage, row);
	salvage->taken--;
	return SQLITE_OK;
}

/* ---- What became of it. ---- */

static void report_rooms(struct salvage *salvage, sqlite3_stmt *rooms)
{
	uint64_t saved = 0;

	while (sqlite3_step(rooms) == SQLITE_ROW) {
		int64_t count = sqlite3_column_int64(rooms, 1);
		int64_t lost = sqlite3_column_int64(rooms, 2);

		saved += (uint64_t)count;
		salvage->lost += (uint64_t)lost;
		(void)fprintf(salvage->out, "%s: room \"%s\": %" PRId64 " messages saved, %" PRId64 " lost\n", salvage->to,
			sqlite_rows_text(rooms, 0), count, lost);
	}
	(void)fprintf(salvage->out,
		"%s: %" PRIu64 " messages saved, %" PRIu64 " lost (%" PRIu64 " pages and %" PRIu64 " rows could not be read)\n",
		salvage->to, saved, salvage->lost, salvage->pages.bad_pages, salvage->pages.bad_rows);
}

/* What is missing from the first to the last; what stood before the first may have been deleted on purpose. */
static int report(struct salvage *salvage)
{
	static const char sql[] =
		"SELECT coalesce(name, id), count(place),"
		" CASE WHEN count(place) = 0 THEN 0 ELSE next - (min(place) & 0xFFFFFFFFF) - count(place) END"
		" FROM room LEFT JOIN message ON place BETWEEN number << 36 AND (number << 36) + 0xFFFFFFFFF GROUP BY number";
	sqlite3_stmt *rooms = NULL;

	if (sqlite3_prepare_v2(salvage->db, sql, -1, &rooms, NULL) != SQLITE_OK)
		return salvage_fault(salvage, salvage->to, sqlite3_errmsg(salvage->db));
	report_rooms(salvage, rooms);
	(void)sqlite3_finalize(rooms);
	return 0;
}

/* ---- The whole. ---- */

static int prepare_all(struct salvage *salvage)
{
	/* If it ends too early, the file is begun anew. */
	int code = sqlite3_exec(salvage->db, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN", NULL, NULL, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(salvage->db,
			"INSERT INTO room(number, id, name, key, creator, topic, capacity, flags, created, next)"
			" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
			-1, &salvage->add_room, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(salvage->db,
			"INSERT INTO message(place, at, kind, participant, text) VALUES(?1, ?2, ?3, ?4, ?5)", -1,
			&salvage->add_message, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(salvage->db, "INSERT INTO sent(client, number, place, at) VALUES(?1, ?2, ?3, ?4)", -1,
			&salvage->add_sent, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(salvage->db,
			"INSERT INTO mark(name, room, seq, at) VALUES(?1, ?2, ?3, ?4)"
			" ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
			-1, &salvage->add_mark, NULL);
	return code;
}

static int salvage_rows(struct salvage *salvage)
{
	int code = prepare_all(salvage);

	if (code == SQLITE_OK)
		code = sqlite_pages_each(&salvage->pages, take_row, salvage);
	(void)sqlite3_finalize(salvage->add_room);
	(void)sqlite3_finalize(salvage->add_message);
	(void)sqlite3_finalize(salvage->add_sent);
	(void)sqlite3_finalize(salvage->add_mark);
	if (code == SQLITE_OK)
		code = sqlite3_exec(salvage->db, finish, NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return salvage_fault(salvage, salvage->to, sqlite3_errmsg(salvage->db));
	if (salvage->taken == 0)
		return salvage_fault(salvage, salvage->from, "nothing in it looks like a journal of tcpserver");
	return report(salvage);
}

/* Makes the new file, for its owner alone. */
static int create_file(struct salvage *salvage, int *descriptor)
{
	*descriptor = open(salvage->to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (*descriptor < 0 && errno == EEXIST)
		return salvage_fault(salvage, salvage->to, "the file exists; name one that does not");
	return *descriptor < 0 ? salvage_fault(salvage, salvage->to, strerror(errno)) : 0;
}

/* Lets the journal make its tables. */
static int create_tables(struct salvage *salvage)
{
	struct sqlite_options options = {.path = salvage->to, .sync = SQLITE_JOURNAL_OFF};
	struct journal *journal;
	char fault[500];

	if (sqlite_journal_open(&options, &journal, fault, sizeof fault) != 0) {
		(void)fprintf(salvage->out, "%s\n", fault);
		return -1;
	}
	journal->ops->destroy(journal);
	return 0;
}

static int fill_file(struct salvage *salvage)
{
	int result = create_tables(salvage);

	if (result != 0)
		return result;
	if (sqlite3_open_v2(salvage->to, &salvage->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		result = salvage_fault(salvage, salvage->to, "the file cannot be opened");
	else
		result = salvage_rows(salvage);
	(void)sqlite3_close(salvage->db);
	return result;
}

static int salvage_to_new_file(struct salvage *salvage)
{
	int descriptor;
	int result = create_file(salvage, &descriptor);

	if (result != 0)
		return result;
	result = fill_file(salvage);
	if (result == 0 && fsync(descriptor) != 0)
		result = salvage_fault(salvage, salvage->to, strerror(errno));
	(void)close(descriptor); /* SQLite has no locks on it any more */
	if (result != 0)
		(void)unlink(salvage->to);
	return result;
}

int sqlite_salvage(const char *from, const char *to, FILE *out)
{
	struct salvage salvage = {.from = from, .to = to, .out = out};
	int error = sqlite_pages_open(&salvage.pages, from);
	bool whole;
	int result;

	if (error != 0) {
		(void)salvage_fault(&salvage, from, error == -EBUSY ? "a server uses it; end that first" : strerror(-error));
		return SALVAGE_NOTHING;
	}
	result = salvage_to_new_file(&salvage);
	whole = salvage.lost == 0 && salvage.pages.bad_pages == 0 && salvage.pages.bad_rows == 0;
	sqlite_pages_close(&salvage.pages);
	return result != 0 ? SALVAGE_NOTHING : whole ? SALVAGE_ALL : SALVAGE_SOME;
}
