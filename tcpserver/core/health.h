/*
 * Whether the server is ready for clients: not while it stops, nor while its journal cannot keep what they say.
 *
 * A journal says what became of its last try to write. While it cannot, it goes on trying by itself, so that a server to
 * which nobody is sent for that reason gets ready again; health_is_ready() tries nothing.
 *
 * Threads: any. The state is the process's own, as there is one journal.
 */
#ifndef TCPSERVER_CORE_HEALTH_H
#define TCPSERVER_CORE_HEALTH_H

#include <stdbool.h>

#include "common/sync.h"

struct talk;

/* For journals: the last try to write failed with 'error', a positive errno; 0: it did not. */
void health_note_journal(int error);

/* Whether the server is ready; if not, '*why' says why, in words that stay. 'why' may be NULL. */
bool health_is_ready(const struct talk *talk, const char **why) MUST_CHECK;

#endif
