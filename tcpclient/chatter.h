/*
 * What one does with rpc.ChatService before one talks: make, list and delete rooms, and choose one.
 *
 * Answers go to standard output, what is wrong to standard error; questions are asked on standard output and answered by lines of
 * standard input, of which nothing is read but those.
 *
 * Threads: the main one; each call waits, for ten seconds at most.
 */
#ifndef TCPCLIENT_CHATTER_H
#define TCPCLIENT_CHATTER_H

#include <stdbool.h>

#include "common/net.h"
#include "common/sync.h"
#include "common/text.h"
#include "tcpclient/grpc.h"

struct secure;

struct chatter {
	struct net_place place;
	const struct secure *secure; /* see connection.h; borrowed */
	char authority[GRPC_AUTHORITY_SIZE];
	bool is_patient; /* a server that cannot be reached is tried again, as long as it takes, which is said */
};

/* Where one goes; each in new memory, which chatter_room_fini() frees. */
struct chatter_room {
	char *id;    /* as rpc.ChatService knows it                                                          */
	char *label; /* as people call it, where the server has tcpchat.v1, too, and the room there; or NULL */
};

void chatter_room_fini(struct chatter_room *room);

void chatter_init(struct chatter *chatter, const struct net_place *place, const struct secure *secure);

/* Each returns the program's exit code. Makes a room, and prints its id. */
int chatter_create(const struct chatter *chatter, bool is_private) MUST_CHECK;
/* Prints the ids of the rooms, one a line. */
int chatter_list(const struct chatter *chatter) MUST_CHECK;
int chatter_delete(const struct chatter *chatter, const char *room) MUST_CHECK;

/* Looks the room of an id, or name, up. Returns false when the server cannot be asked, which was said. A server that does not know
 * the room, or the question, leaves the label NULL. */
bool chatter_find(const struct chatter *chatter, const char *id, struct chatter_room *room) MUST_CHECK;
/* Shows the rooms and asks for one; a person is asked again after a wrong answer, three times in all. Returns false when there is none,
 * which was said. */
bool chatter_pick(const struct chatter *chatter, struct chatter_room *room) MUST_CHECK;
/* How often a question is asked: lines of a pipe after a wrong answer are not meant for the same question. */
int chatter_tries(void);
/* Asks for a name. Returns it, in new memory; "" is whoever the caller takes. NULL when there was no answer, which was said. */
char *chatter_ask_name(void) MUST_CHECK;

#endif
