/*
 * A room is an append-only log; a client is a cursor in it; a journal gives each message its place.
 *
 * Saying something hands a draft to the journal, and whoever said it goes on. When the journal has kept it, the room
 * publishes it: encodes it once for each format that somebody reads, at the end of that format's log; and tells its author.
 * Whoever published then flushes: gives each member what
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
#include <sys/types.h>

#include "common/text.h"
#include "tcpserver/core/client_list.h"
#include "tcpserver/core/locks.h"
#include "tcpserver/core/message.h"

struct format;
struct journal;
struct member;
struct outlet;
struct room;
struct stranger_offer;
struct telling;

enum {
	ROOM_ID_SIZE = 21,     /* 20 lower-case hex digits and a NUL */
	ROOM_TOPIC_SIZE = 400, /* bytes, with the NUL                */
};

/* The creator of a room whose maker did not tell who it is, so that everybody may close it. No person can be called so. */
#define ROOM_OF_EVERYBODY "rpc/ChatService"

/* What a room is like; constant, but for the topic and whether somebody waits. */
struct room_attributes {
	const char *id;         /* NULL: a new one is made                        */
	const char *name;       /* NULL: it has only its id                       */
	const char *creator;    /* the name of who made it; "" for the server's own; or ROOM_OF_EVERYBODY */
	const char *topic;      /* when it is opened; NULL: none                  */
	uint64_t creator_number; /* the number of its session; 0 for the server's own, and when it was opened again */
	unsigned char creator_id[CLIENT_ID_SIZE]; /* by which its client knows itself; zero: it told none, or as above */
	int64_t created_ns;     /* since 1970; 0: now                             */
	size_t capacity;        /* members, at most; 0: no limit                  */
	bool listed;            /* /rooms shows it                                */
	bool persistent;        /* stays when it is empty                         */
	bool ends_with_member;  /* is closed when somebody leaves (pairs)         */
	bool waits;             /* when it is opened: its member waits for a stranger */
};

/* Who is in a room; kept by rooms.c. */
struct room_people {
	struct member *first GUARDED_BY(ROOMS_LOCK);
	size_t count GUARDED_BY(ROOMS_LOCK);
	size_t observers GUARDED_BY(ROOMS_LOCK); /* who only read; not in the list */
	/* Since when the room waits for its first guest (clock_ms()), and those that wait before and after it; 0: it does not. */
	long long waits_since_ms GUARDED_BY(ROOMS_LOCK);
	struct room *waits_before GUARDED_BY(ROOMS_LOCK);
	struct room *waits_after GUARDED_BY(ROOMS_LOCK);
	bool known GUARDED_BY(ROOMS_LOCK); /* rooms_find() finds it; so the table has a reference */
};

#define ROOM_UNREADABLE UINT64_MAX

/* How room_give_page() ended. */
enum room_page {
	ROOM_PAGE,    /* the outbox holds a page of the journal    */
	ROOM_LIVE,    /* the member reads the log again            */
	ROOM_NOTHING, /* the journal cannot be read now            */
};

/* Opens a room of 'journal', which has to outlive it, with one reference; may block. NULL without memory, or when the journal
 * cannot be read; errno is EEXIST then when another server has just made one of that name. */
struct room *room_open(const struct room_attributes *attributes, struct journal *journal) MUST_CHECK;
struct room *room_acquire(struct room *room);
void room_release(struct room *room);

/* Whether a text, as name_key() makes it, has the form of an id: no room has such a name. */
bool room_is_id(const char *key);
const char *room_id(const struct room *room);
/* Its name, or its id if it has none: what people call it. */
const char *room_label(const struct room *room);
/* The name as it counts (name_key()), or NULL. */
const char *room_key(const struct room *room);
const struct room_attributes *room_attributes(const struct room *room);
struct room_people *room_people(struct room *room);
/* Copies the topic; "" if there is none. */
void room_topic(struct room *room, char topic[ROOM_TOPIC_SIZE]);

/* The room is over: its members' threads are woken to leave it. That somebody closed it, or left a room that ends so, does
 * the same. */
void room_shut(struct room *room);
bool room_is_shut(const struct room *room);
/* Nothing of the room is kept any more once the last reference to it has gone; its name is free for another at once. */
void room_forget(struct room *room);
/* Nobody finds the room any more: what is not worth keeping is forgotten, unless it may be open on other servers. Threads: under
 * ROOMS_LOCK. */
void room_forget_unless_worth_keeping(struct room *room);
/* Somebody waits, or does not wait, in the room for a stranger; is kept. */
void room_set_waits(struct room *room, bool waits);

/* ---- Where several servers share the journal. ---- */

/* Whether several servers may have the room open. */
bool room_is_shared(const struct room *room);
/* Who is in the room, on all servers: up to 'capacity' names, of '*count' people. Returns how many names, or -errno. May block. */
ssize_t room_everybody(struct room *room, char (*names)[NAME_SIZE], size_t capacity, size_t *count) MUST_CHECK;
/* The person is not in the room any more, which nobody is told. */
void room_note_absent(struct room *room, const char *name);
/* Somebody in the room waits for a stranger, on whatever server; as the journal's offer(). May block. */
int room_offer(struct room *room, const struct stranger_offer *offer) MUST_CHECK;

/* ---- Coming, speaking, going. ---- */

/* What somebody says, or lets be known. */
struct saying {
	enum message_kind kind;
	const char *name;             /* of who says it                                                    */
	const char *text;             /* clean UTF-8; may be NULL without size                             */
	size_t text_size;
	bool quiet;                   /* the asker waits, and finds out by outlet_take_refusal() what went wrong */
	const char *request_id;       /* JSON; how it went is told with it; NULL: only what goes wrong is  */
	const unsigned char *client;  /* CLIENT_ID_SIZE bytes, if 'number' is not 0                        */
	uint64_t number;              /* of the client's message: the same one is kept once                */
	const struct telling *welcome; /* with MESSAGE_JOINED: the asker is told this, but for 'last', before anybody knows that the
	                               * member is there; stays until then; or NULL                            */
	struct receipt *receipt;      /* is filled in before the asker is told; stays until then; or NULL   */
};

/* How it went with what was said, for an asker that waits (outlet_is_settled()). */
struct receipt {
	uint64_t seq;  /* under which it is kept                            */
	int error;     /* positive errno: it is not                         */
	bool repeated; /* the same client and number was kept before as that */
	char room[NAME_SIZE]; /* what people call the room where it is kept */
};

/*
 * Hands what is said to the journal. It is seen when that has kept it, after the next room_flush() of anybody. 'member' is
 * the author, NULL when that is none; 'asker' is told when it was not kept, unless that is to be quiet; it may be NULL. Both have to stay until then. With MESSAGE_JOINED the member comes in: it sees what follows, or what follows its
 * start, and the room takes references of its own. A MESSAGE_TOPIC is the room's topic from then on.
 */
void room_say(struct room *room, struct member *member, struct outlet *asker, const struct saying *saying);
/* The member only reads: what follows, or what follows its start. Nobody is told. */
void room_observe(struct room *room, struct member *member);
/* The member goes, after member_leave(); the others are told 'how', unless it is NULL. Only for members that joined. */
void room_leave(struct room *room, struct member *member, const char *name, const char *how);
/* From now on the member reads in another format. */
void room_change_format(struct room *room, struct member *member, const struct format *format);
/* Gives the members what they have not seen. Does not wait for any of them. */
void room_flush(struct room *room);
/* Goes on with a flush that another thread has begun; takes the reference that came with it. Threads: a client's, with
 * the room of outlet_take_duty(). */
void room_take_over_flush(struct room *room);

/*
 * Gives a member that reads the journal its next page, or lets it read the log again. '*skipped' tells how many messages
 * are not to be had any more, '*behind' how many it is behind if it should be told. Threads: the member's own. May block on
 * the journal.
 */
enum room_page room_give_page(
	struct room *room, struct member *member, uint64_t *skipped, uint64_t *behind) MUST_CHECK;
/* The member goes back, or forward, to message 'start', unless that is 0 or was not said yet; if it 'recalls', what there is
 * now is history. */
void room_reread(struct room *room, struct member *member, uint64_t start, bool recalls);
/* The member goes on with what is said next. Returns how many messages it has not seen. */
uint64_t room_jump(struct room *room, struct member *member);

/* ---- What the journal keeps of it; all may block. ---- */

/* The number of the last message that was published; 0: none. Does not block. */
uint64_t room_last_seq(struct room *room);
/* The same without a lock; it may be a moment old. */
uint64_t room_recent_seq(const struct room *room);
/* The number of the message with which the last 'count' begin that were said before message 'before'; 0: there is none;
 * ROOM_UNREADABLE: the journal cannot be read. */
uint64_t room_find_said(struct room *room, uint64_t before, size_t count) MUST_CHECK;
/* The number of the first message at 'at_ns' or later; one more than the last if there is none. */
uint64_t room_find_time(struct room *room, int64_t at_ns) MUST_CHECK;
/* Reads as the journal does (journal.h), but nothing that was not published yet. */
ssize_t room_read(struct room *room, uint64_t from, struct message **messages, size_t capacity) MUST_CHECK;
/* Up to where the person of that name, as name_key() makes it, has read; 0: nowhere. */
uint64_t room_mark(struct room *room, const char *key);
void room_set_mark(struct room *room, const char *key, uint64_t seq);

#endif
