/*
 * The talk: what all clients of a server share.
 *
 * Threads: constant but for what says otherwise.
 */
#ifndef TCPSERVER_CORE_TALK_H
#define TCPSERVER_CORE_TALK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcpserver/core/client_list.h"
#include "tcpserver/core/rooms.h"
#include "tcpserver/core/strangers.h"

struct door;
struct room;

struct talk {
	struct client_list clients;
	struct rooms rooms;
	struct strangers strangers;
	struct room *lobby; /* a reference */
	const struct door *door;
	_Atomic uint64_t sessions_begun;
	size_t max_clients;
	size_t max_line;     /* bytes               */
	size_t lag_memory;   /* bytes               */
	const char *admin_password; /* NULL: nobody is administrator */
	size_t history;      /* messages said before that a newcomer is shown; SIZE_MAX: all */
	bool rooms_are_open; /* anybody may make rooms */
	int name_timeout_ms;
	int peer_timeout_s;  /* a silent dead peer is noticed within it */
	atomic_bool stopping; /* once true, every client says farewell  */
};

/* Fills in lists and rooms, and opens the lobby of 'journal'. Returns whether there was memory. */
bool talk_init(struct talk *talk, struct journal *journal, size_t max_rooms) MUST_CHECK;
/* Nobody may be connected any more. */
void talk_fini(struct talk *talk);

#endif
