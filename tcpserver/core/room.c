#include "tcpserver/core/room.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room_log.h"

enum {
	PAGE_MESSAGES = 64,
	DUTY_MS = 5,    /* for which a thread flushes on end                   */
	DUTY_TRIES = 8, /* members that are asked to take over from it         */
	FORMATS_MAX = 4,
};

/* The log in one format, and how many members read it; without readers there is no log. */
struct room_format {
	struct room_log log;
	size_t readers GUARDED_BY(ROOM_LOCK);
};

struct room {
	atomic_uint references;
	atomic_bool shut;
	char id[ROOM_ID_SIZE];                   /* constant, as the strings of 'attributes' and 'key', which are owned */
	char *key;
	struct room_attributes attributes;
	struct room_people people;               /* kept by rooms.c */
	struct journal_room *journal_room;       /* constant */
	const struct journal_ops *journal;       /* constant */
	pthread_mutex_t mutex;                   /* ROOM_LOCK */
	struct room_format formats[FORMATS_MAX];
	char *topic GUARDED_BY(ROOM_LOCK);       /* NULL: none                        */
	uint64_t last_seq GUARDED_BY(ROOM_LOCK); /* of the message published last      */
	struct member *arrivals GUARDED_BY(ROOM_LOCK); /* joined; not yet in 'members' */

	/* Who raises it from 0 flushes, and holds FLUSH_LOCK until it is 0 again. */
	atomic_uint flush_requests;
	struct member **members GUARDED_BY(FLUSH_LOCK);
	size_t member_count GUARDED_BY(FLUSH_LOCK);
	size_t member_capacity GUARDED_BY(FLUSH_LOCK);
	size_t next_on_duty GUARDED_BY(FLUSH_LOCK); /* who is asked next to take a flush over */
};

static void room_lock(struct room *room) ACQUIRES(ROOM_LOCK) UNCHECKED;
static void room_unlock(struct room *room) RELEASES(ROOM_LOCK) UNCHECKED;
static bool room_request_flush(struct room *room) TRY_ACQUIRES(true, FLUSH_LOCK) UNCHECKED;
static void room_end_flush(void) RELEASES(FLUSH_LOCK) UNCHECKED;
static bool room_finish_flush(struct room *room, unsigned seen);
static void room_flush_passes(struct room *room) REQUIRES(FLUSH_LOCK);

/* For strings that are constant while the room lives. */
static void free_constant(const char *text)
{
	free((void *)(uintptr_t)text);
}

static void room_lock(struct room *room)
{
	mutex_lock(&room->mutex);
}

static void room_unlock(struct room *room)
{
	mutex_unlock(&room->mutex);
}

/* ---- The logs, one a format. ---- */

static struct room_format *room_format(struct room *room, const struct format *format) REQUIRES(ROOM_LOCK);
static struct room_format *room_format(struct room *room, const struct format *format)
{
	for (size_t i = 0; i < FORMATS_MAX; i++) {
		if (room->formats[i].readers > 0 && room->formats[i].log.format == format)
			return &room->formats[i];
	}
	return NULL;
}

/* The log of 'format' with one reader more; begun, if this is the first, with the message after 'seq'. */
static struct room_log *room_add_reader(struct room *room, const struct format *format, uint64_t seq)
	REQUIRES(ROOM_LOCK);
static struct room_log *room_add_reader(struct room *room, const struct format *format, uint64_t seq)
{
	struct room_format *found = room_format(room, format);

	for (size_t i = 0; found == NULL; i++) {
		assert(i < FORMATS_MAX); /* there are not that many doors */
		if (room->formats[i].readers > 0)
			continue;
		found = &room->formats[i];
		room_log_init(&found->log, format, seq + 1);
	}
	found->readers++;
	return &found->log;
}

static void room_drop_reader(struct room *room, const struct format *format)
{
	struct room_format *found;

	room_lock(room);
	found = room_format(room, format);
	if (--found->readers == 0)
		room_log_fini(&found->log);
	room_unlock(room);
}

static void room_append(struct room *room, const struct message *message) REQUIRES(ROOM_LOCK);
static void room_append(struct room *room, const struct message *message)
{
	for (size_t i = 0; i < FORMATS_MAX; i++) {
		if (room->formats[i].readers > 0)
			room_log_append(&room->formats[i].log, message);
	}
}

/* ---- What the journal calls. ---- */

static void room_admit(struct room *room, struct member *member, uint64_t seq) REQUIRES(ROOM_LOCK);
static void room_admit(struct room *room, struct member *member, uint64_t seq)
{
	member_enter(member, room_add_reader(room, member_format(member), seq));
	member->next_arrival = room->arrivals;
	room->arrivals = member_acquire(member);
}

static void room_publish(void *context, const struct draft *draft) REQUIRES(JOURNAL_LOCK);
static void room_publish(void *context, const struct draft *draft)
{
	struct room *room = context;
	const struct message *message = draft->message;
	struct member *author = draft->author;

	room_lock(room);
	room->last_seq = message->seq;
	room_append(room, message);
	if (author != NULL && message->kind == MESSAGE_JOINED)
		room_admit(room, author, message->seq); /* behind its own notice, which it need not see */
	else if (author != NULL)
		member_said(author, room_format(room, member_format(author))->log.end, message->seq);
	room_unlock(room);
}

static void room_refuse(void *context, const struct draft *draft, int error)
{
	(void)context;
	(void)draft;
	(void)error; /* only journals that keep on a disk or a network refuse after append() took a draft */
}

static void room_flush_for_journal(void *context)
{
	room_flush(context);
}

static const struct journal_listener room_listener = {
	.publish = room_publish,
	.refuse = room_refuse,
	.flush = room_flush_for_journal,
};

/* ---- The flush. ---- */

/* Returns whether the caller is the one to flush. */
static bool room_request_flush(struct room *room)
{
	/* Acquire: the pass sees what the last one left. Release: the one that flushes sees what was published before. */
	return atomic_fetch_add_explicit(&room->flush_requests, 1, memory_order_acq_rel) == 0;
}

/* Only says to clang what the successful room_finish_flush() has done. */
static void room_end_flush(void)
{
}

/* Gives FLUSH_LOCK back if there were no requests but the 'seen' ones. Returns whether it did. */
static bool room_finish_flush(struct room *room, unsigned seen)
{
	return atomic_fetch_sub_explicit(&room->flush_requests, seen, memory_order_acq_rel) == seen;
}

/* Without memory the arrivals wait for the next pass. */
static bool room_reserve_member(struct room *room) REQUIRES(FLUSH_LOCK);
static bool room_reserve_member(struct room *room)
{
	size_t capacity = room->member_capacity == 0 ? 4 : 2 * room->member_capacity;
	struct member **grown;

	if (room->member_count < room->member_capacity)
		return true;
	grown = realloc(room->members, capacity * sizeof *grown);
	if (grown == NULL)
		return false;
	room->members = grown;
	room->member_capacity = capacity;
	return true;
}

static struct member *room_next_arrival(struct room *room)
{
	struct member *member;

	room_lock(room);
	member = room->arrivals;
	if (member != NULL)
		room->arrivals = member->next_arrival;
	room_unlock(room);
	return member;
}

static void room_take_arrivals(struct room *room) REQUIRES(FLUSH_LOCK);
static void room_take_arrivals(struct room *room)
{
	struct member *member;

	while (room_reserve_member(room) && (member = room_next_arrival(room)) != NULL)
		room->members[room->member_count++] = member;
}

static void room_flush_members(struct room *room) REQUIRES(FLUSH_LOCK);
static void room_flush_members(struct room *room)
{
	bool shut = room_is_shut(room);
	size_t i = 0;

	while (i < room->member_count) {
		struct member *member = room->members[i];

		if (i + 4 < room->member_count)
			__builtin_prefetch(room->members[i + 4]);
		if (member_flush(member)) {
			if (shut)
				outlet_wake(member->outlet);
			i++;
			continue;
		}
		room->members[i] = room->members[--room->member_count];
		member_release(member);
	}
}

/* Finds a thread to go on in place of this one. Returns whether there is one, which holds FLUSH_LOCK then. */
static bool room_hand_over(struct room *room) REQUIRES(FLUSH_LOCK);
static bool room_hand_over(struct room *room)
{
	for (size_t i = 0; i < DUTY_TRIES && room->member_count > 0; i++) {
		struct member *member = room->members[room->next_on_duty++ % room->member_count];

		(void)room_acquire(room); /* goes with the duty */
		if (outlet_give_duty(member->outlet, room))
			return true;
		room_release(room);
	}
	return false;
}

/* Passes over the members until nobody has asked for one since the last began, or another thread goes on. After it
 * FLUSH_LOCK is free, or the other's. */
static void room_flush_passes(struct room *room)
{
	long long end_ms = clock_ms() + DUTY_MS;
	unsigned seen;

	do {
		if (clock_ms() > end_ms && room_hand_over(room))
			return;
		/* Acquire: pairs with the release of each request that is counted. */
		seen = atomic_load_explicit(&room->flush_requests, memory_order_acquire);
		room_take_arrivals(room);
		room_flush_members(room);
	} while (!room_finish_flush(room, seen));
}

void room_flush(struct room *room)
{
	if (!room_request_flush(room))
		return;
	room_flush_passes(room);
	room_end_flush();
}

/* Only says to clang that the thread holds FLUSH_LOCK, by the duty it was given. */
static void room_begin_duty(void) ACQUIRES(FLUSH_LOCK) UNCHECKED;
static void room_begin_duty(void)
{
}

void room_take_over_flush(struct room *room)
{
	room_begin_duty();
	room_flush_passes(room);
	room_end_flush();
	room_release(room);
}

/* ---- The room itself. ---- */

static void room_make_id(char id[ROOM_ID_SIZE])
{
	unsigned char bytes[(ROOM_ID_SIZE - 1) / 2];

	while (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		continue; /* a signal, early at boot */
	for (size_t i = 0; i < sizeof bytes; i++)
		(void)snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

/* Copies the strings. Returns whether there was memory. */
static bool room_copy_attributes(struct room *room, const struct room_attributes *attributes)
{
	char key[NAME_KEY_SIZE];

	room->attributes = *attributes;
	if (attributes->created_ns == 0)
		room->attributes.created_ns = clock_wall_ns();
	room->attributes.creator = strdup(attributes->creator);
	if (attributes->name == NULL)
		return room->attributes.creator != NULL;
	(void)name_key(attributes->name, key);
	room->key = strdup(key);
	room->attributes.name = strdup(attributes->name);
	return room->attributes.creator != NULL && room->key != NULL && room->attributes.name != NULL;
}

static void room_free(struct room *room)
{
	free(room->key);
	free_constant(room->attributes.name);
	free_constant(room->attributes.creator);
	mutex_fini(&room->mutex);
	free(room);
}

struct room *room_open(const struct room_attributes *attributes, struct journal *journal)
{
	struct room *room = calloc(1, sizeof *room);

	if (room == NULL)
		return NULL;
	room->references = 1;
	room->journal = journal->ops;
	mutex_init(&room->mutex);
	room_make_id(room->id);
	if (room_copy_attributes(room, attributes))
		room->journal_room = journal->ops->open_room(journal, room->id, &room_listener, room);
	if (room->journal_room == NULL) {
		room_free(room);
		return NULL;
	}
	return room;
}

struct room *room_acquire(struct room *room)
{
	/* Relaxed: whoever adds a reference has one already, or ROOMS_LOCK. */
	(void)atomic_fetch_add_explicit(&room->references, 1, memory_order_relaxed);
	return room;
}

/* Nobody else knows the room any more, so nobody holds its locks. */
static void room_end(struct room *room) UNCHECKED;
static void room_end(struct room *room)
{
	struct member *arrival;

	while ((arrival = room_next_arrival(room)) != NULL)
		member_release(arrival);
	while (room->member_count > 0)
		member_release(room->members[--room->member_count]);
	free(room->members);
	free(room->topic);
	room->journal->close_room(room->journal_room);
	room_free(room);
}

void room_release(struct room *room)
{
	/* Acquire and release: all uses by others come before the end. */
	if (atomic_fetch_sub_explicit(&room->references, 1, memory_order_acq_rel) == 1)
		room_end(room);
}

const char *room_id(const struct room *room)
{
	return room->id;
}

const char *room_label(const struct room *room)
{
	return room->attributes.name == NULL ? room->id : room->attributes.name;
}

const char *room_key(const struct room *room)
{
	return room->key;
}

const struct room_attributes *room_attributes(const struct room *room)
{
	return &room->attributes;
}

struct room_people *room_people(struct room *room)
{
	return &room->people;
}

void room_topic(struct room *room, char topic[ROOM_TOPIC_SIZE])
{
	room_lock(room);
	(void)snprintf(topic, ROOM_TOPIC_SIZE, "%s", room->topic == NULL ? "" : room->topic);
	room_unlock(room);
}

void room_shut(struct room *room)
{
	/* Release and acquire: who sees it sees the message that says why. */
	atomic_store_explicit(&room->shut, true, memory_order_release);
	room_flush(room);
}

bool room_is_shut(const struct room *room)
{
	return atomic_load_explicit(&room->shut, memory_order_acquire);
}

/* ---- Coming, speaking, going. ---- */

int room_say(struct room *room, struct member *member, enum message_kind kind, const char *name, const char *text,
	size_t text_size, uint64_t *seq)
{
	struct draft draft = {
		.message = message_create(kind, room_label(room), name, text, text_size),
		.author = member,
	};
	int error;

	if (draft.message == NULL)
		return -ENOMEM;
	(void)message_acquire(draft.message);
	error = room->journal->append(room->journal_room, &draft);
	if (error != 0)
		message_release(draft.message);
	else if (seq != NULL)
		*seq = draft.message->seq;
	message_release(draft.message);
	return error;
}

int room_join(struct room *room, struct member *member, const char *name)
{
	return room_say(room, member, MESSAGE_JOINED, name, NULL, 0, NULL);
}

void room_leave(struct room *room, struct member *member, const char *name, const char *how)
{
	room_drop_reader(room, member_format(member));
	if (how != NULL) /* there is nobody left to tell of an error */
		(void)!room_say(room, NULL, MESSAGE_LEFT, name, how, strlen(how), NULL);
	room_flush(room);
}

int room_set_topic(struct room *room, struct member *member, const char *name, const char *topic)
{
	char *copy = strdup(topic);
	char *old;
	int error;

	if (copy == NULL)
		return -ENOMEM;
	error = room_say(room, member, MESSAGE_TOPIC, name, topic, strlen(topic), NULL);
	if (error != 0) {
		free(copy);
		return error;
	}
	room_lock(room);
	old = room->topic;
	room->topic = copy;
	room_unlock(room);
	free(old);
	return 0;
}

void room_change_format(struct room *room, struct member *member, const struct format *format)
{
	const struct format *old = member_format(member);

	room_lock(room);
	member_change_log(member, room_add_reader(room, format, room->last_seq));
	room_unlock(room);
	room_drop_reader(room, old);
}

/* ---- Readers of the journal. ---- */

static bool room_rejoin(struct room *room, struct member *member)
{
	bool joined;

	room_lock(room);
	joined = member_rejoin(member);
	room_unlock(room);
	return joined;
}

enum room_page room_give_page(struct room *room, struct member *member, uint64_t *skipped)
{
	struct message *messages[PAGE_MESSAGES];
	uint64_t next = member_page_start(member);
	size_t count;
	bool more = true;

	*skipped = 0;
	if (next == 0 || room_rejoin(room, member))
		return ROOM_LIVE;
	count = room->journal->read(room->journal_room, next, messages, PAGE_MESSAGES);
	if (count > 0 && messages[0]->seq > next) {
		*skipped = messages[0]->seq - next;
		member_page_skip(member, messages[0]->seq);
		more = false; /* first the member is told */
	}
	for (size_t i = 0; i < count; i++) {
		more = more && member_page_add(member, messages[i]);
		message_release(messages[i]);
	}
	return count > 0 ? ROOM_PAGE : ROOM_NOTHING;
}
