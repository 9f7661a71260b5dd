#include "tests/tcpserver/delayed_journal.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "tcpserver/core/message.h"
#include "tcpserver/journals/memory.h"

#include "tests/check.h"

enum { DELAY_NS = 300000, GROUP = 16 };

struct waiting {
	struct waiting *next;
	struct journal_room *room;
	struct draft *draft;
};

struct delayed_journal {
	struct journal journal;
	struct journal *kept; /* the memory journal; constant, as 'by_itself' */
	bool by_itself;
	pthread_t thread;
	atomic_int refusal;
	atomic_bool ends;
	pthread_mutex_t mutex; /* of what follows; innermost, unlike that of 'publishing' */
	struct waiting *first;
	struct waiting **end;
	size_t count;
	pthread_mutex_t publishing; /* one at a time, or the order is lost */
};

struct journal_room {
	struct delayed_journal *journal;
	struct journal_room *kept;
	const struct journal_listener *listener;
	void *room;
};

static struct delayed_journal *delayed(struct journal *journal)
{
	return (struct delayed_journal *)journal;
}

/* ---- What the memory journal calls: the same, for the real room. ---- */

static void pass_publish(void *context, const struct draft *draft) UNCHECKED;
static void pass_publish(void *context, const struct draft *draft)
{
	struct journal_room *room = context;

	room->listener->publish(room->room, draft);
}

static void pass_repeat(void *context, const struct draft *draft, uint64_t seq, const char *label)
{
	struct journal_room *room = context;

	room->listener->repeat(room->room, draft, seq, label);
}

static void pass_refuse(void *context, const struct draft *draft, int error)
{
	struct journal_room *room = context;

	room->listener->refuse(room->room, draft, error);
}

static void pass_nothing(void *context)
{
	(void)context;
}

static const struct journal_listener passing = {
	.publish = pass_publish,
	.repeat = pass_repeat,
	.refuse = pass_refuse,
	.flush = pass_nothing,
	.hold = pass_nothing,
	.release = pass_nothing,
};

/* ---- Publishing. ---- */

static int delayed_append(struct journal_room *room, const struct draft *draft)
{
	struct delayed_journal *journal = room->journal;
	struct waiting *waiting = malloc(sizeof *waiting);

	CHECK(waiting != NULL);
	*waiting = (struct waiting){.room = room, .draft = draft_copy(draft)};
	CHECK(waiting->draft != NULL);
	room->listener->hold(room->room);
	mutex_lock(&journal->mutex);
	*journal->end = waiting;
	journal->end = &waiting->next;
	journal->count++;
	mutex_unlock(&journal->mutex);
	return 0;
}

static struct waiting *delayed_take(struct delayed_journal *journal)
{
	struct waiting *waiting;

	mutex_lock(&journal->mutex);
	waiting = journal->first;
	if (waiting != NULL) {
		journal->first = waiting->next;
		if (journal->first == NULL)
			journal->end = &journal->first;
		journal->count--;
	}
	mutex_unlock(&journal->mutex);
	return waiting;
}

static void delayed_settle(struct delayed_journal *journal, const struct waiting *waiting)
{
	struct journal_room *room = waiting->room;
	int refusal = atomic_load(&journal->refusal);

	if (refusal != 0) {
		room->listener->refuse(room->room, waiting->draft, refusal);
	} else {
		(void)message_acquire(waiting->draft->message);
		CHECK_EQUAL(journal->kept->ops->append(room->kept, waiting->draft), 0);
	}
}

/* Settles a draft; its room is flushed and let go then, which may close it. */
static bool delayed_publish_one(struct delayed_journal *journal)
{
	struct waiting *waiting = delayed_take(journal);
	struct journal_room *room;

	if (waiting == NULL)
		return false;
	room = waiting->room;
	delayed_settle(journal, waiting);
	draft_free(waiting->draft);
	free(waiting);
	room->listener->flush(room->room);
	room->listener->release(room->room);
	return true;
}

size_t delayed_journal_publish(struct journal *journal, size_t most)
{
	size_t count = 0;

	mutex_lock(&delayed(journal)->publishing);
	while (count < most && delayed_publish_one(delayed(journal)))
		count++;
	mutex_unlock(&delayed(journal)->publishing);
	return count;
}

size_t delayed_journal_waiting(struct journal *journal)
{
	size_t count;

	mutex_lock(&delayed(journal)->mutex);
	count = delayed(journal)->count;
	mutex_unlock(&delayed(journal)->mutex);
	return count;
}

void delayed_journal_refuse(struct journal *journal, int error)
{
	atomic_store(&delayed(journal)->refusal, error);
}

static void *delayed_run(void *argument)
{
	static const struct timespec delay = {.tv_nsec = DELAY_NS};
	struct delayed_journal *journal = argument;

	while (!atomic_load(&journal->ends)) {
		(void)nanosleep(&delay, NULL); /* this is the disk */
		(void)delayed_journal_publish(&journal->journal, GROUP);
	}
	return NULL;
}

/* ---- The rest. ---- */

static struct journal_room *delayed_open_room(struct journal *journal, const struct room_attributes *attributes,
	const struct journal_listener *listener, void *room)
{
	struct journal_room *opened = calloc(1, sizeof *opened);

	CHECK(opened != NULL);
	*opened = (struct journal_room){.journal = delayed(journal), .listener = listener, .room = room};
	opened->kept = delayed(journal)->kept->ops->open_room(delayed(journal)->kept, attributes, &passing, opened);
	CHECK(opened->kept != NULL);
	return opened;
}

static void delayed_close_room(struct journal_room *room)
{
	room->journal->kept->ops->close_room(room->kept);
	free(room);
}

static void delayed_forget_room(struct journal_room *room)
{
	room->journal->kept->ops->forget_room(room->kept);
}

static void delayed_set_waits(struct journal_room *room, bool waits)
{
	room->journal->kept->ops->set_waits(room->kept, waits);
}

static ssize_t delayed_read(struct journal_room *room, uint64_t from, struct message **messages, size_t capacity)
{
	return room->journal->kept->ops->read(room->kept, from, messages, capacity);
}

static uint64_t delayed_next_seq(struct journal_room *room)
{
	return room->journal->kept->ops->next_seq(room->kept);
}

static int delayed_find_room(struct journal *journal, const char *key, const char *id, struct room_record *record)
{
	return delayed(journal)->kept->ops->find_room(delayed(journal)->kept, key, id, record);
}

static ssize_t delayed_list_rooms(
	struct journal *journal, const char *after, bool listed, struct room_record *records, size_t capacity)
{
	return delayed(journal)->kept->ops->list_rooms(delayed(journal)->kept, after, listed, records, capacity);
}

static void delayed_destroy(struct journal *journal)
{
	struct delayed_journal *this = delayed(journal);

	CHECK_EQUAL(delayed_journal_waiting(journal), 0);
	atomic_store(&this->ends, true);
	if (this->by_itself)
		thread_join(this->thread);
	this->kept->ops->destroy(this->kept);
	mutex_fini(&this->mutex);
	mutex_fini(&this->publishing);
	free(this);
}

static const struct journal_ops delayed_ops = {
	.name = "delayed",
	.open_room = delayed_open_room,
	.close_room = delayed_close_room,
	.forget_room = delayed_forget_room,
	.set_waits = delayed_set_waits,
	.append = delayed_append,
	.read = delayed_read,
	.next_seq = delayed_next_seq,
	.find_room = delayed_find_room,
	.list_rooms = delayed_list_rooms,
	.destroy = delayed_destroy,
};

struct journal *delayed_journal_create(size_t kept, bool by_itself)
{
	struct delayed_journal *journal = calloc(1, sizeof *journal);

	CHECK(journal != NULL);
	journal->journal.ops = &delayed_ops;
	journal->kept = memory_journal_create(kept);
	CHECK(journal->kept != NULL);
	journal->by_itself = by_itself;
	journal->end = &journal->first;
	mutex_init(&journal->mutex);
	mutex_init(&journal->publishing);
	if (by_itself)
		CHECK_EQUAL(thread_start(&journal->thread, 0, delayed_run, journal), 0);
	return &journal->journal;
}
