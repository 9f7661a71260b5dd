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
#include <stdbool.h>
#include <stddef.h>

#include "common/text.h"
#include "tcpserver/core/locks.h"

struct member;

/* What the list knows of a client; a part of its session. */
struct client {
	char name[NAME_SIZE]; /* of the client's thread; constant while it is in the list of names */
	struct client *previous GUARDED_BY(CLIENT_LIST_LOCK);
	struct client *next GUARDED_BY(CLIENT_LIST_LOCK);
	char *key GUARDED_BY(CLIENT_LIST_LOCK);            /* what the name counts as; NULL without a name */
	struct member *member GUARDED_BY(CLIENT_LIST_LOCK); /* NULL before the thread runs and after it ends */
};

struct client_list {
	pthread_mutex_t mutex; /* CLIENT_LIST_LOCK */
	pthread_cond_t emptied;
	struct client *first GUARDED_BY(CLIENT_LIST_LOCK);
	void *names GUARDED_BY(CLIENT_LIST_LOCK); /* a tree of clients, by key (tsearch) */
	size_t count GUARDED_BY(CLIENT_LIST_LOCK);
	size_t name_count GUARDED_BY(CLIENT_LIST_LOCK);
	bool someone_departed GUARDED_BY(CLIENT_LIST_LOCK);
	pthread_t departed GUARDED_BY(CLIENT_LIST_LOCK); /* the thread that ended last */
};

void client_list_init(struct client_list *list) UNCHECKED;
/* The list has to be empty. */
void client_list_fini(struct client_list *list) UNCHECKED;

/* Takes a client up. Returns false when there are 'most' already. */
bool client_list_add(struct client_list *list, struct client *client, size_t most) MUST_CHECK;
/* The thread of the client runs and may be woken. */
void client_list_set_member(struct client_list *list, struct client *client, struct member *member);
/* Takes back client_list_add(), when the client's thread could not be started. */
void client_list_remove(struct client_list *list, struct client *client);
/* The last thing that a client's thread does, but for returning: its client is forgotten, the thread that ended before
 * is joined. The member may not be woken any more: it has to be forgotten with client_list_set_member() before. */
void client_list_depart(struct client_list *list, struct client *client);
/* Waits until the list is empty and all threads were joined. Threads: one that is no client's. */
void client_list_wait_empty(struct client_list *list);

/*
 * Gives the client the name, with a suffix of six hex digits when somebody has it (names that differ only in case count
 * as the same). Returns 0, or -ENOMEM.
 */
int client_list_register(struct client_list *list, struct client *client, const char *name) MUST_CHECK;
/* The client's name is free again, if it had one. */
void client_list_unregister(struct client_list *list, struct client *client);

/* Wakes all clients' threads. */
void client_list_wake_all(struct client_list *list);

size_t client_list_count(struct client_list *list);

/*
 * Writes up to 'most' names, in alphabetical order, separated by ", ", into new memory at '*text', ended by NUL; the
 * caller frees it. Returns how many people there are, or -ENOMEM.
 */
long client_list_names(struct client_list *list, size_t most, char **text) MUST_CHECK;

#endif
