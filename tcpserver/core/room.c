#include "tcpserver/core/room.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/room_log.h"

enum {
	PAGE_MESSAGES = 64,
	DUTY_MS = 5,    /* for which a thread flushes on end                   */
	DUTY_TRIES = 8, /* members that are asked to take over from it         */
};

/* The log in one format, and how many members read it; without readers there is no log. */
struct room_format {
	struct room_log log;
	size_t readers GUARDED_BY(ROOM_LOCK);
};

struct room {
	struct journal_room *journal_room;       /* constant */
	const struct journal_ops *journal;       /* constant */
	pthread_mutex_t mutex;                   /* ROOM_LOCK */
	struct room_format formats[ROOM_FORMATS_MAX];
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
	for (size_t i = 0; i < ROOM_FORMATS_MAX; i++) {
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
		assert(i < ROOM_FORMATS_MAX); /* there are not that many doors */
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
	for (size_t i = 0; i < ROOM_FORMATS_MAX; i++) {
		if (room->formats[i].readers > 0)
			room_log_append(&room->formats[i].log, message);
	}
}

/* ---- What the journal calls. ---- */

static void room_admit(struct room *room, struct member *member, uint64_t seq) REQUIRES(ROOM_LOCK);
static void room_admit(struct room *room, struct member *member, uint64_t seq)
{
	member_enter(member, room_add_reader(room, member->format, seq));
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
	room_append(room, message);
	if (author != NULL && message->kind == MESSAGE_JOINED)
		room_admit(room, author, message->seq); /* behind its own notice, which it need not see */
	else if (author != NULL)
		member_said(author, room_format(room, author->format)->log.end, message->seq);
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
	size_t i = 0;

	while (i < room->member_count) {
		struct member *member = room->members[i];

		if (i + 4 < room->member_count)
			__builtin_prefetch(room->members[i + 4]);
		if (member_flush(member)) {
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
		if (member_give_duty(room->members[room->next_on_duty++ % room->member_count]))
			return true;
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
}

/* ---- Coming, speaking, going. ---- */

struct room *room_open(const char *id, struct journal *journal)
{
	struct room *room = calloc(1, sizeof *room);

	if (room == NULL)
		return NULL;
	room->journal = journal->ops;
	mutex_init(&room->mutex);
	room->journal_room = journal->ops->open_room(journal, id, &room_listener, room);
	if (room->journal_room == NULL) {
		mutex_fini(&room->mutex);
		free(room);
		return NULL;
	}
	return room;
}

void room_close(struct room *room)
{
	room_flush(room); /* forgets those who are gone */
	room->journal->close_room(room->journal_room);
	mutex_fini(&room->mutex);
	free(room->members);
	free(room);
}

/* Makes a message and hands it to the journal. */
static int room_post(struct room *room, enum message_kind kind, struct member *author, const char *name,
	const char *text, size_t text_size)
{
	struct draft draft = {.message = message_create(kind, name, text, text_size), .author = author};
	int error;

	if (draft.message == NULL)
		return -ENOMEM;
	error = room->journal->append(room->journal_room, &draft);
	if (error != 0)
		message_release(draft.message);
	return error;
}

int room_join(struct room *room, struct member *member, const char *name)
{
	return room_post(room, MESSAGE_JOINED, member, name, NULL, 0);
}

int room_say(struct room *room, struct member *member, const char *name, const char *text, size_t text_size)
{
	return room_post(room, MESSAGE_TEXT, member, name, text, text_size);
}

void room_leave(struct room *room, struct member *member, const char *name, const char *how)
{
	room_drop_reader(room, member->format);
	(void)room_post(room, MESSAGE_LEFT, NULL, name, how, strlen(how)); /* there is nobody left to tell of an error */
	room_flush(room);
}

void room_abandon(struct room *room, struct member *member)
{
	room_drop_reader(room, member->format);
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
	if (room_rejoin(room, member))
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
