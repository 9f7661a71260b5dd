/*
 * How far the queue was stored: the session of the server whose messages came last, and the position of the last of them that is
 * stored. Who wants to read what a server has said before waits for it here.
 *
 * Threads: any.
 */
#ifndef MESSAGEAPI_PROGRESS_H
#define MESSAGEAPI_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/sync.h"

enum { PROGRESS_SESSION_SIZE = 33 };

struct progress {
	pthread_mutex_t mutex; /* a leaf: guards what follows up to 'stopping' */
	pthread_cond_t changed;
	char session[PROGRESS_SESSION_SIZE];
	uint64_t position;
	bool stopping;
	atomic_bool is_up; /* the consumer has its database and its queue */
};

void progress_init(struct progress *progress);
void progress_fini(struct progress *progress);
void progress_note(struct progress *progress, const char *session, uint64_t position);
/* Waits 'timeout_ms' at most for the position. Returns how far it is stored; 0: nothing of that session has come. */
uint64_t progress_wait(struct progress *progress, const char *session, uint64_t position, unsigned timeout_ms);
/* Nobody waits any longer. */
void progress_stop(struct progress *progress);
bool progress_is_stopping(struct progress *progress);
/* Waits, unless it is time to stop. */
void progress_pause(struct progress *progress, unsigned ms);

#endif
