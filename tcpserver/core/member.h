/*
 * A member is a cursor in a room's log, with the socket that the bytes go to.
 *
 * Three things can wait to be sent, in this order of right of way: the rest of a record that was begun; the outbox, which
 * holds what is for this member alone; the log behind the cursor. Sending never blocks. When the socket is full the member
 * is *behind*: from then on only its own thread sends, when member_wait() says there is room. A member that falls more
 * than 'lag_memory' bytes behind leaves the log and becomes a *reader of the journal* (its cursor is a sequence number)
 * until it has caught up; so it holds at most about PAGE_SIZE bytes of memory, however far behind it is.
 *
 * Owns: two references keep a member, that of its thread and that of its room. The socket belongs to the thread; after
 * member_detach() nobody else touches it.
 */
#ifndef TCPSERVER_CORE_MEMBER_H
#define TCPSERVER_CORE_MEMBER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcpserver/core/locks.h"
#include "tcpserver/core/room_log.h"

struct message;

enum {
	OUTBOX_LIMIT = 64 * 1024, /* bytes; with more in it, no further request of the client is read */
	PAGE_SIZE = 64 * 1024,    /* bytes of journal that a slow reader is given at a time            */
	WINDOW_SIZE = 64 * 1024,  /* bytes of own lines whose echo a client may leave unread           */
};

struct outbox {
	char *bytes;
	size_t start; /* sent already          */
	size_t end;   /* filled               */
	size_t capacity;
};

struct member {
	atomic_uint references;
	const struct format *format; /* constant                                                */
	size_t lag_memory;         /* constant; bytes                                          */
	int socket;                /* constant                                                 */
	pthread_t thread;          /* constant                                                 */

	_Atomic uint64_t said_end; /* where in the log the last own record ends                */
	_Atomic uint64_t said_seq; /* and its number                                           */

	atomic_bool on_duty; /* its thread has been given FLUSH_LOCK of its room */

	pthread_mutex_t mutex; /* MEMBER_LOCK */
	struct room_log *log GUARDED_BY(MEMBER_LOCK);  /* NULL outside of a room                          */
	struct cursor cursor GUARDED_BY(MEMBER_LOCK);  /* nowhere outside of a room, and for a reader of the journal */
	uint64_t journal_next GUARDED_BY(MEMBER_LOCK); /* a reader of the journal: the next number        */
	struct outbox outbox GUARDED_BY(MEMBER_LOCK);
	uint64_t mark_end GUARDED_BY(MEMBER_LOCK);     /* what has to be read before more is listened to  */
	uint64_t mark_seq GUARDED_BY(MEMBER_LOCK);
	size_t taken_size GUARDED_BY(MEMBER_LOCK);     /* bytes of own lines since the mark was set       */
	bool attached GUARDED_BY(MEMBER_LOCK);         /* others may send and wake                        */
	bool reads_journal GUARDED_BY(MEMBER_LOCK);
	bool behind GUARDED_BY(MEMBER_LOCK);           /* the socket is full, or broken                   */
	bool waits_for_echo GUARDED_BY(MEMBER_LOCK);   /* wake the thread when the mark is read           */
	int error GUARDED_BY(MEMBER_LOCK);             /* positive errno of a failed send                 */

	struct member *next_arrival GUARDED_BY(ROOM_LOCK);
};

enum member_state {
	MEMBER_EVEN,       /* everything there is has been given to the socket      */
	MEMBER_FULL,       /* the socket takes no more now                          */
	MEMBER_WANTS_PAGE, /* a reader of the journal has sent its page             */
	MEMBER_FAILED,     /* the connection is broken                              */
};

/* To be called once, before the first thread is started: readies the signal that wakes members' threads. */
void member_prepare_process(void);

/* Makes a member of the calling thread, with one reference. NULL without memory. */
struct member *member_create(int socket, const struct format *format, size_t lag_memory) MUST_CHECK;
struct member *member_acquire(struct member *member);
void member_release(struct member *member);

/* ---- For the room. ---- */

/* The member begins to read 'log' at its end. */
void member_enter(struct member *member, struct room_log *log) REQUIRES(ROOM_LOCK) EXCLUDES(MEMBER_LOCK);
/* A reader of the journal that may continue in the log does so. Returns whether it reads the log now. */
bool member_rejoin(struct member *member) REQUIRES(ROOM_LOCK) EXCLUDES(MEMBER_LOCK) MUST_CHECK;
/* The record that ends the member's log now, at 'end', is its own; number 'seq'. */
void member_said(struct member *member, uint64_t end, uint64_t seq);
/* Sends what the member has not seen, as far as its socket takes it. Returns false when it is detached: forget it. */
bool member_flush(struct member *member) REQUIRES(FLUSH_LOCK) EXCLUDES(MEMBER_LOCK) MUST_CHECK;

/* Asks the member's thread to go on flushing the room, and wakes it. Returns false when it is this thread, or detached. */
bool member_give_duty(struct member *member) EXCLUDES(MEMBER_LOCK) MUST_CHECK;

/* ---- For the member's own thread. ---- */

/* Whether the thread has to flush the room on behalf of another, from now on; see room_take_over_flush(). */
bool member_take_duty(struct member *member);

/* Sends what waits: as member_flush(), but also when the member is behind. */
enum member_state member_send(struct member *member) EXCLUDES(MEMBER_LOCK) MUST_CHECK;
/* Why sending has failed, a positive errno. EPIPE: the client had closed its side before. 0: it has not. */
int member_error(struct member *member) EXCLUDES(MEMBER_LOCK);
/* Puts bytes for this member alone into the outbox; member_send() sends them. Without memory the connection fails. */
void member_tell(struct member *member, const char *bytes, size_t size) EXCLUDES(MEMBER_LOCK);
/* The number that a reader of the journal is to read next. */
uint64_t member_page_start(struct member *member) EXCLUDES(MEMBER_LOCK);
/* Puts the record of the message to be read next into the outbox. Returns whether the page has room for more. */
bool member_page_add(struct member *member, const struct message *message) EXCLUDES(MEMBER_LOCK);
/* Messages before 'seq' are not to be had any more. */
void member_page_skip(struct member *member, uint64_t seq) EXCLUDES(MEMBER_LOCK);
/* The member reads no more of the log: after the rest of a record that was begun only the outbox is sent. */
void member_close_log(struct member *member) EXCLUDES(MEMBER_LOCK);
/* Whether the outbox is empty and the member has been sent the echo of all its own lines. */
bool member_is_answered(struct member *member) EXCLUDES(MEMBER_LOCK);
/* 'size' bytes of lines were taken from the client. */
void member_took(struct member *member, size_t size) EXCLUDES(MEMBER_LOCK);
/*
 * Whether the client may be listened to. One that leaves the echo of WINDOW_SIZE bytes of its own lines unread, or
 * OUTBOX_LIMIT bytes of answers, is not, until it reads: this keeps one that only shouts from running ahead of everybody.
 */
bool member_may_speak(struct member *member) EXCLUDES(MEMBER_LOCK);
/*
 * Waits for 'events' of poll() on the socket (POLLOUT is added when the member is behind), for a wake-up, or for
 * 'timeout_ms' (-1: for ever). Returns what poll() found; 0 after a wake-up; -ETIMEDOUT.
 */
int member_wait(struct member *member, short events, int timeout_ms) EXCLUDES(MEMBER_LOCK);
/* Nobody else sends to the socket or wakes the thread any more; the cursor is given back. */
void member_detach(struct member *member) EXCLUDES(MEMBER_LOCK);

/* ---- For anybody. ---- */

/* Makes member_wait() return; if it is not waiting now, then the next time. */
void member_wake(struct member *member) EXCLUDES(MEMBER_LOCK);

#endif
