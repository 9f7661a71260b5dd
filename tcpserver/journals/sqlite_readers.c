#include "tcpserver/journals/sqlite_readers.h"

#include <assert.h>
#include <errno.h>

static void readers_lock(struct sqlite_readers *readers) ACQUIRES(JOURNAL_READERS_LOCK) UNCHECKED;
static void readers_unlock(struct sqlite_readers *readers) RELEASES(JOURNAL_READERS_LOCK) UNCHECKED;

static void readers_lock(struct sqlite_readers *readers)
{
	mutex_lock(&readers->mutex);
}

static void readers_unlock(struct sqlite_readers *readers)
{
	mutex_unlock(&readers->mutex);
}

void sqlite_readers_init(struct sqlite_readers *readers, const char *path, int count)
{
	assert(count > 0 && count <= SQLITE_READERS);
	*readers = (struct sqlite_readers){.path = path, .count = count};
	mutex_init(&readers->mutex);
	condition_init(&readers->freed);
}

void sqlite_readers_fini(struct sqlite_readers *readers)
{
	for (int i = 0; i < readers->count; i++)
		sqlite_store_close(&readers->stores[i]);
	mutex_fini(&readers->mutex);
	(void)pthread_cond_destroy(&readers->freed); /* nobody waits any more */
}

/* The lowest that is free, so that those that were opened are used first; -1: none. */
static int readers_find(struct sqlite_readers *readers) REQUIRES(JOURNAL_READERS_LOCK);
static int readers_find(struct sqlite_readers *readers)
{
	for (int i = 0; i < readers->count; i++) {
		if (!readers->used[i])
			return i;
	}
	return -1;
}

struct sqlite_store *sqlite_readers_acquire(struct sqlite_readers *readers)
{
	struct sqlite_store *store;
	int found;

	readers_lock(readers);
	while ((found = readers_find(readers)) < 0)
		condition_wait(&readers->freed, &readers->mutex);
	readers->used[found] = true;
	readers_unlock(readers);
	store = &readers->stores[found];
	if (store->connection == NULL)
		(void)!sqlite_store_open(store, readers->path, STORE_READS, SQLITE_JOURNAL_FULL);
	return store;
}

int sqlite_readers_release(struct sqlite_readers *readers, struct sqlite_store *store, int result)
{
	int error = result == SQLITE_DONE ? ENOENT : sqlite_store_errno(store, result);

	if (sqlite_store_is_broken(result))
		sqlite_store_close(store);
	readers_lock(readers);
	readers->used[store - readers->stores] = false;
	condition_signal(&readers->freed);
	readers_unlock(readers);
	return -error;
}
