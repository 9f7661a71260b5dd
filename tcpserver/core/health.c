#include "tcpserver/core/health.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "tcpserver/core/talk.h"

static atomic_int journal_error; /* positive errno of the last try to write, or 0 */

void health_note_journal(int error)
{
	/* Relaxed: nothing else is read by it. */
	atomic_store_explicit(&journal_error, error, memory_order_relaxed);
}

static const char *health_words(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
		return "the journal's disk is full: what is said is refused until there is space";
	case EIO:
		return "the journal's disk fails: what is said is refused until it can be written again";
	case EROFS:
		return "the journal's disk is mounted read-only: what is said is refused until it can be written again";
	default:
		return "the journal cannot be written, its log line journal-failed says why: what is said is refused until it can";
	}
}

bool health_is_ready(const struct talk *talk, const char **why)
{
	const char *words = NULL;
	int error = atomic_load_explicit(&journal_error, memory_order_relaxed);

	if (atomic_load_explicit(&talk->stopping, memory_order_relaxed)) /* relaxed: a moment later will do */
		words = "the server stops";
	else if (error != 0)
		words = health_words(error);
	if (why != NULL && words != NULL)
		*why = words;
	return words == NULL;
}
