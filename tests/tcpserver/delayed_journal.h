/*
 * A journal for tests that publishes later than append() returns: when the test says so, or from a thread of its own after
 * a moment. What it keeps it keeps in a memory journal.
 *
 * Threads: any.
 */
#ifndef TESTS_TCPSERVER_DELAYED_JOURNAL_H
#define TESTS_TCPSERVER_DELAYED_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "tcpserver/core/journal.h"

/* With a thread, or, if not 'by_itself', nothing is published but by delayed_journal_publish(). */
struct journal *delayed_journal_create(size_t kept, bool by_itself) MUST_CHECK;
/* Publishes (or refuses) the first 'most' of the drafts that wait, in order. Returns how many there were. */
size_t delayed_journal_publish(struct journal *journal, size_t most);
/* Drafts that wait. */
size_t delayed_journal_waiting(struct journal *journal);
/* From now on what is published is refused with this errno; 0: it is kept again. */
void delayed_journal_refuse(struct journal *journal, int error);

#endif
