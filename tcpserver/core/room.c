#include "tcpserver/core/room.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/metrics.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room_log.h"

enum {
	PAGE_MESSAGES = 64,
	BACK_PAGES = 1024, /* looked at for what was said before the room was opened; where people only come and go, no more */
	SAID_KEPT = 32,
	DUTY_NS = 5 * 1000000, /* for which a thread flushes on end            */
	DUTY_TRIES = 8, /* members that are asked to take over from it         */
	FORMATS_MAX = 8, /* more than all doors together have */
};

/* The log in one format, and how many members read it; without readers there is no log. */
struct room_format {
	struct room_log log;
	size_t readers GUARDED_BY(ROOM_LOCK);
};

struct room {
	atomic_uint references;
	atomic_bool shut;
	atomic_bool forgotten; /* nothing is to be kept  */
	atomic_bool spoken_in; /* somebody said something */
	char id[ROOM_ID_SIZE];                   /* constant, as the strings of 'attributes' and 'key', which are owned */
	char *key;
	struct room_attributes attributes;
	struct room_people people;               /* kept by rooms.c */
	struct journal_room *journal_room;       /* constant */
	const struct journal_ops *journal;       /* constant */
	pthread_mutex_t mutex;                   /* ROOM_LOCK */
	struct room_format formats[FORMATS_MAX];
	struct message *topic GUARDED_BY(ROOM_LOCK); /* that set it; a reference; NULL: none */
	uint64_t said[SAID_KEPT] GUARDED_BY(ROOM_LOCK); /* numbers of what was said last, in a ring */
	size_t said_count GUARDED_BY(ROOM_LOCK);     /* since the room was opened                 */
	_Atomic uint64_t last_seq; /* of the message published last; written under ROOM_LOCK */
	struct member *arrivals GUARDED_BY(ROOM_LOCK); /* joined; not yet in 'members' */
	_Atomic int64_t unflushed_ns; /* when the oldest message was handed to the journal that no pass has begun to flush; 0: none */

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
		assert(i < FORMATS_MAX);
		if (room->formats[i].readers > 0)
			continue;
		found = &room->formats[i];
		room_log_init(&found->log, format, seq + 1);
		found->log.room_id = room_id(room);
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
	/* Behind its own notice, which it need not see. */
	member_enter(member, room_add_reader(room, member_format(member), seq), seq);
	member->next_arrival = room->arrivals;
	room->arrivals = member_acquire(member);
	/* Release: its thread, when it sees this, sees the rest. */
	atomic_store_explicit(&member->is_in, true, memory_order_release);
}

/* What the message does to the room itself. */
static void room_heed(struct room *room, struct message *message) REQUIRES(ROOM_LOCK);
static void room_heed(struct room *room, struct message *message)
{
	if (message_is_said(message)) {
		/* Relaxed: looked at when nobody else has the room any more. */
		atomic_store_explicit(&room->spoken_in, true, memory_order_relaxed);
		room->said[room->said_count++ % SAID_KEPT] = message->seq;
	}
	if (message->kind == MESSAGE_TOPIC) {
		struct message *old = room->topic;

		room->topic = message_acquire(message);
		if (old != NULL)
			message_release(old);
	}
}

/* Whether a message of this kind is the last one. */
static bool room_ends_with(const struct room *room, enum message_kind kind)
{
	return kind == MESSAGE_ROOM_CLOSED || (kind == MESSAGE_LEFT && room->attributes.ends_with_member);
}

static void room_mark_shut(struct room *room)
{
	/* Release and acquire: who sees it sees the message that says why. */
	atomic_store_explicit(&room->shut, true, memory_order_release);
}

static void room_fill_receipt(struct receipt *receipt, const char *label, uint64_t seq, int error, bool repeated)
{
	*receipt = (struct receipt){.seq = seq, .error = error, .repeated = repeated};
	(void)snprintf(receipt->room, sizeof receipt->room, "%s", label);
}

/* Tells who asked how it went: that it was kept, if it wants to know; that it was not. */
static void room_answer(const struct draft *draft, const char *label, uint64_t seq, int error, bool repeated)
{
	struct telling telling = {.kind = TELL_SAID, .room = label, .request_id = draft->request_id, .seq = seq};
	char text[200];

	if (draft->asker == NULL)
		return;
	if (draft->receipt != NULL)
		room_fill_receipt(draft->receipt, label, seq, error, repeated);
	if (error != 0) {
		(void)snprintf(text, sizeof text, "this could not be kept (%s), nobody saw it; %s", strerror(error),
			draft->message->kind == MESSAGE_TEXT ? "send it again" : "try again later");
		telling = (struct telling){.kind = TELL_ERROR, .code = "not-stored", .text = text, .request_id = draft->request_id};
	}
	if (error != 0 ? !draft->quiet : draft->request_id != NULL)
		outlet_answer(draft->asker, &telling);
	outlet_settles(draft->asker, error);
}

/* After the message was put into the log: what a pass finds here, it sends. */
static void room_note_unflushed(struct room *room, int64_t given_ns) REQUIRES(ROOM_LOCK);
static void room_note_unflushed(struct room *room, int64_t given_ns)
{
	/* Release: the pass that takes it sees the log. */
	if (atomic_load_explicit(&room->unflushed_ns, memory_order_relaxed) == 0)
		atomic_store_explicit(&room->unflushed_ns, given_ns, memory_order_release);
}

/* Who comes is told up to where it had been said before, before anybody can say something to it. */
static void room_welcome(const struct draft *draft, uint64_t seq)
{
	struct telling welcome;

	if (draft->welcome == NULL)
		return;
	welcome = *draft->welcome;
	welcome.last = seq - 1;
	outlet_answer(draft->asker, &welcome);
}

static void room_publish(void *context, const struct draft *draft) REQUIRES(JOURNAL_LOCK);
static void room_publish(void *context, const struct draft *draft)
{
	struct room *room = context;
	struct message *message = draft->message;
	struct member *author = draft->author;

	room_lock(room);
	atomic_store_explicit(&room->last_seq, message->seq, memory_order_relaxed); /* who needs more has the lock */
	if (author != NULL && member_format(author)->hides_own && message->kind != MESSAGE_JOINED)
		member_hide(author, message->seq); /* before anybody can read it */
	room_append(room, message);
	room_heed(room, message);
	if (author != NULL && message->kind == MESSAGE_JOINED) {
		room_admit(room, author, message->seq);
		room_welcome(draft, message->seq);
	} else if (author != NULL)
		member_said(author, room_format(room, member_format(author))->log.end, message->seq);
	room_note_unflushed(room, draft->given_ns);
	room_unlock(room);
	metrics_published(message->kind);
	if (room_ends_with(room, message->kind))
		room_mark_shut(room);
	room_answer(draft, room_label(room), message->seq, 0, false);
}

static void room_repeat(void *context, const struct draft *draft, uint64_t seq, const char *label)
{
	metrics_repeated();
	room_answer(draft, label == NULL ? room_label(context) : label, seq, 0, true);
}

static void room_refuse(void *context, const struct draft *draft, int error)
{
	struct room *room = context;

	metrics_refused_message();
	if (draft->message->kind == MESSAGE_LEFT && room_ends_with(room, MESSAGE_LEFT))
		room_mark_shut(room); /* who is left behind must not wait for one who is gone */
	if (draft->message->kind == MESSAGE_LEFT && draft->message->participant != NULL)
		room_note_absent(room, draft->message->participant);
	room_answer(draft, room_label(room), 0, error, false);
}

static void room_flush_for_journal(void *context)
{
	room_flush(context);
}

static void room_hold_for_journal(void *context)
{
	(void)room_acquire(context);
}

static void room_release_for_journal(void *context)
{
	room_release(context);
}

/* Who has the last reference may be about to close the room: then there is none to take. */
static bool room_try_hold_for_journal(void *context)
{
	struct room *room = context;
	unsigned references = atomic_load_explicit(&room->references, memory_order_relaxed);

	/* Relaxed: the journal's lock orders it before the end of the room, which comes after the journal has closed it. */
	while (references > 0 && !atomic_compare_exchange_weak_explicit(&room->references, &references, references + 1,
					 memory_order_relaxed, memory_order_relaxed))
		continue;
	return references > 0;
}

static void room_end_for_journal(void *context)
{
	room_shut(context);
}

static const struct journal_listener room_listener = {
	.publish = room_publish,
	.repeat = room_repeat,
	.refuse = room_refuse,
	.flush = room_flush_for_journal,
	.hold = room_hold_for_journal,
	.release = room_release_for_journal,
	.try_hold = room_try_hold_for_journal,
	.end = room_end_for_journal,
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

/* What is in the log when a pass begins, oldest first: when that was handed to the journal; 0: nothing. */
static int64_t room_take_unflushed(struct room *room)
{
	if (atomic_load_explicit(&room->unflushed_ns, memory_order_relaxed) == 0)
		return 0;
	return atomic_exchange_explicit(&room->unflushed_ns, 0, memory_order_acquire);
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
	int64_t now_ns = clock_ns();
	int64_t end_ns = now_ns + DUTY_NS;
	int64_t since_ns;
	unsigned seen;

	do {
		if (now_ns > end_ns && room_hand_over(room))
			return;
		/* Acquire: pairs with the release of each request that is counted. */
		seen = atomic_load_explicit(&room->flush_requests, memory_order_acquire);
		since_ns = room_take_unflushed(room);
		room_take_arrivals(room);
		room_flush_members(room);
		now_ns = clock_ns();
		if (since_ns != 0)
			metrics_delivered(now_ns - since_ns);
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

bool room_is_id(const char *key)
{
	return strlen(key) == ROOM_ID_SIZE - 1 && strspn(key, "0123456789abcdef") == ROOM_ID_SIZE - 1;
}

/* The topic that was set in an earlier life of the room. */
static bool room_copy_topic(struct room *room, const char *topic) UNCHECKED;
static bool room_copy_topic(struct room *room, const char *topic)
{
	room->attributes.topic = NULL;
	if (topic == NULL || topic[0] == '\0')
		return true;
	room->topic = message_create(MESSAGE_TOPIC, "", "", topic, strlen(topic));
	return room->topic != NULL;
}

/* Copies the strings. Returns whether there was memory. */
static bool room_copy_attributes(struct room *room, const struct room_attributes *attributes)
{
	char key[NAME_KEY_SIZE];

	room->attributes = *attributes;
	if (attributes->id == NULL)
		room_make_id(room->id);
	else
		(void)snprintf(room->id, sizeof room->id, "%s", attributes->id);
	room->attributes.id = room->id;
	if (attributes->created_ns == 0)
		room->attributes.created_ns = clock_wall_ns();
	if (!room_copy_topic(room, attributes->topic))
		return false;
	room->attributes.creator = strdup(attributes->creator);
	if (attributes->name == NULL)
		return room->attributes.creator != NULL;
	(void)name_key(attributes->name, key);
	room->key = strdup(key);
	room->attributes.name = strdup(attributes->name);
	return room->attributes.creator != NULL && room->key != NULL && room->attributes.name != NULL;
}

static void room_free(struct room *room) UNCHECKED;
static void room_free(struct room *room)
{
	if (room->topic != NULL)
		message_release(room->topic);
	free(room->key);
	free_constant(room->attributes.name);
	free_constant(room->attributes.creator);
	mutex_fini(&room->mutex);
	free(room);
}

/* Nobody else has the room yet. */
static void room_open_journal(struct room *room, struct journal *journal, const char *topic) UNCHECKED;
static void room_open_journal(struct room *room, struct journal *journal, const char *topic)
{
	struct room_attributes attributes = room->attributes;

	attributes.topic = topic;
	room->journal_room = journal->ops->open_room(journal, &attributes, &room_listener, room);
	if (room->journal_room != NULL)
		room->last_seq = journal->ops->next_seq(room->journal_room) - 1;
}

struct room *room_open(const struct room_attributes *attributes, struct journal *journal)
{
	struct room *room = calloc(1, sizeof *room);
	int error;

	if (room == NULL)
		return NULL;
	errno = 0;
	room->references = 1;
	room->journal = journal->ops;
	mutex_init(&room->mutex);
	room->spoken_in = attributes->id != NULL; /* what was kept once is kept on */
	if (room_copy_attributes(room, attributes))
		room_open_journal(room, journal, attributes->topic);
	if (room->journal_room == NULL) {
		error = room_is_shared(room) && errno == EEXIST ? EEXIST : ENOMEM;
		room_free(room);
		errno = error;
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

/* A room that has no name, or in which nothing was said, is not worth keeping; but a pair may come back after a restart. */
static bool room_is_to_be_kept(const struct room *room)
{
	const struct room_attributes *attributes = &room->attributes;

	if (room->forgotten)
		return false;
	return attributes->persistent || attributes->ends_with_member || (attributes->name != NULL && room->spoken_in);
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
	room_forget_unless_worth_keeping(room);
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
	(void)snprintf(topic, ROOM_TOPIC_SIZE, "%.*s", room->topic == NULL ? 0 : (int)room->topic->text_size,
		room->topic == NULL ? "" : room->topic->text);
	room_unlock(room);
}

void room_shut(struct room *room)
{
	room_mark_shut(room);
	room_flush(room);
}

bool room_is_shut(const struct room *room)
{
	return atomic_load_explicit(&room->shut, memory_order_acquire);
}

void room_forget(struct room *room)
{
	/* Relaxed: looked at when nobody else has the room any more. */
	atomic_store_explicit(&room->forgotten, true, memory_order_relaxed);
	room->journal->forget_room(room->journal_room); /* its name may be another room's from now on */
}

void room_forget_unless_worth_keeping(struct room *room)
{
	if (room_is_to_be_kept(room) || room->forgotten)
		return;
	if (room_is_shared(room))
		room->journal->forget_unused(room->journal_room); /* others may be there, and it may be opened here anew */
	else
		room_forget(room);
}

void room_set_waits(struct room *room, bool waits)
{
	room->journal->set_waits(room->journal_room, waits);
}

/* ---- Where several servers share the journal. ---- */

bool room_is_shared(const struct room *room)
{
	return room->journal->server_id != NULL;
}

ssize_t room_everybody(struct room *room, char (*names)[NAME_SIZE], size_t capacity, size_t *count)
{
	return room->journal->people(room->journal_room, names, capacity, count);
}

void room_note_absent(struct room *room, const char *name)
{
	char key[NAME_KEY_SIZE];

	if (!room_is_shared(room))
		return;
	(void)name_key(name, key);
	room->journal->absent(room->journal_room, key);
}

int room_offer(struct room *room, const struct stranger_offer *offer)
{
	return room->journal->offer(room->journal_room, offer);
}

/* ---- Coming, speaking, going. ---- */

static struct draft room_draft(
	struct room *room, struct member *member, struct outlet *asker, const struct saying *saying)
{
	struct draft draft = {
		.message = message_create(saying->kind, room_label(room), saying->name, saying->text, saying->text_size),
		.author = member,
		.asker = asker,
		.quiet = saying->quiet,
		.request_id = saying->request_id,
		.number = saying->number,
		.welcome = saying->welcome,
		.receipt = saying->receipt,
	};

	if (saying->number != 0)
		memcpy(draft.client, saying->client, sizeof draft.client);
	return draft;
}

void room_say(struct room *room, struct member *member, struct outlet *asker, const struct saying *saying)
{
	struct draft draft = room_draft(room, member, asker, saying);
	struct message nothing = {.kind = saying->kind};
	int error = -ENOMEM;

	draft.given_ns = asker == NULL ? clock_ns() : outlet_gives(asker);
	metrics_handed_over();
	if (draft.message != NULL) {
		(void)message_acquire(draft.message);
		error = room->journal->append(room->journal_room, &draft);
		message_release(draft.message);
	}
	if (error == 0)
		return;
	if (draft.message != NULL)
		message_release(draft.message);
	draft.message = &nothing; /* room_refuse() looks at its kind */
	room_refuse(room, &draft, -error);
}

void room_observe(struct room *room, struct member *member)
{
	room_lock(room);
	room_admit(room, member, room->last_seq);
	room_unlock(room);
	room_flush(room);
}

void room_leave(struct room *room, struct member *member, const char *name, const char *how)
{
	struct saying left = {.kind = MESSAGE_LEFT, .name = name, .text = how};

	room_drop_reader(room, member_format(member));
	if (how != NULL) {
		left.text_size = strlen(how);
		room_say(room, NULL, NULL, &left);
	}
	room_flush(room);
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

uint64_t room_last_seq(struct room *room)
{
	uint64_t last;

	room_lock(room);
	last = room->last_seq;
	room_unlock(room);
	return last;
}

uint64_t room_recent_seq(const struct room *room)
{
	return atomic_load_explicit(&room->last_seq, memory_order_relaxed);
}

ssize_t room_read(struct room *room, uint64_t from, struct message **messages, size_t capacity)
{
	uint64_t last = room_last_seq(room);
	ssize_t count;

	if (from > last)
		return 0;
	if (capacity > last + 1 - from)
		capacity = (size_t)(last + 1 - from);
	count = room->journal->read(room->journal_room, from, messages, capacity);
	while (count > 0 && messages[count - 1]->seq > last) /* after a hole */
		message_release(messages[--count]);
	return count;
}

/* Adds what was read to the page until that is full, or there is a hole. Returns how many messages are missing there. */
static uint64_t room_fill_page(struct member *member, struct message *const *messages, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (messages[i]->seq > member_page_start(member))
			return member_page_skip(member, messages[i]->seq); /* first the client is told */
		if (!member_page_add(member, messages[i]))
			return 0;
	}
	return 0;
}

static enum room_page room_read_page(struct room *room, struct member *member, uint64_t next, uint64_t *skipped)
{
	struct message *messages[PAGE_MESSAGES];
	ssize_t count = room_read(room, next, messages, PAGE_MESSAGES);

	if (count == 0) /* all that is left was removed */
		*skipped = member_page_skip(member, room_last_seq(room) + 1);
	if (count > 0)
		*skipped = room_fill_page(member, messages, (size_t)count);
	for (ssize_t i = 0; i < count; i++)
		message_release(messages[i]);
	return count < 0 ? ROOM_NOTHING : ROOM_PAGE;
}

enum room_page room_give_page(struct room *room, struct member *member, uint64_t *skipped, uint64_t *behind)
{
	uint64_t next = member_page_start(member);
	enum room_page page;

	*skipped = 0;
	*behind = 0;
	if (next == 0 || room_rejoin(room, member))
		return ROOM_LIVE;
	if (!member_is_to_know_lag(member, room_last_seq(room), behind))
		*behind = 0;
	page = room_read_page(room, member, next, skipped);
	*behind -= *behind < *skipped ? *behind : *skipped; /* those do not come any more */
	return page;
}

void room_reread(struct room *room, struct member *member, uint64_t start, bool recalls)
{
	room_lock(room);
	if (start != 0 && start <= room->last_seq)
		member_restart(member, start, recalls ? room->last_seq : 0);
	room_unlock(room);
}

uint64_t room_jump(struct room *room, struct member *member)
{
	uint64_t next;
	uint64_t last;

	room_lock(room);
	next = member_jump(member);
	last = room->last_seq;
	room_unlock(room);
	return next == 0 || next > last ? 0 : last + 1 - next;
}

/* ---- Looking back. ---- */

/* Counts what was said in messages 'from' to 'before' - 1, from the end. Returns the number of the one with which '*count'
 * is reached, or 0, with '*count' less by those there are; or ROOM_UNREADABLE. */
static uint64_t room_count_back(struct room *room, uint64_t from, uint64_t before, size_t *count)
{
	struct message *messages[PAGE_MESSAGES];
	ssize_t read = room_read(room, from, messages, (size_t)(before - from));
	uint64_t found = read < 0 ? ROOM_UNREADABLE : 0;

	for (ssize_t i = read; i > 0; i--) {
		const struct message *message = messages[i - 1];

		if (found == 0 && message->seq < before && message_is_said(message) && --*count == 0)
			found = message->seq;
		message_release(messages[i - 1]);
	}
	return found;
}

/* The numbers that the room remembers spare a look at all who came and went since. Steps over those before '*before';
 * returns the number with which '*count' is reached, or 0, and '*first' is the number of the first of them. */
static uint64_t room_recall_said(struct room *room, uint64_t *before, size_t *count, uint64_t *first)
{
	uint64_t found = 0;

	room_lock(room);
	for (size_t i = 0; found == 0 && i < room->said_count && i < SAID_KEPT; i++) {
		uint64_t seq = room->said[(room->said_count - 1 - i) % SAID_KEPT];

		if (seq >= *before)
			continue;
		*before = seq;
		*first = seq;
		if (--*count == 0)
			found = seq;
	}
	room_unlock(room);
	return found;
}

uint64_t room_find_said(struct room *room, uint64_t before, size_t count)
{
	uint64_t first = 0; /* of what was said, so far */
	uint64_t last = room_last_seq(room);
	uint64_t found;

	if (before > last + 1)
		before = last + 1;
	found = room_recall_said(room, &before, &count, &first);
	for (size_t looks = 0; found == 0 && before > 1 && looks < BACK_PAGES; looks++) {
		uint64_t from = before > PAGE_MESSAGES ? before - PAGE_MESSAGES : 1;
		size_t left = count;

		found = room_count_back(room, from, before, &count);
		if (count < left)
			first = from;
		before = from;
	}
	return found != 0 ? found : first;
}

uint64_t room_find_time(struct room *room, int64_t at_ns)
{
	uint64_t low = 1; /* all before it are earlier */
	uint64_t high = room_last_seq(room) + 1; /* it, and all after it, are not */

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		struct message *message;
		bool earlier;

		if (room_read(room, middle, &message, 1) != 1)
			return high; /* nothing is kept from there on; or it cannot be read */
		earlier = message->at_ns < at_ns;
		if (earlier)
			low = message->seq + 1;
		else
			high = middle;
		message_release(message);
	}
	return low;
}

uint64_t room_mark(struct room *room, const char *key)
{
	return room->journal->mark == NULL ? 0 : room->journal->mark(room->journal_room, key);
}

void room_set_mark(struct room *room, const char *key, uint64_t seq)
{
	uint64_t last = room_last_seq(room);

	if (room->journal->set_mark != NULL)
		room->journal->set_mark(room->journal_room, key, seq < last ? seq : last);
}
