/*
 * Who asks, for the doors whose requests stand alone: what a client tells in the field "authorization" and by its
 * session id, which HTTP and gRPC have alike.
 *
 * Threads: the client's own.
 * Source: RFC 7617 (Basic), RFC 6750 (Bearer).
 */
#ifndef TCPSERVER_DOORS_CREDENTIALS_H
#define TCPSERVER_DOORS_CREDENTIALS_H

#include <stdbool.h>

#include "common/sync.h"
#include "tcpserver/core/client_list.h"

struct session;

enum { CREDENTIALS_SIZE = 256 }; /* of a user name or a password, with a NUL */

/* The user name and password of "Basic". 'authorization' is the field, or NULL. Returns false without them. */
bool credentials_read(
	const char *authorization, char user[CREDENTIALS_SIZE], char password[CREDENTIALS_SIZE]) MUST_CHECK;
/* Whether an administrator asks. Logs a wrong password, after which it waits, longer each time; after
 * SESSION_PASSWORDS_MAX over a connection nobody there is one any more. */
bool credentials_are_administrators(struct session *session, const char *authorization) MUST_CHECK;
/* The number of 128 bits, 32 hex digits, by which a client knows itself again. Returns false, with 'id' all zero, when
 * 'text' is NULL or none of them; all zero stands for no id. */
bool credentials_session_id(const char *text, unsigned char id[CLIENT_ID_SIZE]) MUST_CHECK;

#endif
