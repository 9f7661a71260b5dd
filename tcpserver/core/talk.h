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
#include "tcpserver/core/servers.h"
#include "tcpserver/core/strangers.h"

struct carrier;
struct door;
struct room;
struct tls;

struct talk {
	struct client_list clients;
	struct rooms rooms;
	struct strangers strangers;
	struct servers servers; /* that share the journal */
	struct room *lobby; /* a reference */
	_Atomic uint64_t sessions_begun;
	struct doors {
		const struct door *lines;
		const struct door *http;
		const struct door *tls;
		const struct door *grpc; /* NULL: the server was built without it */
	} doors; /* where the one leads that looks at a client's first bytes */
	struct client_limits limits; /* how many clients there may be */
	/* Makes a client of a connected socket, which it takes, as if it had been accepted: server_admit(). */
	void (*admit)(struct talk *talk, int socket, const struct carrier *carrier, const struct door *door);
	struct tls *tls;     /* certificate and key; NULL: there is no TLS      */
	bool require_tls;    /* nobody is listened to without TLS               */
	const char *const *allow_origins; /* of web pages elsewhere that may talk to the server */
	size_t allow_origin_count;
	int64_t started_ns;  /* since 1970 */
	size_t max_line;     /* bytes               */
	size_t lag_memory;   /* bytes               */
	const char *admin_password; /* NULL: nobody is administrator */
	size_t history;      /* messages said before that a newcomer is shown; SIZE_MAX: all */
	bool rooms_are_open; /* anybody may make rooms */
	int name_timeout_ms;
	int peer_timeout_s;  /* a silent dead peer is noticed within it */
	atomic_bool stopping; /* once true, every client says farewell  */
};

/* Fills in lists and rooms, and opens the lobby of 'journal', and the mailbox if it is shared. Returns whether there was memory, and the
 * journal could be read. */
bool talk_init(struct talk *talk, struct journal *journal, size_t max_rooms) MUST_CHECK;
/*
 * The room of that name or id, with a reference that rooms_give_back() takes; it is made if there is none and anybody may.
 * 'made' is what it is like then, but for its name. ROOMS_GONE: there is no room of that id. Other answers are those of
 * rooms_find() and talk_make_room(). Doors and commands have no other way to a room that may have to be made.
 */
enum rooms_result talk_find_room(struct talk *talk, const char *text, const struct room_attributes *made, struct room **room)
	MUST_CHECK;
/* Makes a room of that name, which must be new. ROOMS_CLOSED, ROOMS_BAD_NAME, ROOMS_EXISTS, ROOMS_TOO_MANY, ROOMS_NO_MEMORY:
 * why not. */
enum rooms_result talk_make_room(struct talk *talk, const char *text, const struct room_attributes *made, struct room **room)
	MUST_CHECK;
/* Nobody may be connected any more. */
void talk_fini(struct talk *talk);

#endif
