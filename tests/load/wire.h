/*
 * The lines of a load run, which say themselves where they belong.
 *
 * A sender named "s003" sends lines of a fixed size, and everybody receives records that are
 * WIRE_HEAD_SIZE bytes longer:
 *
 *     0000000123 00000a1b2c3d4e5f abcdefg...\n             as sent
 *     s003: 0000000123 00000a1b2c3d4e5f abcdefg...\n       as received
 *
 * that is the sender's own count, a time in nanoseconds in hexadecimal (0 where nobody asks),
 * and padding that is always the same. Nothing else a receiver may see starts with 's'.
 *
 * Threads: any; there is no state.
 */
#ifndef TCPCHAT_LOAD_WIRE_H
#define TCPCHAT_LOAD_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WIRE_NAME_SIZE = 4,                  /* "s003"                          */
	WIRE_HEAD_SIZE = WIRE_NAME_SIZE + 2, /* "s003: "                        */
	WIRE_NUMBER_SIZE = 10,               /* decimal digits                  */
	WIRE_STAMP_SIZE = 16,                /* hexadecimal digits              */
	WIRE_LINE_MIN = 32,                  /* bytes of a line as it is sent   */
	WIRE_LINE_MAX = 1024,
	WIRE_RECORD_MAX = WIRE_LINE_MAX + WIRE_HEAD_SIZE,
	WIRE_SENDERS_MAX = 999,
};

struct wire_fields {
	unsigned sender;
	uint64_t number;
	uint64_t stamp_ns;
};

/* How many bytes a line of 'line_size' bytes has when it arrives. */
size_t wire_record_size(size_t line_size);

/* Writes the 'line_size' bytes of a line, its LF included. */
void wire_write_line(char *line, size_t line_size, uint64_t number, uint64_t stamp_ns);

/* Writes the wire_record_size() bytes that a server makes of such a line. */
void wire_write_record(char *record, size_t line_size, unsigned sender, uint64_t number);

/* Steps the number in the line at 'line' by one; nothing else changes. */
void wire_step_line(char *line);

/*
 * Reads the part after "NAME: ", 'size' bytes with LF, which must be the whole of a line as sent.
 * Every byte is checked; false when one is not as wire_write_line() writes it.
 */
bool wire_read_line(const char *line, size_t size, uint64_t *number, uint64_t *stamp_ns);

/* Reads a whole record of 'size' bytes, LF included, in the same way. */
bool wire_read_record(const char *record, size_t size, struct wire_fields *fields);

#endif
