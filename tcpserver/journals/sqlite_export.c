#include "tcpserver/journals/sqlite_export.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"
#include "tcpserver/core/room_log.h"
#include "tcpserver/journals/archive.h"
#include "tcpserver/journals/sqlite_rows.h"

struct export {
	const char *path;
	const struct format *format;
	FILE *out;
	FILE *report;
	struct sqlite_rows rows;
	char *line;
	size_t line_size;
	uint64_t rooms;
	uint64_t messages;
};

static int export_fault(const struct export *export, const char *why)
{
	(void)fprintf(export->report, "%s: %s; tcpserver --check tells more about the file\n", export->path, why);
	return -1;
}

static int export_fault_output(const struct export *export)
{
	(void)fprintf(export->report, "%s: the archive cannot be written: %s\n", export->path, strerror(errno));
	return -1;
}

static char *encode(struct export *export, const struct message *message, size_t *size)
{
	char *longer;

	*size = export->format->encode(message, export->line, export->line_size);
	if (*size <= export->line_size)
		return export->line;
	longer = realloc(export->line, *size);
	if (longer == NULL)
		return NULL;
	export->line = longer;
	export->line_size = *size;
	(void)export->format->encode(message, longer, *size);
	return longer;
}

static int export_message(struct export *export, sqlite3_stmt *row, const char *label)
{
	int64_t kind = sqlite3_column_int64(row, 2);
	struct message *message;
	const char *line;
	size_t size;

	if (kind < 0 || kind >= MESSAGE_KINDS)
		return export_fault(export, "there is a message of an unknown kind");
	message = sqlite_rows_message(row, label);
	line = message == NULL ? NULL : encode(export, message, &size);
	if (message != NULL)
		message_release(message);
	if (line == NULL)
		return export_fault(export, strerror(ENOMEM));
	export->messages++;
	return fwrite(line, 1, size, export->out) == size ? 0 : export_fault_output(export);
}

static int export_messages(struct export *export, int64_t number, const char *label)
{
	static const char sql[] =
		"SELECT place, at, kind, participant, text FROM message WHERE place BETWEEN ?1 AND ?2 ORDER BY place";
	sqlite3_stmt *messages = NULL;
	int code = sqlite3_prepare_v2(export->rows.db, sql, -1, &messages, NULL);
	int result = 0;

	if (code == SQLITE_OK) {
		(void)sqlite3_bind_int64(messages, 1, sqlite_place(number, 1));
		(void)sqlite3_bind_int64(messages, 2, sqlite_place(number, SEQ_MASK));
		while (result == 0 && (code = sqlite3_step(messages)) == SQLITE_ROW)
			result = export_message(export, messages, label);
	}
	if (result == 0 && code != SQLITE_DONE)
		result = export_fault(export, sqlite3_errmsg(export->rows.db));
	(void)sqlite3_finalize(messages);
	return result;
}

/* Copies clean text that fits; cuts other. */
static void copy_text(sqlite3_stmt *row, int column, char *out, size_t size)
{
	size_t length;
	char *clean = sqlite_rows_clean(row, column, &length);

	out[0] = '\0';
	if (clean != NULL) {
		length = text_prefix(clean, strlen(clean), size - 1);
		memcpy(out, clean, length);
		out[length] = '\0';
	}
	free(clean);
}

/* Reads a row of (number, id, name, creator, topic, capacity, flags, created). */
static void read_room(sqlite3_stmt *row, struct room_record *record)
{
	int64_t flags = sqlite3_column_int64(row, 6);
	int64_t capacity = sqlite3_column_int64(row, 5);

	copy_text(row, 1, record->id, sizeof record->id);
	copy_text(row, 2, record->name, sizeof record->name);
	copy_text(row, 3, record->creator, sizeof record->creator);
	copy_text(row, 4, record->topic, sizeof record->topic);
	record->attributes = (struct room_attributes){
		.created_ns = sqlite_rows_ns(sqlite3_column_int64(row, 7)),
		.capacity = capacity < 0 || capacity > INT32_MAX ? 0 : (size_t)capacity,
		.listed = (flags & ROOM_IS_LISTED) != 0,
		.persistent = (flags & ROOM_IS_PERSISTENT) != 0,
		.ends_with_member = (flags & ROOM_ENDS_WITH_MEMBER) != 0,
		.waits = (flags & ROOM_WAITS) != 0,
	};
}

static int export_room(struct export *export, sqlite3_stmt *row)
{
	struct room_record record = {.name = ""};
	int error;

	read_room(row, &record);
	error = archive_write_room(&record, export->out);
	export->rooms++;
	if (error == -EIO)
		return export_fault_output(export);
	if (error != 0)
		return export_fault(export, strerror(-error));
	return export_messages(export, sqlite3_column_int64(row, 0), archive_label(&record));
}

/* Which rooms: all that were not removed, or one, by the key of its name or, without such a one, by its id. */
static sqlite3_stmt *prepare_rooms(const struct export *export, const char *room)
{
	static const char sql[] = "SELECT number, id, name, creator, topic, capacity, flags, created FROM room"
				  " WHERE flags & 16 = 0 AND (?1 IS NULL OR key = ?2 OR (id = ?1 AND NOT EXISTS"
				  " (SELECT 1 FROM room WHERE key = ?2 AND flags & 16 = 0))) ORDER BY id";
	char key[NAME_KEY_SIZE];
	sqlite3_stmt *rooms = NULL;

	if (sqlite3_prepare_v2(export->rows.db, sql, -1, &rooms, NULL) != SQLITE_OK || room == NULL)
		return rooms;
	(void)name_key(room, key);
	(void)sqlite3_bind_text(rooms, 1, room, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(rooms, 2, key, -1, SQLITE_TRANSIENT);
	return rooms;
}

static int export_rooms(struct export *export, const char *room)
{
	sqlite3_stmt *rooms = prepare_rooms(export, room);
	int code = SQLITE_ERROR;
	int result = 0;

	while (rooms != NULL && result == 0 && (code = sqlite3_step(rooms)) == SQLITE_ROW)
		result = export_room(export, rooms);
	if (result == 0 && code != SQLITE_DONE)
		result = export_fault(export, sqlite3_errmsg(export->rows.db));
	(void)sqlite3_finalize(rooms);
	if (result == 0 && room != NULL && export->rooms == 0) {
		(void)fprintf(export->report, "%s: there is no room \"%s\"; without --room all rooms are exported\n",
			export->path, room);
		result = -1;
	}
	return result;
}

int sqlite_export_to(const char *path, const char *room, const struct format *format, FILE *out, FILE *report)
{
	struct export export = {.path = path, .format = format, .out = out, .report = report};
	char fault[300];
	int result;

	if (sqlite_rows_open(path, &export.rows, fault, sizeof fault) != 0) {
		(void)fprintf(report, "%s\n", fault);
		return 1;
	}
	if (sqlite3_exec(export.rows.db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) /* one moment for all that is read */
		result = export_fault(&export, sqlite3_errmsg(export.rows.db));
	else
		result = export_rooms(&export, room);
	if (result == 0 && fflush(out) != 0)
		result = export_fault_output(&export);
	if (result == 0)
		archive_report(report, path, export.rooms, export.messages, "exported");
	free(export.line);
	sqlite_rows_close(&export.rows);
	return result == 0 ? 0 : 1;
}

static int fault_new_file(const char *to, FILE *report)
{
	(void)fprintf(report, "%s: %s; %s\n", to, strerror(errno),
		errno == EEXIST ? "name a file that does not exist yet" : "name another file");
	return 1;
}

int sqlite_export(const char *path, const char *room, const struct format *format, const char *to, FILE *report)
{
	int descriptor;
	FILE *out;
	int result;

	if (strcmp(to, "-") == 0)
		return sqlite_export_to(path, room, format, stdout, report);
	descriptor = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	out = descriptor < 0 ? NULL : fdopen(descriptor, "w");
	if (out == NULL)
		return fault_new_file(to, report);
	result = sqlite_export_to(path, room, format, out, report);
	if (result == 0 && fsync(descriptor) != 0)
		result = fault_new_file(to, report);
	if (fclose(out) != 0 && result == 0)
		result = fault_new_file(to, report);
	if (result != 0)
		(void)unlink(to); /* an archive that is not whole is none */
	return result;
}
