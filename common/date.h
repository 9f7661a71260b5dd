/*
 * Dates as people and programs write them: 2026-11-21, 2026-11-21T08:00, 2026-11-21T08:00:05.123Z. All are UTC.
 *
 * Threads: any.
 * Source: RFC 3339, without its offsets.
 */
#ifndef COMMON_DATE_H
#define COMMON_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DATE_SIZE = 32 }; /* bytes of a date with its time, and a NUL */

/* Reads the whole of 'text'. '*at_ns' is the beginning of what it names, in nanoseconds since 1970. Returns whether it is a
 * date, of the years 1970 to 2200. */
bool date_parse(const char *text, int64_t *at_ns);

/* Writes the date and the time to the second, as 2026-11-21 08:00:05Z. */
void date_format(int64_t at_ns, char text[DATE_SIZE]);

#endif
