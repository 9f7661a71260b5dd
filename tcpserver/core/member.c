#include "tcpserver/core/member.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/message.h"
#include "tcpserver/core/metrics.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room.h"

enum { LAG_TOLD = 1000 }; /* messages behind, from which on the client is told */

struct member *member_create(
	struct outlet *outlet, struct client *client, struct room *room, const struct format *format)
{
	struct member *member = calloc(1, sizeof *member);

	if (member == NULL)
		return NULL;
	member->references = 1;
	member->outlet = outlet_acquire(outlet);
	member->room = room;
	member->client = client;
	outlet_lock(outlet);
	member->format = format;
	member->next = outlet->members;
	outlet->members = member;
	outlet_unlock(outlet);
	return member;
}

struct member *member_acquire(struct member *member)
{
	/* Relaxed: whoever adds a reference has one already. */
	(void)atomic_fetch_add_explicit(&member->references, 1, memory_order_relaxed);
	return member;
}

/* Nobody else has it any more. */
static void member_free(struct member *member) UNCHECKED;
static void member_free(struct member *member)
{
	free(member->hidden);
	free(member);
}

void member_release(struct member *member)
{
	/* Acquire and release: all uses by others come before the memory is given back. */
	if (atomic_fetch_sub_explicit(&member->references, 1, memory_order_acq_rel) != 1)
		return;
	outlet_release(member->outlet);
	member_free(member);
}

/* Whether the member reads the journal, from now on. */
static void member_set_reads_journal(struct member *member, bool reads) REQUIRES(OUTLET_LOCK);
static void member_set_reads_journal(struct member *member, bool reads)
{
	if (member->reads_journal != reads)
		metrics_changed_behind(reads ? 1 : -1);
	member->reads_journal = reads;
}

void member_enter(struct member *member, struct room_log *log, uint64_t seq)
{
	outlet_lock(member->outlet);
	assert(member->log == NULL);
	member->log = log;
	if (member->start == 0) {
		member->cursor = room_log_end(log);
	} else {
		uint64_t before = member->sees_coming ? seq - 1 : seq;
		bool later = member->start > before;

		member_set_reads_journal(member, true);
		member->journal_next = later ? before + 1 : member->start;
		member->history_end = later || member->recalls ? before : 0;
		member->outlet->behind = true; /* its own thread reads the journal */
	}
	outlet_unlock(member->outlet);
}

void member_said(struct member *member, uint64_t end, uint64_t seq)
{
	/* Relaxed: see outlet_set_marks(). */
	atomic_store_explicit(&member->said_end, end, memory_order_relaxed);
	atomic_store_explicit(&member->said_seq, seq, memory_order_relaxed);
}

bool member_has_read(struct member *member, uint64_t end, uint64_t seq)
{
	if (member->reads_journal)
		return member->journal_next > seq && outlet_waiting(member->outlet) == 0;
	return member->cursor.segment == NULL || cursor_position(&member->cursor) >= end;
}

/* ---- What is hidden from its author. ---- */

static bool member_reserve_hidden(struct member *member) REQUIRES(OUTLET_LOCK);
static bool member_reserve_hidden(struct member *member)
{
	size_t capacity = member->hidden_capacity == 0 ? 16 : 2 * member->hidden_capacity;
	uint64_t *grown;

	if (member->hidden_count < member->hidden_capacity)
		return true;
	grown = realloc(member->hidden, capacity * sizeof *grown);
	if (grown == NULL)
		return false;
	member->hidden = grown;
	member->hidden_capacity = capacity;
	return true;
}

void member_hide(struct member *member, uint64_t seq)
{
	outlet_lock(member->outlet);
	if (member_reserve_hidden(member))
		member->hidden[member->hidden_count++] = seq;
	else
		member->outlet->error = ENOMEM;
	outlet_unlock(member->outlet);
}

/* Whether message 'seq' is hidden; those before it are forgotten. */
static bool member_hides(struct member *member, uint64_t seq) REQUIRES(OUTLET_LOCK);
static bool member_hides(struct member *member, uint64_t seq)
{
	size_t passed = 0;

	while (passed < member->hidden_count && member->hidden[passed] < seq)
		passed++;
	member->hidden_count -= passed;
	if (passed > 0)
		memmove(member->hidden, member->hidden + passed, member->hidden_count * sizeof *member->hidden);
	return member->hidden_count > 0 && member->hidden[0] == seq;
}

static size_t least(size_t one, size_t other)
{
	return one < other ? one : other;
}

size_t member_range(struct member *member, const char **bytes)
{
	size_t size = cursor_range(&member->cursor, bytes);

	while (size > 0 && member->hidden_count > 0) {
		uint64_t seq;

		(void)cursor_record_rest(&member->cursor, &seq);
		if (!member_hides(member, seq)) {
			if (member->hidden_count > 0)
				size = least(size, cursor_size_before(&member->cursor, member->hidden[0]));
			break;
		}
		cursor_advance(&member->cursor, least(size, cursor_size_before(&member->cursor, seq + 1)));
		size = cursor_range(&member->cursor, bytes);
	}
	return size;
}

/*
 * Stops holding the log: the rest of a begun record goes to the front of the outbox, what follows is read from the
 * journal. Without memory for the rest the member stays in the log, and this returns false.
 */
static bool member_leave_log(struct member *member) REQUIRES(OUTLET_LOCK);
static bool member_leave_log(struct member *member)
{
	struct outlet *outlet = member->outlet;
	uint64_t seq;
	size_t rest = cursor_record_rest(&member->cursor, &seq);
	const char *bytes;

	if (rest > 0) {
		(void)cursor_range(&member->cursor, &bytes); /* holds the whole record */
		if (!outlet_put(outlet, bytes, rest, true))
			return false;
		outlet->begun = NULL;
	}
	cursor_leave(&member->cursor);
	member->journal_next = seq;
	member_set_reads_journal(member, true);
	return true;
}

void member_restart(struct member *member, uint64_t start, uint64_t history_end)
{
	outlet_lock(member->outlet);
	if (member->reads_journal || member_leave_log(member)) { /* without memory it goes on where it is */
		member->journal_next = start;
		member->history_end = history_end;
		member->outlet->behind = true; /* its own thread reads the journal */
	}
	outlet_unlock(member->outlet);
}

uint64_t member_jump(struct member *member)
{
	uint64_t next = 0;

	outlet_lock(member->outlet);
	if (member->reads_journal || member_leave_log(member)) {
		next = member->journal_next;
		member->cursor = room_log_end(member->log);
		member_set_reads_journal(member, false);
		member->history_end = 0;
	}
	outlet_unlock(member->outlet);
	return next;
}

bool member_rejoin(struct member *member)
{
	bool joined;

	outlet_lock(member->outlet);
	joined = member->journal_next > member->history_end &&
		room_log_find(member->log, member->journal_next, &member->cursor);
	if (joined) {
		member_set_reads_journal(member, false);
		member->knows_lag = false;
	}
	outlet_unlock(member->outlet);
	return joined;
}

/* Behind, but the flushing thread keeps an eye on how much it makes us hold. */
static void member_limit_lag(struct member *member) REQUIRES(OUTLET_LOCK);
static void member_limit_lag(struct member *member)
{
	if (member->cursor.segment == NULL)
		return;
	/* Relaxed: a look at how far the log has come. */
	if (atomic_load_explicit(&member->log->end, memory_order_relaxed) - cursor_position(&member->cursor) >
		member->outlet->lag_memory)
		(void)member_leave_log(member); /* without memory it is tried again at the next flush */
}

bool member_flush(struct member *member)
{
	struct outlet *outlet = member->outlet;
	bool here;

	outlet_lock(outlet);
	here = member->log != NULL;
	if (here && outlet->behind)
		member_limit_lag(member);
	else if (here)
		(void)outlet_send_locked(outlet); /* its own thread was woken if it is behind or broken now */
	outlet_notice_echo(outlet);
	outlet_unlock(outlet);
	return here;
}

void member_change_log(struct member *member, struct room_log *log)
{
	struct outlet *outlet = member->outlet;

	outlet_lock(outlet);
	if (!member->reads_journal && !member_leave_log(member)) {
		outlet->error = ENOMEM;
		cursor_leave(&member->cursor);
		outlet->begun = NULL;
	}
	member->log = log;
	member->format = log->format;
	/* The numbers of places differ from log to log: what was said before counts as read when its number is. */
	member_said(member, 0, atomic_load_explicit(&member->said_seq, memory_order_relaxed));
	member->mark_end = 0;
	outlet_unlock(outlet);
}

const struct format *member_format(struct member *member)
{
	const struct format *format;

	outlet_lock(member->outlet);
	format = member->format;
	outlet_unlock(member->outlet);
	return format;
}

uint64_t member_last_seq(struct member *member, uint64_t room_last)
{
	uint64_t next = room_last + 1;

	outlet_lock(member->outlet);
	if (member->reads_journal && member->history_end != 0)
		next = member->history_end + 1;
	else if (member->cursor.segment != NULL)
		(void)cursor_record_rest(&member->cursor, &next);
	outlet_unlock(member->outlet);
	return next - 1;
}

/* ---- Pages of the journal. ---- */

uint64_t member_page_start(struct member *member)
{
	uint64_t seq;

	outlet_lock(member->outlet);
	seq = member->reads_journal ? member->journal_next : 0;
	outlet_unlock(member->outlet);
	return seq;
}

static bool member_is_at_history(struct member *member)
{
	bool history;

	outlet_lock(member->outlet);
	history = member->journal_next <= member->history_end;
	outlet_unlock(member->outlet);
	return history;
}

/* Adds a record, of 0 bytes for what is not shown. */
static bool member_page_put(struct member *member, const char *record, size_t size)
{
	bool added;

	outlet_lock(member->outlet);
	added = outlet_waiting(member->outlet) < PAGE_SIZE && outlet_put(member->outlet, record, size, false);
	if (added)
		member->journal_next++;
	outlet_unlock(member->outlet);
	return added;
}

static bool member_page_hides(struct member *member, uint64_t seq)
{
	bool hides;

	outlet_lock(member->outlet);
	hides = member_hides(member, seq);
	outlet_unlock(member->outlet);
	return hides;
}

bool member_page_add(struct member *member, const struct message *message)
{
	const struct format *format = member_format(member);
	bool history = member_is_at_history(member);
	const char *id = room_id(member->room);
	size_t size;
	char *record;
	bool added;

	if (member_page_hides(member, message->seq) || (history && !message_is_said(message)))
		return member_page_put(member, NULL, 0);
	size = format_write(format, id, message, history, NULL, 0);
	record = malloc(size);
	if (record == NULL)
		return false;
	(void)format_write(format, id, message, history, record, size);
	added = member_page_put(member, record, size);
	free(record);
	return added;
}

uint64_t member_page_skip(struct member *member, uint64_t seq)
{
	uint64_t skipped;

	outlet_lock(member->outlet);
	skipped = member->journal_next <= member->history_end ? 0 : seq - member->journal_next;
	member->journal_next = seq;
	outlet_unlock(member->outlet);
	return skipped;
}

bool member_is_to_know_lag(struct member *member, uint64_t last, uint64_t *behind)
{
	bool tell;

	outlet_lock(member->outlet);
	*behind = last < member->journal_next ? 0 : last + 1 - member->journal_next;
	tell = !member->knows_lag && member->journal_next > member->history_end && *behind >= LAG_TOLD;
	if (tell)
		member->knows_lag = true;
	outlet_unlock(member->outlet);
	return tell;
}

/* ---- Leaving. ---- */

void member_close_log(struct member *member)
{
	outlet_lock(member->outlet);
	if (member->cursor.segment != NULL)
		(void)member_leave_log(member); /* without memory the rest of the log is sent, too */
	outlet_unlock(member->outlet);
}

/* Moves what the cursor has not read to the outbox; without memory the connection fails. */
static void member_finish_log(struct member *member) REQUIRES(OUTLET_LOCK);
static void member_finish_log(struct member *member)
{
	const char *bytes;
	size_t size;
	bool first = member->outlet->begun == member;

	while ((size = first ? cursor_range(&member->cursor, &bytes) : member_range(member, &bytes)) > 0) {
		uint64_t seq;
		size_t rest = first ? cursor_record_rest(&member->cursor, &seq) : size;

		if (!outlet_put(member->outlet, bytes, rest, first)) {
			member->outlet->error = ENOMEM;
			return;
		}
		cursor_advance(&member->cursor, rest);
		first = false;
	}
}

static void member_unlink(struct member *member) REQUIRES(OUTLET_LOCK);
static void member_unlink(struct member *member)
{
	struct member **place = &member->outlet->members;

	while (*place != member)
		place = &(*place)->next;
	*place = member->next;
	if (member->outlet->begun == member)
		member->outlet->begun = NULL;
}

void member_leave(struct member *member, bool finish)
{
	outlet_lock(member->outlet);
	if (finish && member->cursor.segment != NULL)
		member_finish_log(member);
	if (member->cursor.segment != NULL)
		cursor_leave(&member->cursor);
	member->log = NULL;
	member_set_reads_journal(member, false);
	member_unlink(member);
	outlet_unlock(member->outlet);
}
