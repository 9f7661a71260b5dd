/*
 * The server's log: an event and its fields, a line each on standard error, as text or as JSON.
 *
 *         log_event(LOG_INFO, "joined", "name", name, "from", address, NULL);
 *
 * Values may hold anything; they are escaped. What people say is never logged, except at LOG_DEBUG, which warns.
 *
 * Threads: any; a line is written whole by one write(). log_start() comes before the first thread.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdatomic.h>
#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

/* The names of the levels and formats, in the order of the enums, ended by NULL. */
extern const char *const log_level_names[];
extern const char *const log_format_names[];

void log_start(enum log_level level, enum log_format format);
bool log_wants(enum log_level level);

/* Pairs of field name and value follow 'event', all strings, ended by NULL. A line over 1 KiB is cut. */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

/* For a line that anybody outside can cause as often as it likes: one a second. All zero at first. */
struct log_gate {
	atomic_llong next_ms; /* on clock_ms() */
	atomic_uint left_out;
};

enum { LOG_COUNT_SIZE = 16 };

/* Whether the line may be logged now. If so, 'left_out' gets how many were not since the last one, "" if none. */
bool log_passes(struct log_gate *gate, char left_out[LOG_COUNT_SIZE]);

#endif
