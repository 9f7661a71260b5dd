#include "tcpserver/journals/sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tcpserver/core/message.h"
#include "tcpserver/journals/sqlite_file.h"
#include "tcpserver/journals/sqlite_journal.h"
#include "tcpserver/journals/sqlite_schema.h"
#include "tcpserver/journals/sqlite_writer.h"

enum {
	QUEUE_DRAFTS_MOST = 65536,
	QUEUE_BYTES_MOST = 32 * 1024 * 1024,
	QUEUE_WAIT_MS = 10000, /* for which append() waits for space                  */
	CLOSE_WAIT_MS = 5000,  /* for which open_room() waits for the room to be closed */
	LIST_MOST = 64,        /* rooms that are listed by one query                  */
	WRITER_STACK_SIZE = 512 * 1024,
	RETAIN_DAYS_MOST = 1000000, /* nothing is that old */
};

static void sqlite_room_lock(struct journal_room *room) ACQUIRES(JOURNAL_LOCK) UNCHECKED;
static void sqlite_room_unlock(struct journal_room *room) RELEASES(JOURNAL_LOCK) UNCHECKED;

static void sqlite_room_lock(struct journal_room *room)
{
	mutex_lock(&room->mutex);
}

static void sqlite_room_unlock(struct journal_room *room)
{
	mutex_unlock(&room->mutex);
}

static struct sqlite_journal *sqlite_of(struct journal *journal)
{
	return (struct sqlite_journal *)journal;
}

/* ---- Rooms that are open, and those whose state is to be written. ---- */

struct journal_room **sqlite_find_open(struct sqlite_journal *journal, const char *id)
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
	struct journal_room **link;

	for (const char *at = id; *at != '\0'; at++)
		hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
	link = &journal->open[(hash ^ hash >> 32) % SQLITE_OPEN_BUCKETS];
	while (*link != NULL && strcmp((*link)->id, id) != 0)
		link = &(*link)->next_open;
	return link;
}

void sqlite_wake_writer(struct sqlite_journal *journal)
{
	if (!journal->writer_sleeps)
		return;
	journal->writer_sleeps = false; /* one wake-up is enough */
	condition_broadcast(&journal->work);
}

void sqlite_note_change(struct journal_room *room)
{
	struct sqlite_journal *journal = room->journal;

	journal->news = true;
	if (!room->changed) {
		room->changed = true;
		room->next_changed = journal->changed;
		journal->changed = room;
	}
	sqlite_wake_writer(journal);
}

/* Whether a room that the file may still know is forgotten. */
static bool sqlite_is_forgotten(struct sqlite_journal *journal, int64_t number) REQUIRES(JOURNAL_QUEUE_LOCK);
static bool sqlite_is_forgotten(struct sqlite_journal *journal, int64_t number)
{
	for (const struct journal_room *room = journal->changed; room != NULL; room = room->next_changed) {
		if (room->number == number && (room->state & STORE_REMOVED) != 0)
			return true;
	}
	return false;
}

/* How many rooms have gone from the file: what was read before may be out of date when there are more. */
static uint64_t sqlite_forgotten(struct sqlite_journal *journal)
{
	uint64_t forgotten;

	sqlite_lock(journal);
	forgotten = journal->forgotten;
	sqlite_unlock(journal);
	return forgotten;
}

void sqlite_free_room(struct journal_room *room)
{
	mutex_fini(&room->mutex);
	free(room);
}

static unsigned sqlite_state(const struct room_attributes *attributes)
{
	return (attributes->listed ? STORE_LISTED : 0u) | (attributes->persistent ? STORE_PERSISTENT : 0u) |
	       (attributes->ends_with_member ? STORE_ENDS_WITH_MEMBER : 0u) | (attributes->waits ? STORE_WAITS : 0u);
}

/* Appends a string to those behind the room; NULL stays NULL. */
static const char *sqlite_add_string(char **end, const char *text)
{
	char *copy = *end;
	size_t size;

	if (text == NULL)
		return NULL;
	size = strlen(text) + 1;
	*end += size;
	return memcpy(copy, text, size);
}

static size_t sqlite_string_size(const char *text)
{
	return text == NULL ? 0 : strlen(text) + 1;
}

static struct journal_room *sqlite_make_room(struct sqlite_journal *journal, const struct room_attributes *attributes,
	const struct journal_listener *listener, void *context)
{
	const char *creator = attributes->creator == NULL ? "" : attributes->creator;
	const char *topic = attributes->topic == NULL ? "" : attributes->topic;
	struct journal_room *room = calloc(1, sizeof *room + sqlite_string_size(attributes->name) +
						      sqlite_string_size(creator) + sqlite_string_size(topic));
	char *end;

	if (room == NULL)
		return NULL;
	end = (char *)(room + 1);
	room->journal = journal;
	room->listener = listener;
	room->room = context;
	(void)snprintf(room->id, sizeof room->id, "%s", attributes->id);
	room->name = sqlite_add_string(&end, attributes->name);
	room->creator = sqlite_add_string(&end, creator);
	room->topic = sqlite_add_string(&end, topic);
	room->capacity = attributes->capacity;
	room->created_ms = (attributes->created_ns == 0 ? clock_wall_ns() : attributes->created_ns) / 1000000;
	mutex_init(&room->mutex);
	return room;
}

void sqlite_forget_closed_room(struct sqlite_journal *journal, int64_t number, const char *id, unsigned flags)
{
	const struct room_attributes attributes = {.id = id};
	struct journal_room *room = sqlite_make_room(journal, &attributes, NULL, NULL);
	bool open;

	if (room == NULL)
		return;
	room->number = number;
	room->is_kept = true;
	sqlite_lock(journal);
	open = *sqlite_find_open(journal, id) != NULL;
	if (!open) {
		room->state = flags | STORE_REMOVED | SQLITE_ROOM_CLOSED;
		sqlite_note_change(room);
	}
	sqlite_unlock(journal);
	if (open)
		sqlite_free_room(room);
}

/* ---- Opening and closing rooms. ---- */

/* Puts the room among the open ones, once one of the same id was closed. */
static bool sqlite_reserve(struct sqlite_journal *journal, struct journal_room *room)
{
	long long deadline_ms = clock_ms() + CLOSE_WAIT_MS;
	struct journal_room **link;
	bool free_now;

	sqlite_lock(journal);
	while (*(link = sqlite_find_open(journal, room->id)) != NULL) {
		if (condition_wait_until(&journal->closed, &journal->mutex, deadline_ms) != 0)
			break;
	}
	free_now = *link == NULL;
	if (free_now)
		*link = room;
	sqlite_unlock(journal);
	return free_now;
}

static void sqlite_unreserve(struct journal_room *room) REQUIRES(JOURNAL_QUEUE_LOCK);
static void sqlite_unreserve(struct journal_room *room)
{
	*sqlite_find_open(room->journal, room->id) = room->next_open;
	room->next_open = NULL;
	condition_broadcast(&room->journal->closed);
}

/* What the file knows of a room with this id. Returns 0; -ENOENT: nothing, or what is to be forgotten; or -errno. */
static int sqlite_look_up(struct sqlite_journal *journal, const char *id, struct store_opened *opened)
{
	for (;;) {
		uint64_t forgotten = sqlite_forgotten(journal);
		struct sqlite_store *store = sqlite_readers_acquire(&journal->readers);
		int error = sqlite_readers_release(&journal->readers, store, sqlite_store_open_room(store, id, opened));
		bool changed;

		if (error != 0)
			return error;
		sqlite_lock(journal);
		changed = journal->forgotten != forgotten;
		if (sqlite_is_forgotten(journal, opened->number))
			error = -ENOENT;
		sqlite_unlock(journal);
		if (!changed || error != 0)
			return error;
	}
}

/* Gives a room the number it has, or, if it is new, one that no other has. */
static int sqlite_number_room(struct sqlite_journal *journal, struct journal_room *room, unsigned state)
{
	struct store_opened opened = {.next = 1, .flags = state};
	int error = sqlite_look_up(journal, room->id, &opened);

	if (error != 0 && error != -ENOENT)
		return error;
	if (error == -ENOENT)
		opened = (struct store_opened){.next = 1, .flags = state};
	sqlite_lock(journal);
	if (error == -ENOENT && journal->last_number < STORE_NUMBER_MOST)
		opened.number = ++journal->last_number;
	room->state = opened.flags;
	sqlite_unlock(journal);
	sqlite_room_lock(room);
	room->next_seq = opened.next;
	sqlite_room_unlock(room);
	room->number = opened.number;
	room->is_kept = error == 0;
	room->next = opened.next;
	room->last_ms = opened.last_ms;
	return opened.number == 0 ? -ENOSPC : 0;
}

static struct journal_room *sqlite_open_room(struct journal *base, const struct room_attributes *attributes,
	const struct journal_listener *listener, void *context)
{
	struct sqlite_journal *journal = sqlite_of(base);
	struct journal_room *room = sqlite_make_room(journal, attributes, listener, context);

	if (room == NULL)
		return NULL;
	if (!sqlite_reserve(journal, room)) {
		sqlite_free_room(room);
		return NULL;
	}
	if (sqlite_number_room(journal, room, sqlite_state(attributes)) == 0)
		return room;
	sqlite_lock(journal);
	sqlite_unreserve(room);
	sqlite_unlock(journal);
	sqlite_free_room(room);
	return NULL;
}

static void sqlite_close_room(struct journal_room *room)
{
	struct sqlite_journal *journal = room->journal;
	bool written;

	sqlite_lock(journal);
	sqlite_unreserve(room);
	room->state |= SQLITE_ROOM_CLOSED;
	if ((room->state & STORE_REMOVED) != 0)
		sqlite_note_change(room);
	written = !room->changed;
	sqlite_unlock(journal);
	if (written)
		sqlite_free_room(room);
}

static void sqlite_forget_room(struct journal_room *room)
{
	sqlite_lock(room->journal);
	room->state |= STORE_REMOVED;
	sqlite_note_change(room);
	sqlite_unlock(room->journal);
}

static void sqlite_set_waits(struct journal_room *room, bool waits)
{
	unsigned state;

	sqlite_lock(room->journal);
	state = (room->state & ~(unsigned)STORE_WAITS) | (waits ? STORE_WAITS : 0u);
	if (state != room->state) {
		room->state = state;
		sqlite_note_change(room);
	}
	sqlite_unlock(room->journal);
}

/* ---- Appending. ---- */

static bool sqlite_queue_is_full(const struct sqlite_journal *journal) REQUIRES(JOURNAL_QUEUE_LOCK);
static bool sqlite_queue_is_full(const struct sqlite_journal *journal)
{
	return journal->queue.count >= QUEUE_DRAFTS_MOST || journal->queue.bytes >= QUEUE_BYTES_MOST;
}

static int sqlite_reserve_item(struct queue *queue)
{
	size_t capacity = queue->capacity == 0 ? 64 : 2 * queue->capacity;
	struct queued *grown;

	if (queue->count < queue->capacity)
		return 0;
	grown = realloc(queue->items, capacity * sizeof *grown);
	if (grown == NULL)
		return -ENOMEM;
	queue->items = grown;
	queue->capacity = capacity;
	return 0;
}

/* Whoever says more than the disk can take waits for it. The writer itself cannot wait. */
static int sqlite_wait_for_space(struct sqlite_journal *journal) REQUIRES(JOURNAL_QUEUE_LOCK);
static int sqlite_wait_for_space(struct sqlite_journal *journal)
{
	long long deadline_ms = clock_ms() + QUEUE_WAIT_MS;

	while (sqlite_queue_is_full(journal) && !pthread_equal(pthread_self(), journal->writer)) {
		if (condition_wait_until(&journal->space, &journal->mutex, deadline_ms) != 0)
			return -EAGAIN;
	}
	return 0;
}

static int sqlite_enqueue(struct sqlite_journal *journal, const struct queued *item)
{
	int error = 0;

	sqlite_lock(journal);
	if (sqlite_queue_is_full(journal))
		error = sqlite_wait_for_space(journal);
	if (error == 0)
		error = sqlite_reserve_item(&journal->queue);
	if (error == 0) {
		journal->queue.items[journal->queue.count++] = *item;
		journal->queue.bytes += message_memory(item->draft->message);
		sqlite_wake_writer(journal);
	}
	sqlite_unlock(journal);
	return error;
}

static int sqlite_append(struct journal_room *room, const struct draft *draft)
{
	struct queued item = {
		.draft = draft_copy(draft),
		.room = room,
		.restored = draft->message->seq != 0 && draft->message->at_ns != 0,
	};
	int error;

	if (item.draft == NULL)
		return -ENOMEM;
	/* Acquire and release, here and below: a hold comes before the release that ends it. */
	if (atomic_fetch_add_explicit(&room->pending, 1, memory_order_acq_rel) == 0)
		room->listener->hold(room->room);
	error = sqlite_enqueue(room->journal, &item);
	if (error == 0)
		return 0;
	if (atomic_fetch_sub_explicit(&room->pending, 1, memory_order_acq_rel) == 1)
		room->listener->release(room->room);
	(void)message_acquire(draft->message); /* the caller's reference stays the caller's */
	draft_free(item.draft);
	return error;
}

/* ---- Reading. ---- */

static ssize_t sqlite_read(struct journal_room *room, uint64_t from, struct message **messages, size_t capacity)
{
	struct sqlite_readers *readers = &room->journal->readers;
	const char *label = room->name == NULL ? room->id : room->name;
	struct sqlite_store *store;
	size_t count;
	int error;

	if (from > STORE_SEQ_MOST || capacity == 0)
		return 0;
	store = sqlite_readers_acquire(readers);
	error = sqlite_readers_release(
		readers, store, sqlite_store_read(store, room->number, label, from, messages, capacity, &count));
	if (error == 0)
		return (ssize_t)count;
	while (count > 0)
		message_release(messages[--count]);
	return error;
}

static uint64_t sqlite_next_seq(struct journal_room *room)
{
	uint64_t next;

	sqlite_room_lock(room);
	next = room->next_seq;
	sqlite_room_unlock(room);
	return next;
}

static int sqlite_find_in_file(
	struct sqlite_journal *journal, const char *key, const char *id, struct room_record *record, int64_t *number)
{
	struct sqlite_store *store = sqlite_readers_acquire(&journal->readers);
	int result = SQLITE_DONE;

	if (key != NULL && key[0] != '\0')
		result = sqlite_store_find_room(store, STORE_FIND_KEY, key, record, number);
	if (result == SQLITE_DONE && id != NULL && id[0] != '\0')
		result = sqlite_store_find_room(store, STORE_FIND_ID, id, record, number);
	return sqlite_readers_release(&journal->readers, store, result);
}

static int sqlite_find_room(struct journal *base, const char *key, const char *id, struct room_record *record)
{
	struct sqlite_journal *journal = sqlite_of(base);

	for (;;) {
		uint64_t forgotten = sqlite_forgotten(journal);
		int64_t number = 0;
		bool changed;
		int error = sqlite_find_in_file(journal, key, id, record, &number);

		if (error != 0)
			return error;
		sqlite_lock(journal);
		changed = journal->forgotten != forgotten;
		if (sqlite_is_forgotten(journal, number))
			error = -ENOENT;
		sqlite_unlock(journal);
		if (!changed || error != 0)
			return error;
	}
}

/* Strings of a record point into it, so they move with it. */
static void sqlite_move_record(struct room_record *to, const struct room_record *from)
{
	*to = *from;
	to->attributes.id = to->id;
	to->attributes.name = from->attributes.name == NULL ? NULL : to->name;
	to->attributes.creator = to->creator;
	to->attributes.topic = from->attributes.topic == NULL ? NULL : to->topic;
}

/* Drops those that are forgotten; '*count' is how many are left. False if more have been forgotten than 'forgotten'
 * says: what was read may be out of date. */
static bool sqlite_drop_forgotten(struct sqlite_journal *journal, uint64_t forgotten, struct room_record *records,
	const int64_t *numbers, size_t *count)
{
	size_t left = 0;
	bool unchanged;

	sqlite_lock(journal);
	unchanged = journal->forgotten == forgotten;
	for (size_t i = 0; i < *count && unchanged; i++) {
		if (sqlite_is_forgotten(journal, numbers[i]))
			continue;
		if (left != i)
			sqlite_move_record(&records[left], &records[i]);
		left++;
	}
	sqlite_unlock(journal);
	*count = left;
	return unchanged;
}

/* Lists one page of rooms behind the id 'last', which becomes that of the last one that was looked at. */
static ssize_t sqlite_list_page(struct sqlite_journal *journal, char last[ROOM_ID_SIZE], bool listed,
	struct room_record *records, size_t capacity, bool *more)
{
	int64_t numbers[LIST_MOST];
	size_t most = capacity < LIST_MOST ? capacity : LIST_MOST;
	char next[ROOM_ID_SIZE];
	uint64_t forgotten;
	size_t count;

	do {
		struct sqlite_store *store;
		int error;

		forgotten = sqlite_forgotten(journal);
		store = sqlite_readers_acquire(&journal->readers);
		error = sqlite_readers_release(&journal->readers, store,
			sqlite_store_list_rooms(store, last, listed, records, numbers, most, &count));
		if (error != 0)
			return error;
		*more = count == most;
		(void)snprintf(next, sizeof next, "%s", count == 0 ? last : records[count - 1].id);
	} while (!sqlite_drop_forgotten(journal, forgotten, records, numbers, &count));
	memcpy(last, next, sizeof next);
	return (ssize_t)count;
}

static ssize_t sqlite_list_rooms(
	struct journal *base, const char *after, bool listed, struct room_record *records, size_t capacity)
{
	char last[ROOM_ID_SIZE];
	size_t count = 0;
	bool more = true;

	(void)snprintf(last, sizeof last, "%s", after);
	while (more && count < capacity) {
		ssize_t listed_now =
			sqlite_list_page(sqlite_of(base), last, listed, records + count, capacity - count, &more);

		if (listed_now < 0)
			return listed_now;
		count += (size_t)listed_now;
	}
	return (ssize_t)count;
}

/* ---- Marks. ---- */

static void sqlite_set_mark(struct journal_room *room, const char *key, uint64_t seq)
{
	struct sqlite_journal *journal = room->journal;

	if (seq > STORE_SEQ_MOST || sqlite_next_seq(room) == 1)
		return; /* there is nothing to have been read */
	sqlite_marks_set(&journal->marks, room->number, key, seq);
}

static uint64_t sqlite_mark(struct journal_room *room, const char *key)
{
	struct sqlite_journal *journal = room->journal;
	/* In this order: a mark that is not found here was written before it is looked for there. */
	uint64_t set = sqlite_marks_find(&journal->marks, room->number, key);
	uint64_t written = 0;
	struct sqlite_store *store = sqlite_readers_acquire(&journal->readers);
	int error = sqlite_readers_release(
		&journal->readers, store, sqlite_store_read_mark(store, key, room->number, &written));

	return error == 0 && written > set ? written : set;
}

/* ---- Searching. ---- */

static ssize_t sqlite_search_file(
	struct journal *base, const struct search *search, struct found *found, size_t capacity, uint64_t *behind)
{
	struct sqlite_journal *journal = sqlite_of(base);
	long long end_ms = clock_ms() + SQLITE_SEARCH_MS; /* the wait for others that search counts, too */
	struct sqlite_store *store = sqlite_readers_acquire(&journal->searchers);
	ssize_t count = store->connection == NULL
		? -EIO
		: sqlite_search(store->connection, search, end_ms, found, capacity, behind);

	(void)sqlite_readers_release(
		&journal->searchers, store, count < 0 && count != -ETIMEDOUT ? SQLITE_IOERR : SQLITE_OK);
	return count;
}

/* ---- The journal itself. ---- */

/* All that was written goes to the file; what stays in the log, as on a full disk, is found by the next start. */
static void sqlite_close_store(struct sqlite_journal *journal)
{
	if (journal->store.connection != NULL)
		(void)sqlite3_wal_checkpoint_v2(
			journal->store.connection, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	sqlite_store_close(&journal->store);
}

/* Frees what sqlite_create() made; the store is closed. */
static void sqlite_dispose(struct sqlite_journal *journal)
{
	char *path = (char *)(uintptr_t)journal->options.path;

	sqlite_lock(journal);
	free(journal->queue.items);
	sqlite_unlock(journal);
	if (journal->index_descriptor >= 0)
		(void)close(journal->index_descriptor);
	sqlite_file_unlock(journal->descriptor);
	sqlite_marks_fini(&journal->marks);
	mutex_fini(&journal->mutex);
	(void)pthread_cond_destroy(&journal->work); /* nobody waits any more */
	(void)pthread_cond_destroy(&journal->space);
	(void)pthread_cond_destroy(&journal->closed);
	free(path);
	free(journal);
}

/* Rooms whose state could not be written are left when the file failed to the end. */
static void sqlite_free_changed(struct sqlite_journal *journal)
{
	struct journal_room *next;

	sqlite_lock(journal);
	next = journal->changed;
	journal->changed = NULL;
	while (next != NULL) {
		struct journal_room *room = next;

		next = room->next_changed;
		sqlite_free_room(room);
	}
	sqlite_unlock(journal);
}

static void sqlite_destroy(struct journal *base)
{
	struct sqlite_journal *journal = sqlite_of(base);

	sqlite_lock(journal);
	journal->stopping = true;
	sqlite_wake_writer(journal);
	sqlite_unlock(journal);
	thread_join(journal->writer);
	sqlite_checkpoints_stop(&journal->checkpoints);
	sqlite_readers_fini(&journal->searchers);
	sqlite_readers_fini(&journal->readers);
	sqlite_store_close(&journal->keeper);
	sqlite_close_store(journal);
	sqlite_free_changed(journal);
	sqlite_dispose(journal);
}

static const struct journal_ops sqlite_ops = {
	.name = "sqlite",
	.open_room = sqlite_open_room,
	.close_room = sqlite_close_room,
	.forget_room = sqlite_forget_room,
	.set_waits = sqlite_set_waits,
	.append = sqlite_append,
	.read = sqlite_read,
	.next_seq = sqlite_next_seq,
	.find_room = sqlite_find_room,
	.list_rooms = sqlite_list_rooms,
	.set_mark = sqlite_set_mark,
	.mark = sqlite_mark,
	.search = sqlite_search_file,
	.destroy = sqlite_destroy,
};

static struct sqlite_journal *sqlite_create(const struct sqlite_options *options, int descriptor)
{
	struct sqlite_journal *journal = calloc(1, sizeof *journal);
	char *path = realpath(options->path, NULL);

	if (journal == NULL || path == NULL) {
		free(journal);
		free(path);
		return NULL;
	}
	journal->journal.ops = &sqlite_ops;
	journal->options = *options;
	journal->options.path = path;
	if (options->retain_days > RETAIN_DAYS_MOST)
		journal->options.retain_days = RETAIN_DAYS_MOST;
	journal->descriptor = descriptor;
	journal->index_descriptor = -1;
	journal->batch_ms = clock_ms();
	mutex_init(&journal->mutex);
	condition_init(&journal->work);
	condition_init(&journal->space);
	condition_init(&journal->closed);
	sqlite_marks_init(&journal->marks);
	return journal;
}

/*
 * When the writer closes its connection after a failure, it must not be the last: the next one would look through the
 * log for itself, and might find whole what SQLite took back and what was refused. So one connection has the log open
 * all the time.
 */
static int sqlite_keep_log(struct sqlite_journal *journal)
{
	int64_t number;
	int result = sqlite_store_open(&journal->keeper, journal->options.path, STORE_READS, journal->options.sync);

	if (result == SQLITE_OK)
		result = sqlite_store_run(&journal->keeper, STORE_LAST_NUMBER, NULL, 0, &number);
	if (result == SQLITE_OK)
		journal->index_descriptor = sqlite_file_reserve_index(journal->options.path);
	return result;
}

/* Opens the connection that writes, and reads what has to be known of the file. */
static int sqlite_open_store(struct sqlite_journal *journal, char *fault, size_t fault_size)
{
	const char *path = journal->options.path;
	int64_t number = 0;
	int result = sqlite_store_open(&journal->store, path, STORE_WRITES, journal->options.sync);
	int error;

	if (result != SQLITE_OK)
		return sqlite_schema_fault(&journal->store, result, path, fault, fault_size);
	error = sqlite_schema_open(&journal->store, path, fault, fault_size);
	if (error != 0)
		return error;
	result = sqlite_keep_log(journal);
	if (result == SQLITE_OK)
		result = sqlite_upkeep_start(journal);
	if (result == SQLITE_OK)
		result = sqlite_store_last_number(&journal->store, &number);
	if (result == SQLITE_OK && (number < 0 || number >= STORE_NUMBER_MOST))
		result = SQLITE_CORRUPT;
	if (result != SQLITE_OK)
		return sqlite_schema_fault(&journal->store, result, path, fault, fault_size);
	sqlite_lock(journal);
	journal->last_number = number;
	sqlite_unlock(journal);
	journal->store.descriptor = journal->descriptor;
	sqlite_index_init_store(&journal->index, &journal->store);
	return 0;
}

static int sqlite_start_threads(struct sqlite_journal *journal)
{
	int error = sqlite_checkpoints_start(&journal->checkpoints, journal->options.path, journal->options.sync);

	if (error != 0)
		return error;
	error = thread_start(&journal->writer, WRITER_STACK_SIZE, sqlite_writer_run, journal);
	if (error != 0)
		sqlite_checkpoints_stop(&journal->checkpoints);
	return error;
}

/* Counting memory takes a lock for each allocation, and nobody looks at the count. Too late when SQLite is in use. */
static void sqlite_configure(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int sqlite_journal_open(const struct sqlite_options *options, struct journal **opened, char *fault, size_t fault_size)
{
	static pthread_once_t configured = PTHREAD_ONCE_INIT;
	int descriptor = sqlite_file_lock(options->path, fault, fault_size);
	struct sqlite_journal *journal;
	int error;

	if (descriptor < 0)
		return descriptor;
	(void)pthread_once(&configured, sqlite_configure);
	journal = sqlite_create(options, descriptor);
	if (journal == NULL) {
		(void)snprintf(
			fault, fault_size, "the journal %s cannot be opened: %s", options->path, strerror(ENOMEM));
		sqlite_file_unlock(descriptor);
		return -ENOMEM;
	}
	error = sqlite_open_store(journal, fault, fault_size);
	if (error != 0)
		goto fail;
	sqlite_readers_init(&journal->readers, journal->options.path, SQLITE_READERS);
	sqlite_readers_init(&journal->searchers, journal->options.path, SQLITE_SEARCHERS);
	error = sqlite_start_threads(journal);
	if (error != 0) {
		(void)snprintf(
			fault, fault_size, "the journal %s cannot be opened: %s", options->path, strerror(-error));
		goto fail_readers;
	}
	*opened = &journal->journal;
	return 0;

fail_readers:
	sqlite_readers_fini(&journal->searchers);
	sqlite_readers_fini(&journal->readers);
fail:
	sqlite_store_close(&journal->keeper);
	sqlite_store_close(&journal->store);
	sqlite_dispose(journal);
	return error;
}
