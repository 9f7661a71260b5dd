/*
 * The rooms where we are, and the one where plain text goes.
 *
 * The current one may be a room that we have asked to be in, but of which the server has not spoken yet; or "": where the
 * server believes us to be, because only it knows yet (a room with a stranger).
 *
 * Threads: one at a time.
 */
#ifndef TCPCLIENT_PLACES_H
#define TCPCLIENT_PLACES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/text.h"

enum {
	PLACES_MAX = 32,       /* as many as a tcpchat server allows */
	PLACES_ID_LENGTH = 20, /* of the id, in hex digits, by which a room without a name is called */
};

#define PLACES_LOBBY "lobby"

struct place {
	char name[NAME_SIZE];
	bool fleeting; /* a room with a stranger, which is over when somebody leaves */
};

struct places {
	struct place items[PLACES_MAX];
	size_t count;
	char current[NAME_SIZE];
	char before[NAME_SIZE]; /* where we were before we went to 'current' */
};

/* In the lobby. */
void places_init(struct places *places);
/* Whether two names are of the same room: upper and lower case count as the same. */
bool places_are_same(const char *one, const char *other);
bool places_have(const struct places *places, const char *name);
/* What a person sees instead of a room's name: "stranger" for the id of a room without a name, where one meets such. */
const char *places_shown(const char *name);
/* Adds a room, unless it is there, or there are too many. */
void places_add(struct places *places, const char *name, bool fleeting);
void places_remove(struct places *places, const char *name);
void places_go(struct places *places, const char *name);
/* When the current room is none of those where we are: goes back to where we were, if we are there still; else to the
 * room that was joined last, or the lobby. */
void places_settle(struct places *places);

#endif
