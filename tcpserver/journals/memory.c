#include "tcpserver/journals/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/message.h"

enum { SENT_BUCKETS = 65536 };

/* What people call a room, which may be over by now. */
struct label {
	size_t references; /* of the room, and of what was sent to it; under JOURNAL_QUEUE_LOCK */
	char text[];
};

/* A client's message that was kept. */
struct sent {
	unsigned char client[CLIENT_ID_SIZE];
	uint64_t number; /* the client's; 0: none */
	uint64_t seq;
	struct label *label; /* of its room; a reference */
	uint32_t next; /* in its bucket: one more than an index; 0: none */
};

/* The numbers of clients' messages: a ring, and a table by which they are found in it. */
struct sent_table {
	struct sent ring[MEMORY_JOURNAL_NUMBERS];
	uint32_t oldest; /* the place for the next */
	uint64_t seed;   /* clients choose their ids and numbers; they shall not choose the buckets */
	uint32_t buckets[SENT_BUCKETS];
};

struct memory_journal {
	struct journal journal;
	size_t kept;
	pthread_mutex_t mutex; /* JOURNAL_QUEUE_LOCK */
	struct sent_table *sent GUARDED_BY(JOURNAL_QUEUE_LOCK); /* made when the first client has numbers */
};

/* The last messages, in a ring that grows until it holds 'kept' of them. */
struct journal_room {
	struct memory_journal *journal; /* constant */
	const struct journal_listener *listener; /* constant, as 'room' and 'kept' */
	void *room;
	struct label *label; /* a reference */
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

static void memory_sent_lock(struct memory_journal *journal) ACQUIRES(JOURNAL_QUEUE_LOCK) UNCHECKED;
static void memory_sent_unlock(struct memory_journal *journal) RELEASES(JOURNAL_QUEUE_LOCK) UNCHECKED;

static void memory_sent_lock(struct memory_journal *journal)
{
	mutex_lock(&journal->mutex);
}

static void memory_sent_unlock(struct memory_journal *journal)
{
	mutex_unlock(&journal->mutex);
}

/* ---- What people call rooms. ---- */

static struct label *label_create(const struct room_attributes *attributes)
{
	const char *text = attributes->name == NULL ? attributes->id : attributes->name;
	struct label *label = malloc(sizeof *label + strlen(text) + 1);

	if (label == NULL)
		return NULL;
	label->references = 1;
	memcpy(label->text, text, strlen(text) + 1);
	return label;
}

static struct label *label_acquire(struct label *label) REQUIRES(JOURNAL_QUEUE_LOCK);
static struct label *label_acquire(struct label *label)
{
	label->references++;
	return label;
}

static void label_release(struct label *label) REQUIRES(JOURNAL_QUEUE_LOCK);
static void label_release(struct label *label)
{
	if (--label->references == 0)
		free(label);
}

static void memory_label_release(struct memory_journal *journal, struct label *label)
{
	memory_sent_lock(journal);
	label_release(label);
	memory_sent_unlock(journal);
}

/* ---- What is kept of a room. ---- */

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
	struct label *label = label_create(attributes); /* nothing else is kept of rooms that were closed */

	if (opened == NULL || label == NULL) {
		free(opened);
		free(label);
		return NULL;
	}
	*opened = (struct journal_room){
		.journal = (struct memory_journal *)journal,
		.listener = listener,
		.room = room,
		.label = label,
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
	memory_label_release(room->journal, room->label);
	mutex_fini(&room->mutex);
	free(room);
}

/* ---- What clients have sent before. ---- */

static struct sent_table *sent_table_create(void)
{
	struct sent_table *table = calloc(1, sizeof *table);

	if (table != NULL && getrandom(&table->seed, sizeof table->seed, 0) != (ssize_t)sizeof table->seed)
		table->seed = (uint64_t)clock_wall_ns();
	return table;
}

static uint32_t *sent_bucket(struct sent_table *table, const unsigned char *client, uint64_t number)
{
	uint64_t hash = UINT64_C(14695981039346656037) ^ table->seed ^ number; /* FNV-1a */

	for (size_t i = 0; i < CLIENT_ID_SIZE; i++)
		hash = (hash ^ client[i]) * UINT64_C(1099511628211);
	return &table->buckets[(hash ^ hash >> 32) % SENT_BUCKETS];
}

static struct sent *sent_find(struct sent_table *table, const unsigned char *client, uint64_t number)
{
	uint32_t at = *sent_bucket(table, client, number);

	while (at != 0) {
		struct sent *sent = &table->ring[at - 1];

		if (sent->number == number && memcmp(sent->client, client, CLIENT_ID_SIZE) == 0)
			return sent;
		at = sent->next;
	}
	return NULL;
}

static void sent_drop_oldest(struct sent_table *table) REQUIRES(JOURNAL_QUEUE_LOCK);
static void sent_drop_oldest(struct sent_table *table)
{
	struct sent *sent = &table->ring[table->oldest];
	uint32_t *link = sent_bucket(table, sent->client, sent->number);

	if (sent->number == 0)
		return;
	while (*link != table->oldest + 1)
		link = &table->ring[*link - 1].next;
	*link = sent->next;
	label_release(sent->label);
}

static void sent_add(struct sent_table *table, const struct draft *draft, uint64_t seq, struct label *label)
	REQUIRES(JOURNAL_QUEUE_LOCK);
static void sent_add(struct sent_table *table, const struct draft *draft, uint64_t seq, struct label *label)
{
	struct sent *sent = &table->ring[table->oldest];
	uint32_t *bucket = sent_bucket(table, draft->client, draft->number);

	sent_drop_oldest(table);
	*sent = (struct sent){.number = draft->number, .seq = seq, .label = label_acquire(label), .next = *bucket};
	memcpy(sent->client, draft->client, CLIENT_ID_SIZE);
	*bucket = table->oldest + 1;
	table->oldest = (table->oldest + 1) % MEMORY_JOURNAL_NUMBERS;
}

/* ---- Appending. ---- */

/* A message that is restored keeps its number and its time; what a jump of numbers leaves out is not kept. */
static int memory_number(struct journal_room *room, struct message *message) REQUIRES(JOURNAL_LOCK);
static int memory_number(struct journal_room *room, struct message *message)
{
	bool restored = message->seq != 0 && message->at_ns != 0;

	if (restored && message->seq < room->next_seq)
		return -EEXIST;
	if (!memory_reserve(room, message_memory(message)))
		return -ENOMEM;
	while (restored && message->seq > room->next_seq && room->count > 0)
		memory_forget_oldest(room);
	if (!restored) {
		message->seq = room->next_seq;
		message->at_ns = clock_wall_ns();
	}
	room->next_seq = message->seq + 1;
	return 0;
}

static int memory_publish(struct journal_room *room, const struct draft *draft) REQUIRES(JOURNAL_LOCK);
static int memory_publish(struct journal_room *room, const struct draft *draft)
{
	struct message *message = draft->message;
	int error = memory_number(room, message);

	if (error != 0)
		return error;
	room->memory += message_memory(message);
	room->count++;
	*memory_slot(room, message->seq) = message;
	room->listener->publish(room->room, draft);
	return 0;
}

/* Looks whether a client's message was kept before; '*seq' is 0 if not, else '*label' a reference to that of its room. */
static int memory_find_sent(
	struct memory_journal *journal, const struct draft *draft, uint64_t *seq, struct label **label)
{
	const struct sent *sent = NULL;
	bool found;

	memory_sent_lock(journal);
	if (journal->sent == NULL)
		journal->sent = sent_table_create();
	found = journal->sent != NULL;
	if (found)
		sent = sent_find(journal->sent, draft->client, draft->number);
	*seq = sent == NULL ? 0 : sent->seq;
	*label = sent == NULL ? NULL : label_acquire(sent->label);
	memory_sent_unlock(journal);
	return found ? 0 : -ENOMEM;
}

static void memory_add_sent(const struct journal_room *room, const struct draft *draft, uint64_t seq)
{
	struct memory_journal *journal = room->journal;

	memory_sent_lock(journal);
	sent_add(journal->sent, draft, seq, room->label);
	memory_sent_unlock(journal);
}

/* Publishes a draft that has a client's number, unless that is known. In one room, only one thread does at a time. */
static int memory_publish_once(struct journal_room *room, const struct draft *draft) REQUIRES(JOURNAL_LOCK);
static int memory_publish_once(struct journal_room *room, const struct draft *draft)
{
	uint64_t seq;
	struct label *label;
	int error = memory_find_sent(room->journal, draft, &seq, &label);

	if (error != 0)
		return error;
	if (seq != 0) {
		room->listener->repeat(room->room, draft, seq, label == room->label ? NULL : label->text);
		memory_label_release(room->journal, label);
		message_release(draft->message);
		return 0;
	}
	error = memory_publish(room, draft);
	if (error == 0)
		memory_add_sent(room, draft, draft->message->seq); /* the ring has a reference still */
	return error;
}

static int memory_append(struct journal_room *room, const struct draft *draft)
{
	int error;

	memory_lock(room);
	error = draft->number == 0 ? memory_publish(room, draft) : memory_publish_once(room, draft);
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

static void memory_destroy(struct journal *base)
{
	struct memory_journal *journal = (struct memory_journal *)base;

	memory_sent_lock(journal);
	for (size_t i = 0; journal->sent != NULL && i < MEMORY_JOURNAL_NUMBERS; i++) {
		if (journal->sent->ring[i].label != NULL)
			label_release(journal->sent->ring[i].label);
	}
	free(journal->sent);
	memory_sent_unlock(journal);
	mutex_fini(&journal->mutex);
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
	mutex_init(&journal->mutex);
	return &journal->journal;
}
