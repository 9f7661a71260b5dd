/*
 * What was typed and is not acknowledged yet, on disk: a line that was put here is not lost when the client is killed.
 *
 * A file belongs to one server and one user name and is held by one client at a time; a second one takes the next file.
 * Each file has a session, a random number of 128 bits that lives as long as lines of it wait, and gives each line a
 * number that grows. The pair (session, number) is what a server knows a line by when it is sent again.
 *
 *         open -> add -> (sent, as often as need be) -> done
 *           |                                            |
 *           +-- each: what an earlier client left        +-- the last one: the file is empty again
 *
 * The file is a log of records with checksums; what is behind the first bad one is dropped when it is opened. A line is
 * handed to the system when unsent_add() returns, not to the disk: a killed client loses nothing, a power cut may.
 *
 * Its size is bounded: UNSENT_LINES_MAX lines, UNSENT_BYTES_MAX bytes.
 *
 * Threads: one at a time.
 */
#ifndef TCPCLIENT_UNSENT_H
#define TCPCLIENT_UNSENT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"
#include "common/text.h"

enum {
	UNSENT_LINES_MAX = 1000,            /* as OUTBOX_LINES_MAX      */
	UNSENT_BYTES_MAX = 4 * 1024 * 1024, /* as OUTBOX_BYTES_MAX      */
	UNSENT_LINE_SIZE_MAX = 65535,       /* as OUTBOX_LINE_SIZE_MAX  */
	UNSENT_SESSION_SIZE = 33,           /* 32 hex digits, and a NUL */
	UNSENT_FILES_MAX = 16,              /* of one name           */
};

struct unsent;

/*
 * Opens "PATH", or "PATH-1", "PATH-2" ... if another client holds it, and makes it if need be; only its owner may read it.
 * With 'go_on' it is the first file in which an earlier client left lines, if there is one; else always one without lines.
 * '*left' is how many lines earlier clients left in files that were not taken.
 *
 * Errors: -errno; -EBUSY when no file is free, since others hold them, have left lines there, or they are no files of ours.
 */
int unsent_open(const char *path, bool go_on, size_t *left, struct unsent **unsent) MUST_CHECK;

/* Gives the file back, with its lines; an empty one is removed. */
void unsent_close(struct unsent *unsent);

/* The session that the lines belong to. A file in which nothing is left begins another when it is opened. */
const char *unsent_session(const struct unsent *unsent);

/*
 * Keeps a clean line for 'room', "" when it is for none, and gives it the next number, 1 and up. Returns the number, or
 * -errno: -EMSGSIZE when it is too long, -ENOBUFS when there are too many, else what the disk said; nothing is kept then.
 */
long long unsent_add(struct unsent *unsent, const char *room, const char *line, size_t size) MUST_CHECK;

/* A line need not be sent again: it was acknowledged, or refused for good. Other numbers are left alone. */
void unsent_done(struct unsent *unsent, long long number);

/* How many lines there are. */
size_t unsent_count(const struct unsent *unsent);

/* A line that is kept; valid until the next call that is not const. */
struct unsent_line {
	long long number;
	const char *room;
	const char *line; /* without NUL */
	size_t size;
};

/* The line with the lowest number above 'after': with 0 the first one. Returns false when there is none. */
bool unsent_next(const struct unsent *unsent, long long after, struct unsent_line *line) MUST_CHECK;

#endif
