#include "tcpserver/journals/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/message.h"

struct memory_journal {
	struct journal journal;
	size_t kept;
};

/* The last messages, in a ring that grows until it holds 'kept' of them. */
struct journal_room {
	const struct journal_listener *listener; /* constant, as 'room' and 'kept' */
	void *room;
	size_t kept;
	pthread_mutex_t mutex; /* JOURNAL_LOCK */
	struct message **ring GUARDED_BY(JOURNAL_LOCK);
	size_t capacity GUARDED_BY(JOURNAL_LOCK);
	size_t count GUARDED_BY(JOURNAL_LOCK);
	size_t memory GUARDED_BY(JOURNAL_LOCK); /* bytes of the messages in the ring */
	uint64_t next_seq GUARDED_BY(JOURNAL_LOCK);
};

static void memory_lock(struct journal_room *room) ACQUIRES(JOURNAL_LOCK) UNCHECKED;
static void memory_unlock(struct journal_room *room) RELEASES(JOURNAL_LOCK) UNCHECKED;

static void memory_lock(struct journal_room *room)
{
	mutex_lock(&room->mutex);
}

static void memory_unlock(struct journal_room *room)
{
	mutex_unlock(&room->mutex);
}

static struct message **memory_slot(struct journal_room *room, uint64_t seq) REQUIRES(JOURNAL_LOCK);
static struct message **memory_slot(struct journal_room *room, uint64_t seq)
{
	return &room->ring[seq % room->capacity];
}

static uint64_t memory_oldest(const struct journal_room *room) REQUIRES(JOURNAL_LOCK);
static uint64_t memory_oldest(const struct journal_room *room)
{
	return room->next_seq - room->count;
}

static void memory_forget_oldest(struct journal_room *room) REQUIRES(JOURNAL_LOCK);
static void memory_forget_oldest(struct journal_room *room)
{
	struct message *oldest = *memory_slot(room, memory_oldest(room));

	room->memory -= message_memory(oldest);
	room->count--;
	message_release(oldest);
}

/* Doubles the ring, up to what is to be kept. Without memory it stays as it is. */
static void memory_grow(struct journal_room *room) REQUIRES(JOURNAL_LOCK);
static void memory_grow(struct journal_room *room)
{
	size_t capacity = room->capacity == 0 ? 16 : 2 * room->capacity;
	struct message **ring;

	if (capacity > room->kept)
		capacity = room->kept;
	ring = calloc(capacity, sizeof *ring);
	if (ring == NULL)
		return;
	for (uint64_t seq = memory_oldest(room); seq < room->next_seq; seq++)
		ring[seq % capacity] = *memory_slot(room, seq);
	free(room->ring);
	room->ring = ring;
	room->capacity = capacity;
}

/* Makes room for one more message of 'size' bytes. Returns whether there is. */
static bool memory_reserve(struct journal_room *room, size_t size) REQUIRES(JOURNAL_LOCK);
static bool memory_reserve(struct journal_room *room, size_t size)
{
	if (room->count == room->capacity && room->capacity < room->kept)
		memory_grow(room);
	if (room->capacity == 0)
		return false;
	while (room->count == room->capacity ||
		(room->count > 0 && room->memory + size > MEMORY_JOURNAL_ROOM_MEMORY))
		memory_forget_oldest(room);
	return true;
}

static struct journal_room *memory_open_room(struct journal *journal, const struct room_attributes *attributes,
	const struct journal_listener *listener, void *room)
{
	struct journal_room *opened = calloc(1, sizeof *opened);

	(void)attributes; /* nothing is kept of rooms that were closed */
	if (opened == NULL)
		return NULL;
	*opened = (struct journal_room){
		.listener = listener,
		.room = room,
		.kept = ((const struct memory_journal *)journal)->kept,
		.next_seq = 1,
	};
	mutex_init(&opened->mutex);
	return opened;
}

static void memory_close_room(struct journal_room *room)
{
	memory_lock(room);
	while (room->count > 0)
		memory_forget_oldest(room);
	free(room->ring);
	memory_unlock(room);
	mutex_fini(&room->mutex);
	free(room);
}

static int memory_append(struct journal_room *room, const struct draft *draft)
{
	struct message *message = draft->message;
	int error = 0;

	memory_lock(room);
	if (memory_reserve(room, message_memory(message))) {
		message->seq = room->next_seq++;
		message->at_ns = clock_wall_ns();
		room->memory += message_memory(message);
		room->count++;
		*memory_slot(room, message->seq) = message;
		room->listener->publish(room->room, draft);
	} else {
		error = -ENOMEM;
	}
	memory_unlock(room);
	return error;
}

/* Nothing is kept of rooms that are closed, so there is nothing to forget. */
static void memory_forget_room(struct journal_room *room)
{
	(void)room;
}

static void memory_set_waits(struct journal_room *room, bool waits)
{
	(void)room;
	(void)waits;
}

static int memory_find_room(struct journal *journal, const char *key, const char *id, struct room_record *record)
{
	(void)journal;
	(void)key;
	(void)id;
	(void)record;
	return -ENOENT;
}

static ssize_t memory_list_rooms(
	struct journal *journal, const char *after, bool listed, struct room_record *records, size_t capacity)
{
	(void)journal;
	(void)after;
	(void)listed;
	(void)records;
	(void)capacity;
	return 0;
}

static ssize_t memory_read(struct journal_room *room, uint64_t from, struct message **messages, size_t capacity)
{
	size_t count = 0;

	memory_lock(room);
	if (from < memory_oldest(room))
		from = memory_oldest(room);
	while (count < capacity && from < room->next_seq)
		messages[count++] = message_acquire(*memory_slot(room, from++));
	memory_unlock(room);
	return (ssize_t)count;
}

static uint64_t memory_next_seq(struct journal_room *room)
{
	uint64_t next;

	memory_lock(room);
	next = room->next_seq;
	memory_unlock(room);
	return next;
}

static void memory_destroy(struct journal *journal)
{
	free(journal);
}

static const struct journal_ops memory_ops = {
	.name = "memory",
	.open_room = memory_open_room,
	.close_room = memory_close_room,
	.forget_room = memory_forget_room,
	.set_waits = memory_set_waits,
	.append = memory_append,
	.read = memory_read,
	.next_seq = memory_next_seq,
	.find_room = memory_find_room,
	.list_rooms = memory_list_rooms,
	.destroy = memory_destroy,
};

struct journal *memory_journal_create(size_t kept)
{
	struct memory_journal *journal = malloc(sizeof *journal);

	if (journal == NULL)
		return NULL;
	*journal = (struct memory_journal){.journal = {.ops = &memory_ops}, .kept = kept > 0 ? kept : 1};
	return &journal->journal;
}
