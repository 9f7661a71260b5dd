#include "tcpserver/journals/sqlite_checkpoints.h"

enum {
	PAGES_WANTED = 1024,     /* 4 MiB: worth a checkpoint                            */
	PAGES_MOST = 16 * 1024,  /* 64 MiB: the writer makes one, too                    */
	PAGES_LIMIT = 20 * 1024, /* 80 MiB: the writer waits for the thread, which cannot keep up */
	WRITER_BUSY_MS = 20,     /* for which it waits for readers                       */
	PAUSE_MS = 20,           /* after a checkpoint; a reader may have kept it from its end */
	AGAIN_MS = 1000,         /* after one that failed                                */
	STACK_SIZE = 256 * 1024,
};

static void checkpoints_lock(struct sqlite_checkpoints *checkpoints) ACQUIRES(JOURNAL_CHECKPOINTS_LOCK) UNCHECKED;
static void checkpoints_unlock(struct sqlite_checkpoints *checkpoints) RELEASES(JOURNAL_CHECKPOINTS_LOCK) UNCHECKED;

static void checkpoints_lock(struct sqlite_checkpoints *checkpoints)
{
	mutex_lock(&checkpoints->mutex);
}

static void checkpoints_unlock(struct sqlite_checkpoints *checkpoints)
{
	mutex_unlock(&checkpoints->mutex);
}

static bool checkpoints_is_wanted(const struct sqlite_checkpoints *checkpoints) REQUIRES(JOURNAL_CHECKPOINTS_LOCK);
static bool checkpoints_is_wanted(const struct sqlite_checkpoints *checkpoints)
{
	int pages = checkpoints->log_pages - checkpoints->moved_pages;

	return !checkpoints->running && (pages >= PAGES_WANTED || (checkpoints->idle && pages > 0));
}

/* Makes a checkpoint for one that has set 'running', and takes note of how far it came. */
static int checkpoints_run(struct sqlite_checkpoints *checkpoints, struct sqlite_store *store, int mode)
{
	int pages = 0;
	int moved = 0;
	int result = SQLITE_CANTOPEN;

	if (store->connection != NULL)
		result = sqlite3_wal_checkpoint_v2(store->connection, "main", mode, &pages, &moved);
	checkpoints_lock(checkpoints);
	checkpoints->running = false;
	checkpoints->idle = false;
	if ((result == SQLITE_OK || result == SQLITE_BUSY) && checkpoints->log_pages >= pages)
		checkpoints->moved_pages = moved; /* else the log was started anew since */
	condition_broadcast(&checkpoints->wanted);
	checkpoints_unlock(checkpoints);
	return result;
}

/* Waits until a checkpoint is wanted, and takes it on. False: until the end. */
static bool checkpoints_wait(struct sqlite_checkpoints *checkpoints, long long not_before_ms)
{
	bool stopping;

	checkpoints_lock(checkpoints);
	for (;;) {
		bool wanted = checkpoints_is_wanted(checkpoints);

		if (checkpoints->stopping || (wanted && clock_ms() >= not_before_ms))
			break;
		if (wanted)
			(void)!condition_wait_until(&checkpoints->wanted, &checkpoints->mutex, not_before_ms);
		else
			condition_wait(&checkpoints->wanted, &checkpoints->mutex);
	}
	stopping = checkpoints->stopping;
	checkpoints->running = !stopping;
	checkpoints_unlock(checkpoints);
	return !stopping;
}

/* A checkpoint that fails, as on a full disk, loses nothing: all is in the log. The next one tries again. */
static void *checkpoints_work(void *argument)
{
	struct sqlite_checkpoints *checkpoints = argument;
	struct sqlite_store store = {.connection = NULL};
	long long not_before_ms = 0;

	thread_name("checkpoints");
	while (checkpoints_wait(checkpoints, not_before_ms)) {
		int result;

		if (store.connection == NULL)
			(void)!sqlite_store_open(&store, checkpoints->path, STORE_CHECKPOINTS, checkpoints->sync);
		result = checkpoints_run(checkpoints, &store, SQLITE_CHECKPOINT_PASSIVE);
		not_before_ms = clock_ms() + (result == SQLITE_OK ? PAUSE_MS : AGAIN_MS);
		if (sqlite_store_is_broken(result))
			sqlite_store_close(&store);
	}
	sqlite_store_close(&store);
	return NULL;
}

int sqlite_checkpoints_start(struct sqlite_checkpoints *checkpoints, const char *path, enum sqlite_sync sync)
{
	*checkpoints = (struct sqlite_checkpoints){.path = path, .sync = sync, .found = true};
	mutex_init(&checkpoints->mutex);
	condition_init(&checkpoints->wanted);
	return thread_start(&checkpoints->thread, STACK_SIZE, checkpoints_work, checkpoints);
}

void sqlite_checkpoints_stop(struct sqlite_checkpoints *checkpoints)
{
	checkpoints_lock(checkpoints);
	checkpoints->stopping = true;
	condition_broadcast(&checkpoints->wanted);
	checkpoints_unlock(checkpoints);
	thread_join(checkpoints->thread);
	mutex_fini(&checkpoints->mutex);
	(void)pthread_cond_destroy(&checkpoints->wanted); /* nobody waits any more */
}

void sqlite_checkpoints_note(struct sqlite_checkpoints *checkpoints, struct sqlite_store *store)
{
	bool own;

	checkpoints_lock(checkpoints);
	if (store->log_pages < checkpoints->log_pages)
		checkpoints->moved_pages = 0; /* the log was started anew */
	checkpoints->log_pages = store->log_pages;
	while (checkpoints->log_pages >= PAGES_LIMIT && checkpoints->running)
		condition_wait(&checkpoints->wanted, &checkpoints->mutex);
	own = store->log_pages >= PAGES_MOST && !checkpoints->running && checkpoints->moved_pages < store->log_pages;
	if (own)
		checkpoints->running = true;
	else if (checkpoints_is_wanted(checkpoints))
		condition_broadcast(&checkpoints->wanted);
	checkpoints_unlock(checkpoints);
	if (!own)
		return;
	(void)sqlite3_busy_timeout(store->connection, WRITER_BUSY_MS);
	(void)checkpoints_run(checkpoints, store, SQLITE_CHECKPOINT_RESTART); /* the next commit will come back to it */
	(void)sqlite3_busy_timeout(store->connection, STORE_BUSY_MS);
}

/* Waits until the thread does not make a checkpoint, and takes its place if there is something in the log. */
static bool checkpoints_begin(struct sqlite_checkpoints *checkpoints)
{
	bool begun;

	checkpoints_lock(checkpoints);
	while (checkpoints->running)
		condition_wait(&checkpoints->wanted, &checkpoints->mutex);
	begun = checkpoints->log_pages > 0 || checkpoints->found;
	checkpoints->running = begun;
	checkpoints_unlock(checkpoints);
	return begun;
}

bool sqlite_checkpoints_give_back(struct sqlite_checkpoints *checkpoints, struct sqlite_store *store)
{
	int result;

	if (store->connection == NULL || !checkpoints_begin(checkpoints))
		return false;
	(void)sqlite3_busy_timeout(store->connection, WRITER_BUSY_MS);
	result = checkpoints_run(checkpoints, store, SQLITE_CHECKPOINT_TRUNCATE);
	(void)sqlite3_busy_timeout(store->connection, STORE_BUSY_MS);
	if (result != SQLITE_OK)
		return false;
	store->log_pages = 0;
	checkpoints_lock(checkpoints);
	checkpoints->log_pages = 0;
	checkpoints->moved_pages = 0;
	checkpoints->found = false;
	checkpoints_unlock(checkpoints);
	return true;
}

void sqlite_checkpoints_note_idle(struct sqlite_checkpoints *checkpoints)
{
	checkpoints_lock(checkpoints);
	checkpoints->idle = true;
	if (checkpoints_is_wanted(checkpoints))
		condition_broadcast(&checkpoints->wanted);
	checkpoints_unlock(checkpoints);
}
