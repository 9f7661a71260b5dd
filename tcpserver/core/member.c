#include "tcpserver/core/member.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/*
 * Why a signal wakes: a thread that waits for its socket alone needs one descriptor. An event descriptor or an epoll of
 * its own would double what a client costs of the most limited thing there is. The signal is blocked except while ppoll()
 * waits, so that none is lost.
 */
#define WAKE_SIGNAL SIGUSR2

static sigset_t wait_mask; /* constant after member_prepare_process() */

static void member_lock(struct member *member) ACQUIRES(MEMBER_LOCK) UNCHECKED;
static void member_unlock(struct member *member) RELEASES(MEMBER_LOCK) UNCHECKED;

static void member_lock(struct member *member)
{
	mutex_lock(&member->mutex);
}

static void member_unlock(struct member *member)
{
	mutex_unlock(&member->mutex);
}

static void ignore_wake(int signal)
{
	(void)signal; /* that ppoll() returns is all it is for */
}

void member_prepare_process(void)
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

/* ---- The member. ---- */

struct member *member_create(int socket, const struct format *format, size_t lag_memory)
{
	struct member *member = calloc(1, sizeof *member);

	if (member == NULL)
		return NULL;
	member->references = 1;
	member->format = format;
	member->lag_memory = lag_memory;
	member->socket = socket;
	member->thread = pthread_self();
	mutex_init(&member->mutex);
	member_lock(member);
	member->attached = true;
	member_unlock(member);
	return member;
}

struct member *member_acquire(struct member *member)
{
	/* Relaxed: whoever adds a reference has one already. */
	(void)atomic_fetch_add_explicit(&member->references, 1, memory_order_relaxed);
	return member;
}

void member_release(struct member *member)
{
	/* Acquire and release: all uses by others come before the memory is given back. */
	if (atomic_fetch_sub_explicit(&member->references, 1, memory_order_acq_rel) != 1)
		return;
	mutex_fini(&member->mutex);
	free(member);
}

static void member_wake_locked(struct member *member) REQUIRES(MEMBER_LOCK);
static void member_wake_locked(struct member *member)
{
	/* Attached means that the thread is there. */
	if (member->attached && !pthread_equal(member->thread, pthread_self()))
		(void)pthread_kill(member->thread, WAKE_SIGNAL);
}

void member_wake(struct member *member)
{
	member_lock(member);
	member_wake_locked(member);
	member_unlock(member);
}

void member_enter(struct member *member, struct room_log *log)
{
	member_lock(member);
	assert(member->log == NULL);
	member->log = log;
	member->cursor = room_log_end(log);
	member_unlock(member);
}

void member_said(struct member *member, uint64_t end, uint64_t seq)
{
	/* Relaxed: they are read after the flush that delivers the record, or a moment too early, which only waits longer. */
	atomic_store_explicit(&member->said_end, end, memory_order_relaxed);
	atomic_store_explicit(&member->said_seq, seq, memory_order_relaxed);
}

static bool member_has_read(struct member *member, uint64_t end, uint64_t seq) REQUIRES(MEMBER_LOCK);
static bool member_has_read(struct member *member, uint64_t end, uint64_t seq)
{
	if (member->reads_journal)
		return member->journal_next > seq && outbox_size(&member->outbox) == 0;
	return member->cursor.segment == NULL || cursor_position(&member->cursor) >= end;
}

/* Stops holding the log: the rest of a begun record goes to the front of the outbox, what follows is read from the
 * journal. Without memory for the rest the member stays in the log; this is tried again. */
static void member_leave_log(struct member *member) REQUIRES(MEMBER_LOCK);
static void member_leave_log(struct member *member)
{
	struct outbox *outbox = &member->outbox;
	size_t waiting = outbox_size(outbox);
	uint64_t seq;
	size_t rest = cursor_record_rest(&member->cursor, &seq);
	const char *bytes;

	if (rest > 0) {
		if (outbox_reserve(outbox, rest) == NULL)
			return;
		(void)cursor_range(&member->cursor, &bytes); /* holds the whole record */
		memmove(outbox->bytes + rest, outbox->bytes, waiting);
		memcpy(outbox->bytes, bytes, rest);
		outbox->end += rest;
	}
	cursor_leave(&member->cursor);
	member->journal_next = seq;
	member->reads_journal = true;
}

bool member_rejoin(struct member *member)
{
	bool joined;

	member_lock(member);
	joined = room_log_find(member->log, member->journal_next, &member->cursor);
	if (joined)
		member->reads_journal = false;
	member_unlock(member);
	return joined;
}

/* What has the right of way (see member.h); returns its size, 0 when there is nothing. '*from_outbox' tells whence. */
static size_t member_next_bytes(struct member *member, const char **bytes, bool *from_outbox) REQUIRES(MEMBER_LOCK);
static size_t member_next_bytes(struct member *member, const char **bytes, bool *from_outbox)
{
	size_t waiting = outbox_size(&member->outbox);
	size_t rest = 0;
	uint64_t seq;

	*from_outbox = false;
	if (member->cursor.segment != NULL) {
		if (waiting == 0)
			return cursor_range(&member->cursor, bytes);
		rest = cursor_record_rest(&member->cursor, &seq);
		if (rest > 0) {
			(void)cursor_range(&member->cursor, bytes);
			return rest;
		}
	}
	if (waiting == 0)
		return 0;
	*from_outbox = true;
	*bytes = member->outbox.bytes + member->outbox.start;
	return waiting;
}

static void member_advance(struct member *member, size_t size, bool from_outbox) REQUIRES(MEMBER_LOCK);
static void member_advance(struct member *member, size_t size, bool from_outbox)
{
	if (from_outbox)
		outbox_sent(&member->outbox, size);
	else
		cursor_advance(&member->cursor, size);
}

static enum member_state member_stop_sending(struct member *member, int error) REQUIRES(MEMBER_LOCK);
static enum member_state member_stop_sending(struct member *member, int error)
{
	bool full = error == EAGAIN || error == EWOULDBLOCK;

	member->behind = true;
	if (!full)
		member->error = error;
	member_wake_locked(member);
	return full ? MEMBER_FULL : MEMBER_FAILED;
}

static enum member_state member_send_all(struct member *member) REQUIRES(MEMBER_LOCK);
static enum member_state member_send_all(struct member *member)
{
	const char *bytes;
	bool from_outbox;
	size_t size;

	if (member->error != 0)
		return MEMBER_FAILED;
	while ((size = member_next_bytes(member, &bytes, &from_outbox)) > 0) {
		ssize_t sent = send(member->socket, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return member_stop_sending(member, errno);
		member_advance(member, (size_t)sent, from_outbox);
		if ((size_t)sent < size)
			return member_stop_sending(member, EAGAIN);
	}
	return member->reads_journal ? MEMBER_WANTS_PAGE : MEMBER_EVEN;
}

/* Behind, but the flushing thread keeps an eye on how much it makes us hold. */
static void member_limit_lag(struct member *member) REQUIRES(MEMBER_LOCK);
static void member_limit_lag(struct member *member)
{
	if (member->cursor.segment == NULL)
		return;
	/* Relaxed: a look at how far the log has come. */
	if (atomic_load_explicit(&member->log->end, memory_order_relaxed) - cursor_position(&member->cursor) >
		member->lag_memory)
		member_leave_log(member);
}

static void member_notice_echo(struct member *member) REQUIRES(MEMBER_LOCK);
static void member_notice_echo(struct member *member)
{
	if (!member->waits_for_echo || !member_has_read(member, member->mark_end, member->mark_seq))
		return;
	member->waits_for_echo = false;
	member_wake_locked(member);
}

bool member_flush(struct member *member)
{
	bool attached;

	member_lock(member);
	attached = member->attached;
	if (attached && member->behind)
		member_limit_lag(member);
	else if (attached)
		(void)member_send_all(member); /* its own thread was woken if it is behind or broken now */
	member_notice_echo(member);
	member_unlock(member);
	return attached;
}

bool member_give_duty(struct member *member)
{
	bool given;

	member_lock(member);
	given = member->attached && !pthread_equal(member->thread, pthread_self());
	if (given) {
		/* Release: the thread sees what was flushed so far. */
		atomic_store_explicit(&member->on_duty, true, memory_order_release);
		member_wake_locked(member);
	}
	member_unlock(member);
	return given;
}

bool member_take_duty(struct member *member)
{
	/* Acquire: see member_give_duty(). The look before the exchange keeps the usual case cheap. */
	return atomic_load_explicit(&member->on_duty, memory_order_relaxed) &&
		atomic_exchange_explicit(&member->on_duty, false, memory_order_acquire);
}

enum member_state member_send(struct member *member)
{
	enum member_state state;

	member_lock(member);
	member->behind = false;
	state = member_send_all(member);
	/* While it reads pages only its own thread sends. */
	if (state == MEMBER_WANTS_PAGE || state == MEMBER_FAILED)
		member->behind = true;
	member_unlock(member);
	return state;
}

int member_error(struct member *member)
{
	int error;

	member_lock(member);
	error = member->error;
	member_unlock(member);
	return error;
}

void member_tell(struct member *member, const char *bytes, size_t size)
{
	char *place;

	member_lock(member);
	place = outbox_reserve(&member->outbox, size);
	if (place != NULL) {
		memcpy(place, bytes, size);
		member->outbox.end += size;
	} else {
		member->error = ENOMEM;
	}
	member_unlock(member);
}

uint64_t member_page_start(struct member *member)
{
	uint64_t seq;

	member_lock(member);
	seq = member->journal_next;
	member_unlock(member);
	return seq;
}

bool member_page_add(struct member *member, const struct message *message)
{
	struct outbox *outbox = &member->outbox;
	size_t size = member->format->encode(message, NULL, 0);
	char *place = NULL;

	member_lock(member);
	if (outbox_size(outbox) < PAGE_SIZE)
		place = outbox_reserve(outbox, size);
	if (place != NULL) {
		(void)member->format->encode(message, place, size);
		outbox->end += size;
		member->journal_next++;
	}
	member_unlock(member);
	return place != NULL;
}

void member_page_skip(struct member *member, uint64_t seq)
{
	member_lock(member);
	member->journal_next = seq;
	member_unlock(member);
}

void member_close_log(struct member *member)
{
	member_lock(member);
	if (member->cursor.segment != NULL)
		member_leave_log(member);
	member_unlock(member);
}

bool member_is_answered(struct member *member)
{
	bool answered;

	member_lock(member);
	answered = outbox_size(&member->outbox) == 0 &&
		member_has_read(member, atomic_load_explicit(&member->said_end, memory_order_relaxed),
			atomic_load_explicit(&member->said_seq, memory_order_relaxed));
	member_unlock(member);
	return answered;
}

void member_took(struct member *member, size_t size)
{
	member_lock(member);
	member->taken_size += size;
	member_unlock(member);
}

bool member_may_speak(struct member *member)
{
	bool open;

	member_lock(member);
	open = member->taken_size < WINDOW_SIZE / 2;
	if (!open && member_has_read(member, member->mark_end, member->mark_seq)) {
		member->mark_end = atomic_load_explicit(&member->said_end, memory_order_relaxed);
		member->mark_seq = atomic_load_explicit(&member->said_seq, memory_order_relaxed);
		member->taken_size = 0;
		open = true;
	}
	member->waits_for_echo = !open;
	open = open && outbox_size(&member->outbox) < OUTBOX_LIMIT;
	if (member->error != 0) /* it will never read again: what it sent before is still taken */
		open = true;
	member_unlock(member);
	return open;
}

int member_wait(struct member *member, short events, int timeout_ms)
{
	struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
	struct pollfd poll = {.fd = member->socket, .events = events};
	int found;

	member_lock(member);
	if (member->behind && member->error == 0)
		poll.events |= POLLOUT;
	member_unlock(member);
	found = ppoll(&poll, 1, timeout_ms < 0 ? NULL : &timeout, &wait_mask);
	if (found == 0)
		return -ETIMEDOUT;
	return found < 0 ? 0 : poll.revents; /* EINTR is the wake-up; nothing else can fail here */
}

void member_detach(struct member *member)
{
	member_lock(member);
	member->attached = false;
	member->behind = false; /* nothing is sent any more: member_wait() does not wait for room */
	member->log = NULL;
	if (member->cursor.segment != NULL)
		cursor_leave(&member->cursor);
	free(member->outbox.bytes);
	member->outbox = (struct outbox){.bytes = NULL};
	member_unlock(member);
}
