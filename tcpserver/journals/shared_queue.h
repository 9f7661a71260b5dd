/*
 * The queue of a shared journal: first in, first out; what is in the middle may be taken out, and leaves a place with nothing to do.
 *
 * Threads: the caller's lock.
 */
#ifndef TCPSERVER_JOURNALS_SHARED_QUEUE_H
#define TCPSERVER_JOURNALS_SHARED_QUEUE_H

#include <stdbool.h>

#include "tcpserver/journals/shared_journal.h"

/* Takes what the item owns, unless it returns false: there is no memory. */
bool shared_queue_push(struct shared_queue *queue, const struct shared_item *item) MUST_CHECK;
/* Whether the last of the queue is the same mark: then it gets the number, if that is greater. */
bool shared_queue_merge(struct shared_queue *queue, const struct shared_item *mark) MUST_CHECK;
/* The first that is to be done; NULL: none. */
struct shared_item *shared_queue_first(struct shared_queue *queue) MUST_CHECK;
/* One of the queue was done, and what it owned is freed or somebody else's. */
void shared_queue_drop(struct shared_queue *queue, struct shared_item *item);
/* The first draft that is not to wait any longer; NULL: none. */
struct shared_item *shared_queue_late(struct shared_queue *queue, long long now_ms) MUST_CHECK;
/* The first draft of all; NULL: none. */
struct shared_item *shared_queue_draft(struct shared_queue *queue) MUST_CHECK;
/* Frees the queue and what the deeds in it own; there is no draft any more. */
void shared_queue_fini(struct shared_queue *queue);

#endif
