/*
 * A member is a client's cursor in one room's log.
 *
 * A member that falls more than 'lag_memory' bytes behind leaves the log and becomes a *reader of the journal* (its cursor
 * is a sequence number) until it has caught up; so it holds at most about PAGE_SIZE bytes of memory, however far behind.
 * In the same way it begins at an old message (history, or where it was when its connection broke), and changes its format.
 *
 * Owns: two references keep a member, that of its client's thread and that of its room. Its fields are guarded by the lock
 * of its outlet.
 */
#ifndef TCPSERVER_CORE_MEMBER_H
#define TCPSERVER_CORE_MEMBER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcpserver/core/locks.h"
#include "tcpserver/core/room_log.h"

struct client;
struct message;
struct outlet;
struct room;

enum { PAGE_SIZE = 64 * 1024 }; /* bytes of journal that a slow reader is given at a time */

struct member {
	atomic_uint references;
	struct outlet *outlet; /* constant; a reference                               */
	struct room *room;     /* constant; a reference, until rooms_exit()           */
	struct client *client; /* constant; valid until rooms_exit()                  */
	bool observes;         /* only reads, and is not seen; constant until rooms_show()  */

	_Atomic uint64_t said_end; /* where in the log the last own record ends */
	_Atomic uint64_t said_seq; /* and its number                            */

	uint64_t start;   /* constant; the number of the message that it reads first, its own thread begins; one that was not
			   * said yet: what follows its coming; 0: the same, and whoever flushes begins                    */
	bool sees_coming; /* constant; the message that it came is no history, and is what it reads first if 'start' is later */
	bool recalls;     /* constant; what came before it is history: what was said, marked as such                  */
	atomic_bool is_in; /* its coming was published */

	const struct format *format GUARDED_BY(OUTLET_LOCK);
	struct room_log *log GUARDED_BY(OUTLET_LOCK);  /* NULL before it entered and after it left        */
	struct cursor cursor GUARDED_BY(OUTLET_LOCK);  /* nowhere for a reader of the journal, and without a log */
	uint64_t journal_next GUARDED_BY(OUTLET_LOCK); /* a reader of the journal: the next number        */
	uint64_t history_end GUARDED_BY(OUTLET_LOCK);  /* messages up to this number are history          */
	bool knows_lag GUARDED_BY(OUTLET_LOCK);        /* the client was told that it is behind           */
	uint64_t mark_end GUARDED_BY(OUTLET_LOCK);     /* what has to be read before more is listened to  */
	uint64_t mark_seq GUARDED_BY(OUTLET_LOCK);
	bool reads_journal GUARDED_BY(OUTLET_LOCK);
	uint64_t *hidden GUARDED_BY(OUTLET_LOCK);      /* numbers of own messages, growing, that it is not to be sent; */
	size_t hidden_count GUARDED_BY(OUTLET_LOCK);   /* those that it has passed are forgotten                       */
	size_t hidden_capacity GUARDED_BY(OUTLET_LOCK);
	struct member *next GUARDED_BY(OUTLET_LOCK); /* of the same outlet */

	struct member *next_arrival GUARDED_BY(ROOM_LOCK);
	struct member *next_person GUARDED_BY(ROOMS_LOCK); /* in the same room */
	struct member *previous_person GUARDED_BY(ROOMS_LOCK);
};

/* Makes a member of 'room' for the client with that outlet, with one reference; it sees nothing before member_enter().
 * NULL without memory. */
struct member *member_create(struct outlet *outlet, struct client *client, struct room *room,
	const struct format *format) MUST_CHECK;
struct member *member_acquire(struct member *member);
void member_release(struct member *member);

/* ---- For the room. ---- */

/* The member begins to read 'log' at its end, behind the message 'seq' which says that it came; or, if it has a start, there,
 * in the journal. */
void member_enter(struct member *member, struct room_log *log, uint64_t seq) REQUIRES(ROOM_LOCK) EXCLUDES(OUTLET_LOCK);
/* The member, wherever it reads, goes on with message 'start', in the journal; those up to 'history_end' are history. */
void member_restart(struct member *member, uint64_t start, uint64_t history_end) REQUIRES(ROOM_LOCK)
	EXCLUDES(OUTLET_LOCK);
/* The member goes on at the end of its log. Returns the number of the message that it would have read next, 0 without
 * memory. */
uint64_t member_jump(struct member *member) REQUIRES(ROOM_LOCK) EXCLUDES(OUTLET_LOCK);
/* Reads 'log', whose records have another format, from the next message on; what waits in the old format is read from the
 * journal in the new one. */
void member_change_log(struct member *member, struct room_log *log) REQUIRES(ROOM_LOCK) EXCLUDES(OUTLET_LOCK);
/* A reader of the journal that may continue in the log does so. Returns whether it reads the log now. */
bool member_rejoin(struct member *member) REQUIRES(ROOM_LOCK) EXCLUDES(OUTLET_LOCK) MUST_CHECK;
/* The record that ends the member's log now, at 'end', is its own; number 'seq'. */
void member_said(struct member *member, uint64_t end, uint64_t seq);
/* Message 'seq', which is about to be published, is its own, and its format hides those. */
void member_hide(struct member *member, uint64_t seq) REQUIRES(ROOM_LOCK) EXCLUDES(OUTLET_LOCK);
/* Sends what the client has not seen, as far as its socket takes it. Returns false when the member has left: forget it. */
bool member_flush(struct member *member) REQUIRES(FLUSH_LOCK) EXCLUDES(OUTLET_LOCK) MUST_CHECK;
const struct format *member_format(struct member *member) EXCLUDES(OUTLET_LOCK);

/* The number after which the member is sent what is said now; 'room_last', that of the last message in its room, while it is
 * behind. What it is sent as history has numbers up to it. */
uint64_t member_last_seq(struct member *member, uint64_t room_last) EXCLUDES(OUTLET_LOCK);

/* ---- For the outlet, under its lock. ---- */

/* Whether the client was sent everything up to 'end' in the log, which is message 'seq'. */
bool member_has_read(struct member *member, uint64_t end, uint64_t seq) REQUIRES(OUTLET_LOCK);

/* The bytes of the log that the client is to be sent next, contiguous; steps over what is hidden from it. Returns their
 * number, 0 at the end. Not when a record was begun. */
size_t member_range(struct member *member, const char **bytes) REQUIRES(OUTLET_LOCK);

/* ---- For the client's own thread. ---- */

/* The number that a reader of the journal is to read next; 0 for a member that reads the log. */
uint64_t member_page_start(struct member *member) EXCLUDES(OUTLET_LOCK);
/* Puts the record of the message to be read next into the outbox. Returns whether the page had room for it. */
bool member_page_add(struct member *member, const struct message *message) EXCLUDES(OUTLET_LOCK);
/* Messages before 'seq' are not to be had any more. Returns how many of these the client should be told of. */
uint64_t member_page_skip(struct member *member, uint64_t seq) EXCLUDES(OUTLET_LOCK);
/* Whether the client should be told that it is behind the message 'last'; once for each time that it is far behind. */
bool member_is_to_know_lag(struct member *member, uint64_t last, uint64_t *behind) EXCLUDES(OUTLET_LOCK);
/* Reads no more of the log: after the rest of a record that was begun only the outbox is sent. */
void member_close_log(struct member *member) EXCLUDES(OUTLET_LOCK);
/* Sees nothing more; what waits in the log is put into the outbox as far as it is at hand and 'finish' says so. */
void member_leave(struct member *member, bool finish) EXCLUDES(OUTLET_LOCK);

#endif
