/*
 * What was wrong in this run: the first few faults in words on stderr, and that there was one.
 *
 * A run stops at its first fault: what follows a lost line says nothing.
 *
 * Threads: any.
 */
#ifndef TCPCHAT_LOAD_VERDICT_H
#define TCPCHAT_LOAD_VERDICT_H

#include <stdbool.h>

/* Notes a fault and says it on stderr, unless VERDICT_SAID_MAX were said before. */
void verdict_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether any fault was noted. */
bool verdict_failed(void);

/* Ends the program with exit code 1: the load itself could not be made. */
_Noreturn void verdict_abort(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
