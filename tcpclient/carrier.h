/*
 * Another protocol below a connection (connection.h): a carrier takes the socket that was reached and gives another one, through
 * which the server looks like one that knows lines alone: "NAME: TEXT" comes, and what is typed goes, with an echo; or, if it is
 * 'in_events', like one of ours that is told our session first and speaks in events (event.h).
 *
 * Threads: as it is said of each function.
 */
#ifndef TCPCLIENT_CARRIER_H
#define TCPCLIENT_CARRIER_H

#include <stdbool.h>

#include "common/sync.h"
#include "common/text.h"

enum { CARRIER_WORDS_SIZE = 320 };

/* How it ended. */
enum carrier_end {
	CARRIER_LEFT,   /* we left                                                    */
	CARRIER_BROKEN, /* the connection broke, or the server stops: it may come back */
	CARRIER_OVER,   /* there is nothing to come back to, as to a room that was deleted */
	CARRIER_REFUSED, /* the server does not want us, or not so, and would not the next time */
};

struct carried;

struct carrier {
	const char *protocol; /* as a person is told: "grpc" */
	bool in_events;
	const void *context;
	/* Takes 'socket' and gives '*lines', which the caller closes before end(). NULL when that cannot be. The connection's thread. */
	struct carried *(*start)(const void *context, int socket, bool is_encrypted, int *lines);
	/* When '*lines' has come to its end: how; 'words' say why, for people: clean, one line. The connection's thread. */
	enum carrier_end (*judge)(const struct carried *carried, char words[CARRIER_WORDS_SIZE]);
	/* The name that the server gave us, if it told one. Returns whether it did; NULL: none does. The same. */
	bool (*find_name)(const struct carried *carried, char name[NAME_SIZE]);
	/* Waits until what was said has gone, as long as it takes the server to say that it has it, and frees it. The same. */
	void (*end)(struct carried *carried);
};

#endif
