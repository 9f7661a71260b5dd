/*
 * A session: who a client is, where it is, and what it may do. Doors turn bytes into calls of these functions.
 *
 * Threads: the client's own, except session_create() and session_run()'s caller.
 */
#ifndef TCPSERVER_CORE_SESSION_H
#define TCPSERVER_CORE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/net.h"
#include "tcpserver/core/client_list.h"

struct door;
struct member;
struct room;
struct talk;

/* How a session ends, or that it goes on. */
enum session_end {
	SESSION_GOES_ON,
	SESSION_LEFT,    /* the client said goodbye, or closed its side */
	SESSION_LOST,    /* the connection broke                        */
	SESSION_REFUSED, /* the client was told why                     */
	SESSION_STOPPED, /* the server stops                            */
};

struct session {
	struct client client;
	struct talk *talk;
	const struct door *door;
	struct member *member;
	struct room *room; /* NULL before the client has a name */
	int socket;
	enum session_end end;
	int lost_errno; /* why the connection broke           */
	char *input;    /* what session_receive() returned last */
	bool input_was_full;
	bool settled; /* has been in the room once: the stack was trimmed */
	bool said; /* something that room_flush() has to deliver   */
	char address[NET_ADDRESS_SIZE]; /* of the peer */
};

/* ---- For the server. ---- */

/* Makes a session of an accepted, non-blocking socket, which stays the caller's. NULL without memory. */
struct session *session_create(struct talk *talk, int socket) MUST_CHECK;
void session_destroy(struct session *session);
/* The whole life of a client: the conversation through its door, and the going. */
void session_run(struct session *session);

/* ---- For doors. ---- */

/*
 * Waits for bytes from the client, sending meanwhile what there is for it. Returns how many bytes '*bytes' has, which are
 * valid until the next call; 0 when the client has closed its side; -ETIMEDOUT after 'timeout_ms' (-1: never), also
 * -ECANCELED when the server stops; or another -errno when the connection broke.
 */
ssize_t session_receive(struct session *session, int timeout_ms, const char **bytes) MUST_CHECK;

/* Gives the client its name, or one like it, and lets it into the lobby. Returns false when 'text' is no name. */
bool session_register(struct session *session, const char *text, size_t size) MUST_CHECK;
/* Names the client "guest#hhhhhh" and lets it into the lobby. */
void session_register_guest(struct session *session);
bool session_has_name(const struct session *session);

/* The client wrote a line: a message, or a command. 'line' may hold any bytes but LF. */
void session_line(struct session *session, const char *line, size_t size);

/* Ends the session, unless it has ended already. */
void session_finish(struct session *session, enum session_end end);
/* Ends it because session_receive() failed with 'error', a positive errno. */
void session_break(struct session *session, int error);
bool session_ended(const struct session *session);

/* ---- For doors and commands: words to this client alone. ---- */

void session_notice(struct session *session, const char *format, ...) PRINTF_LIKE(2, 3);
/* 'code' is a stable word; the text says what, why, and what to do now. */
void session_error(struct session *session, const char *code, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
