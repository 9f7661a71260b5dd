#include "tcpserver/journals/sqlite_writer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "tcpserver/core/health.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/metrics.h"
#include "tcpserver/journals/sqlite_file.h"
#include "tcpserver/journals/sqlite_journal.h"

enum {
	DRAFTS_MOST = 10000, /* of one transaction                                   */
	BYTES_MOST = 4 * 1024 * 1024,
	TRY_AGAIN_MS = 100,      /* between tries of a file that cannot be written       */
	IDLE_MS = 100,           /* without a draft: there is time for upkeep            */
	BUSY_UPKEEP_MS = 100,    /* between steps of upkeep when drafts never end        */
	UPKEEP_MS = 1000,        /* between looks whether there is upkeep                */
	QUIET_UPKEEP_MS = 60000, /* the same, when nothing was written                   */
};

/* What one transaction is about. */
struct batch {
	struct queued *items;
	size_t count;
	struct journal_room *touched; /* rooms of its drafts */
	bool wrote;                   /* the file was written to: it can be */
	struct journal_room *changed; /* rooms whose state is written: those from here on in the list */
};

static void writer_room_lock(struct journal_room *room) ACQUIRES(JOURNAL_LOCK) UNCHECKED;
static void writer_room_unlock(struct journal_room *room) RELEASES(JOURNAL_LOCK) UNCHECKED;

static void writer_room_lock(struct journal_room *room)
{
	mutex_lock(&room->mutex);
}

static void writer_room_unlock(struct journal_room *room)
{
	mutex_unlock(&room->mutex);
}

/* ---- The file works, or does not. ---- */

/* The connection is opened anew, unless the file is not the one that is locked: somebody moved or deleted it. */
static int writer_reopen(struct sqlite_journal *journal)
{
	int result = SQLITE_OK;

	if (journal->store.connection != NULL)
		return SQLITE_OK;
	if (!sqlite_file_is_there(journal->options.path, journal->descriptor))
		return SQLITE_CANTOPEN;
	result = sqlite_store_open(&journal->store, journal->options.path, STORE_WRITES, journal->options.sync);
	if (result == SQLITE_OK)
		result = sqlite_store_start_writing(&journal->store, false);
	if (result != SQLITE_OK) {
		sqlite_store_close(&journal->store);
		return result;
	}
	journal->store.descriptor = journal->descriptor;
	sqlite_index_init_store(&journal->index, &journal->store);
	return SQLITE_OK;
}

/* SQLite's words for a result; those of the connection say more, unless it has done something else since. */
static const char *writer_detail(const struct sqlite_journal *journal, int result)
{
	sqlite3 *connection = journal->store.connection;

	return connection == NULL || ((sqlite3_errcode(connection) ^ result) & 0xff) != 0 ? sqlite3_errstr(result)
											  : sqlite3_errmsg(connection);
}

static void writer_log_failure(const struct sqlite_journal *journal, int result, int error)
{
	if (error == ENOENT)
		log_event(LOG_ERROR, "journal-failed", "file", journal->options.path, "error",
			"the file is not there any more: it was moved or deleted", "now",
			"what is said is refused until this very file is back in its place; if it is lost, stop the server and "
			"start it again, with a new one",
			NULL);
	else
		log_event(LOG_ERROR, "journal-failed", "file", journal->options.path, "error", strerror(error), "detail",
			writer_detail(journal, result), "now", "what is said is refused until the file can be written again", NULL);
}

/* Takes note of a failure, and logs the first of an episode. Returns its errno. */
static int writer_fail(struct sqlite_journal *journal, int result)
{
	bool there = sqlite_file_is_there(journal->options.path, journal->descriptor);
	int error = there ? sqlite_store_errno(&journal->store, result) : ENOENT;

	if (journal->failure == 0 || (error == ENOENT && journal->failure != ENOENT))
		writer_log_failure(journal, result, error);
	sqlite_store_rollback(&journal->store);
	if ((result & 0xff) == SQLITE_IOERR)
		sqlite_store_erase_failed(&journal->store); /* before anybody is told that it was refused */
	if (sqlite_store_is_broken(result))
		sqlite_store_close(&journal->store);
	journal->failure = error;
	health_note_journal(error);
	journal->next_try_ms = clock_ms() + TRY_AGAIN_MS;
	sqlite_checkpoints_note_idle(&journal->checkpoints); /* a full disk may get room by it */
	return error;
}

static void writer_succeed(struct sqlite_journal *journal)
{
	if (journal->failure != 0)
		log_event(LOG_WARNING, "journal-works-again", "file", journal->options.path, NULL);
	journal->failure = 0;
	health_note_journal(0);
}

/* ---- The transaction. ---- */

static void writer_touch(struct batch *batch, struct journal_room *room)
{
	if (room->settled++ > 0)
		return;
	room->next_before = room->next;
	room->last_ms_before = room->last_ms;
	room->was_kept = room->is_kept;
	room->next_touched = batch->touched;
	batch->touched = room;
}

static void writer_restore_rooms(const struct batch *batch)
{
	for (struct journal_room *room = batch->touched; room != NULL; room = room->next_touched) {
		room->next = room->next_before;
		room->last_ms = room->last_ms_before;
		room->is_kept = room->was_kept;
	}
}

static void writer_forget_repeated(struct queued *item)
{
	item->repeated = 0;
	free(item->repeated_in);
	item->repeated_in = NULL;
}

/* What became of the drafts in a transaction that failed. */
static void writer_restore_drafts(const struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		batch->items[i].error = 0;
		writer_forget_repeated(&batch->items[i]);
	}
}

static unsigned writer_room_state(struct journal_room *room)
{
	unsigned state;

	sqlite_lock(room->journal);
	state = room->state;
	sqlite_unlock(room->journal);
	return state;
}

static int writer_keep_room(struct sqlite_store *store, struct journal_room *room)
{
	const struct store_room row = {
		.number = room->number,
		.id = room->id,
		.name = room->name,
		.creator = room->creator,
		.topic = room->topic,
		.capacity = room->capacity,
		.flags = writer_room_state(room) & ~(unsigned)SQLITE_ROOM_CLOSED,
		.created_ms = room->created_ms,
	};
	int result = room->is_kept ? SQLITE_OK : sqlite_store_add_room(store, &row);

	room->is_kept = room->is_kept || result == SQLITE_OK;
	return result;
}

/* Notes the client's number of a message. '*before' is its place if it was kept before, else 0. */
static int writer_keep_sent(
	struct sqlite_store *store, const struct draft *draft, int64_t place, int64_t now_ms, int64_t *before)
{
	*before = 0;
	if (draft->number == 0)
		return SQLITE_OK;
	return sqlite_store_add_sent(store, draft->client, draft->number, place, now_ms, before);
}

static int writer_keep_message(struct sqlite_store *store, const struct journal_room *room,
	const struct message *message, int64_t place, int64_t at_ms)
{
	int result = sqlite_store_add_message(store, place, at_ms, message);

	if (result == SQLITE_OK && message->kind == MESSAGE_TOPIC)
		result = sqlite_store_set_topic(store, room->number, message->text, message->text_size);
	return result;
}

/*
 * The file has messages in this room that the server has not put there: a transaction that was thought to have failed,
 * or another program. The room goes on behind them.
 */
static int writer_step_over(struct sqlite_journal *journal, struct journal_room *room)
{
	const int64_t all[] = {store_place(room->number, 0), store_place(room->number + 1, 0)};
	int64_t last = all[0];
	int result = sqlite_store_run(&journal->store, STORE_LAST_PLACE, all, 2, &last);

	if (result == SQLITE_OK && last >= all[0] && store_seq(last) >= room->next)
		room->next = store_seq(last) + 1;
	return result;
}

/* After a statement about a draft failed: it may be that draft's trouble alone, which becomes its error. */
static int writer_spare_others(struct sqlite_journal *journal, struct queued *item, int result)
{
	const struct draft *draft = item->draft;

	if (!sqlite_store_is_harmless(result))
		return result;
	item->error = sqlite_store_errno(&journal->store, result);
	result = writer_step_over(journal, item->room);
	if (result == SQLITE_OK && draft->number != 0) /* it must not stay without its message */
		result = sqlite_store_drop_sent(&journal->store, draft->client, draft->number);
	return result;
}

/* Keeps a draft, whose client's number is not known yet, as number 'seq'. */
static int writer_keep_new(struct sqlite_journal *journal, struct queued *item, uint64_t seq, int64_t at_ms)
{
	struct journal_room *room = item->room;
	struct message *message = item->draft->message;
	int result = writer_keep_message(&journal->store, room, message, store_place(room->number, seq), at_ms);

	if (result != SQLITE_OK)
		return writer_spare_others(journal, item, result);
	message->seq = seq;
	message->at_ns = at_ms * 1000000;
	room->next = seq + 1;
	room->last_ms = at_ms > room->last_ms ? at_ms : room->last_ms;
	return SQLITE_OK;
}

static int writer_keep_as(
	struct sqlite_journal *journal, struct queued *item, uint64_t seq, int64_t at_ms, int64_t now_ms)
{
	struct journal_room *room = item->room;
	int64_t before = 0;
	int result = writer_keep_room(&journal->store, room);

	if (sqlite_store_is_harmless(result)) { /* its name is another room's */
		item->error = sqlite_store_errno(&journal->store, result);
		return SQLITE_OK;
	}
	if (result == SQLITE_OK)
		result =
			writer_keep_sent(&journal->store, item->draft, store_place(room->number, seq), now_ms, &before);
	if (result != SQLITE_OK)
		return result;
	item->repeated = store_seq(before);
	if (before != 0 && store_number(before) != room->number)
		item->repeated_in = sqlite_store_label(&journal->store, store_number(before));
	return before != 0 ? SQLITE_OK : writer_keep_new(journal, item, seq, at_ms);
}

static int writer_keep(struct sqlite_journal *journal, struct queued *item, int64_t now_ms)
{
	const struct message *message = item->draft->message;
	const struct journal_room *room = item->room;
	uint64_t seq = item->restored ? message->seq : room->next;
	int64_t at_ms = item->restored ? message->at_ns / 1000000 : now_ms > room->last_ms ? now_ms : room->last_ms;
	int result;

	if (seq < room->next)
		item->error = EEXIST;
	else if (seq > STORE_SEQ_MOST || at_ms > STORE_MS_MOST)
		item->error = EFBIG;
	if (item->error != 0)
		return SQLITE_OK;
	result = writer_keep_as(journal, item, seq, at_ms, now_ms);
	if (result == SQLITE_OK && item->error == EEXIST && !item->restored && room->next > seq) {
		item->error = 0;
		result = writer_keep_as(journal, item, room->next, at_ms, now_ms);
	}
	return result;
}

/* What is to be written about rooms; others may change it meanwhile, and put rooms before the first of these. */
static struct journal_room *writer_look_at_changes(struct sqlite_journal *journal)
{
	struct journal_room *first;

	sqlite_lock(journal);
	first = journal->changed;
	journal->news = false;
	for (struct journal_room *room = first; room != NULL; room = room->next_changed)
		room->state_written = room->state;
	sqlite_unlock(journal);
	return first;
}

static int writer_keep_changes(struct sqlite_journal *journal, struct journal_room *first) UNCHECKED;
/* UNCHECKED: the list is stable from 'first' on, as only the writer takes rooms out of it. */
static int writer_keep_changes(struct sqlite_journal *journal, struct journal_room *first)
{
	int result = SQLITE_OK;

	for (struct journal_room *room = first; room != NULL && result == SQLITE_OK; room = room->next_changed) {
		bool open = (room->state_written & SQLITE_ROOM_CLOSED) == 0;

		if (room->is_kept)
			result = sqlite_store_set_flags(&journal->store, room->number,
				room->state_written & ~(unsigned)SQLITE_ROOM_CLOSED, open);
	}
	return result;
}

/* Rooms whose state is in the file leave the list; those that were closed are freed. */
static void writer_settle_changes(struct sqlite_journal *journal, const struct journal_room *first)
{
	struct journal_room **link;

	sqlite_lock(journal);
	link = &journal->changed;
	while (first != NULL && *link != first)
		link = &(*link)->next_changed;
	while (*link != NULL && first != NULL) {
		struct journal_room *room = *link;

		if (room->state != room->state_written) {
			link = &room->next_changed;
			continue;
		}
		*link = room->next_changed;
		room->changed = false;
		journal->forgotten += (room->state & STORE_REMOVED) != 0;
		room->next_changed = NULL;
		if ((room->state & SQLITE_ROOM_CLOSED) != 0)
			sqlite_free_room(room);
	}
	sqlite_unlock(journal);
}

/* While the file cannot be written, rooms come and go; those that were never in it need not wait for it. */
static void writer_drop_unknown(struct sqlite_journal *journal)
{
	struct journal_room **link;

	sqlite_lock(journal);
	link = &journal->changed;
	while (*link != NULL) {
		struct journal_room *room = *link;

		if ((room->state & SQLITE_ROOM_CLOSED) == 0 || room->is_kept) {
			link = &room->next_changed;
			continue;
		}
		*link = room->next_changed;
		sqlite_free_room(room);
	}
	sqlite_unlock(journal);
}

static int writer_try_once(struct sqlite_journal *journal, struct batch *batch)
{
	int64_t now_ms = clock_wall_ns() / 1000000;
	int result = writer_reopen(journal);
	bool probes = journal->failure != 0;
	int before = result == SQLITE_OK ? sqlite3_total_changes(journal->store.connection) : 0;

	if (result == SQLITE_OK && probes)
		result = sqlite_store_write_nothing(&journal->store); /* a transaction that changes nothing would not tell */
	if (result == SQLITE_OK)
		result = sqlite_store_begin(&journal->store);
	if (result == SQLITE_OK)
		result = writer_keep_changes(journal, batch->changed);
	for (size_t i = 0; i < batch->count && result == SQLITE_OK; i++)
		result = writer_keep(journal, &batch->items[i], now_ms);
	if (result == SQLITE_OK)
		result = sqlite_store_commit(&journal->store);
	/* What the probe writes is no change of a row. */
	batch->wrote = result == SQLITE_OK && (probes || sqlite3_total_changes(journal->store.connection) != before);
	return result;
}

/* The log may be what fills the disk: then its room is given back, and there is another try. */
static int writer_try(struct sqlite_journal *journal, struct batch *batch)
{
	int result = writer_try_once(journal, batch);

	if ((result & 0xff) != SQLITE_FULL)
		return result;
	sqlite_store_rollback(&journal->store);
	if (!sqlite_checkpoints_give_back(&journal->checkpoints, &journal->store))
		return result;
	writer_restore_rooms(batch);
	writer_restore_drafts(batch);
	return writer_try_once(journal, batch);
}

/* ---- After it. ---- */

/* What a draft that was not kept got in the transaction is taken back. */
static void writer_take_back(struct queued *item, int error)
{
	item->error = error;
	writer_forget_repeated(item);
	if (item->restored)
		return;
	item->draft->message->seq = 0;
	item->draft->message->at_ns = 0;
}

static void writer_publish_room(struct journal_room *room, const struct queued *items, size_t count)
{
	writer_room_lock(room);
	for (size_t i = 0; i < count; i++) {
		const struct queued *item = &items[i];

		if (item->error != 0)
			continue;
		if (item->repeated != 0) {
			room->listener->repeat(room->room, item->draft, item->repeated, item->repeated_in);
			continue;
		}
		room->next_seq = item->draft->message->seq + 1;
		room->listener->publish(room->room, item->draft);
	}
	writer_room_unlock(room);
	for (size_t i = 0; i < count; i++) {
		if (items[i].error != 0)
			room->listener->refuse(room->room, items[i].draft, items[i].error);
		draft_free(items[i].draft);
		free(items[i].repeated_in);
	}
}

/* Calls back for each draft; those of one room that follow each other, under one lock. */
static void writer_publish(const struct batch *batch)
{
	for (size_t i = 0, end; i < batch->count; i = end) {
		for (end = i + 1; end < batch->count && batch->items[end].room == batch->items[i].room; end++)
			continue;
		writer_publish_room(batch->items[i].room, batch->items + i, end - i);
	}
}

/* After the release a room may be gone. */
static void writer_flush(const struct batch *batch)
{
	struct journal_room *room = batch->touched;

	while (room != NULL) {
		struct journal_room *next = room->next_touched;
		unsigned settled = room->settled;

		room->settled = 0;
		sqlite_index_note(&room->journal->index, room->number);
		room->listener->flush(room->room);
		/* Release: whoever holds it anew comes after this. Acquire: and what it did before is seen. */
		if (atomic_fetch_sub_explicit(&room->pending, settled, memory_order_acq_rel) == settled)
			room->listener->release(room->room);
		room = next;
	}
}

/* Keeps and publishes the items of one transaction. Without items: the rooms that have changed. */
static void writer_write(struct sqlite_journal *journal, struct queued *items, size_t count)
{
	struct batch batch = {.items = items, .count = count};
	int error = journal->failure;

	for (size_t i = 0; i < count; i++)
		writer_touch(&batch, items[i].room);
	if (error == 0 || clock_ms() >= journal->next_try_ms) {
		int64_t begin_ns = clock_ns();
		int result;

		batch.changed = writer_look_at_changes(journal);
		result = writer_try(journal, &batch);
		error = result == SQLITE_OK ? 0 : writer_fail(journal, result);
		if (error == 0 && count > 0)
			metrics_committed(count, clock_ns() - begin_ns);
		if (error == 0) {
			if (batch.wrote)
				writer_succeed(journal);
			writer_settle_changes(journal, batch.changed);
		}
	}
	if (error != 0) {
		writer_restore_rooms(&batch);
		writer_drop_unknown(journal);
	}
	for (size_t i = 0; i < count; i++) {
		if (error != 0 || items[i].error != 0)
			writer_take_back(&items[i], items[i].error != 0 ? items[i].error : error);
	}
	writer_publish(&batch);
	writer_flush(&batch);
	if (error == 0)
		sqlite_checkpoints_note(&journal->checkpoints, &journal->store); /* it may take its time */
}

/* How many of the items go into one transaction. */
static size_t writer_slice(const struct queued *items, size_t count)
{
	size_t bytes = 0;
	size_t taken = 0;

	while (taken < count && taken < DRAFTS_MOST && bytes < BYTES_MOST)
		bytes += message_memory(items[taken++].draft->message);
	return taken;
}

/* ---- The thread. ---- */

static bool writer_has_work(struct sqlite_journal *journal, long long now_ms) REQUIRES(JOURNAL_QUEUE_LOCK);
static bool writer_has_work(struct sqlite_journal *journal, long long now_ms)
{
	bool changes = journal->news || (journal->changed != NULL && journal->failure != 0);

	return journal->queue.count > 0 || journal->stopping || now_ms >= journal->upkeep_ms ||
	       (changes && (journal->failure == 0 || now_ms >= journal->next_try_ms));
}

/* Waits for something to do, and takes the whole queue in exchange for an empty one. False: the journal ends. */
static bool writer_take(struct sqlite_journal *journal, struct queue *taken, bool *changes)
{
	bool stopping;

	sqlite_lock(journal);
	while (!writer_has_work(journal, clock_ms())) {
		long long until_ms = journal->upkeep_ms;

		if (journal->changed != NULL && journal->failure != 0 && journal->next_try_ms < until_ms)
			until_ms = journal->next_try_ms;
		journal->writer_sleeps = true;
		(void)!condition_wait_until(&journal->work, &journal->mutex, until_ms);
		journal->writer_sleeps = false;
	}
	*changes = journal->changed != NULL && (journal->news || journal->failure != 0);
	if (journal->queue.count > 0) {
		struct queue empty = *taken;

		empty.count = 0;
		empty.bytes = 0;
		*taken = journal->queue;
		journal->queue = empty;
		condition_broadcast(&journal->space);
	} else {
		taken->count = 0;
	}
	stopping = journal->stopping && taken->count == 0;
	sqlite_unlock(journal);
	return !stopping;
}

/* Upkeep comes soon after something was written, and goes on as long as there is some and nobody waits. */
static void writer_do_upkeep(struct sqlite_journal *journal)
{
	long long now_ms = clock_ms();
	bool more = false;
	int result = writer_reopen(journal);

	if (result == SQLITE_OK && !sqlite_file_is_there(journal->options.path, journal->descriptor)) {
		result = SQLITE_CANTOPEN; /* what is written now would be lost */
		sqlite_store_close(&journal->store);
	}
	if (result == SQLITE_OK && journal->failure != 0)
		writer_write(journal, NULL, 0); /* whether the file can be written again, if nobody says anything: see health.h */
	if (result == SQLITE_OK && journal->failure == 0)
		result = sqlite_upkeep_step(journal, &more);
	if (result != SQLITE_OK) {
		(void)writer_fail(journal, result);
		journal->upkeep_ms = now_ms + UPKEEP_MS;
		return;
	}
	if (journal->failure == 0 && journal->store.log_pages > 0)
		sqlite_checkpoints_note(&journal->checkpoints, &journal->store);
	now_ms = clock_ms();
	if (journal->failure != 0)
		journal->upkeep_ms = now_ms + UPKEEP_MS;
	else if (more)
		journal->upkeep_ms = now_ms + (now_ms - journal->batch_ms < IDLE_MS ? BUSY_UPKEEP_MS : 0);
	else
		journal->upkeep_ms =
			now_ms + (now_ms - journal->batch_ms < QUIET_UPKEEP_MS ? UPKEEP_MS : QUIET_UPKEEP_MS);
	if (!more && now_ms - journal->batch_ms >= UPKEEP_MS)
		sqlite_checkpoints_note_idle(&journal->checkpoints);
}

static void writer_write_all(struct sqlite_journal *journal, struct queue *taken, bool changes)
{
	if (taken->count == 0 && !changes)
		return;
	if (taken->count == 0)
		writer_write(journal, NULL, 0);
	for (size_t i = 0, slice; i < taken->count; i += slice) {
		slice = writer_slice(taken->items + i, taken->count - i);
		writer_write(journal, taken->items + i, slice);
	}
	journal->batch_ms = clock_ms();
	if (journal->upkeep_ms > journal->batch_ms + UPKEEP_MS)
		journal->upkeep_ms = journal->batch_ms + UPKEEP_MS;
}

/* What is left when the journal ends: rooms that have changed, and marks. There is one try. */
static void writer_finish(struct sqlite_journal *journal)
{
	int result;

	journal->next_try_ms = 0;
	writer_write(journal, NULL, 0);
	result = journal->failure != 0 ? SQLITE_IOERR : SQLITE_OK;
	while (result == SQLITE_OK && !sqlite_marks_are_written(&journal->marks))
		result = sqlite_marks_write(&journal->marks, &journal->store);
}

void *sqlite_writer_run(void *argument)
{
	struct sqlite_journal *journal = argument;
	struct queue taken = {.items = NULL};
	bool changes;

	thread_name("journal");
	while (writer_take(journal, &taken, &changes)) {
		writer_write_all(journal, &taken, changes);
		if (clock_ms() >= journal->upkeep_ms)
			writer_do_upkeep(journal);
	}
	writer_finish(journal);
	free(taken.items);
	return NULL;
}
