/*
 * Going from room to room: to one of a name, to one's own, to a stranger.
 *
 * Threads: the client's own. All tell the client how it went.
 */
#ifndef TCPSERVER_CORE_VISIT_H
#define TCPSERVER_CORE_VISIT_H

#include <stdbool.h>

#include "common/sync.h"

struct reading;
struct room;
struct session;

/* Goes to the room of that name or id, which is made if there is none and rooms are open, and reads it from there; who is
 * there already reads it anew only if 'reading' is not NULL. */
void visit_room(struct session *session, const char *name, const struct reading *reading);
/* A client that has no name comes in under 'name', or one like it, into the room of that name or id ("": the lobby), which it reads from
 * there; or, if that cannot be, into the lobby. Returns false when 'name' is none: the client was not told. */
bool visit_come(struct session *session, const char *name, const char *room, const struct reading *reading) MUST_CHECK;
/* The room of that name or id, with a reference; it is made if there is none and rooms are open. NULL: the client was told. */
struct room *visit_find(struct session *session, const char *name);
/* Makes a room of that name, which must be new, and goes there. */
void visit_new_room(struct session *session, const char *name);
/* Goes to the stranger who waits longest, or waits for one. */
void visit_stranger(struct session *session);
/* Waits for a stranger in a new room. */
void visit_wait(struct session *session);

#endif
