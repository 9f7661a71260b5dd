#include "messageapi/progress.h"

#include <stdio.h>
#include <string.h>

void progress_init(struct progress *progress)
{
	*progress = (struct progress){0};
	mutex_init(&progress->mutex);
	condition_init(&progress->changed);
}

void progress_fini(struct progress *progress)
{
	mutex_fini(&progress->mutex);
	(void)pthread_cond_destroy(&progress->changed); /* nobody waits any more */
}

/* What comes again is behind. */
void progress_note(struct progress *progress, const char *session, uint64_t position)
{
	mutex_lock(&progress->mutex);
	if (strcmp(progress->session, session) != 0) {
		(void)snprintf(progress->session, sizeof progress->session, "%s", session);
		progress->position = position;
	} else if (position > progress->position) {
		progress->position = position;
	}
	condition_broadcast(&progress->changed);
	mutex_unlock(&progress->mutex);
}

static uint64_t position_of(const struct progress *progress, const char *session)
{
	return strcmp(progress->session, session) == 0 ? progress->position : 0;
}

uint64_t progress_wait(struct progress *progress, const char *session, uint64_t position, unsigned timeout_ms)
{
	long long until_ms = clock_ms() + timeout_ms;
	uint64_t stored;

	mutex_lock(&progress->mutex);
	while ((stored = position_of(progress, session)) < position && !progress->stopping &&
		condition_wait_until(&progress->changed, &progress->mutex, until_ms) == 0)
		continue;
	mutex_unlock(&progress->mutex);
	return stored;
}

void progress_stop(struct progress *progress)
{
	mutex_lock(&progress->mutex);
	progress->stopping = true;
	condition_broadcast(&progress->changed);
	mutex_unlock(&progress->mutex);
}

bool progress_is_stopping(struct progress *progress)
{
	bool stopping;

	mutex_lock(&progress->mutex);
	stopping = progress->stopping;
	mutex_unlock(&progress->mutex);
	return stopping;
}

void progress_pause(struct progress *progress, unsigned ms)
{
	long long until_ms = clock_ms() + ms;

	mutex_lock(&progress->mutex);
	while (!progress->stopping && condition_wait_until(&progress->changed, &progress->mutex, until_ms) == 0)
		continue;
	mutex_unlock(&progress->mutex);
}
