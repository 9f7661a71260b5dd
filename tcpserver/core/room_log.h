/*
 * A room's log in one format: finished wire bytes, a record a message, in a chain of segments; and the cursors in it.
 *
 * A segment is a buffer of fixed size. Records are copied to its end, and the new length is released; everything below
 * the length never changes, so that reading takes no lock. The ends of the records stand in a table that grows from the
 * other end of the buffer, by which a place in bytes is found from a sequence number and back. A full segment links to
 * the next one.
 *
 * A segment is reference counted: one reference for the log, whose open segment it is; one for the segment before it; one
 * for each cursor in it. So a chain lives exactly as long as somebody has to read it.
 *
 * Threads: appending and making cursors under the ROOM_LOCK of the room; a cursor belongs to one thread at a time, and
 * needs no lock for reading.
 */
#ifndef TCPSERVER_CORE_ROOM_LOG_H
#define TCPSERVER_CORE_ROOM_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcpserver/core/locks.h"

struct message;
struct segment;

enum {
	SEGMENT_SIZE_LEAST = 4 * 1024,  /* of a quiet room         */
	SEGMENT_SIZE_MOST = 256 * 1024, /* of a busy one, in bytes */
};

/* How messages become wire bytes. */
struct format {
	const char *name;
	/* Writes the record of 'message' to 'out' if it fits in 'size' bytes. Returns its size, 1 or more, in any case. */
	size_t (*encode)(const struct message *message, char *out, size_t size);
	/* The same for a message from before the reader's time: it is marked as such, and has its time. */
	size_t (*recall)(const struct message *message, char *out, size_t size);
	/* In place of both, where a room is known, if records have its id; or NULL. */
	size_t (*encode_in)(const char *room_id, const struct message *message, bool history, char *out, size_t size);
	/* A member is not sent what it said itself. */
	bool hides_own;
};

struct room_log {
	const struct format *format;
	const char *room_id; /* of the room that the log belongs to, as long as that; or NULL */
	struct segment *open GUARDED_BY(ROOM_LOCK);
	int64_t opened_ns GUARDED_BY(ROOM_LOCK); /* when the open segment was begun */
	_Atomic uint64_t end;                    /* bytes ever appended; read by anybody */
};

/* A place in a log: the next byte to read. Without a segment it is nowhere. */
struct cursor {
	struct segment *segment;
	size_t offset;
};

/* As the format's encode() or recall(), of a message of the room with that id. */
size_t format_write(const struct format *format, const char *room_id, const struct message *message, bool history, char *out,
	size_t size);

/* Starts an empty log whose first message will have the number 'next_seq'. Ends the program without memory. */
void room_log_init(struct room_log *log, const struct format *format, uint64_t next_seq) UNCHECKED;
void room_log_fini(struct room_log *log) UNCHECKED;

/* Appends the record of a message, whose number is the next one; a later one only where the journal is damaged. Ends the program without memory: the message is
 * kept already, and leaving it out would break the promise to everybody. */
void room_log_append(struct room_log *log, const struct message *message) REQUIRES(ROOM_LOCK);

/* A cursor behind the last record. The caller gives it back with cursor_leave(). */
struct cursor room_log_end(struct room_log *log) REQUIRES(ROOM_LOCK);

/* Makes a cursor before message 'seq', when that is in the open segment or the next one to come. Returns whether it is. */
int room_log_find(struct room_log *log, uint64_t seq, struct cursor *cursor) REQUIRES(ROOM_LOCK) MUST_CHECK;

/*
 * The bytes that lie ready behind the cursor, contiguous, many records as the case may be; steps to the next segment when
 * one is read. Returns their number, 0 at the end. They stay valid until the cursor moves on.
 */
size_t cursor_range(struct cursor *cursor, const char **bytes);

/* Steps over 'size' bytes of the last range. */
void cursor_advance(struct cursor *cursor, size_t size);

/* Bytes of the log before the cursor, as room_log.end counts them. */
uint64_t cursor_position(const struct cursor *cursor);

/*
 * The rest of the record in which the cursor stands: 0 between records. '*seq' is the number of the next record that
 * begins at or behind the cursor.
 */
size_t cursor_record_rest(const struct cursor *cursor, uint64_t *seq);

/*
 * How many of the bytes that lie ready behind the cursor, which is between records and has some, are before the record of
 * message 'seq'; all of them, if that is not among them.
 */
size_t cursor_size_before(const struct cursor *cursor, uint64_t seq);

/* Gives the cursor's reference back; it is nowhere then. */
void cursor_leave(struct cursor *cursor);

#endif
