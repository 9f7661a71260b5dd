/*
 * An engine keeps the messages of a journal somewhere else, where several servers may use them: in a database. shared.h makes a
 * journal of it: it puts messages into groups, publishes them in order, those of other servers, too, and comes back after
 * what is lost; an engine only knows how to say it in the words of its database.
 *
 * A link is one connection. All functions of a link wait for the network, for a few seconds at most; one thread uses a link at a
 * time. They return 0, or a count, or -errno. After an error the caller asks works(): a link that does not is thrown
 * away, and what it was asked to write may have been written, or not; one that does has written nothing. -EAGAIN: it may be
 * tried again at once.
 *
 * What is written for a server goes by the server's id, '@' and 19 hex digits, so that what a dead server leaves behind can be cleared
 * away. A server lives while it beats: ENGINE_DEAD_S after its last beat, by the clock of the engine, it is dead.
 */
#ifndef TCPSERVER_JOURNALS_ENGINE_H
#define TCPSERVER_JOURNALS_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tcpserver/core/journal.h"

enum {
	ENGINE_FAULT_SIZE = 400, /* bytes of an explanation, with the NUL */
	ENGINE_GROUP_MOST = 5000, /* entries that append() gets            */
	ENGINE_PLACE_SIZE = 600, /* bytes of a server's place, with the NUL */
	ENGINE_BEAT_S = 3,
	ENGINE_DEAD_S = 12,
	ENGINE_TIMEOUT_S = 5,    /* for connecting, and for an answer      */
	ENGINE_FORGET_S = 120,   /* how long the rows of a forgotten room stay, so that other servers see how it ended */
	ENGINE_PAIR_S = 24 * 60 * 60, /* how long a room for two waits for who was in it when a server ended */
};

struct engine; /* each has its own */
struct link;

enum link_use {
	LINK_WRITES, /* the journal's thread: what puts something there, and what looks for what is new */
	LINK_NEWS,   /* the same thread: it is told what others have put there */
	LINK_READS,  /* any thread */
};

enum entry_outcome {
	ENTRY_KEPT,     /* as number 'seq', at 'at_ns' */
	ENTRY_REPEATED, /* the same client and number was kept before, as number 'seq' at 'at_ns' of room 'kept_in' */
	ENTRY_REFUSED,  /* for 'error', a positive errno; the others of the group go on */
};

/* A message of a group. */
struct entry {
	const char *room;              /* id; borrowed, as the next two                       */
	const struct message *message; /* its own 'seq' and 'at_ns' do not count             */
	const char *server;            /* whose it is                                         */
	unsigned char client[CLIENT_ID_SIZE];
	uint64_t number;               /* never 0: who has none is given one, so that a group can be tried again */
	uint64_t seq;     /* in: 0, or the number of a message that is restored, which keeps it and 'at_ns'; out: its number */
	uint64_t at_least; /* a new number is greater than this: others have seen it, even if the engine has lost it since */
	int64_t at_ns;    /* since 1970; out: by the clock of the engine or of this server, never before the message before it */
	enum entry_outcome outcome;    /* out */
	int error;                     /* out */
	char kept_in[ROOM_ID_SIZE];    /* out: id of the room where a repeated one was kept    */
	char label[NAME_SIZE];         /* out: what people call that room; "" if not known     */
};

/* Somebody who was in a room when the server died. */
struct ghost {
	char server[ROOM_ID_SIZE];
	char room[ROOM_ID_SIZE]; /* id */
	char label[NAME_SIZE]; /* what people call it: the name, or the id */
	char name[NAME_SIZE];
	uint64_t joined; /* number of the message with which it came, or of its last one of that kind */
};

/* Others have said something in a room. */
struct engine_news {
	char room[ROOM_ID_SIZE]; /* id                                           */
	uint64_t last;           /* number of its last message; 0: it was not told */
};

struct engine_ops {
	const char *name; /* of the journal, and of its URL's scheme */

	/* ---- Links. ---- */

	/* NULL: 'fault' says why, in words for a log, without a password. The first LINK_WRITES makes the schema, or brings it up to date. */
	struct link *(*connect)(struct engine *engine, enum link_use use, char fault[ENGINE_FAULT_SIZE]);
	void (*disconnect)(struct link *link);
	bool (*works)(const struct link *link);
	/* Words on the last error, for the log. */
	const char *(*fault)(const struct link *link);
	/* Words for the log at the start: what is promised, by the settings of the database as it is. May be NULL. */
	void (*describe)(struct link *link, char *words, size_t size);

	/* ---- Rooms. ---- */

	/* Makes the room of attributes->id with these attributes, if there is none; '*record' is what it is like now, with 'last'.
	 * -EEXIST: there is another room of that name (name_key()). */
	int (*open_room)(struct link *link, const struct room_attributes *attributes, struct room_record *record);
	/* The room is found no more, by anybody, and its name is free. Rows may go ENGINE_FORGET_S later. May be said twice. */
	int (*forget_room)(struct link *link, const char *id);
	/* As the journal's (journal.h); 'record->last' and 'record->people' are filled in. */
	int (*find_room)(struct link *link, const char *key, const char *id, struct room_record *record);
	ssize_t (*list_rooms)(struct link *link, const char *after, bool listed, struct room_record *records, size_t capacity);

	/* ---- Messages. ---- */

	/*
	 * Keeps a group of entries, in their order, all in one step that lasts (a transaction); 1 to ENGINE_GROUP_MOST. In each room numbers are
	 * dense over all servers. MESSAGE_JOINED puts its participant into the room's people, for the entry's server; MESSAGE_LEFT
	 * takes it out, if it is of that server; MESSAGE_NICK renames it; MESSAGE_TOPIC is the room's topic. Others are sent
	 * word of the rooms that have something new. A room that was forgotten refuses with ENOENT.
	 */
	int (*append)(struct link *link, struct entry *entries, size_t count);
	/* As the journal's read(); 'label' is what people call the room. */
	ssize_t (*fetch)(struct link *link, const char *id, const char *label, uint64_t from, struct message **messages,
		size_t capacity);
	/* The number of the last message of each; UINT64_MAX for a room that was forgotten. */
	int (*last)(struct link *link, const char *const *ids, uint64_t *last, size_t count);
	/* Of a LINK_NEWS: what to poll for reading. */
	int (*descriptor)(const struct link *link);
	/* Of a LINK_NEWS, does not wait: rooms that have something new, as far as it was told (also of what this server has put there).
	 * Returns how many, 'capacity' at most (then ask again); -EOVERFLOW: look at all. It is a hint: what is not told is found by last(). */
	ssize_t (*news)(struct link *link, struct engine_news *news, size_t capacity);
	/* Messages up to number 'seq' need not be kept. May be NULL. */
	int (*trim)(struct link *link, const char *id, uint64_t seq);

	/* ---- What not every engine can do: NULL where it cannot. ---- */

	/* Keeps marks, never less than before. */
	int (*set_mark)(struct link *link, const char *id, const char *key, uint64_t seq);
	int (*mark)(struct link *link, const char *id, const char *key, uint64_t *seq);
	ssize_t (*search)(struct link *link, const struct search *search, struct found *found, size_t capacity, uint64_t *behind);

	/* ---- Several servers: all of these, or NULL where only one server can use the engine. ---- */

	/* The server lives. -ESTALE: it had been cleared away as dead (or was never there); it is there now. */
	int (*beat)(struct link *link, const char *server);
	/* The server is the one at that place from now on (a text of less than ENGINE_PLACE_SIZE bytes that only one server at a time can have, as
	 * one of a machine and a port): one that was there before is dead, whenever it has beaten last. */
	int (*succeed)(struct link *link, const char *server, const char *place);
	/* Who is left in rooms of servers that are dead. 0: nobody; the dead servers without anybody are cleared away, with their names,
	 * offers and mailboxes (rooms of their id), and what else is old: rooms that such people were the last to leave are forgotten, unless
	 * they are persistent, or have a name and something was said there; those that end with a member, and those of a server that retired,
	 * ENGINE_PAIR_S later, since people may come back. A bounded part of that each time. */
	ssize_t (*ghosts)(struct link *link, struct ghost *ghosts, size_t capacity);
	/* The server goes: its names, its people, its offers and its mailbox go with it. */
	int (*retire)(struct link *link, const char *server);
	/* As the journal's. */
	int (*claim_name)(struct link *link, const char *server, const struct name_claim *claim, struct name_holder *holder);
	int (*release_name)(struct link *link, const char *server, const char *key, uint64_t number);
	int (*find_name)(struct link *link, const char *key, struct name_holder *holder);
	ssize_t (*people)(struct link *link, const char *id, char (*names)[NAME_SIZE], size_t capacity, size_t *count);
	int (*absent)(struct link *link, const char *server, const char *id, const char *key);
	int (*forget_unused)(struct link *link, const char *id);
	int (*set_waits)(struct link *link, const char *id, bool waits);
	int (*offer)(struct link *link, const char *server, const char *id, const struct stranger_offer *offer);
	int (*meet)(struct link *link, const struct stranger_offer *seeker, struct room_record *record);

	void (*destroy)(struct engine *engine);
};

/* What an engine is made of; strings are borrowed, an implementation copies what it keeps. */
struct engine_options {
	const char *url;         /* as --journal has it: checked, the scheme is the implementation's      */
	const char *password;    /* from --journal-password-file, and stands above one in the URL; or NULL */
	const char *message_api; /* HOST:PORT of --message-api; or NULL                                    */
	const char *message_api_token; /* from --message-api-token-file; or NULL                           */
};

/* Each implementation has this as its first field; a link, too, begins as it likes. */
struct engine {
	const struct engine_ops *ops;
};

#endif
