/*
 * A journal gives each message its place in its room and keeps it. Nobody sees a message before the journal has kept it.
 *
 * Appending is asynchronous: the caller hands over a draft and goes on; the journal calls back, in the order of the
 * sequence numbers, once the draft is kept. A journal may call back before append() returns.
 *
 * A journal keeps rooms, too, with what they are like, so that they can be found again after everybody left or the server
 * was restarted.
 *
 * One contract test runs against all journals (tests/tcpserver/journals/).
 */
#ifndef TCPSERVER_CORE_JOURNAL_H
#define TCPSERVER_CORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/text.h"
#include "tcpserver/core/locks.h"
#include "tcpserver/core/room.h"

struct journal;
struct journal_room; /* what a journal keeps of one room; each journal has its own */
struct member;
struct message;
struct outlet;
struct telling;

/* A message on its way to its place. */
struct draft {
	struct message *message; /* a reference; 'seq' and 'at_ns' are the journal's to set, unless they are set    */
	struct member *author;   /* borrowed; stays until the draft was published, repeated or refused; or NULL     */
	struct outlet *asker;    /* borrowed as the author; is told how it went; or NULL                            */
	bool quiet;              /* the asker is not told of a refusal: it waits, and sees                           */
	const char *request_id;  /* the asker's name for the request, as JSON; NULL: it wants no acknowledgement   */
	unsigned char client[CLIENT_ID_SIZE]; /* with 'number': kept once for each pair of the two                   */
	uint64_t number;         /* of the client's message; 0: it has none                                         */
	int64_t given_ns;        /* when it, or the first of those that came with it, was handed over (clock_ns())    */
	const struct telling *welcome; /* for the asker; or NULL                                                    */
	struct receipt *receipt; /* the asker's; or NULL                                                            */
};

/* What a journal calls back; 'room' is the one given to open_room(). */
struct journal_listener {
	/*
	 * The draft is kept as draft->message->seq: one more than the last. The message is borrowed. Called under
	 * the JOURNAL_LOCK of the room, so that the order holds: short, and never blocking.
	 */
	void (*publish)(void *room, const struct draft *draft);
	/*
	 * A draft of the same client and number was kept before, as number 'seq': there is nothing new to see. 'label' is
	 * what people call the room where it was kept, when that is another one, and it is known; else NULL.
	 */
	void (*repeat)(void *room, const struct draft *draft, uint64_t seq, const char *label);
	/* The draft could not be kept; nobody will see it. 'error' is a positive errno. */
	void (*refuse)(void *room, const struct draft *draft, int error);
	/* After one or more of the above, without a lock. A journal that calls back within append() leaves this to the
	 * caller of append(), who may have more to append. */
	void (*flush)(void *room);
	/* A journal that calls back after append() returned holds the room from then until it has flushed. The release may
	 * close the room: no lock may be held. */
	void (*hold)(void *room);
	void (*release)(void *room);
	/* As hold(), for what others said, which comes unasked, unless the room is about to be closed; the journal releases it when this
	 * says true. Called under JOURNAL_QUEUE_LOCK. NULL: the room is told of its own drafts only. */
	bool (*try_hold)(void *room);
	/* The room was forgotten elsewhere, by another server: it is over. Called without a lock. May be NULL. */
	void (*end)(void *room);
};

/* What is kept of a room. 'attributes' points into the strings. */
struct room_record {
	struct room_attributes attributes;
	char id[ROOM_ID_SIZE];
	char name[NAME_SIZE];
	char creator[NAME_SIZE];
	char topic[ROOM_TOPIC_SIZE];
	uint64_t last; /* number of the last message; 0: none, or not known */
	size_t people; /* in it, on all servers; 0 where the journal does not know */
};

/* What to search for; strings are never NULL. */
struct search {
	const char *words;       /* all of them have to be in a message                           */
	const char *from;        /* the name of who said it, as name_key() makes it; "": anybody  */
	const char *const *rooms; /* ids of the rooms where to search                             */
	size_t room_count;
	bool listed;             /* and in all listed rooms                                       */
	int64_t after_ns;        /* said at this time or later                                    */
	int64_t before_ns;       /* said before; INT64_MAX: until now                             */
	size_t skip;             /* of the newest messages found                                  */
};

/* A message that was found; the message is the caller's, and so is the room's id. */
struct found {
	char room[ROOM_ID_SIZE];
	struct message *message;
};

/* A name that somebody wants, among all servers that share the journal. Strings are borrowed. */
struct name_claim {
	const char *key;  /* name_key() */
	const char *name; /* as it is written */
	unsigned char client[CLIENT_ID_SIZE]; /* by which the client knows itself; zero: it told none */
	uint64_t number; /* of the claim; grows with every claim of this server, never 0 */
};

/* Who has a name. */
struct name_holder {
	char server[ROOM_ID_SIZE]; /* id of its server, which is also that of the server's mailbox */
	char name[NAME_SIZE];
	unsigned char client[CLIENT_ID_SIZE];
};

/* One who waits for a stranger, or looks for one. */
struct stranger_offer {
	const char *key;          /* name_key() of its name                               */
	const char *last;         /* key of the last partner, who is met again only when nobody else waits; "": none */
	const char *const *avoid; /* keys of those whom it ignores                        */
	size_t avoid_count;       /* at most 200 */
	bool always;              /* of offer(): also when somebody waits who fits               */
};

/* What a journal that several servers share tells the one that uses it. */
struct journal_watcher {
	/* The others took this server for dead (it could not reach the journal for long): its names are free, its people were told to have
	 * left. Names have to be claimed anew, and people come into their rooms again. Called by the journal's thread, under
	 * JOURNAL_QUEUE_LOCK: short. */
	void (*revived)(void *context);
};

struct journal_ops {
	const char *name;
	/*
	 * Opens what is kept of the room with the id of the attributes, or begins to keep it, with these attributes. Waits until
	 * an earlier room of the same id was closed. NULL without memory, or when the journal cannot be read; errno is EEXIST when
	 * another server has made another room of that name since it was looked for.
	 */
	struct journal_room *(*open_room)(struct journal *journal, const struct room_attributes *attributes,
		const struct journal_listener *listener, void *room);
	/* No draft of the room may be on its way. */
	void (*close_room)(struct journal_room *room);
	/* Nothing of the room is to be kept after close_room(), and it is found no more. May be said twice. Threads: any, as for
	 * all that follow. */
	void (*forget_room)(struct journal_room *room);
	/* Keeps whether somebody waits in the room for a stranger. */
	void (*set_waits)(struct journal_room *room, bool waits);
	/*
	 * Takes the draft's message reference. A topic is kept as the room's, too. A message with a number and a time (one that
	 * is restored) keeps both; the number has to be that of the next message, or more. Returns 0, after which publish(),
	 * repeat() or refuse() follows for sure; or -errno, after which none does.
	 */
	int (*append)(struct journal_room *room, const struct draft *draft);
	/*
	 * Reads kept messages from number 'from' on, 'capacity' at most, in order; the caller releases them. What is not kept
	 * any more is left out: the numbers tell. Returns how many, or -errno. May block on a disk or a network, so no lock may
	 * be held.
	 */
	ssize_t (*read)(struct journal_room *room, uint64_t from, struct message **messages, size_t capacity);
	/* The number that the next message will have; never less than one that was published. */
	uint64_t (*next_seq)(struct journal_room *room);

	/* ---- Rooms that are open or not. They may block; no lock may be held. ---- */

	/* Finds a room by name_key() or, without a room of that name, by id. Returns 0, -ENOENT, or another -errno. */
	int (*find_room)(struct journal *journal, const char *key, const char *id, struct room_record *record);
	/* Lists rooms whose id is greater than 'after' ("": from the start), in the order of their ids, 'listed' ones alone if
	 * that is asked. Returns how many, 'capacity' at most; or -errno. */
	ssize_t (*list_rooms)(struct journal *journal, const char *after, bool listed, struct room_record *records,
		size_t capacity);

	/* ---- What not every journal can do: NULL where it cannot. ---- */

	/* Keeps that the person of this name, as name_key() makes it, has read the room up to number 'seq'; never less than
	 * before. Does not wait; what was not written when the server dies is lost. */
	void (*set_mark)(struct journal_room *room, const char *key, uint64_t seq);
	/* Up to where the person has read; 0: nowhere. May block. */
	uint64_t (*mark)(struct journal_room *room, const char *key);
	/* Finds what was said, newest first; the caller releases the messages. '*behind' is how many messages have not been
	 * looked at yet. Returns how many were found, or -errno, -ETIMEDOUT when it took too long. May block. */
	ssize_t (*search)(struct journal *journal, const struct search *search, struct found *found, size_t capacity,
		uint64_t *behind);

	/* ---- Several servers that share the journal: all of these, or NULL where only one can use it. All but the first two may block,
	 * and no lock may be held. ---- */

	/* The id of this server: '@' and 19 hex digits. The room of that id is its mailbox: others append what they have to tell it. */
	const char *(*server_id)(struct journal *journal);
	/* Before anything is claimed; with NULL at the end: the watcher is not called any more when this returns. */
	void (*watch)(struct journal *journal, const struct journal_watcher *watcher, void *context);
	/* Returns 0: the name is this server's, by this claim. It was free, or its server is dead, or its holder is the same client, on whatever
	 * server, or it was had by an older claim of this server, which knows best who is here: '*holder' is who had it then ("" as server:
	 * nobody). -EEXIST: '*holder' has it. */
	int (*claim_name)(struct journal *journal, const struct name_claim *claim, struct name_holder *holder);
	/* The name is free, if it is this server's by the claim of that number: one that was made later stays. Does not wait for the engine,
	 * and may be said under any lock that stands before JOURNAL_QUEUE_LOCK. */
	void (*release_name)(struct journal *journal, const char *key, uint64_t number);
	/* 0, -ENOENT, or another -errno. */
	int (*find_name)(struct journal *journal, const char *key, struct name_holder *holder);
	/* Who is in the room, on all servers, in the order of their keys. Returns how many names were given; '*count' is of all. */
	ssize_t (*people)(struct journal_room *room, char (*names)[NAME_SIZE], size_t capacity, size_t *count);
	/* Somebody is no longer in the room, without a MESSAGE_LEFT. Does not wait for the engine, as release_name(). */
	void (*absent)(struct journal_room *room, const char *key);
	/* Nobody is in the room here. If nobody is elsewhere, and it has no name, or nothing was said there (message_is_said()), it is
	 * forgotten. Does not wait for the engine; may be called under locks as release_name(). */
	void (*forget_unused)(struct journal_room *room);
	/* Somebody waits in the room for a stranger; set_waits(room, false) takes it back, and so does forget_room(). -EEXIST: it was
	 * not offered, because somebody waits whom meet() would find, unless 'always': of two who offer at the same moment one finds the
	 * other. */
	int (*offer)(struct journal_room *room, const struct stranger_offer *offer);
	/* Takes the oldest offer that fits, of any server that lives; nobody else gets it. 0, -ENOENT: nobody waits, or another -errno. */
	int (*meet)(struct journal *journal, const struct stranger_offer *seeker, struct room_record *record);
	/* Messages of the room up to number 'seq' need not be kept. */
	void (*trim)(struct journal_room *room, uint64_t seq);

	/* The server stops: what waits for something that is away is refused soon, and nobody waits any longer. NULL where nothing is ever
	 * away. Does not wait. */
	void (*stop_soon)(struct journal *journal);
	/* Ends the journal after all rooms were closed. What append() took was kept or refused then. */
	void (*destroy)(struct journal *journal);
};

/* Each implementation has this as its first field. */
struct journal {
	const struct journal_ops *ops;
};

/* A copy of the draft in new memory, with strings of its own, for a journal that keeps it after append(); it has the
 * message's reference now. NULL without memory. */
struct draft *draft_copy(const struct draft *draft) MUST_CHECK;
/* Frees such a copy and releases its message. */
void draft_free(struct draft *draft);

#endif
