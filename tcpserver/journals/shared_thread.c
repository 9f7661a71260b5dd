#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "tcpserver/core/health.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/metrics.h"
#include "tcpserver/journals/shared_journal.h"
#include "tcpserver/journals/shared_queue.h"

enum {
	BYTES_MOST = 4 * 1024 * 1024, /* of one group                                        */
	TRY_AGAIN_MS = 200,           /* between tries of an engine that is away              */
	LOOK_MS = 1000,               /* between looks at the ends of all rooms               */
	LOOK_ROOMS = 256,             /* rooms of one look                                    */
	FETCH_MOST = 256,             /* messages that are fetched at once                    */
	NEWS_MOST = 64,
	GHOSTS_MOST = 256,
	AGAIN_MOST = 50,              /* tries of a group that others got in the way of       */
	WORK_MS = 200,                /* after which others are heard, however much there is to do */
	MARKS_AHEAD = 64,             /* deeds among which a newer mark is looked for          */
};

static const struct engine_ops *ops_of(const struct shared_journal *journal)
{
	return journal->engine->ops;
}

/* Whether the server stops, and has waited long enough for an engine that is away. */
static bool thread_is_over(struct shared_journal *journal)
{
	long long over_ms = atomic_load_explicit(&journal->over_ms, memory_order_relaxed); /* relaxed: it only says when */

	return over_ms != 0 && clock_ms() >= over_ms;
}

/* ---- The engine works, or does not. ---- */

static void thread_note_failure(struct shared_journal *journal, int error, const char *detail)
{
	if (!journal->failed)
		log_event(LOG_ERROR, "journal-failed", "journal", ops_of(journal)->name, "error",
			error == EIO ? "the database does not answer, or not as it should" : strerror(error), "detail", detail, "now", "what is said waits for --journal-patience, and is refused then; the server goes on trying", NULL);
	journal->failed = true;
	health_note_journal(error == EIO ? ENOTCONN : error); /* it is no disk that fails */
}

static void thread_note_success(struct shared_journal *journal)
{
	if (journal->failed)
		log_event(LOG_WARNING, "journal-works-again", "journal", ops_of(journal)->name, NULL);
	journal->failed = false;
	health_note_journal(0);
}

static void thread_disconnect(struct shared_journal *journal, struct link **link)
{
	if (*link != NULL)
		ops_of(journal)->disconnect(*link);
	*link = NULL;
}

/* Throws the links away that have broken. */
static void thread_check_links(struct shared_journal *journal)
{
	if (journal->writer != NULL && !ops_of(journal)->works(journal->writer)) {
		thread_note_failure(journal, EIO, ops_of(journal)->fault(journal->writer));
		thread_disconnect(journal, &journal->writer);
	}
	if (journal->news != NULL && !ops_of(journal)->works(journal->news))
		thread_disconnect(journal, &journal->news);
}

static int thread_beat(struct shared_journal *journal);
static void thread_beat_if_due(struct shared_journal *journal);
static void thread_refuse_late(struct shared_journal *journal);
static bool thread_try_catch_up(struct shared_journal *journal, struct journal_room *room, uint64_t upto);

/* Connects what is not connected. */
static bool thread_connect(struct shared_journal *journal)
{
	thread_check_links(journal);
	if (journal->writer != NULL && journal->news != NULL)
		return true;
	if (clock_ms() < journal->next_try_ms || thread_is_over(journal))
		return false;
	if (journal->writer == NULL)
		journal->writer = ops_of(journal)->connect(journal->engine, LINK_WRITES, journal->fault);
	if (journal->writer != NULL && journal->news == NULL) {
		journal->news = ops_of(journal)->connect(journal->engine, LINK_NEWS, journal->fault);
		journal->next_look_ms = 0; /* what was told meanwhile, nobody heard */
	}
	if (journal->writer != NULL && journal->news != NULL) {
		journal->next_beat_ms = 0;
		journal->judge_ms = clock_ms() + (ENGINE_DEAD_S + ENGINE_BEAT_S) * 1000;
		thread_note_success(journal);
		return true;
	}
	journal->next_try_ms = clock_ms() + TRY_AGAIN_MS;
	thread_note_failure(journal, EIO, journal->fault);
	return false;
}

/* Whoever was at this place before, as before kill -9, is gone, and nobody has to wait until that is certain. */
static int thread_succeed(struct shared_journal *journal)
{
	const char *place = journal->options.place;

	if (place == NULL || strlen(place) >= ENGINE_PLACE_SIZE)
		return 0;
	return ops_of(journal)->succeed(journal->writer, journal->server, place);
}

int shared_start(struct shared_journal *journal, char fault[ENGINE_FAULT_SIZE])
{
	long long until_ms = clock_ms() + (journal->options.wait_at_start ? journal->options.patience_ms : 0);
	char words[ENGINE_FAULT_SIZE] = "";

	while (!thread_connect(journal)) {
		if (clock_ms() >= until_ms) {
			(void)snprintf(fault, ENGINE_FAULT_SIZE, "%s", journal->fault);
			return -EIO;
		}
		(void)poll(NULL, 0, TRY_AGAIN_MS);
	}
	if (ops_of(journal)->describe != NULL) {
		ops_of(journal)->describe(journal->writer, words, sizeof words);
		log_event(LOG_INFO, "journal-promise", "journal", ops_of(journal)->name, "promise", words, "server", journal->server, NULL);
	}
	if (ops_of(journal)->beat == NULL || (thread_beat(journal) == 0 && thread_succeed(journal) == 0))
		return 0;
	(void)snprintf(fault, ENGINE_FAULT_SIZE, "%s",
		journal->writer == NULL ? journal->fault : ops_of(journal)->fault(journal->writer));
	return -EIO;
}

/* ---- Publishing. ---- */

/* Publishes a message in its place, which is the next, unless some before it are not kept any more. */
static void thread_publish(struct journal_room *room, const struct draft *draft)
{
	shared_room_lock(room);
	room->published = draft->message->seq;
	room->listener->publish(room->room, draft);
	shared_room_unlock(room);
}

static uint64_t thread_published(struct journal_room *room)
{
	uint64_t published;

	shared_room_lock(room);
	published = room->published;
	shared_room_unlock(room);
	return published;
}

/* Publishes what others have said in the room, up to number 'upto' or a page of it. Returns how many those were, or -errno. */
static ssize_t thread_fetch(struct shared_journal *journal, struct journal_room *room, uint64_t upto)
{
	struct message *messages[FETCH_MOST];
	uint64_t published = thread_published(room);
	size_t most = upto - published < FETCH_MOST ? (size_t)(upto - published) : FETCH_MOST;
	ssize_t count = upto <= published ? 0
					  : ops_of(journal)->fetch(journal->writer, room->id, room->label, published + 1, messages, most);
	ssize_t fresh = 0;

	for (ssize_t i = 0; i < count; i++) {
		if (messages[i]->seq > published && messages[i]->seq <= upto) {
			const struct draft draft = {.message = messages[i], .given_ns = clock_ns()};

			published = messages[i]->seq;
			thread_publish(room, &draft);
			fresh++;
		}
		message_release(messages[i]);
	}
	return count < 0 ? count : fresh;
}

/* A message that cannot be read must not hold up all that come after it: it is left out, as those are that are not kept any more. False: it
 * is not known which one that is. */
static bool thread_step_over(struct shared_journal *journal, struct journal_room *room, uint64_t upto, int error)
{
	struct message *message;
	uint64_t next = thread_published(room) + 1;
	ssize_t count = ops_of(journal)->fetch(journal->writer, room->id, room->label, next, &message, 1);

	if (count == 1) { /* it is one of those behind */
		const struct draft draft = {.message = message, .given_ns = clock_ns()};

		thread_publish(room, &draft);
		message_release(message);
		return thread_try_catch_up(journal, room, upto);
	}
	if (count == 0 || upto == UINT64_MAX || !ops_of(journal)->works(journal->writer))
		return count == 0 || upto == UINT64_MAX; /* who knows how far it goes will ask again */
	log_event(LOG_ERROR, "journal-unreadable", "journal", ops_of(journal)->name, "room", room->id, "error", strerror(error), "detail",
		ops_of(journal)->fault(journal->writer), "now", "a message of this room is left out", NULL);
	shared_room_lock(room);
	room->published = next;
	shared_room_unlock(room);
	return thread_try_catch_up(journal, room, upto);
}

/* Publishes all that others have said up to 'upto'; what is not kept any more is left out. False: the engine is away. */
static bool thread_try_catch_up(struct shared_journal *journal, struct journal_room *room, uint64_t upto)
{
	ssize_t count = 0;

	while (thread_published(room) < upto) {
		count = thread_fetch(journal, room, upto);
		if (count <= 0)
			break;
	}
	if (count < 0 && count != -ENOENT && count != -EAGAIN && ops_of(journal)->works(journal->writer))
		return thread_step_over(journal, room, upto, (int)-count);
	return count >= 0 || count == -ENOENT;
}

/* The same, however long it takes. False: the server stops, and the engine is away. */
static bool thread_catch_up(struct shared_journal *journal, struct journal_room *room, uint64_t upto)
{
	while (!thread_is_over(journal)) {
		if (thread_connect(journal) && thread_try_catch_up(journal, room, upto))
			return true;
		thread_beat_if_due(journal);
		(void)poll(NULL, 0, TRY_AGAIN_MS);
	}
	return false;
}

/* The room of that id, held; NULL: it is not open, or is not told of others. */
static struct journal_room *thread_hold(struct shared_journal *journal, const char *id)
{
	struct journal_room *room;

	shared_lock(journal);
	room = *shared_find_open(journal, id);
	if (room != NULL && !room->ready) {
		room->is_news = true;
		room = NULL;
	}
	if (room != NULL && (room->listener->try_hold == NULL || !room->listener->try_hold(room->room)))
		room = NULL;
	shared_unlock(journal);
	return room;
}

/* Looks for what others have said in a room whose last message is 'last', as far as that is known. */
static void thread_look_at(struct shared_journal *journal, const char *id, uint64_t last)
{
	struct journal_room *room = thread_hold(journal, id);

	if (room == NULL)
		return;
	if (last > thread_published(room) && thread_try_catch_up(journal, room, last))
		room->listener->flush(room->room);
	room->listener->release(room->room);
}

/* Asked while the room is held: it may have been opened, or made anew, since it was not there. */
static bool thread_is_forgotten(struct shared_journal *journal, const struct journal_room *room)
{
	const char *id = room->id;
	uint64_t last;

	return ops_of(journal)->last(journal->writer, &id, &last, 1) == 0 && last == UINT64_MAX;
}

static void thread_end_room(struct shared_journal *journal, const char *id)
{
	struct journal_room *room = thread_hold(journal, id);

	if (room == NULL)
		return;
	if (thread_is_forgotten(journal, room) && thread_try_catch_up(journal, room, UINT64_MAX) && room->listener->end != NULL &&
		!room->is_over) {
		room->is_over = true;
		room->listener->end(room->room);
	}
	room->listener->release(room->room);
}

/* ---- A group. ---- */

static void thread_touch(struct shared_journal *journal, struct journal_room *room)
{
	room->settled++;
	if (room->touched)
		return;
	room->touched = true;
	room->next_touched = journal->touched;
	journal->touched = room;
}

/* After the release a room may be gone. */
static void thread_flush(struct shared_journal *journal)
{
	struct journal_room *room = journal->touched;

	journal->touched = NULL;
	while (room != NULL) {
		struct journal_room *next = room->next_touched;
		unsigned settled = room->settled;

		room->settled = 0;
		room->touched = false;
		room->listener->flush(room->room);
		/* Release: whoever holds it anew comes after this. Acquire: and what it did before is seen. */
		if (atomic_fetch_sub_explicit(&room->pending, settled, memory_order_acq_rel) == settled)
			room->listener->release(room->room);
		room = next;
	}
}

/* A draft was published, repeated or refused. */
static void thread_settle(struct shared_journal *journal, struct shared_item *item)
{
	struct draft *draft = item->draft;

	thread_touch(journal, item->room);
	shared_queue_drop(&journal->work, item);
	draft_free(draft);
}

static void thread_refuse(struct shared_journal *journal, struct shared_item *item, int error)
{
	item->room->listener->refuse(item->room->room, item->draft, error);
	thread_settle(journal, item);
}

static void thread_publish_own(struct shared_journal *journal, struct shared_item *item, const struct entry *entry)
{
	struct message *message = item->draft->message;

	message->seq = entry->seq;
	message->at_ns = entry->at_ns;
	thread_publish(item->room, item->draft);
	thread_settle(journal, item);
}

static void thread_repeat(struct shared_journal *journal, struct shared_item *item, const struct entry *entry)
{
	bool elsewhere = strcmp(entry->kept_in, item->room->id) != 0;

	shared_room_lock(item->room);
	item->room->listener->repeat(
		item->room->room, item->draft, entry->seq, elsewhere && entry->label[0] != '\0' ? entry->label : NULL);
	shared_room_unlock(item->room);
	thread_settle(journal, item);
}

/* Whether a draft that was repeated is the one whose fate was not known: it was kept when it was tried before. */
static bool thread_was_kept_before(const struct shared_item *item, const struct entry *entry)
{
	return item->unknown && strcmp(entry->kept_in, item->room->id) == 0 && entry->seq > thread_published(item->room);
}

static void thread_settle_entry(struct shared_journal *journal, struct shared_item *item, const struct entry *entry)
{
	bool here = entry->outcome == ENTRY_KEPT || thread_was_kept_before(item, entry);
	bool repeated_here = entry->outcome == ENTRY_REPEATED && strcmp(entry->kept_in, item->room->id) == 0;

	if (entry->outcome == ENTRY_REFUSED)
		thread_refuse(journal, item, entry->error);
	/* What others said before it comes before it; and what was repeated is seen before that is told. */
	else if ((here || repeated_here) && !thread_catch_up(journal, item->room, here ? entry->seq - 1 : entry->seq))
		thread_refuse(journal, item, EIO); /* who sends it again after the restart is told the truth */
	else if (here)
		thread_publish_own(journal, item, entry);
	else
		thread_repeat(journal, item, entry);
}

static void thread_fill_entry(struct shared_journal *journal, struct shared_item *item, struct entry *entry)
{
	const struct message *message = item->draft->message;
	bool restored = message->seq != 0 && message->at_ns != 0;

	if (item->number == 0) {
		memcpy(item->client, journal->token, CLIENT_ID_SIZE);
		item->number = ++journal->numbers;
	}
	*entry = (struct entry){
		.room = item->room->id,
		.message = message,
		.server = journal->server,
		.number = item->number,
		.seq = restored ? message->seq : 0,
		.at_least = thread_published(item->room),
		.at_ns = restored ? message->at_ns : 0,
	};
	memcpy(entry->client, item->client, CLIENT_ID_SIZE);
}

/* How many of the items from this one on make one group: drafts whose fate is known, or not. */
static size_t thread_slice(const struct shared_journal *journal, const struct shared_item *item)
{
	const struct shared_item *end = journal->work.items + journal->work.count;
	size_t count = 0;
	size_t bytes = 0;

	while (item + count < end && count < ENGINE_GROUP_MOST && bytes < BYTES_MOST &&
		item[count].deed == DEED_APPEND && item[count].unknown == item->unknown)
		bytes += message_memory(item[count++].draft->message);
	return count;
}

/* What cannot be kept is refused; but what may have been kept before waits until that is known. */
static void thread_fail_group(struct shared_journal *journal, struct shared_item *items, size_t count, int error)
{
	thread_note_failure(journal, error, ops_of(journal)->fault(journal->writer));
	if (items[0].unknown && !thread_is_over(journal)) {
		thread_refuse_late(journal);
		(void)poll(NULL, 0, TRY_AGAIN_MS);
		return;
	}
	for (size_t i = 0; i < count; i++)
		thread_refuse(journal, &items[i], error);
}

/* Has a group kept, if the engine is there. */
static void thread_keep(struct shared_journal *journal, struct shared_item *items)
{
	size_t count = thread_slice(journal, items);
	long long begin_ns = clock_ns();
	int error = -EAGAIN;

	for (size_t i = 0; i < count; i++)
		thread_fill_entry(journal, &items[i], &journal->entries[i]);
	for (int i = 0; i < AGAIN_MOST && error == -EAGAIN && ops_of(journal)->works(journal->writer); i++)
		error = ops_of(journal)->append(journal->writer, journal->entries, count);
	if (!ops_of(journal)->works(journal->writer)) {
		for (size_t i = 0; i < count; i++)
			items[i].unknown = true;
	} else if (error != 0) {
		thread_fail_group(journal, items, count, -error);
	} else {
		metrics_committed(count, clock_ns() - begin_ns);
		thread_note_success(journal);
		for (size_t i = 0; i < count; i++)
			thread_settle_entry(journal, &items[i], &journal->entries[i]);
	}
	thread_flush(journal);
}

/* ---- Deeds. ---- */

/* Whether the same person's mark in the same room is set again soon. */
static bool thread_has_newer_mark(const struct shared_journal *journal, const struct shared_item *mark)
{
	const struct shared_item *end = journal->work.items + journal->work.count;

	for (const struct shared_item *item = mark + 1; item < end && item <= mark + MARKS_AHEAD; item++) {
		if (item->deed == DEED_MARK && item->seq >= mark->seq && strcmp(item->id, mark->id) == 0 && strcmp(item->key, mark->key) == 0)
			return true;
	}
	return false;
}

static int thread_do(struct shared_journal *journal, const struct shared_item *item)
{
	const struct engine_ops *ops = ops_of(journal);

	switch (item->deed) {
	case DEED_FORGET:
		return ops->forget_room(journal->writer, item->id);
	case DEED_FORGET_UNUSED:
		return ops->forget_unused(journal->writer, item->id);
	case DEED_WAIT:
	case DEED_WAIT_NO_MORE:
		return ops->set_waits == NULL ? 0 : ops->set_waits(journal->writer, item->id, item->deed == DEED_WAIT);
	case DEED_MARK:
		if (thread_has_newer_mark(journal, item))
			return 0;
		return ops->set_mark(journal->writer, item->id, item->key, item->seq);
	case DEED_ABSENT:
		return ops->absent(journal->writer, journal->server, item->id, item->key);
	case DEED_TRIM:
		return ops->trim == NULL ? 0 : ops->trim(journal->writer, item->id, item->seq);
	case DEED_RELEASE:
		return ops->release_name(journal->writer, journal->server, item->key, item->seq);
	case DEED_LOOK:
		thread_look_at(journal, item->id, UINT64_MAX);
		return 0;
	default:
		return 0;
	}
}

/* A deed was done, or is given up. */
static void thread_finish_deed(struct shared_journal *journal, struct shared_item *item)
{
	free(item->key);
	item->key = NULL;
	shared_queue_drop(&journal->work, item);
	shared_lock(journal);
	journal->deeds_done++;
	condition_broadcast(&journal->space);
	shared_unlock(journal);
}

static void thread_do_deed(struct shared_journal *journal, struct shared_item *item)
{
	int error = -EAGAIN;

	for (int i = 0; i < AGAIN_MOST && error == -EAGAIN && ops_of(journal)->works(journal->writer); i++)
		error = thread_do(journal, item);
	if (!ops_of(journal)->works(journal->writer))
		return; /* again, when it is back */
	if (error < 0 && error != -ENOENT)
		log_event(LOG_WARNING, "journal-deed-failed", "journal", ops_of(journal)->name, "error", strerror(-error), "detail",
			ops_of(journal)->fault(journal->writer), NULL);
	thread_finish_deed(journal, item);
}

/* ---- The engine is away. ---- */

/* Takes the first draft out of the queue that has waited too long, as '*late'. */
static bool thread_take_late(struct shared_journal *journal, struct shared_item *late)
{
	struct shared_item *item;

	shared_lock(journal);
	item = shared_queue_late(&journal->queue, clock_ms());
	if (item != NULL) {
		*late = *item;
		shared_queue_drop(&journal->queue, item);
		condition_broadcast(&journal->space);
	}
	shared_unlock(journal);
	return item != NULL;
}

/* Refuses what has waited too long. */
static void thread_refuse_late(struct shared_journal *journal)
{
	struct shared_item *item;
	struct shared_item late;

	while ((item = shared_queue_late(&journal->work, clock_ms())) != NULL)
		thread_refuse(journal, item, ETIMEDOUT);
	while (thread_take_late(journal, &late)) {
		late.room->listener->refuse(late.room->room, late.draft, ETIMEDOUT);
		thread_touch(journal, late.room);
		draft_free(late.draft);
	}
	thread_flush(journal);
}

/* The server stops, and the engine does not come back: nothing of this is kept, as far as is known. */
static void thread_give_up(struct shared_journal *journal)
{
	struct shared_item *item;

	while ((item = shared_queue_first(&journal->work)) != NULL) {
		if (item->deed == DEED_APPEND)
			thread_refuse(journal, item, EIO);
		else
			thread_finish_deed(journal, item);
	}
	thread_flush(journal);
}

/* Waits a moment for an engine that is away, or no more. */
static void thread_wait(struct shared_journal *journal)
{
	if (thread_is_over(journal)) {
		thread_give_up(journal);
		return;
	}
	thread_refuse_late(journal);
	(void)poll(NULL, 0, TRY_AGAIN_MS);
}

/* Works off what was taken from the queue, for a while. */
static void thread_work(struct shared_journal *journal)
{
	struct shared_item *item;
	long long until_ms = clock_ms() + WORK_MS;

	while (clock_ms() < until_ms && (item = shared_queue_first(&journal->work)) != NULL) {
		if (!thread_connect(journal) || (journal->failed && thread_is_over(journal))) {
			thread_wait(journal);
		} else if (item->deed == DEED_APPEND) {
			thread_keep(journal, item);
		} else {
			thread_do_deed(journal, item);
		}
		thread_beat_if_due(journal);
	}
}

/* ---- What others do. ---- */

static void thread_hear(struct shared_journal *journal)
{
	struct engine_news news[NEWS_MOST];
	ssize_t count;

	do {
		count = ops_of(journal)->news(journal->news, news, NEWS_MOST);
		if (count == -EOVERFLOW)
			journal->next_look_ms = 0;
		for (ssize_t i = 0; i < count; i++)
			thread_look_at(journal, news[i].room, news[i].last == 0 ? UINT64_MAX : news[i].last);
	} while (count == NEWS_MOST);
}

/* Rooms from bucket '*bucket' on, as many as fit; whole buckets, unless one has more than that. */
static size_t thread_list_open(struct shared_journal *journal, size_t *bucket, char (*ids)[ROOM_ID_SIZE])
{
	size_t count = 0;

	shared_lock(journal);
	for (; *bucket < SHARED_OPEN_BUCKETS; (*bucket)++) {
		size_t before = count;
		const struct journal_room *room = journal->open[*bucket];

		for (; room != NULL && count < LOOK_ROOMS; room = room->next_open)
			memcpy(ids[count++], room->id, ROOM_ID_SIZE);
		if (room == NULL)
			continue;
		if (before > 0)
			count = before; /* the bucket is for the next page */
		else
			(*bucket)++;
		break;
	}
	shared_unlock(journal);
	return count;
}

/* Whether the engine has less of the room than was published here: it came back without what it had. Numbers go on behind that. */
static bool thread_has_lost(struct shared_journal *journal, const char *id, uint64_t last)
{
	struct journal_room *room = thread_hold(journal, id);
	uint64_t published = 0;
	char numbers[60];

	if (room == NULL)
		return false;
	published = thread_published(room);
	room->listener->release(room->room);
	if (last >= published)
		return false;
	(void)snprintf(numbers, sizeof numbers, "%llu of %llu", (unsigned long long)last, (unsigned long long)published);
	if (!journal->lost)
		log_event(LOG_ERROR, "journal-lost", "journal", ops_of(journal)->name, "room", id, "has", numbers, "now",
			"the database came back without messages that people have seen; new ones get numbers behind these", NULL);
	journal->lost = true;
	return true;
}

static int thread_look_at_page(struct shared_journal *journal, char (*ids)[ROOM_ID_SIZE], size_t count)
{
	const char *pointers[LOOK_ROOMS];
	uint64_t last[LOOK_ROOMS];
	int error;

	for (size_t i = 0; i < count; i++)
		pointers[i] = ids[i];
	error = ops_of(journal)->last(journal->writer, pointers, last, count);
	for (size_t i = 0; i < count && error == 0; i++) {
		if (last[i] == UINT64_MAX)
			thread_end_room(journal, ids[i]);
		else if (thread_has_lost(journal, ids[i], last[i]))
			continue;
		else
			thread_look_at(journal, ids[i], last[i]);
	}
	return error;
}

/* Word may have been lost. */
static void thread_look_at_all(struct shared_journal *journal)
{
	char ids[LOOK_ROOMS][ROOM_ID_SIZE];
	size_t bucket = 0;
	size_t count;
	int error = 0;

	while (error == 0 && (count = thread_list_open(journal, &bucket, ids)) > 0)
		error = thread_look_at_page(journal, ids, count);
	journal->next_look_ms = clock_ms() + LOOK_MS;
}

/* ---- Servers come and go. ---- */

/* A number of its own for each time that somebody came, so that several servers that say this say it once. */
static uint64_t ghost_number(const struct ghost *ghost)
{
	uint64_t hash = UINT64_C(14695981039346656037) ^ ghost->joined; /* FNV-1a */

	for (const char *at = ghost->room; *at != '\0'; at++)
		hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
	for (const char *at = ghost->name; *at != '\0'; at++)
		hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
	hash &= INT64_MAX;
	return hash == 0 ? 1 : hash;
}

static bool thread_fill_ghost(const struct ghost *ghost, struct entry *entry)
{
	static const char how[] = "connection lost";
	struct message *message = message_create(MESSAGE_LEFT, ghost->label, ghost->name, how, sizeof how - 1);

	*entry = (struct entry){
		.room = ghost->room, .message = message, .server = ghost->server, .number = ghost_number(ghost)};
	memcpy(entry->client, ghost->server + 1, CLIENT_ID_SIZE);
	return message != NULL;
}

static void thread_free_ghosts(struct entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		message_release((struct message *)(uintptr_t)entries[i].message);
}

/* People of dead servers have left. Returns how many were looked at, or -errno. */
static ssize_t thread_bury(struct shared_journal *journal, struct ghost *ghosts)
{
	ssize_t count = ops_of(journal)->ghosts(journal->writer, ghosts, GHOSTS_MOST);
	size_t filled = 0;
	int error;

	while ((ssize_t)filled < count && thread_fill_ghost(&ghosts[filled], &journal->entries[filled]))
		filled++;
	if (filled == 0)
		return count < 0 ? count : 0;
	error = ops_of(journal)->append(journal->writer, journal->entries, filled);
	thread_free_ghosts(journal->entries, filled);
	for (size_t i = 0; i < filled && error == 0; i++)
		thread_look_at(journal, ghosts[i].room, UINT64_MAX);
	return error == 0 ? (ssize_t)filled : error;
}

static void thread_tell_revived(struct shared_journal *journal)
{
	shared_lock(journal);
	if (journal->watcher != NULL)
		journal->watcher->revived(journal->watcher_context);
	shared_unlock(journal);
}

/* This server lives; others may not. Returns 0, or -errno. */
static int thread_beat(struct shared_journal *journal)
{
	int error = ops_of(journal)->beat(journal->writer, journal->server);

	journal->next_beat_ms = clock_ms() + ENGINE_BEAT_S * 1000;
	if (error == -ESTALE && journal->was_there) {
		log_event(LOG_WARNING, "journal-thought-dead", "journal", ops_of(journal)->name, "now",
			"the other servers took this one for dead; its people come into their rooms again", NULL);
		thread_tell_revived(journal);
	}
	if (error != 0 && error != -ESTALE)
		return error;
	journal->was_there = true;
	return 0;
}

static void thread_beat_if_due(struct shared_journal *journal)
{
	if (ops_of(journal)->beat != NULL && clock_ms() >= journal->next_beat_ms && thread_connect(journal))
		(void)thread_beat(journal);
}

static void thread_look_for_ghosts(struct shared_journal *journal)
{
	struct ghost *ghosts = malloc(GHOSTS_MOST * sizeof *ghosts);

	for (int page = 0; ghosts != NULL && page < AGAIN_MOST; page++) {
		if (thread_bury(journal, ghosts) != GHOSTS_MOST)
			break;
	}
	free(ghosts);
}

/* Whether drafts wait whose fate is not known. What was kept of them is published when they are tried again, each with its author, and is
 * not to be taken for somebody else's before. */
static bool thread_has_unknown(struct shared_journal *journal)
{
	const struct shared_item *item = shared_queue_first(&journal->work);

	return item != NULL && item->unknown;
}

static void thread_keep_up(struct shared_journal *journal)
{
	if (!thread_connect(journal))
		return;
	if (thread_has_unknown(journal)) {
		thread_beat_if_due(journal);
		return;
	}
	thread_hear(journal);
	if (clock_ms() >= journal->next_look_ms)
		thread_look_at_all(journal);
	if (ops_of(journal)->beat == NULL || clock_ms() < journal->next_beat_ms)
		return;
	if (thread_beat(journal) == 0 && clock_ms() >= journal->judge_ms)
		thread_look_for_ghosts(journal);
}

/* ---- The thread. ---- */

/* How long the thread may sleep, in ms. */
static int thread_sleep_ms(const struct shared_journal *journal)
{
	long long now_ms = clock_ms();
	long long until_ms = journal->next_look_ms;

	if (journal->writer == NULL || journal->news == NULL)
		until_ms = now_ms + TRY_AGAIN_MS;
	else if (ops_of(journal)->beat != NULL && journal->next_beat_ms < until_ms)
		until_ms = journal->next_beat_ms;
	return until_ms <= now_ms ? 0 : (int)(until_ms - now_ms);
}

/* Sleeps until there is something in the queue, or word from others, or it is time. */
static void thread_sleep(struct shared_journal *journal)
{
	struct pollfd polled[] = {
		{.fd = journal->wake, .events = POLLIN},
		{.fd = journal->news == NULL ? -1 : ops_of(journal)->descriptor(journal->news), .events = POLLIN},
	};
	uint64_t count;

	(void)poll(polled, 2, thread_sleep_ms(journal));
	(void)!read(journal->wake, &count, sizeof count);
	shared_lock(journal);
	journal->thread_sleeps = false;
	shared_unlock(journal);
}

/* Takes the whole queue in exchange for an empty one, unless there is none: then it is to sleep. '*ends': and there will be none. */
static bool thread_take(struct shared_journal *journal, bool *ends)
{
	bool taken;

	shared_lock(journal);
	taken = shared_queue_first(&journal->queue) != NULL;
	if (taken) {
		struct shared_queue empty = journal->work;

		journal->work = journal->queue;
		journal->queue = empty;
		condition_broadcast(&journal->space);
	}
	*ends = !taken && journal->stopping;
	journal->thread_sleeps = !taken && !*ends;
	shared_unlock(journal);
	return taken;
}

static void thread_retire(struct shared_journal *journal)
{
	if (ops_of(journal)->retire != NULL && !thread_is_over(journal) && thread_connect(journal))
		(void)ops_of(journal)->retire(journal->writer, journal->server);
}

void *shared_run(void *argument)
{
	struct shared_journal *journal = argument;
	bool ends = false;

	thread_name("journal");
	while (!ends) {
		if (shared_queue_first(&journal->work) != NULL || thread_take(journal, &ends))
			thread_work(journal);
		else if (!ends)
			thread_sleep(journal);
		thread_keep_up(journal);
	}
	thread_retire(journal);
	return NULL;
}
