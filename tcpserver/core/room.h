/*
 * A room is an append-only log; a client is a cursor in it; a journal gives each message its place.
 *
 * Saying something hands a draft to the journal. When the journal has kept it, the room publishes it: encodes it once for
 * each format that somebody reads, at the end of that format's log. Whoever appended then flushes: gives each member what
 * it has not seen, by sends that do not wait. One thread flushes at a time; others leave at once, because the one that
 * flushes looks again before it goes. So under load passes merge, and each send carries a batch. Where there is no end of
 * it, the duty goes to another member's thread every few milliseconds, so that nobody's own lines wait for long.
 *
 * Threads: any.
 */
#ifndef TCPSERVER_CORE_ROOM_H
#define TCPSERVER_CORE_ROOM_H

#include <stddef.h>

#include "tcpserver/core/locks.h"
#include "tcpserver/core/message.h"

struct journal;
struct member;
struct room;

enum { ROOM_FORMATS_MAX = 4 };

/* How room_give_page() ended. */
enum room_page {
	ROOM_PAGE,    /* the member's outbox holds a page of the journal    */
	ROOM_LIVE,    /* the member reads the log again                     */
	ROOM_NOTHING, /* there is nothing to read yet                       */
};

/* Opens the room 'id' of 'journal', which has to outlive it. NULL without memory. */
struct room *room_open(const char *id, struct journal *journal) MUST_CHECK;
/* Ends a room without members. */
void room_close(struct room *room) UNCHECKED;

/*
 * The member, named 'name', comes in: all others are told, and it sees all that follows. The room takes a reference of
 * its own to the member. Returns 0, or -errno when the journal could not keep the notice.
 */
int room_join(struct room *room, struct member *member, const char *name) MUST_CHECK;
/* The member goes, after member_detach(); the others are told 'how'. Only for members that joined. */
void room_leave(struct room *room, struct member *member, const char *name, const char *how);
/* The member goes without a word, because all go. */
void room_abandon(struct room *room, struct member *member);
/* Says 'text', clean UTF-8. It is seen after the next room_flush() of anybody. Returns 0, or -errno: nobody sees it. */
int room_say(struct room *room, struct member *member, const char *name, const char *text, size_t text_size) MUST_CHECK;
/* Gives the members what they have not seen. Does not wait for any of them. */
void room_flush(struct room *room);
/* Goes on with a flush that another thread has begun. Threads: a member's, when member_take_duty() says so. */
void room_take_over_flush(struct room *room);

/*
 * Gives a member that reads the journal its next page, or lets it read the log again. '*skipped' tells how many messages
 * are not to be had any more. Threads: the member's own. May block on the journal.
 */
enum room_page room_give_page(struct room *room, struct member *member, uint64_t *skipped) MUST_CHECK;

#endif
