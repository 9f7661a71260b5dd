/*
 * Who is connected: every client's session, and the names they have.
 *
 * A client is in the list from before its thread is started until its thread is about to end. The threads are joined
 * here, too: each one that ends joins the one that ended before it, and the last is joined by client_list_wait_empty().
 *
 * Threads: any.
 */
#ifndef TCPSERVER_CORE_CLIENT_LIST_H
#define TCPSERVER_CORE_CLIENT_LIST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/text.h"
#include "tcpserver/core/locks.h"

struct departure;
struct door;
struct letter;
struct origin;
struct outlet;
struct rooms;
struct servers;
struct wanted_name;

enum { CLIENT_ID_SIZE = 16 }; /* bytes of the random number by which a client knows itself again */
enum { IGNORED_MOST = 100 }; /* people that one client can ignore, and as many names */

/*
 * A client as those who ignore it know it, whatever its name: made when the first one does, and there until the last one
 * no longer does. So a client that is gone is never taken for another one.
 */
struct ignored {
	unsigned references GUARDED_BY(CLIENT_LIST_LOCK); /* the client's own, and one of each who ignores it */
	bool gone GUARDED_BY(CLIENT_LIST_LOCK);           /* the client has left                            */
};

/* What the list knows of a client; a part of its session. */
struct client {
	uint64_t number;      /* of its session; constant, no other one has it */
	char name[NAME_SIZE]; /* others read it under the lock, or under ROOMS_LOCK; it changes under both */
	struct origin *origin GUARDED_BY(CLIENT_LIST_LOCK); /* where it comes from; NULL where that is not limited */
	bool carries GUARDED_BY(CLIENT_LIST_LOCK);
	struct client *previous GUARDED_BY(CLIENT_LIST_LOCK);
	struct client *next GUARDED_BY(CLIENT_LIST_LOCK);
	char *key GUARDED_BY(CLIENT_LIST_LOCK);            /* what the name counts as; NULL without a name */
	uint64_t claim GUARDED_BY(CLIENT_LIST_LOCK);       /* by which the name is this server's among all that share the journal */
	struct outlet *outlet GUARDED_BY(CLIENT_LIST_LOCK); /* NULL before the thread runs and after it ends */
	const struct door *door GUARDED_BY(CLIENT_LIST_LOCK);
	const unsigned char *id GUARDED_BY(CLIENT_LIST_LOCK);    /* of 16 bytes; NULL: none was told                */
	struct client *ghost GUARDED_BY(CLIENT_LIST_LOCK);       /* the same one's older connection, until it ends  */
	struct client *successor GUARDED_BY(CLIENT_LIST_LOCK);   /* the newer one, which waits for that             */
	atomic_bool is_replaced;                                 /* there is a newer one: this one has to end       */
	atomic_bool was_given_up;                                /* other servers took this one for dead: client_list_revive() */
	struct departure *departure GUARDED_BY(CLIENT_LIST_LOCK); /* another server waits for it to go; NULL: none does */
	struct ignored *as_ignored GUARDED_BY(CLIENT_LIST_LOCK); /* itself; NULL while nobody has ignored it        */
	struct ignored **ignores GUARDED_BY(CLIENT_LIST_LOCK);   /* IGNORED_MOST others or NULLs; NULL before the first */
	char **ignored_names GUARDED_BY(CLIENT_LIST_LOCK);       /* the same of names, as name_key() makes them         */
};

struct client_list {
	pthread_mutex_t mutex; /* CLIENT_LIST_LOCK */
	pthread_cond_t emptied;
	pthread_cond_t ghost_left;
	struct client *first GUARDED_BY(CLIENT_LIST_LOCK);
	void *names GUARDED_BY(CLIENT_LIST_LOCK); /* a tree of clients, by key (tsearch) */
	void *ids GUARDED_BY(CLIENT_LIST_LOCK);   /* those that have one, by id          */
	void *numbers GUARDED_BY(CLIENT_LIST_LOCK); /* those with a name, by number      */
	void *origins GUARDED_BY(CLIENT_LIST_LOCK); /* a tree of addresses, where they are limited */
	size_t count GUARDED_BY(CLIENT_LIST_LOCK);
	size_t carrier_count GUARDED_BY(CLIENT_LIST_LOCK); /* of these, those that carry others */
	size_t name_count GUARDED_BY(CLIENT_LIST_LOCK);
	bool someone_departed GUARDED_BY(CLIENT_LIST_LOCK);
	pthread_t departed GUARDED_BY(CLIENT_LIST_LOCK); /* the thread that ended last */
	struct servers *servers; /* constant while there are clients: those that share the names; NULL: there are no others */
	struct wanted_name *wanted GUARDED_BY(CLIENT_LIST_LOCK); /* names that are about to be given to who has another one still */
};

void client_list_init(struct client_list *list) UNCHECKED;
/* The list has to be empty. */
void client_list_fini(struct client_list *list) UNCHECKED;
/* Names are those of all these servers from now on: nobody may have one yet. */
void client_list_share(struct client_list *list, struct servers *servers);

/* How many clients there may be: at a time, and of one address; 0: any number. */
struct client_limits {
	size_t most;
	size_t most_per_address;
};

enum client_admission {
	CLIENT_ADMITTED,
	CLIENT_LIST_FULL,    /* there are as many as there may be             */
	CLIENT_ADDRESS_FULL, /* there are as many as may come from that address */
	CLIENT_NO_MEMORY,
};

/* Takes a client up that comes from 'address', as net_peer_address() writes it, whose port does not count; NULL: from
 * nowhere. */
enum client_admission client_list_add(struct client_list *list, struct client *client, const char *address,
	const struct client_limits *limits) MUST_CHECK;
/* The client carries others (through TLS, or calls of gRPC), which come from its address, and does not count beside them from
 * now on. */
void client_list_carry(struct client_list *list, struct client *client);
/* The client carries nobody any more, and counts itself. */
void client_list_carry_none(struct client_list *list, struct client *client);
/* The thread of the client runs and may be woken and told (or, with NULL, no longer), in the words of the door. */
void client_list_set_outlet(
	struct client_list *list, struct client *client, struct outlet *outlet, const struct door *door);
/* Takes back client_list_add(), when the client's thread could not be started. */
void client_list_remove(struct client_list *list, struct client *client);
/* The last thing that a client's thread does, but for returning: its client is forgotten, the thread that ended before
 * is joined. The outlet has to be forgotten with client_list_set_outlet() before. */
void client_list_depart(struct client_list *list, struct client *client);
/* Waits until the list is empty and all threads were joined. Threads: one that is no client's. */
void client_list_wait_empty(struct client_list *list);

/*
 * Gives the client the name, with a suffix of six hex digits when somebody has it (names that differ only in case count
 * as the same). Returns 0, or -ENOMEM. Where names are those of several servers it may block, and other errors say that these cannot be
 * asked; an older connection of the same client elsewhere has ended then, as with client_list_identify().
 */
int client_list_register(struct client_list *list, struct client *client, const char *name) MUST_CHECK;
/* The client's name is free again, if it had one; and nobody ignores it any more. */
void client_list_unregister(struct client_list *list, struct client *client);

/*
 * The client knows itself by 'id', of CLIENT_ID_SIZE bytes, which are copied to 'own_id'; that stays as long as the client,
 * and is written by nobody else. An older connection that has the same one is told to end, and this waits, a few seconds at
 * most, until it has left its rooms and its name is free.
 */
void client_list_identify(
	struct client_list *list, struct client *client, const unsigned char *id, unsigned char *own_id);
/* Whether a newer connection has come in place of this one. */
bool client_is_replaced(const struct client *client);

/* Wakes all clients' threads. */
void client_list_wake_all(struct client_list *list);

size_t client_list_count(struct client_list *list);
/* How many messages the one is behind that is most of all (outlet_lag()). */
uint64_t client_list_lag(struct client_list *list);
/* How many of them have a name. */
size_t client_list_name_count(struct client_list *list);

/* Gives a client that has a name another one; as client_list_register(). Returns 0; or -errno, and it has the old name. */
int client_list_rename(struct client_list *list, struct client *client, struct rooms *rooms, const char *name) MUST_CHECK;

/* Somebody to whom something may be told. */
struct addressee {
	char name[NAME_SIZE];   /* as it is written                 */
	struct outlet *outlet;  /* a reference                      */
	const struct door *door;
	bool ignores;           /* it ignores the client that asked */
};

/* Finds the client with that name, for 'client'. Returns false when there is none. */
bool client_list_find(struct client_list *list, const struct client *client, const char *name, struct addressee *found)
	MUST_CHECK;

/* As client_list_find(), for somebody on another server, whom one here can ignore by name only. */
bool client_list_find_for(struct client_list *list, const char *from, const char *name, struct addressee *found) MUST_CHECK;

/* ---- For the servers that share the names (servers.h). ---- */

/* The client of the letter is on the server now that wrote it: its connection here is told to end, and answers the letter when it
 * has left. Returns false when there is none. */
bool client_list_replace(struct client_list *list, const struct letter *letter) MUST_CHECK;
/* The other servers took this one for dead: each client's thread is told that, and sees to it that it has its name and is in its rooms. */
void client_list_revive(struct client_list *list);
/* Whether that was told to the client since this was asked before. Threads: the client's own. */
bool client_was_given_up(struct client *client) MUST_CHECK;
/* The name that the client has is claimed again, on behalf of the id that it tells now. Returns 0; -EEXIST: somebody elsewhere has it; or
 * another -errno. May block. */
int client_list_claim_again(struct client_list *list, struct client *client) MUST_CHECK;
/* Whether the same client has come back on another server; then it is replaced (client_is_replaced()). May block. */
bool client_list_is_elsewhere(struct client_list *list, struct client *client) MUST_CHECK;
/* The keys of those whom the client ignores, '*count' of them, in one piece of new memory that the caller frees; NULL: none, or
 * without memory. */
const char **client_list_ignored_keys(struct client_list *list, const struct client *client, size_t most, size_t *count);

/* ---- Names of those who were here. ---- */

/* How the one is called now who was client 'number', or, if 'id' is not all zero, who knows itself by that id. Returns false
 * when it is not here. */
bool client_list_tell_name(struct client_list *list, uint64_t number, const unsigned char id[CLIENT_ID_SIZE],
	char name[NAME_SIZE]) MUST_CHECK;

/* Whether somebody here has that name, or the client ignores it. */
bool client_list_knows(struct client_list *list, const struct client *client, const char *name) MUST_CHECK;

/* What client_list_ignore() did. */
enum ignore_result {
	IGNORE_BEGUN,
	IGNORE_AWAITS, /* the same, but nobody has that name now */
	IGNORE_ENDED,
	IGNORE_NOBODY,
	IGNORE_TOO_MANY,
	IGNORE_NO_MEMORY,
};

/*
 * The client ignores who has that name now, or, if it does already, no longer. It goes with the connection, not with the
 * name: who takes another name stays ignored, and who takes the name of somebody that left is not. 'found' is the name as
 * it is written, when the result is IGNORE_BEGUN or IGNORE_ENDED.
 */
enum ignore_result client_list_ignore(struct client_list *list, struct client *client, const char *name,
	char found[NAME_SIZE]) MUST_CHECK;
/* The client ignores the name: who has it now, and who will, whatever that one is called later. May be said twice. */
enum ignore_result client_list_ignore_name(struct client_list *list, struct client *client, const char *name,
	char found[NAME_SIZE]) MUST_CHECK;
/* Takes both back, for the name and for who has it now. May be said twice. */
void client_list_heed_name(struct client_list *list, struct client *client, const char *name);
/* Whether one of the two ignores the other. */
bool client_list_either_ignores(
	struct client_list *list, const struct client *one, const struct client *other) MUST_CHECK;
/* The client ignores nobody any more. */
void client_list_forget_ignored(struct client_list *list, struct client *client);

#endif
