/*
 * An outlet is the sending side of a client's socket. What goes through it: the outbox, which holds what is for this
 * client alone, and the log of each room that the client is a member of.
 *
 * Sending never blocks. Records and the outbox's content are never torn: what was begun is finished first; then the outbox
 * has the right of way, then the rooms. When the socket is full the outlet is *behind*: from then on only its own thread
 * sends, when outlet_wait() says that there is room.
 *
 * Owns: its thread, and each member of it, have a reference. The socket belongs to the thread; after outlet_detach()
 * nobody else touches it.
 */
#ifndef TCPSERVER_CORE_OUTLET_H
#define TCPSERVER_CORE_OUTLET_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcpserver/core/locks.h"

struct door;
struct member;
struct room;
struct telling;

enum {
	OUTBOX_LIMIT = 64 * 1024, /* bytes; with more in it no request of the client is taken, and others may not add */
	WINDOW_SIZE = 64 * 1024,  /* bytes of own lines whose echo a client may leave unread                          */
};

struct outbox {
	char *bytes;
	size_t start; /* sent already */
	size_t end;   /* filled       */
	size_t capacity;
};

struct outlet {
	atomic_uint references;
	size_t lag_memory; /* constant; bytes */
	int socket;        /* constant         */
	pthread_t thread;  /* constant         */
	struct room *_Atomic duty; /* the room whose FLUSH_LOCK its thread has been given, or NULL */
	_Atomic uint64_t given;    /* drafts handed to a journal; counted by its thread            */
	_Atomic uint64_t settled;  /* of these, kept or refused                                    */
	atomic_bool waits_to_settle;
	int64_t given_ns;          /* when its thread gave the first since it last waited or read; 0: none; the thread's own */
	atomic_int refusal; /* positive errno of the draft that was refused last; 0: none      */
	atomic_size_t unsent; /* bytes in the outbox: written under the lock, to be looked at without it */

	pthread_mutex_t mutex; /* OUTLET_LOCK */
	struct outbox outbox GUARDED_BY(OUTLET_LOCK);
	struct member *members GUARDED_BY(OUTLET_LOCK); /* of the client, one a room                 */
	struct member *begun GUARDED_BY(OUTLET_LOCK);   /* whose record the socket took a part of    */
	const struct door *door GUARDED_BY(OUTLET_LOCK); /* in whose words the client is told          */
	size_t taken_size GUARDED_BY(OUTLET_LOCK);      /* bytes of own lines since the marks were set */
	uint64_t mark_given GUARDED_BY(OUTLET_LOCK);    /* drafts that have to be settled first        */
	bool marks_are_open GUARDED_BY(OUTLET_LOCK);    /* the members' marks are set when they are    */
	bool attached GUARDED_BY(OUTLET_LOCK);          /* others may send and wake                   */
	bool behind GUARDED_BY(OUTLET_LOCK);            /* the socket is full, or broken              */
	bool waits GUARDED_BY(OUTLET_LOCK);             /* the thread is in outlet_wait()             */
	bool waits_for_echo GUARDED_BY(OUTLET_LOCK);    /* wake the thread when the marks are read    */
	int error GUARDED_BY(OUTLET_LOCK);              /* positive errno of a failed send            */
};

enum outlet_state {
	OUTLET_EVEN,       /* everything there is has been given to the socket        */
	OUTLET_FULL,       /* the socket takes no more now                            */
	OUTLET_WANTS_PAGE, /* all is sent but what has to be read from the journal    */
	OUTLET_FAILED,     /* the connection is broken                                */
};

/* To be called once, before the first thread is started: readies the signal that wakes clients' threads. */
void outlet_prepare_process(void);

/* Makes an outlet of the calling thread, with one reference. NULL without memory. */
struct outlet *outlet_create(int socket, const struct door *door, size_t lag_memory) MUST_CHECK;
struct outlet *outlet_acquire(struct outlet *outlet);
void outlet_release(struct outlet *outlet);

void outlet_lock(struct outlet *outlet) ACQUIRES(OUTLET_LOCK) UNCHECKED;
void outlet_unlock(struct outlet *outlet) RELEASES(OUTLET_LOCK) UNCHECKED;

/* ---- For members, under the lock. ---- */

/* Sends what waits. */
enum outlet_state outlet_send_locked(struct outlet *outlet) REQUIRES(OUTLET_LOCK);
/* Wakes the thread if all marks were read that it waits for. */
void outlet_notice_echo(struct outlet *outlet) REQUIRES(OUTLET_LOCK);
/* Puts bytes into the outbox, before all that waits in it if 'first'; drops them if nothing can be sent any more. Returns
 * whether there was memory. */
bool outlet_put(struct outlet *outlet, const char *bytes, size_t size, bool first) REQUIRES(OUTLET_LOCK) MUST_CHECK;
size_t outlet_waiting(const struct outlet *outlet) REQUIRES(OUTLET_LOCK);

/* ---- For the outlet's own thread. ---- */

/* Sends what waits, also when the outlet is behind. */
enum outlet_state outlet_send(struct outlet *outlet) EXCLUDES(OUTLET_LOCK) MUST_CHECK;
/* Why sending has failed, a positive errno. EPIPE: the client had closed its side before. 0: it has not. */
int outlet_error(struct outlet *outlet) EXCLUDES(OUTLET_LOCK);
/* Puts bytes for this client alone into the outbox; outlet_send() sends them. Without memory the connection fails. */
void outlet_tell(struct outlet *outlet, const char *bytes, size_t size) EXCLUDES(OUTLET_LOCK);
/* Whether the outbox is empty and the client has been sent the echo of all its own lines. */
bool outlet_is_answered(struct outlet *outlet) EXCLUDES(OUTLET_LOCK);
/* Whether the outbox is empty, and no record is begun. */
bool outlet_is_sent(struct outlet *outlet) EXCLUDES(OUTLET_LOCK);
/* Bytes in the outbox that the socket did not take yet; without the lock, for those who ask often. */
size_t outlet_unsent(const struct outlet *outlet);
/* Whether something waits for the client to read, or for its own thread to read it from the journal. */
bool outlet_is_behind(struct outlet *outlet) EXCLUDES(OUTLET_LOCK);
/* 'size' bytes of lines were taken from the client. */
void outlet_took(struct outlet *outlet, size_t size) EXCLUDES(OUTLET_LOCK);
/*
 * Whether the client may be listened to. One that leaves the echo of WINDOW_SIZE bytes of its own lines unread, or
 * OUTBOX_LIMIT bytes of answers, is not, until it reads: this keeps one that only shouts from running ahead of everybody.
 */
bool outlet_may_speak(struct outlet *outlet) EXCLUDES(OUTLET_LOCK);
/*
 * Waits for 'events' of poll() on the socket (POLLOUT is added when the outlet is behind), for a wake-up, or for
 * 'timeout_ms' (-1: for ever). Returns what poll() found; 0 after a wake-up; -ETIMEDOUT.
 */
int outlet_wait(struct outlet *outlet, short events, int timeout_ms) EXCLUDES(OUTLET_LOCK);
/* poll() of whatever descriptors, which a wake-up of the calling thread's outlet ends. Returns how many are ready; 0 after a
 * wake-up; -ETIMEDOUT after 'timeout_ms' (-1: never). */
int outlet_poll(struct pollfd *polls, nfds_t count, int timeout_ms);
/* From now on the client is told in the words of 'door'. */
void outlet_set_door(struct outlet *outlet, const struct door *door) EXCLUDES(OUTLET_LOCK);
/* A draft goes to a journal. Returns when the first one did since the thread last waited or read (clock_ns()): drafts that
 * came together need not look at the clock each. */
int64_t outlet_gives(struct outlet *outlet);
/* Whether all drafts were settled. If not, the thread is woken when they are. */
bool outlet_is_settled(struct outlet *outlet);
/* Waits for a wake-up, whatever becomes of the socket. */
void outlet_pause(struct outlet *outlet);
/* The positive errno of the draft that was refused last, or 0; forgets it. */
int outlet_take_refusal(struct outlet *outlet);
/* The room that the thread has to go on flushing, from now on, on behalf of another; or NULL. */
struct room *outlet_take_duty(struct outlet *outlet);
/* Nobody else sends to the socket or wakes the thread any more. All members have to have left. */
void outlet_detach(struct outlet *outlet) EXCLUDES(OUTLET_LOCK);

/* ---- For a journal's callbacks, in whatever thread. ---- */

/* Puts the words of the outlet's door into the outbox; the next outlet_send() or flush sends them. Without memory the
 * connection fails. */
void outlet_answer(struct outlet *outlet, const struct telling *telling) EXCLUDES(OUTLET_LOCK);
/* A draft was kept ('error' 0) or refused (a positive errno). */
void outlet_settles(struct outlet *outlet, int error) EXCLUDES(OUTLET_LOCK);

/* ---- For anybody. ---- */

/* How many messages of a room a member is behind, at most; what it is shown as history does not count, nor what is still in
 * the log. */
uint64_t outlet_lag(struct outlet *outlet) EXCLUDES(OUTLET_LOCK);

/* Makes outlet_wait() return; if it is not waiting now, then the next time. */
void outlet_wake(struct outlet *outlet) EXCLUDES(OUTLET_LOCK);
/* As outlet_tell(), from another client's thread, and sent at once, after what the client's rooms have for it. Returns false
 * when the client is too far behind to be told more, or gone. */
bool outlet_tell_from_outside(struct outlet *outlet, const char *bytes, size_t size) EXCLUDES(OUTLET_LOCK) MUST_CHECK;
/* Asks the thread to go on flushing 'room', and wakes it. Returns false when it does not wait for its socket (it may be busy
 * with a disk), or has a duty. */
bool outlet_give_duty(struct outlet *outlet, struct room *room) EXCLUDES(OUTLET_LOCK) MUST_CHECK;

#endif
