#include "tcpserver/journals/archive.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tcpserver/core/message.h"

enum { IN_FLIGHT_MAX = 4096 };

/* What is on its way to the journal. */
struct import_flight {
	pthread_mutex_t mutex;
	pthread_cond_t landed;
	size_t drafts; /* not yet kept or refused */
	size_t holds;  /* of the journal on the room */
	int error;     /* why one was refused: a positive errno */
};

struct import {
	struct journal *journal;
	const char *path;
	FILE *in;
	FILE *report;
	char *line;
	uint64_t line_number;
	struct archive_room room;
	struct journal_room *opened;
	struct import_flight flight;
	void *seen; /* a tree of the ids and names of rooms in the archive */
	uint64_t rooms;
	uint64_t messages;
};

/* ---- Errors, which name the place. ---- */

static int import_fault(const struct import *import, const char *what)
{
	(void)fprintf(import->report, "%s:%" PRIu64 ": %s\n", import->path, import->line_number, what);
	return -1;
}

static int import_fault_room(const struct import *import, const char *what)
{
	(void)fprintf(import->report, "%s:%" PRIu64 ": the room \"%s\" %s\n", import->path, import->line_number,
		archive_label(&import->room.record), what);
	return -1;
}

static int import_fault_error(const struct import *import, int error)
{
	(void)fprintf(import->report, "%s:%" PRIu64 ": the journal cannot keep it: %s; what came before is in the journal, if that was "
				      "there before: begin again with a new one\n",
		import->path, import->line_number, strerror(error));
	return -1;
}

/* ---- What the journal calls back. ---- */

static void flight_land(struct import_flight *flight, int error)
{
	mutex_lock(&flight->mutex);
	flight->drafts--;
	if (error != 0)
		flight->error = error;
	condition_broadcast(&flight->landed);
	mutex_unlock(&flight->mutex);
}

static void import_publish(void *room, const struct draft *draft)
{
	(void)draft;
	flight_land(room, 0);
}

static void import_repeat(void *room, const struct draft *draft, uint64_t seq, const char *label)
{
	(void)label;
	(void)draft; /* has no number of a client's, so this cannot be */
	(void)seq;
	flight_land(room, 0);
}

static void import_refuse(void *room, const struct draft *draft, int error)
{
	(void)draft;
	flight_land(room, error);
}

static void import_flush(void *room)
{
	(void)room;
}

static void import_hold(void *room)
{
	struct import_flight *flight = room;

	mutex_lock(&flight->mutex);
	flight->holds++;
	mutex_unlock(&flight->mutex);
}

static void import_release(void *room)
{
	struct import_flight *flight = room;

	mutex_lock(&flight->mutex);
	flight->holds--;
	condition_broadcast(&flight->landed);
	mutex_unlock(&flight->mutex);
}

static const struct journal_listener listener = {
	.publish = import_publish,
	.repeat = import_repeat,
	.refuse = import_refuse,
	.flush = import_flush,
	.hold = import_hold,
	.release = import_release,
};

/* Adds one draft, after waiting for a place. Returns a positive errno when an earlier one was refused. */
static int flight_start(struct import_flight *flight)
{
	int error;

	mutex_lock(&flight->mutex);
	while (flight->drafts >= IN_FLIGHT_MAX && flight->error == 0)
		condition_wait(&flight->landed, &flight->mutex);
	error = flight->error;
	if (error == 0)
		flight->drafts++;
	mutex_unlock(&flight->mutex);
	return error;
}

/* Waits until nothing is on its way. Returns a positive errno when one was refused. */
static int flight_wait(struct import_flight *flight)
{
	int error;

	mutex_lock(&flight->mutex);
	while (flight->drafts > 0 || flight->holds > 0)
		condition_wait(&flight->landed, &flight->mutex);
	error = flight->error;
	mutex_unlock(&flight->mutex);
	return error;
}

/* ---- Lines. ---- */

/* Reads a line, whatever is in it. Returns 1, 0 at the end, or -1 after an error was told. */
static int read_line(struct import *import, size_t *size)
{
	int byte = getc_unlocked(import->in);

	*size = 0;
	import->line_number++;
	if (byte == EOF && ferror(import->in) == 0)
		return 0;
	while (byte != EOF && byte != '\n') {
		if (*size == ARCHIVE_LINE_MAX)
			return import_fault(import, "the line is too long; no message is");
		import->line[(*size)++] = (char)byte;
		byte = getc_unlocked(import->in);
	}
	if (ferror(import->in) != 0)
		return import_fault(import, "the file cannot be read; copy it to another disk");
	if (byte == EOF)
		return import_fault(import, "the last line has no end; the archive is not whole, export it again");
	return 1;
}

/* Calls 'room' for each room's line, 'message' for each message. Returns 0, or -1 after an error was told. */
static int each_line(
	struct import *import, int (*room)(struct import *), int (*message)(struct import *, struct message *))
{
	size_t size;
	int result;

	import->line_number = 0;
	import->room = (struct archive_room){.open = false};
	while ((result = read_line(import, &size)) > 0) {
		struct message *read;
		const char *wrong = archive_read(import->line, size, &import->room, &read);

		if (wrong != NULL)
			return import_fault(import, wrong);
		result = read == NULL ? room(import) : message(import, read);
		if (result != 0)
			break;
	}
	return result;
}

/* ---- The first time: is it all good? ---- */

static int compare_texts(const void *left, const void *right)
{
	return strcmp(left, right);
}

/* Notes that the archive has it. Returns false when it had it before; '*error' without memory. */
static bool note_new(struct import *import, const char *what, const char *value, int *error)
{
	char *text;
	char **place;

	if (asprintf(&text, "%s %s", what, value) < 0) {
		*error = -1;
		return true;
	}
	place = tsearch(text, &import->seen, compare_texts);
	if (place == NULL)
		*error = -1;
	if (place == NULL || *place != text) {
		free(text);
		return place == NULL;
	}
	return true;
}

/* A room of that id or name in the journal has to be this one. */
static int check_known(const struct import *import, const char *key)
{
	const struct room_record *wanted = &import->room.record;
	struct room_record *record = calloc(1, sizeof *record);
	int error = record == NULL ? -ENOMEM : 0;
	int result = 0;

	if (error == 0)
		error = import->journal->ops->find_room(import->journal, key, wanted->id, record);
	if (error == 0 && strcmp(record->id, wanted->id) != 0)
		result = import_fault_room(import,
			"has the name of another room in the journal; import into a new journal, or rename this one");
	else if (error == 0 && strcmp(record->name, wanted->name) != 0)
		result = import_fault_room(import, "has another name in the journal; import into a new journal");
	else if (error != 0 && error != -ENOENT)
		result = import_fault_error(import, -error);
	free(record);
	return result;
}

static int check_room(struct import *import)
{
	const struct room_record *record = &import->room.record;
	char key[NAME_KEY_SIZE] = "";
	int error = 0;
	bool fresh = note_new(import, "id", record->id, &error);

	if (record->name[0] != '\0') {
		(void)name_key(record->name, key);
		fresh = note_new(import, "name", key, &error) && fresh;
	}
	if (error != 0)
		return import_fault(import, "there is no memory for it now; try again");
	if (!fresh)
		return import_fault_room(import, "was in the archive before; put all its lines together");
	import->rooms++;
	return check_known(import, key);
}

/* The first number of a room that is kept already has to be one that it does not have. */
static int check_first(struct import *import, uint64_t seq)
{
	const struct journal_ops *ops = import->journal->ops;
	struct room_record *record = calloc(1, sizeof *record);
	struct journal_room *opened = NULL;
	uint64_t next = 1;
	int error = record == NULL ? -ENOMEM : ops->find_room(import->journal, "", import->room.record.id, record);

	free(record);
	if (error == -ENOENT)
		return 0;
	if (error != 0)
		return import_fault_error(import, -error);
	opened = ops->open_room(import->journal, &import->room.record.attributes, &listener, &import->flight);
	if (opened == NULL)
		return import_fault_error(import, EIO);
	next = ops->next_seq(opened);
	ops->close_room(opened);
	if (seq < next)
		return import_fault_room(import, "has messages with these numbers already; import into a new journal");
	return 0;
}

static int check_message(struct import *import, struct message *message)
{
	uint64_t seq = message->seq;
	bool first = import->messages == 0;

	message_release(message);
	import->messages++;
	return first ? check_first(import, seq) : 0;
}

/* As check_room(), and the next message is its first. */
static int check_next_room(struct import *import)
{
	import->messages = 0;
	return check_room(import);
}

/* ---- The second time: keep it. ---- */

static int close_room(struct import *import)
{
	int error;

	if (import->opened == NULL)
		return 0;
	error = flight_wait(&import->flight);
	import->journal->ops->close_room(import->opened);
	import->opened = NULL;
	return error == 0 ? 0 : import_fault_error(import, error);
}

static int keep_room(struct import *import)
{
	int result = close_room(import);

	if (result != 0)
		return result;
	import->opened = import->journal->ops->open_room(
		import->journal, &import->room.record.attributes, &listener, &import->flight);
	return import->opened == NULL ? import_fault_error(import, EIO) : 0;
}

static int keep_message(struct import *import, struct message *message)
{
	struct draft draft = {.message = message};
	int error = flight_start(&import->flight);

	if (error != 0) {
		message_release(message);
		return import_fault_error(import, error);
	}
	error = import->journal->ops->append(import->opened, &draft);
	if (error != 0) {
		message_release(message);
		flight_land(&import->flight, -error);
		return import_fault_error(import, -error);
	}
	import->messages++;
	return 0;
}

/* ---- The whole. ---- */

/* A copy that can be read twice, without a name. */
static FILE *copy_aside(FILE *in)
{
	FILE *copy = tmpfile();
	char buffer[16384];
	size_t size;

	while (copy != NULL && (size = fread(buffer, 1, sizeof buffer, in)) > 0) {
		if (fwrite(buffer, 1, size, copy) != size)
			break;
	}
	if (copy != NULL && (ferror(in) != 0 || ferror(copy) != 0 || fflush(copy) != 0)) {
		(void)fclose(copy);
		copy = NULL;
	}
	return copy;
}

static FILE *open_archive(const char *path)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	FILE *copy;

	if (in == NULL || (in != stdin && fseeko(in, 0, SEEK_SET) == 0))
		return in;
	copy = copy_aside(in);
	if (in != stdin)
		(void)fclose(in);
	return copy;
}

static int import_all(struct import *import)
{
	int result;

	rewind(import->in);
	result = each_line(import, check_next_room, check_message);
	if (result != 0)
		return result;
	rewind(import->in);
	import->messages = 0;
	result = each_line(import, keep_room, keep_message);
	return close_room(import) != 0 ? -1 : result;
}

int archive_import(struct journal *journal, const char *path, FILE *report)
{
	struct import import = {.journal = journal, .path = path, .report = report, .in = open_archive(path)};
	int result;

	if (import.in == NULL) {
		(void)fprintf(report, "%s: %s; nothing was imported\n", path, strerror(errno));
		return 1;
	}
	rewind(import.in);
	import.line = malloc(ARCHIVE_LINE_MAX);
	mutex_init(&import.flight.mutex);
	condition_init(&import.flight.landed);
	result = import.line == NULL ? import_fault(&import, "there is no memory for it now; try again") : import_all(&import);
	if (result == 0)
		archive_report(report, path, import.rooms, import.messages, "imported");
	tdestroy(import.seen, free);
	mutex_fini(&import.flight.mutex);
	free(import.line);
	(void)fclose(import.in);
	return result == 0 ? 0 : 1;
}
