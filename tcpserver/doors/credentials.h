/*
 * Who asks: what a client writes into the field Authorization, and the number by which it knows itself again.
 *
 * Threads: the client's own.
 */
#ifndef TCPSERVER_DOORS_CREDENTIALS_H
#define TCPSERVER_DOORS_CREDENTIALS_H

#include <stdbool.h>

#include "common/sync.h"
#include "tcpserver/core/client_list.h"

struct session;

enum { CREDENTIALS_SIZE = 256 }; /* bytes of a name or a password, with a NUL */

enum credentials {
	CREDENTIALS_GOOD,  /* an administrator's                                         */
	CREDENTIALS_BAD,   /* no password, or a wrong one                                */
	CREDENTIALS_SPENT, /* the same, for the last time: no other one is looked at     */
};

/* The user name and password of "Basic BASE64". 'field' may be NULL. Returns false without them. */
bool credentials_read_basic(const char *field, char user[CREDENTIALS_SIZE], char password[CREDENTIALS_SIZE]) MUST_CHECK;
/* Whether "Basic BASE64" or "Bearer PASSWORD" has the administrator's password. A wrong one is logged, and takes longer each time.
 * 'field' may be NULL. */
enum credentials credentials_check(struct session *session, const char *field) MUST_CHECK;
/* Reads 32 hex digits. 'field' may be NULL. Returns false, with 'id' all zero, which stands for no id, when it is something else. */
bool credentials_read_id(const char *field, unsigned char id[CLIENT_ID_SIZE]) MUST_CHECK;

#endif
