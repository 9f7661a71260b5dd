#include "tcpserver/core/outlet.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/metrics.h"
#include "tcpserver/core/room.h"

/*
 * Why a signal wakes: a thread that waits for its socket alone needs one descriptor. An event descriptor or an epoll of
 * its own would double what a client costs of the most limited thing there is. The signal is blocked except while ppoll()
 * waits, so that none is lost.
 */
#define WAKE_SIGNAL SIGUSR2

static sigset_t wait_mask; /* constant after outlet_prepare_process() */

void outlet_lock(struct outlet *outlet)
{
	mutex_lock(&outlet->mutex);
}

void outlet_unlock(struct outlet *outlet)
{
	mutex_unlock(&outlet->mutex);
}

static void ignore_wake(int signal)
{
	(void)signal; /* that ppoll() returns is all it is for */
}

void outlet_prepare_process(void)
{
	struct sigaction action = {.sa_handler = ignore_wake};
	sigset_t wake;

	(void)sigemptyset(&wake);
	(void)sigaddset(&wake, WAKE_SIGNAL);
	(void)sigaction(WAKE_SIGNAL, &action, NULL);
	(void)pthread_sigmask(SIG_BLOCK, &wake, &wait_mask);
	(void)sigdelset(&wait_mask, WAKE_SIGNAL);
}

/* ---- The outbox. ---- */

static size_t outbox_size(const struct outbox *outbox)
{
	return outbox->end - outbox->start;
}

/* Makes room for 'size' more bytes and returns where they go, or NULL without memory. */
static char *outbox_reserve(struct outbox *outbox, size_t size)
{
	size_t waiting = outbox_size(outbox);
	char *grown;

	if (outbox->start > 0) {
		memmove(outbox->bytes, outbox->bytes + outbox->start, waiting);
		outbox->start = 0;
		outbox->end = waiting;
	}
	if (waiting + size > outbox->capacity) {
		size_t capacity = waiting + size > 2 * outbox->capacity ? waiting + size : 2 * outbox->capacity;

		grown = realloc(outbox->bytes, capacity);
		if (grown == NULL)
			return NULL;
		outbox->bytes = grown;
		outbox->capacity = capacity;
	}
	return outbox->bytes + outbox->end;
}

static void outbox_sent(struct outbox *outbox, size_t size)
{
	outbox->start += size;
	if (outbox_size(outbox) > 0)
		return;
	free(outbox->bytes); /* an idle client costs no buffer */
	*outbox = (struct outbox){.bytes = NULL};
}

static void outlet_note_unsent(struct outlet *outlet) REQUIRES(OUTLET_LOCK);
static void outlet_note_unsent(struct outlet *outlet)
{
	/* Relaxed: what its own thread puts there that sees, and the rest is a matter of time. */
	atomic_store_explicit(&outlet->unsent, outbox_size(&outlet->outbox), memory_order_relaxed);
}

bool outlet_put(struct outlet *outlet, const char *bytes, size_t size, bool first)
{
	struct outbox *outbox = &outlet->outbox;
	size_t waiting = outbox_size(outbox);

	if (size == 0 || outlet->error != 0)
		return true;
	if (outbox_reserve(outbox, size) == NULL)
		return false;
	if (first)
		memmove(outbox->bytes + outbox->start + size, outbox->bytes + outbox->start, waiting);
	memcpy(outbox->bytes + (first ? outbox->start : outbox->end), bytes, size);
	outbox->end += size;
	outlet_note_unsent(outlet);
	return true;
}

size_t outlet_waiting(const struct outlet *outlet)
{
	return outbox_size(&outlet->outbox);
}

/* ---- The outlet. ---- */

struct outlet *outlet_create(int socket, const struct door *door, size_t lag_memory)
{
	struct outlet *outlet = calloc(1, sizeof *outlet);

	if (outlet == NULL)
		return NULL;
	outlet->references = 1;
	outlet->lag_memory = lag_memory;
	outlet->socket = socket;
	outlet->thread = pthread_self();
	mutex_init(&outlet->mutex);
	outlet_lock(outlet);
	outlet->attached = true;
	outlet->door = door;
	outlet_unlock(outlet);
	return outlet;
}

struct outlet *outlet_acquire(struct outlet *outlet)
{
	/* Relaxed: whoever adds a reference has one already. */
	(void)atomic_fetch_add_explicit(&outlet->references, 1, memory_order_relaxed);
	return outlet;
}

void outlet_release(struct outlet *outlet)
{
	/* Acquire and release: all uses by others come before the memory is given back. */
	if (atomic_fetch_sub_explicit(&outlet->references, 1, memory_order_acq_rel) != 1)
		return;
	mutex_fini(&outlet->mutex);
	free(outlet);
}

static void outlet_wake_locked(struct outlet *outlet) REQUIRES(OUTLET_LOCK);
static void outlet_wake_locked(struct outlet *outlet)
{
	/* Attached means that the thread is there. */
	if (outlet->attached && !pthread_equal(outlet->thread, pthread_self()))
		(void)pthread_kill(outlet->thread, WAKE_SIGNAL);
}

void outlet_wake(struct outlet *outlet)
{
	outlet_lock(outlet);
	outlet_wake_locked(outlet);
	outlet_unlock(outlet);
}

/* What has the right of way (see outlet.h), in '*bytes', and whose it is: a member's, or (NULL) the outbox's. Returns its
 * size, 0 when there is nothing. */
static size_t outlet_next_bytes(struct outlet *outlet, const char **bytes, struct member **owner)
	REQUIRES(OUTLET_LOCK);
static size_t outlet_next_bytes(struct outlet *outlet, const char **bytes, struct member **owner)
{
	size_t size = outbox_size(&outlet->outbox);
	uint64_t seq;

	*owner = outlet->begun;
	if (outlet->begun != NULL) {
		(void)cursor_range(&outlet->begun->cursor, bytes);
		return cursor_record_rest(&outlet->begun->cursor, &seq);
	}
	if (size > 0) {
		*bytes = outlet->outbox.bytes + outlet->outbox.start;
		return size;
	}
	for (struct member *member = outlet->members; member != NULL; member = member->next) {
		size = member->cursor.segment == NULL ? 0 : member_range(member, bytes);
		*owner = member;
		if (size > 0)
			return size;
	}
	return 0;
}

static void outlet_advance(struct outlet *outlet, struct member *owner, size_t size, bool all) REQUIRES(OUTLET_LOCK);
static void outlet_advance(struct outlet *outlet, struct member *owner, size_t size, bool all)
{
	uint64_t seq;

	if (owner == NULL) {
		outbox_sent(&outlet->outbox, size);
		outlet_note_unsent(outlet);
		return;
	}
	cursor_advance(&owner->cursor, size);
	outlet->begun = !all && cursor_record_rest(&owner->cursor, &seq) > 0 ? owner : NULL;
}

static enum outlet_state outlet_stop_sending(struct outlet *outlet, int error) REQUIRES(OUTLET_LOCK);
static enum outlet_state outlet_stop_sending(struct outlet *outlet, int error)
{
	bool full = error == EAGAIN || error == EWOULDBLOCK;

	outlet->behind = true;
	if (!full)
		outlet->error = error;
	outlet_wake_locked(outlet);
	return full ? OUTLET_FULL : OUTLET_FAILED;
}

static bool outlet_wants_page(const struct outlet *outlet) REQUIRES(OUTLET_LOCK);
static bool outlet_wants_page(const struct outlet *outlet)
{
	const struct member *member = outlet->members;

	while (member != NULL && !member->reads_journal)
		member = member->next;
	return member != NULL;
}

enum outlet_state outlet_send_locked(struct outlet *outlet)
{
	struct member *owner;
	const char *bytes;
	size_t size;

	if (outlet->error != 0)
		return OUTLET_FAILED;
	while ((size = outlet_next_bytes(outlet, &bytes, &owner)) > 0) {
		ssize_t sent = send(outlet->socket, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return outlet_stop_sending(outlet, errno);
		metrics_sent((size_t)sent);
		outlet_advance(outlet, owner, (size_t)sent, (size_t)sent == size);
		if ((size_t)sent < size)
			return outlet_stop_sending(outlet, EAGAIN);
	}
	return outlet_wants_page(outlet) ? OUTLET_WANTS_PAGE : OUTLET_EVEN;
}

enum outlet_state outlet_send(struct outlet *outlet)
{
	enum outlet_state state;

	outlet_lock(outlet);
	outlet->behind = false;
	state = outlet_send_locked(outlet);
	/* While it reads pages only its own thread sends. */
	if (state == OUTLET_WANTS_PAGE || state == OUTLET_FAILED)
		outlet->behind = true;
	outlet_unlock(outlet);
	return state;
}

int outlet_error(struct outlet *outlet)
{
	int error;

	outlet_lock(outlet);
	error = outlet->error;
	outlet_unlock(outlet);
	return error;
}

void outlet_tell(struct outlet *outlet, const char *bytes, size_t size)
{
	outlet_lock(outlet);
	if (!outlet_put(outlet, bytes, size, false))
		outlet->error = ENOMEM;
	outlet_unlock(outlet);
}

bool outlet_tell_from_outside(struct outlet *outlet, const char *bytes, size_t size)
{
	bool told;

	outlet_lock(outlet);
	if (outlet->attached && !outlet->behind)
		(void)outlet_send_locked(outlet); /* what was said before, which another thread may be about to flush */
	told = outlet->attached && outlet->error == 0 && outbox_size(&outlet->outbox) < OUTBOX_LIMIT &&
		outlet_put(outlet, bytes, size, false);
	if (told && !outlet->behind)
		(void)outlet_send_locked(outlet); /* its own thread was woken if it is behind or broken now */
	outlet_unlock(outlet);
	return told;
}

static uint64_t outlet_lag_of(const struct member *member) REQUIRES(OUTLET_LOCK);
static uint64_t outlet_lag_of(const struct member *member)
{
	uint64_t last = room_recent_seq(member->room); /* the room stays while the member is in the list */

	if (!member->reads_journal || member->journal_next <= member->history_end || member->journal_next > last)
		return 0;
	return last + 1 - member->journal_next;
}

uint64_t outlet_lag(struct outlet *outlet)
{
	uint64_t most = 0;

	outlet_lock(outlet);
	for (const struct member *member = outlet->members; member != NULL; member = member->next) {
		uint64_t lag = outlet_lag_of(member);

		most = lag > most ? lag : most;
	}
	outlet_unlock(outlet);
	return most;
}

/* ---- The window. ---- */

static void outlet_set_member_marks(struct outlet *outlet) REQUIRES(OUTLET_LOCK);
static void outlet_set_member_marks(struct outlet *outlet)
{
	/* Relaxed: they are read after the flush that delivers the record, or a moment too early, which only waits longer. */
	for (struct member *member = outlet->members; member != NULL; member = member->next) {
		member->mark_end = atomic_load_explicit(&member->said_end, memory_order_relaxed);
		member->mark_seq = atomic_load_explicit(&member->said_seq, memory_order_relaxed);
	}
}

/* What the journal has not settled yet has no place that could be read: its marks stay open until then. */
static bool outlet_has_closed_marks(struct outlet *outlet) REQUIRES(OUTLET_LOCK);
static bool outlet_has_closed_marks(struct outlet *outlet)
{
	if (!outlet->marks_are_open)
		return true;
	/* Acquire: what was published before is said. */
	if (atomic_load_explicit(&outlet->settled, memory_order_acquire) < outlet->mark_given)
		return false;
	outlet_set_member_marks(outlet);
	outlet->marks_are_open = false;
	return true;
}

static bool outlet_has_read_marks(struct outlet *outlet) REQUIRES(OUTLET_LOCK);
static bool outlet_has_read_marks(struct outlet *outlet)
{
	struct member *member = outlet->members;

	if (!outlet_has_closed_marks(outlet))
		return false;
	while (member != NULL && member_has_read(member, member->mark_end, member->mark_seq))
		member = member->next;
	return member == NULL;
}

static void outlet_set_marks(struct outlet *outlet) REQUIRES(OUTLET_LOCK);
static void outlet_set_marks(struct outlet *outlet)
{
	/* Relaxed: this thread alone counts it. */
	outlet->mark_given = atomic_load_explicit(&outlet->given, memory_order_relaxed);
	outlet->marks_are_open = true;
	(void)outlet_has_closed_marks(outlet);
}

void outlet_notice_echo(struct outlet *outlet)
{
	if (!outlet->waits_for_echo || !outlet_has_read_marks(outlet))
		return;
	outlet->waits_for_echo = false;
	outlet_wake_locked(outlet);
}

bool outlet_is_answered(struct outlet *outlet)
{
	bool answered;

	outlet_lock(outlet);
	outlet_set_marks(outlet);
	answered = outbox_size(&outlet->outbox) == 0 && outlet_has_read_marks(outlet);
	outlet_unlock(outlet);
	return answered;
}

bool outlet_is_sent(struct outlet *outlet)
{
	bool sent;

	outlet_lock(outlet);
	sent = outbox_size(&outlet->outbox) == 0 && outlet->begun == NULL;
	outlet_unlock(outlet);
	return sent;
}

size_t outlet_unsent(const struct outlet *outlet)
{
	return atomic_load_explicit(&outlet->unsent, memory_order_relaxed); /* see outlet_note_unsent() */
}

bool outlet_is_behind(struct outlet *outlet)
{
	bool behind;

	outlet_lock(outlet);
	behind = outlet->behind;
	outlet_unlock(outlet);
	return behind;
}

void outlet_took(struct outlet *outlet, size_t size)
{
	outlet->given_ns = 0;
	outlet_lock(outlet);
	outlet->taken_size += size;
	outlet_unlock(outlet);
}

bool outlet_may_speak(struct outlet *outlet)
{
	bool open;

	outlet_lock(outlet);
	open = outlet->taken_size < WINDOW_SIZE / 2;
	if (!open && outlet_has_read_marks(outlet)) {
		outlet_set_marks(outlet);
		outlet->taken_size = 0;
		open = true;
	}
	outlet->waits_for_echo = !open;
	open = open && outbox_size(&outlet->outbox) < OUTBOX_LIMIT;
	if (outlet->error != 0) /* it will never read again: what it sent before is still taken */
		open = true;
	outlet_unlock(outlet);
	return open;
}

/* ---- Drafts on their way. ---- */

int64_t outlet_gives(struct outlet *outlet)
{
	/* Relaxed: only this thread counts it. */
	(void)atomic_fetch_add_explicit(&outlet->given, 1, memory_order_relaxed);
	if (outlet->given_ns == 0)
		outlet->given_ns = clock_ns();
	return outlet->given_ns;
}

bool outlet_is_settled(struct outlet *outlet)
{
	/* Sequentially consistent, as in outlet_settles(): of the two threads one sees what the other wrote. */
	atomic_store(&outlet->waits_to_settle, true);
	if (atomic_load(&outlet->settled) != atomic_load_explicit(&outlet->given, memory_order_relaxed))
		return false;
	atomic_store_explicit(&outlet->waits_to_settle, false, memory_order_relaxed);
	return true;
}

void outlet_settles(struct outlet *outlet, int error)
{
	uint64_t settled;

	if (error != 0)
		atomic_store_explicit(&outlet->refusal, error, memory_order_relaxed); /* released by what follows */
	settled = 1 + atomic_fetch_add(&outlet->settled, 1);
	/* A thread that waits gives nothing more, so that one of these is the last. */
	if (atomic_load(&outlet->waits_to_settle) && settled == atomic_load(&outlet->given))
		outlet_wake(outlet);
}

int outlet_take_refusal(struct outlet *outlet)
{
	return atomic_exchange_explicit(&outlet->refusal, 0, memory_order_relaxed);
}

void outlet_set_door(struct outlet *outlet, const struct door *door)
{
	outlet_lock(outlet);
	outlet->door = door;
	outlet_unlock(outlet);
}

void outlet_answer(struct outlet *outlet, const struct telling *telling)
{
	size_t size;
	char *words;

	outlet_lock(outlet);
	words = outlet->door->words(telling, &size);
	if (words != NULL && !outlet_put(outlet, words, size, false))
		outlet->error = ENOMEM;
	outlet_unlock(outlet);
	free(words);
}

/* ---- Waiting, duty, the end. ---- */

int outlet_poll(struct pollfd *polls, nfds_t count, int timeout_ms)
{
	struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
	int found = ppoll(polls, count, timeout_ms < 0 ? NULL : &timeout, &wait_mask);

	if (found == 0)
		return -ETIMEDOUT;
	return found < 0 ? 0 : found; /* EINTR is the wake-up; nothing else can fail here */
}

int outlet_wait(struct outlet *outlet, short events, int timeout_ms)
{
	struct pollfd poll = {.fd = outlet->socket, .events = events};
	int found;

	outlet->given_ns = 0;
	outlet_lock(outlet);
	if (outlet->behind && outlet->error == 0)
		poll.events |= POLLOUT;
	outlet->waits = true;
	outlet_unlock(outlet);
	found = outlet_poll(&poll, 1, timeout_ms);
	outlet_lock(outlet);
	outlet->waits = false; /* a duty that was given until now is taken next */
	outlet_unlock(outlet);
	return found > 0 ? poll.revents : found;
}

void outlet_pause(struct outlet *outlet)
{
	outlet->given_ns = 0;
	(void)ppoll(NULL, 0, NULL, &wait_mask); /* a wake-up ends it */
}

bool outlet_give_duty(struct outlet *outlet, struct room *room)
{
	struct room *none = NULL;
	bool given;

	outlet_lock(outlet);
	given = outlet->attached && outlet->waits;
	/* Release: the thread sees what was flushed so far. */
	given = given && atomic_compare_exchange_strong_explicit(
		&outlet->duty, &none, room, memory_order_release, memory_order_relaxed);
	if (given)
		outlet_wake_locked(outlet);
	outlet_unlock(outlet);
	return given;
}

struct room *outlet_take_duty(struct outlet *outlet)
{
	/* Acquire: see outlet_give_duty(). The look before the exchange keeps the usual case cheap. */
	if (atomic_load_explicit(&outlet->duty, memory_order_relaxed) == NULL)
		return NULL;
	return atomic_exchange_explicit(&outlet->duty, NULL, memory_order_acquire);
}

void outlet_detach(struct outlet *outlet)
{
	outlet_lock(outlet);
	outlet->attached = false;
	outlet->behind = false; /* nothing is sent any more: outlet_wait() does not wait for room */
	free(outlet->outbox.bytes);
	outlet->outbox = (struct outbox){.bytes = NULL};
	outlet_note_unsent(outlet);
	outlet_unlock(outlet);
}
