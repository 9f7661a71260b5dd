/*
 * An archive: what a journal keeps, as JSON lines that other programs can read and another journal can take in.
 *
 *         {"kind":"room","room":"lobby","id":"0123...","name":"lobby","creator":"","created":"2026-11-21T08:00:00.000Z",
 *          "topic":"","capacity":0,"listed":true,"persistent":true,"pair":false,"waits":false}        (on one line)
 *         {"seq":1,"room":"lobby","at":"2026-11-21T08:00:00.123Z","kind":"message","participant":"bob","text":"hi"}
 *
 * A room's line, without "name" if it has none, stands before its messages, which are events (docs/events.schema.json).
 *
 * An archive that is taken in comes from anywhere. It is read twice: nothing is kept unless every line of it is good.
 *
 * Threads: one at a time.
 */
#ifndef TCPSERVER_JOURNALS_ARCHIVE_H
#define TCPSERVER_JOURNALS_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/sync.h"
#include "tcpserver/core/journal.h"

enum {
	ARCHIVE_LINE_MAX = 1 << 20, /* bytes, without the LF; the longest text, all of it escaped, has its place */
	ARCHIVE_DEPTH_MAX = 2,
};

/* The room whose lines are read: what comes next depends on it. */
struct archive_room {
	struct room_record record;
	bool open;     /* there was a room's line */
	uint64_t last; /* number of the last message */
};

/*
 * Reads a line, without its LF. A room's line begins '*room' anew, and '*message' becomes NULL; a message of the room is the
 * caller's. Returns NULL; or what is wrong with the line and what to do, and '*message' is NULL.
 */
const char *archive_read(const char *line, size_t size, struct archive_room *room, struct message **message) MUST_CHECK;

/* Writes a room's line. Returns 0 or -errno. */
int archive_write_room(const struct room_record *record, FILE *out) MUST_CHECK;

/* What a room is called: its name, or its id. */
const char *archive_label(const struct room_record *record);

/* Says what was 'done' with an archive, as "path: 1 room with 2 messages was exported". */
void archive_report(FILE *report, const char *path, uint64_t rooms, uint64_t messages, const char *done);

/*
 * Takes in the archive 'path', "-" for standard input. A room that the journal keeps already may go on, from its next
 * number; else nothing is taken in. Says on 'report' what was done, or file, line, what is wrong and what to do. Returns 0,
 * or 1 when something was wrong.
 */
int archive_import(struct journal *journal, const char *path, FILE *report) MUST_CHECK;

#endif
