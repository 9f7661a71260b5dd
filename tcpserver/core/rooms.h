/*
 * The rooms there are, by name and by id, and who is in each.
 *
 * A room that is not persistent is closed with its last member; the journal may keep it, and it is opened again when
 * somebody wants it. One that was made and that nobody has entered yet waits for its first guest; when there are as many rooms
 * as allowed, the one of these that waits longest gives way, but none within its first minute. The table has a reference to
 * each room, and each member has one.
 *
 * Threads: any.
 */
#ifndef TCPSERVER_CORE_ROOMS_H
#define TCPSERVER_CORE_ROOMS_H

#include <stdbool.h>
#include <stddef.h>

#include "tcpserver/core/locks.h"
#include "tcpserver/core/room.h"

struct client;
struct journal;

struct rooms {
	pthread_mutex_t mutex;   /* ROOMS_LOCK           */
	struct journal *journal; /* constant             */
	size_t most;             /* constant             */
	void *by_id GUARDED_BY(ROOMS_LOCK);  /* trees of rooms (tsearch) */
	void *by_key GUARDED_BY(ROOMS_LOCK); /* those with a name        */
	size_t count GUARDED_BY(ROOMS_LOCK);
	struct room *waiting_first GUARDED_BY(ROOMS_LOCK); /* for its first guest: the one that waits longest */
	struct room *waiting_last GUARDED_BY(ROOMS_LOCK);
	struct rooms_opening *opening GUARDED_BY(ROOMS_LOCK); /* rooms that the journal is asked for at the moment */
	pthread_cond_t opened;                                /* one of these is done */
};

enum { ROOMS_WAIT_LEAST_MS = 60000 }; /* for a first guest */

enum rooms_result {
	ROOMS_DONE,
	ROOMS_EXISTS,    /* there is a room of that name      */
	ROOMS_TOO_MANY,  /* there are as many as allowed      */
	ROOMS_FULL,      /* the room takes no more members    */
	ROOMS_GONE,      /* the room is over, or there is none */
	ROOMS_CLOSED,    /* nobody may make rooms             */
	ROOMS_BAD_NAME,  /* a room cannot be called so        */
	ROOMS_NO_MEMORY, /* or the journal cannot be read     */
};

void rooms_init(struct rooms *rooms, struct journal *journal, size_t most) UNCHECKED;
/* Nobody may be in a room any more. */
void rooms_fini(struct rooms *rooms) UNCHECKED;

/* Makes a room, and gives a reference to it. It goes away with its last member, or, if nobody enters it, with
 * rooms_forget_empty(). Does not ask the journal for one of that name: see rooms_make(). */
enum rooms_result rooms_create(struct rooms *rooms, const struct room_attributes *attributes, struct room **room)
	MUST_CHECK;
/* As rooms_create(), unless there is a room of that name, open or kept by the journal: ROOMS_EXISTS. */
enum rooms_result rooms_make(struct rooms *rooms, const struct room_attributes *attributes, struct room **room) MUST_CHECK;
/* The room of that name, or else of that id, in whatever case, with a reference; it is opened if only the journal has it, and
 * may block then. The mailboxes of servers (servers.h) are no rooms for anybody. ROOMS_GONE: there is none; ROOMS_TOO_MANY: the journal keeps it, but it cannot be opened now. */
enum rooms_result rooms_find(struct rooms *rooms, const char *name, struct room **room) MUST_CHECK;
/* Gives a reference of rooms_find() back: a room that was opened only to be looked at is closed again. One that waits for its
 * first guest waits on. */
void rooms_give_back(struct rooms *rooms, struct room *room);
/* Removes a room that is not persistent and that nobody is in. */
void rooms_forget_empty(struct rooms *rooms, struct room *room);

/* Counts the member among the people of its room, unless it only observes: then it takes no place, and keeps the room open.
 * Others see it in the room only after room_say() has said so. */
enum rooms_result rooms_enter(struct rooms *rooms, struct member *member) MUST_CHECK;
/* The member, which was an observer, is one of the people now. ROOMS_FULL: it stays an observer. */
enum rooms_result rooms_show(struct rooms *rooms, struct member *member) MUST_CHECK;
/* Takes that back, and the member's reference to the room; the room may be gone then. */
void rooms_exit(struct rooms *rooms, struct member *member);
/* The room is not found any more. */
void rooms_remove(struct rooms *rooms, struct room *room);
/* Whether the room of that id is open, and not only kept by the journal. */
bool rooms_is_open(struct rooms *rooms, const char *id);

/* How many rooms are open. */
size_t rooms_count(struct rooms *rooms);
/* How many people are in the room: on all servers, where several share the journal; may block then. */
size_t rooms_people_count(struct rooms *rooms, struct room *room);
/* Whether several servers share the journal, so that what is in the table is not all there is. */
bool rooms_are_shared(const struct rooms *rooms);

/*
 * Calls 'visit' for up to 'most' people of the room, under ROOMS_LOCK: short, without waiting. Returns how many there are.
 */
size_t rooms_visit_people(struct rooms *rooms, struct room *room, size_t most,
	void (*visit)(const struct client *client, void *context), void *context);

/* Calls 'visit' for up to 'most' listed rooms, by name; as above. Returns how many listed rooms there are. */
size_t rooms_visit(struct rooms *rooms, size_t most,
	void (*visit)(struct room *room, size_t people, void *context), void *context);

/* Runs 'change' under ROOMS_LOCK: for what people have, as their names, that others look at. */
void rooms_change(struct rooms *rooms, void (*change)(void *context), void *context);

#endif
