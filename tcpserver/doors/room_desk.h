/*
 * What the doors whose requests stand alone (HTTP, and the unary calls of gRPC) do with rooms in the same way: show
 * one, list them, close one. How it is said is the door's.
 *
 * Threads: the client's own.
 */
#ifndef TCPSERVER_DOORS_ROOM_DESK_H
#define TCPSERVER_DOORS_ROOM_DESK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sync.h"
#include "common/text.h"
#include "tcpserver/core/room.h"

struct rooms;
struct session;

/* ---- Looking. ---- */

/* What is shown of a room. */
struct room_view {
	char id[ROOM_ID_SIZE];
	char name[NAME_SIZE]; /* the id, if it has none */
	char topic[ROOM_TOPIC_SIZE];
	size_t people;
	int64_t created_ns;
	uint64_t last;
};

struct room_list {
	struct room_view *views;
	size_t count;
	bool more; /* than are shown */
};

enum { ROOM_LIST_MAX = 1000 };

void room_desk_view(struct room *room, size_t people, struct room_view *view);
/* Lists the listed rooms, also those that only the journal keeps, which may block. Returns 0; -ENOMEM; or -EIO, when
 * the journal cannot be read. The caller gives the list back with room_desk_free(), in any case. */
int room_desk_list(struct rooms *rooms, struct room_list *list) MUST_CHECK;
void room_desk_free(struct room_list *list);

/* ---- Closing. ---- */

enum room_permission {
	ROOM_MAY_CLOSE,
	ROOM_STAYS,         /* nobody may                                                   */
	ROOM_IS_OF_ANOTHER, /* the session id is that of somebody else                      */
	ROOM_NEEDS_PROOF,   /* who asks said nothing about itself, or gave a wrong password */
};

/* Whether who asks may close the room: with the session id of who made it, or as an administrator. 'authorization' is
 * the field, or NULL; so is 'id', 32 hex digits. A wrong password makes it wait. */
enum room_permission room_desk_may_close(
	struct session *session, const struct room *room, const char *id, const char *authorization) MUST_CHECK;
/* Closes it, under the name in 'authorization' or a guest's, which the session, that has none, has for the moment.
 * Returns 0; -ENOMEM; or -EIO when that could not be kept, and nothing was closed. */
int room_desk_close(struct session *session, struct room *room, const char *authorization) MUST_CHECK;

#endif
