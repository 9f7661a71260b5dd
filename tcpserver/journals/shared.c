#include "tcpserver/journals/shared.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "tcpserver/core/message.h"
#include "tcpserver/journals/shared_journal.h"
#include "tcpserver/journals/shared_queue.h"

enum {
	QUEUE_DRAFTS_MOST = 65536,
	QUEUE_BYTES_MOST = 32 * 1024 * 1024,
	QUEUE_DEEDS_MOST = 262144, /* marks beyond it are lost */
	QUEUE_WAIT_MS = 10000,     /* for which append() waits for space                      */
	CLOSE_WAIT_MS = 5000,      /* for which open_room() waits for the room to be closed    */
	DEEDS_WAIT_MS = 5000,      /* for which a question waits for the deeds before it       */
	THREAD_STACK_SIZE = 512 * 1024,
};

static struct shared_journal *shared_of(struct journal *journal)
{
	return (struct shared_journal *)journal;
}

void shared_wake(struct shared_journal *journal)
{
	static const uint64_t one = 1;

	if (!journal->thread_sleeps)
		return;
	journal->thread_sleeps = false; /* one wake-up is enough */
	(void)!write(journal->wake, &one, sizeof one);
}

/* ---- Rooms that are open. ---- */

struct journal_room **shared_find_open(struct shared_journal *journal, const char *id)
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
	struct journal_room **link;

	for (const char *at = id; *at != '\0'; at++)
		hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
	link = &journal->open[(hash ^ hash >> 32) % SHARED_OPEN_BUCKETS];
	while (*link != NULL && strcmp((*link)->id, id) != 0)
		link = &(*link)->next_open;
	return link;
}

static struct journal_room *shared_make_room(struct shared_journal *journal, const struct room_attributes *attributes,
	const struct journal_listener *listener, void *context)
{
	struct journal_room *room = calloc(1, sizeof *room);

	if (room == NULL)
		return NULL;
	room->journal = journal;
	room->listener = listener;
	room->room = context;
	(void)snprintf(room->id, sizeof room->id, "%s", attributes->id);
	(void)snprintf(room->label, sizeof room->label, "%s", attributes->name == NULL ? attributes->id : attributes->name);
	mutex_init(&room->mutex);
	return room;
}

static void shared_free_room(struct journal_room *room)
{
	mutex_fini(&room->mutex);
	free(room);
}

/* Puts the room among the open ones, once one of the same id was closed. */
static bool shared_reserve(struct shared_journal *journal, struct journal_room *room)
{
	long long deadline_ms = clock_ms() + CLOSE_WAIT_MS;
	struct journal_room **link;
	bool free_now;

	shared_lock(journal);
	while (*(link = shared_find_open(journal, room->id)) != NULL) {
		if (condition_wait_until(&journal->closed, &journal->mutex, deadline_ms) != 0)
			break;
	}
	free_now = *link == NULL;
	if (free_now)
		*link = room;
	shared_unlock(journal);
	return free_now;
}

static void shared_unreserve(struct journal_room *room)
{
	shared_lock(room->journal);
	*shared_find_open(room->journal, room->id) = room->next_open;
	condition_broadcast(&room->journal->closed);
	shared_unlock(room->journal);
	shared_free_room(room);
}

/* ---- Deeds: what nobody waits for. ---- */

static char *shared_copy_key(const char *key)
{
	return key == NULL ? NULL : strdup(key);
}

/* Without memory it is not done, as if the server had died. */
static void shared_give_deed(struct shared_journal *journal, enum deed deed, const char *id, const char *key, uint64_t seq)
{
	struct shared_item item = {.deed = deed, .key = shared_copy_key(key), .seq = seq};

	(void)snprintf(item.id, sizeof item.id, "%s", id);
	if (key != NULL && item.key == NULL)
		return;
	shared_lock(journal);
	if (deed == DEED_MARK && shared_queue_merge(&journal->queue, &item))
		; /* the older one says no less */
	else if ((deed != DEED_MARK || journal->queue.count < QUEUE_DEEDS_MOST) && shared_queue_push(&journal->queue, &item)) {
		journal->deeds_given++;
		item.key = NULL;
		shared_wake(journal);
	}
	shared_unlock(journal);
	free(item.key);
}

/* What was given before is done before a question is asked. */
static void shared_await_deeds(struct shared_journal *journal)
{
	long long deadline_ms = clock_ms() + DEEDS_WAIT_MS;
	uint64_t given;

	shared_lock(journal);
	given = journal->deeds_given;
	while (journal->deeds_done < given && condition_wait_until(&journal->space, &journal->mutex, deadline_ms) == 0)
		continue;
	shared_unlock(journal);
}

static ssize_t shared_ask(struct shared_journal *journal, shared_question *question, void *context)
{
	shared_await_deeds(journal);
	return shared_links_ask(&journal->links, question, context);
}

static void shared_forget_room(struct journal_room *room)
{
	shared_give_deed(room->journal, DEED_FORGET, room->id, NULL, 0);
}

static void shared_forget_unused(struct journal_room *room)
{
	shared_give_deed(room->journal, DEED_FORGET_UNUSED, room->id, NULL, 0);
}

static void shared_set_mark(struct journal_room *room, const char *key, uint64_t seq)
{
	shared_give_deed(room->journal, DEED_MARK, room->id, key, seq);
}

static void shared_absent(struct journal_room *room, const char *key)
{
	shared_give_deed(room->journal, DEED_ABSENT, room->id, key, 0);
}

static void shared_trim(struct journal_room *room, uint64_t seq)
{
	shared_give_deed(room->journal, DEED_TRIM, room->id, NULL, seq);
}

static void shared_release_name(struct journal *journal, const char *key, uint64_t number)
{
	shared_give_deed(shared_of(journal), DEED_RELEASE, "", key, number);
}

/* Who waits is told by offer(), where there are several servers. */
static void shared_set_waits(struct journal_room *room, bool waits)
{
	if (!waits || room->journal->engine->ops->offer == NULL)
		shared_give_deed(room->journal, waits ? DEED_WAIT : DEED_WAIT_NO_MORE, room->id, NULL, 0);
}

/* ---- Opening and closing rooms. ---- */

struct opening {
	struct shared_journal *journal;
	const struct room_attributes *attributes;
	struct room_record record;
};

static ssize_t ask_open(struct link *link, void *context)
{
	struct opening *opening = context;

	return opening->journal->engine->ops->open_room(link, opening->attributes, &opening->record);
}

/* The room is told of what comes from here on; what came meanwhile is looked for at once. */
static void shared_make_ready(struct journal_room *room, uint64_t last)
{
	bool is_news;

	shared_room_lock(room);
	room->published = last;
	shared_room_unlock(room);
	shared_lock(room->journal);
	room->ready = true;
	is_news = room->is_news;
	shared_unlock(room->journal);
	if (is_news)
		shared_give_deed(room->journal, DEED_LOOK, room->id, NULL, 0);
}

static struct journal_room *shared_open_room(struct journal *base, const struct room_attributes *attributes,
	const struct journal_listener *listener, void *context)
{
	struct shared_journal *journal = shared_of(base);
	struct journal_room *room = shared_make_room(journal, attributes, listener, context);
	struct opening *opening = malloc(sizeof *opening);
	ssize_t result = -ENOMEM;

	if (room == NULL || opening == NULL) {
		if (room != NULL)
			shared_free_room(room);
	} else if (!shared_reserve(journal, room)) {
		shared_free_room(room);
		result = -EBUSY;
	} else {
		*opening = (struct opening){.journal = journal, .attributes = attributes};
		result = shared_ask(journal, ask_open, opening);
		if (result < 0)
			shared_unreserve(room);
		else
			shared_make_ready(room, opening->record.last);
	}
	free(opening);
	errno = (int)-result;
	return result < 0 ? NULL : room;
}

static void shared_close_room(struct journal_room *room)
{
	shared_unreserve(room);
}

/* ---- Appending. ---- */

static bool shared_queue_is_full(const struct shared_journal *journal) REQUIRES(JOURNAL_QUEUE_LOCK);
static bool shared_queue_is_full(const struct shared_journal *journal)
{
	return journal->queue.drafts >= QUEUE_DRAFTS_MOST || journal->queue.bytes >= QUEUE_BYTES_MOST;
}

/* Whoever says more than the engine can take waits for it. The thread itself cannot wait. */
static int shared_wait_for_space(struct shared_journal *journal) REQUIRES(JOURNAL_QUEUE_LOCK);
static int shared_wait_for_space(struct shared_journal *journal)
{
	long long deadline_ms = clock_ms() + QUEUE_WAIT_MS;

	while (shared_queue_is_full(journal) && !pthread_equal(pthread_self(), journal->thread)) {
		if (condition_wait_until(&journal->space, &journal->mutex, deadline_ms) != 0)
			return -EAGAIN;
	}
	return 0;
}

static int shared_enqueue(struct shared_journal *journal, struct shared_item *item)
{
	int error;

	shared_lock(journal);
	error = shared_wait_for_space(journal);
	item->until_ms = clock_ms() + journal->options.patience_ms; /* under the lock: they stand in this order */
	if (error == 0 && !shared_queue_push(&journal->queue, item))
		error = -ENOMEM;
	if (error == 0)
		shared_wake(journal);
	shared_unlock(journal);
	return error;
}

static int shared_append(struct journal_room *room, const struct draft *draft)
{
	struct shared_item item = {.deed = DEED_APPEND, .room = room, .draft = draft_copy(draft), .number = draft->number};
	int error;

	if (item.draft == NULL)
		return -ENOMEM;
	memcpy(item.client, draft->client, CLIENT_ID_SIZE);
	/* Acquire and release, here and below: a hold comes before the release that ends it. */
	if (atomic_fetch_add_explicit(&room->pending, 1, memory_order_acq_rel) == 0)
		room->listener->hold(room->room);
	error = shared_enqueue(room->journal, &item);
	if (error == 0)
		return 0;
	if (atomic_fetch_sub_explicit(&room->pending, 1, memory_order_acq_rel) == 1)
		room->listener->release(room->room);
	(void)message_acquire(draft->message); /* the caller's reference stays the caller's */
	draft_free(item.draft);
	return error;
}

/* ---- Questions. ---- */

/* What they are about: each uses what it needs. */
struct question {
	struct shared_journal *journal;
	struct journal_room *room;
	const char *key;
	const char *id;
	uint64_t seq;
	bool listed;
	size_t capacity;
	union {
		struct message **messages;
		struct room_record *records;
		struct found *found;
		char (*names)[NAME_SIZE];
		struct name_holder *holder;
	} out;
	uint64_t *number;
	size_t *count;
	const struct search *search;
	const struct name_claim *claim;
	const struct stranger_offer *offer;
};

static const struct engine_ops *ops_of(const struct question *question)
{
	return question->journal->engine->ops;
}

static ssize_t ask_fetch(struct link *link, void *context)
{
	const struct question *question = context;

	return ops_of(question)->fetch(
		link, question->room->id, question->room->label, question->seq, question->out.messages, question->capacity);
}

static ssize_t shared_read(struct journal_room *room, uint64_t from, struct message **messages, size_t capacity)
{
	struct question question = {
		.journal = room->journal, .room = room, .seq = from, .out.messages = messages, .capacity = capacity};

	return capacity == 0 ? 0 : shared_links_ask(&room->journal->links, ask_fetch, &question);
}

static uint64_t shared_next_seq(struct journal_room *room)
{
	uint64_t next;

	shared_room_lock(room);
	next = room->published + 1;
	shared_room_unlock(room);
	return next;
}

static ssize_t ask_find_room(struct link *link, void *context)
{
	const struct question *question = context;

	return ops_of(question)->find_room(link, question->key, question->id, question->out.records);
}

static int shared_find_room(struct journal *journal, const char *key, const char *id, struct room_record *record)
{
	struct question question = {.journal = shared_of(journal), .key = key, .id = id, .out.records = record};

	return (int)shared_ask(question.journal, ask_find_room, &question);
}

static ssize_t ask_list_rooms(struct link *link, void *context)
{
	const struct question *question = context;

	return ops_of(question)->list_rooms(
		link, question->id, question->listed, question->out.records, question->capacity);
}

static ssize_t shared_list_rooms(
	struct journal *journal, const char *after, bool listed, struct room_record *records, size_t capacity)
{
	struct question question = {
		.journal = shared_of(journal), .id = after, .listed = listed, .out.records = records, .capacity = capacity};

	return shared_ask(question.journal, ask_list_rooms, &question);
}

static ssize_t ask_mark(struct link *link, void *context)
{
	const struct question *question = context;

	return ops_of(question)->mark(link, question->room->id, question->key, question->number);
}

static uint64_t shared_mark(struct journal_room *room, const char *key)
{
	uint64_t seq = 0;
	struct question question = {.journal = room->journal, .room = room, .key = key, .number = &seq};

	return shared_ask(room->journal, ask_mark, &question) < 0 ? 0 : seq;
}

static ssize_t ask_search(struct link *link, void *context)
{
	const struct question *question = context;

	return ops_of(question)->search(
		link, question->search, question->out.found, question->capacity, question->number);
}

static ssize_t shared_search(
	struct journal *journal, const struct search *search, struct found *found, size_t capacity, uint64_t *behind)
{
	struct question question = {.journal = shared_of(journal), .search = search, .out.found = found,
		.capacity = capacity, .number = behind};

	return shared_links_ask(&question.journal->links, ask_search, &question);
}

/* ---- Several servers. ---- */

static const char *shared_server_id(struct journal *journal)
{
	return shared_of(journal)->server;
}

static void shared_watch(struct journal *base, const struct journal_watcher *watcher, void *context)
{
	struct shared_journal *journal = shared_of(base);

	shared_lock(journal);
	journal->watcher = watcher;
	journal->watcher_context = context;
	shared_unlock(journal);
}

static ssize_t ask_claim(struct link *link, void *context)
{
	const struct question *question = context;

	return ops_of(question)->claim_name(link, question->journal->server, question->claim, question->out.holder);
}

static int shared_claim_name(struct journal *journal, const struct name_claim *claim, struct name_holder *holder)
{
	struct question question = {.journal = shared_of(journal), .claim = claim, .out.holder = holder};

	return (int)shared_ask(question.journal, ask_claim, &question);
}

static ssize_t ask_find_name(struct link *link, void *context)
{
	const struct question *question = context;

	return ops_of(question)->find_name(link, question->key, question->out.holder);
}

static int shared_find_name(struct journal *journal, const char *key, struct name_holder *holder)
{
	struct question question = {.journal = shared_of(journal), .key = key, .out.holder = holder};

	return (int)shared_ask(question.journal, ask_find_name, &question);
}

static ssize_t ask_people(struct link *link, void *context)
{
	const struct question *question = context;

	return ops_of(question)->people(
		link, question->room->id, question->out.names, question->capacity, question->count);
}

static ssize_t shared_people(struct journal_room *room, char (*names)[NAME_SIZE], size_t capacity, size_t *count)
{
	struct question question = {
		.journal = room->journal, .room = room, .out.names = names, .capacity = capacity, .count = count};

	return shared_ask(room->journal, ask_people, &question);
}

static ssize_t ask_offer(struct link *link, void *context)
{
	const struct question *question = context;

	return ops_of(question)->offer(link, question->journal->server, question->room->id, question->offer);
}

static int shared_offer(struct journal_room *room, const struct stranger_offer *offer)
{
	struct question question = {.journal = room->journal, .room = room, .offer = offer};

	return (int)shared_ask(room->journal, ask_offer, &question);
}

static ssize_t ask_meet(struct link *link, void *context)
{
	const struct question *question = context;

	return ops_of(question)->meet(link, question->offer, question->out.records);
}

static int shared_meet(struct journal *journal, const struct stranger_offer *seeker, struct room_record *record)
{
	struct question question = {.journal = shared_of(journal), .offer = seeker, .out.records = record};

	return (int)shared_ask(question.journal, ask_meet, &question);
}

/* ---- The journal itself. ---- */

/* Frees all but the engine; the thread does not run. */
static void shared_dispose(struct shared_journal *journal)
{
	if (journal->writer != NULL)
		journal->engine->ops->disconnect(journal->writer);
	if (journal->news != NULL)
		journal->engine->ops->disconnect(journal->news);
	shared_links_fini(&journal->links);
	shared_lock(journal);
	shared_queue_fini(&journal->queue);
	shared_unlock(journal);
	shared_queue_fini(&journal->work);
	if (journal->wake >= 0)
		(void)close(journal->wake);
	mutex_fini(&journal->mutex);
	(void)pthread_cond_destroy(&journal->space); /* nobody waits any more */
	(void)pthread_cond_destroy(&journal->closed);
	free(journal->entries);
	free(journal);
}

static void shared_stop_soon(struct journal *base)
{
	struct shared_journal *journal = shared_of(base);
	long long none = 0;

	/* Relaxed: it only says when. */
	(void)atomic_compare_exchange_strong_explicit(&journal->over_ms, &none, clock_ms() + SHARED_STOP_MS,
		memory_order_relaxed, memory_order_relaxed);
	shared_links_end(&journal->links);
}

static void shared_destroy(struct journal *base)
{
	struct shared_journal *journal = shared_of(base);
	struct engine *engine = journal->engine;

	shared_stop_soon(base);
	shared_lock(journal);
	journal->stopping = true;
	shared_wake(journal);
	shared_unlock(journal);
	thread_join(journal->thread);
	shared_dispose(journal);
	engine->ops->destroy(engine);
}

static const struct journal_ops shared_ops = {
	.open_room = shared_open_room,
	.close_room = shared_close_room,
	.forget_room = shared_forget_room,
	.set_waits = shared_set_waits,
	.append = shared_append,
	.read = shared_read,
	.next_seq = shared_next_seq,
	.find_room = shared_find_room,
	.list_rooms = shared_list_rooms,
	.stop_soon = shared_stop_soon,
	.destroy = shared_destroy,
};

/* What the engine can do. */
static struct journal_ops shared_choose_ops(const struct engine_ops *engine)
{
	struct journal_ops ops = shared_ops;

	ops.name = engine->name;
	if (engine->mark != NULL) {
		ops.set_mark = shared_set_mark;
		ops.mark = shared_mark;
	}
	if (engine->search != NULL)
		ops.search = shared_search;
	if (engine->beat != NULL) {
		ops.server_id = shared_server_id;
		ops.watch = shared_watch;
		ops.claim_name = shared_claim_name;
		ops.release_name = shared_release_name;
		ops.find_name = shared_find_name;
		ops.people = shared_people;
		ops.absent = shared_absent;
		ops.forget_unused = shared_forget_unused;
		ops.offer = shared_offer;
		ops.meet = shared_meet;
		ops.trim = shared_trim;
	}
	return ops;
}

/* The server gets a new id at each start, so that what it leaves behind when it dies is never taken for its own. */
static int shared_make_ids(struct shared_journal *journal)
{
	uint64_t random[2];

	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random ||
		getrandom(journal->token, sizeof journal->token, 0) != (ssize_t)sizeof journal->token)
		return -errno;
	(void)snprintf(journal->server, sizeof journal->server, "@%016llx%03llx", (unsigned long long)random[0],
		(unsigned long long)(random[1] & 0xfff));
	return 0;
}

static struct shared_journal *shared_create(struct engine *engine, const struct shared_options *options)
{
	struct shared_journal *journal = calloc(1, sizeof *journal);

	if (journal == NULL)
		return NULL;
	journal->ops = shared_choose_ops(engine->ops);
	journal->journal.ops = &journal->ops;
	journal->engine = engine;
	journal->options = *options;
	journal->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	journal->entries = malloc(ENGINE_GROUP_MOST * sizeof *journal->entries);
	mutex_init(&journal->mutex);
	condition_init(&journal->space);
	condition_init(&journal->closed);
	shared_links_init(&journal->links, engine, options->patience_ms);
	return journal;
}

int shared_journal_open(
	struct engine *engine, const struct shared_options *options, struct journal **opened, char fault[ENGINE_FAULT_SIZE])
{
	struct shared_journal *journal = shared_create(engine, options);
	int error = -ENOMEM;

	(void)snprintf(fault, ENGINE_FAULT_SIZE, "the server has no memory, or no descriptors");
	if (journal != NULL && journal->wake >= 0 && journal->entries != NULL)
		error = shared_make_ids(journal);
	if (error == 0)
		error = shared_start(journal, fault);
	if (error == 0)
		error = thread_start(&journal->thread, THREAD_STACK_SIZE, shared_run, journal);
	if (error == 0) {
		*opened = &journal->journal;
		return 0;
	}
	if (journal != NULL)
		shared_dispose(journal);
	engine->ops->destroy(engine);
	return error;
}
