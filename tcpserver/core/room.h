/*
 * A room is an append-only log; a client is a cursor in it; a journal gives each message its place.
 *
 * Saying something hands a draft to the journal. When the journal has kept it, the room publishes it: encodes it once for
 * each format that somebody reads, at the end of that format's log. Whoever appended then flushes: gives each member what
 * it has not seen, by sends that do not wait. One thread flushes at a time; others leave at once, because the one that
 * flushes looks again before it goes. So under load passes merge, and each send carries a batch. Where there is no end of
 * it, the duty goes to another member's thread every few milliseconds, so that nobody's own lines wait for long.
 *
 * Which rooms there are, and who is in them, is in rooms.h.
 *
 * Threads: any that has a reference.
 */
#ifndef TCPSERVER_CORE_ROOM_H
#define TCPSERVER_CORE_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/text.h"
#include "tcpserver/core/locks.h"
#include "tcpserver/core/message.h"

struct client;
struct format;
struct journal;
struct member;
struct room;

enum {
	ROOM_ID_SIZE = 21,     /* 20 lower-case hex digits and a NUL */
	ROOM_TOPIC_SIZE = 400, /* bytes, with the NUL                */
};

/* What a room is like; constant, but for the topic. */
struct room_attributes {
	const char *name;       /* NULL: it has only its id                       */
	const char *creator;    /* the name of who made it; "" for the server's own */
	uint64_t creator_number; /* and the number of its session; 0 for the server's own */
	int64_t created_ns;     /* when it was made, since 1970; 0: with room_open()  */
	size_t capacity;        /* members, at most; 0: no limit                  */
	bool listed;            /* /rooms shows it                                */
	bool persistent;        /* stays when it is empty                         */
	bool ends_with_member;  /* is closed when somebody leaves (pairs)         */
};

/* Who is in a room; kept by rooms.c. */
struct room_people {
	struct member *first GUARDED_BY(ROOMS_LOCK);
	size_t count GUARDED_BY(ROOMS_LOCK);
	bool known GUARDED_BY(ROOMS_LOCK); /* rooms_find() finds it; so the table has a reference */
};

/* How room_give_page() ended. */
enum room_page {
	ROOM_PAGE,    /* the outbox holds a page of the journal    */
	ROOM_LIVE,    /* the member reads the log again            */
	ROOM_NOTHING, /* there is nothing to read                  */
};

/* Opens a room of 'journal', which has to outlive it, with one reference. NULL without memory. */
struct room *room_open(const struct room_attributes *attributes, struct journal *journal) MUST_CHECK;
struct room *room_acquire(struct room *room);
void room_release(struct room *room);

const char *room_id(const struct room *room);
/* Its name, or its id if it has none: what people call it. */
const char *room_label(const struct room *room);
/* The name as it counts (name_key()), or NULL. */
const char *room_key(const struct room *room);
const struct room_attributes *room_attributes(const struct room *room);
struct room_people *room_people(struct room *room);
/* Copies the topic; "" if there is none. */
void room_topic(struct room *room, char topic[ROOM_TOPIC_SIZE]);

/* The room is over: its members' threads are woken to leave it. */
void room_shut(struct room *room);
bool room_is_shut(const struct room *room);

/*
 * The member of the client named 'name' comes in: all others are told, and it sees all that follows. The room takes
 * references of its own. Returns 0, or -errno when the journal could not keep the notice; the member saw nothing then.
 */
int room_join(struct room *room, struct member *member, const char *name) MUST_CHECK;
/* The member goes, after member_leave(); the others are told 'how', unless it is NULL. Only for members that joined. */
void room_leave(struct room *room, struct member *member, const char *name, const char *how);
/*
 * Says 'text', clean UTF-8, or lets something of another 'kind' be known. It is seen after the next room_flush() of
 * anybody. Returns 0, with the number of the message if 'seq' is not NULL; or -errno: nobody sees it.
 */
int room_say(struct room *room, struct member *member, enum message_kind kind, const char *name, const char *text,
	size_t text_size, uint64_t *seq) MUST_CHECK;
/* Sets the topic, and says so. As room_say(). */
int room_set_topic(struct room *room, struct member *member, const char *name, const char *topic) MUST_CHECK;
/* From now on the member reads in another format. */
void room_change_format(struct room *room, struct member *member, const struct format *format);
/* Gives the members what they have not seen. Does not wait for any of them. */
void room_flush(struct room *room);
/* Goes on with a flush that another thread has begun; takes the reference that came with it. Threads: a client's, with
 * the room of outlet_take_duty(). */
void room_take_over_flush(struct room *room);

/*
 * Gives a member that reads the journal its next page, or lets it read the log again. '*skipped' tells how many messages
 * are not to be had any more. Threads: the member's own. May block on the journal.
 */
enum room_page room_give_page(struct room *room, struct member *member, uint64_t *skipped) MUST_CHECK;

#endif
