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
};

void chatter_init(struct chatter *chatter, const struct net_place *place, const struct secure *secure);

/* Each returns the program's exit code. Makes a room, and prints its id. */
int chatter_create(const struct chatter *chatter, bool is_private) MUST_CHECK;
/* Prints the ids of the rooms, one a line. */
int chatter_list(const struct chatter *chatter) MUST_CHECK;
int chatter_delete(const struct chatter *chatter, const char *room) MUST_CHECK;

/* Shows the rooms and asks for one. Returns its id, in new memory; NULL when there is none, which was said. */
char *chatter_pick(const struct chatter *chatter) MUST_CHECK;
/* Asks for a name. Returns it, in new memory; "" is whoever the caller takes. NULL when there was no answer, which was said. */
char *chatter_ask_name(void) MUST_CHECK;

#endif
