/*
 * Writes JSON into a buffer of the caller's, and counts what does not fit.
 *
 *         struct json_writer json = {.out = out, .size = size};
 *
 *         json_write_open(&json);
 *         json_write_string(&json, "name", "bob", 3);
 *         json_write_close(&json);
 *         needed = json.used;
 *
 * Threads: one at a time.
 * Source: RFC 8259, 7 (which characters are escaped).
 */
#ifndef TCPSERVER_DOORS_JSON_WRITER_H
#define TCPSERVER_DOORS_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_writer {
	char *out;
	size_t size;
	size_t used; /* may be more than 'size': then not all was written */
	bool more;   /* a field was written: the next one needs a comma   */
};

void json_write_open(struct json_writer *json);
void json_write_close(struct json_writer *json);
/* A field with a string of valid UTF-8. */
void json_write_string(struct json_writer *json, const char *name, const char *value, size_t size);
/* The same, of two: 'before', ended by NUL, and the value. */
void json_write_strings(struct json_writer *json, const char *name, const char *before, const char *value, size_t size);
/* The same of one, ended by NUL; left out when it is NULL. */
void json_write_text(struct json_writer *json, const char *name, const char *value);
void json_write_number(struct json_writer *json, const char *name, uint64_t value);
/* A time in nanoseconds since 1970, as RFC 3339 with milliseconds in UTC. */
void json_write_time(struct json_writer *json, const char *name, int64_t at_ns);
/* A value that is JSON already; left out when it is NULL. */
void json_write_raw(struct json_writer *json, const char *name, const char *value);
/* Bytes outside of any field. */
void json_write_bytes(struct json_writer *json, const char *bytes, size_t size);

#endif
