#include "tcpserver/journals/shared_links.h"

#include <errno.h>
#include <poll.h>

enum {
	AWAY_MS = 200,
	AGAIN_MS = 100, /* between tries of an engine that is away            */
	TURN_MS = 10000, /* for which a free link is waited for, besides the patience */
	AGAIN_MOST = 20, /* times that a question is asked that might go better the next time */
};

static void links_lock(struct shared_links *links) ACQUIRES(JOURNAL_READERS_LOCK) UNCHECKED;
static void links_unlock(struct shared_links *links) RELEASES(JOURNAL_READERS_LOCK) UNCHECKED;

static void links_lock(struct shared_links *links)
{
	mutex_lock(&links->mutex);
}

static void links_unlock(struct shared_links *links)
{
	mutex_unlock(&links->mutex);
}

void shared_links_init(struct shared_links *links, struct engine *engine, unsigned patience_ms)
{
	*links = (struct shared_links){.engine = engine, .patience_ms = patience_ms};
	mutex_init(&links->mutex);
	condition_init(&links->freed);
}

void shared_links_fini(struct shared_links *links)
{
	for (size_t i = 0; i < SHARED_LINKS; i++) {
		if (links->links[i] != NULL)
			links->engine->ops->disconnect(links->links[i]);
	}
	mutex_fini(&links->mutex);
	(void)pthread_cond_destroy(&links->freed); /* nobody waits any more */
}

void shared_links_end(struct shared_links *links)
{
	links_lock(links);
	links->ending = true;
	condition_broadcast(&links->freed);
	links_unlock(links);
}

/* The lowest that is free, so that those that were opened are used first; -1: none. */
static int links_find(struct shared_links *links) REQUIRES(JOURNAL_READERS_LOCK);
static int links_find(struct shared_links *links)
{
	for (int i = 0; i < SHARED_LINKS; i++) {
		if (!links->used[i])
			return i;
	}
	return -1;
}

/* NULL: there is none until the deadline. */
static struct link **links_acquire(struct shared_links *links, long long deadline_ms)
{
	int found;

	links_lock(links);
	while ((found = links_find(links)) < 0) {
		if (links->ending || condition_wait_until(&links->freed, &links->mutex, deadline_ms) != 0)
			break;
	}
	if (found >= 0)
		links->used[found] = true;
	links_unlock(links);
	return found < 0 ? NULL : &links->links[found];
}

static void links_release(struct shared_links *links, struct link **link)
{
	links_lock(links);
	links->used[link - links->links] = false;
	condition_signal(&links->freed);
	links_unlock(links);
}

static bool links_is_away(struct shared_links *links)
{
	bool away;

	links_lock(links);
	away = clock_ms() < links->away_until_ms;
	links_unlock(links);
	return away;
}

static bool links_open(struct shared_links *links, struct link **link)
{
	char fault[ENGINE_FAULT_SIZE]; /* the journal's thread says it, as it has the same */

	if (*link != NULL)
		return true;
	if (links_is_away(links))
		return false;
	*link = links->engine->ops->connect(links->engine, LINK_READS, fault);
	if (*link != NULL)
		return true;
	links_lock(links);
	links->away_until_ms = clock_ms() + AWAY_MS;
	links_unlock(links);
	return false;
}

/* Returns whether there is an answer. */
static bool links_ask_once(
	struct shared_links *links, struct link **link, shared_question *question, void *context, ssize_t *answer)
{
	*answer = -EIO;
	if (!links_open(links, link))
		return false;
	for (int i = 0; i < AGAIN_MOST && (i == 0 || *answer == -EAGAIN); i++)
		*answer = question(*link, context);
	if (links->engine->ops->works(*link))
		return true;
	links->engine->ops->disconnect(*link);
	*link = NULL;
	return false;
}

static bool links_is_ending(struct shared_links *links)
{
	bool ending;

	links_lock(links);
	ending = links->ending;
	links_unlock(links);
	return ending;
}

ssize_t shared_links_ask(struct shared_links *links, shared_question *question, void *context)
{
	long long deadline_ms = clock_ms() + links->patience_ms;
	ssize_t answer = -EIO;
	bool answered = false;

	for (int tries = 0; !answered && (tries < 2 || clock_ms() < deadline_ms); tries++) {
		struct link **link = links_acquire(links, deadline_ms + TURN_MS);

		if (link == NULL)
			return -EIO;
		answered = links_ask_once(links, link, question, context, &answer);
		links_release(links, link);
		if (!answered && links_is_ending(links))
			break;
		if (!answered && tries > 0)
			(void)poll(NULL, 0, AGAIN_MS);
	}
	return !answered && answer >= 0 ? -EIO : answer;
}
