/*
 * TLS is a door in front of the doors: it makes the handshake, gives the talk one end of a socketpair, which is looked at
 * like any accepted socket, and carries plain bytes between the two (common/tls_pump.h). So every protocol comes through it,
 * and none knows of it. A client through TLS has two threads: the one of its connection, here, and the one of its
 * conversation.
 *
 * The certificate can be changed while the server runs: tls_reload(). Connections that are there keep theirs.
 *
 * Threads: the door's functions are called by the client's own; tls_reload() by any.
 */
#ifndef TCPSERVER_DOORS_TLS_H
#define TCPSERVER_DOORS_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"
#include "common/tls.h"

struct tls;

/* Needs session->talk->tls. */
extern const struct door tls_door;

enum { TLS_OPEN_FAULT_SIZE = 1024 };

struct tls_options {
	const char *certificate_path; /* borrowed, as long as the tls */
	const char *key_path;
	bool makes_own; /* when they are not there: see certificate_make() */
};

/* Reads certificate and key. NULL with a fault: a sentence that says what is wrong and what to do. */
struct tls *tls_open(const struct tls_options *options, char *fault, size_t size) MUST_CHECK;
/* Reads the files again; new connections get what is in them. Returns 0, or -EINVAL with a fault: all stays as it was. */
int tls_reload(struct tls *tls, char *fault, size_t size) MUST_CHECK;
/* Accepts NULL. There may be no connection any more. */
void tls_close(struct tls *tls);

/* The fingerprint of the certificate that new connections get. */
void tls_tell_fingerprint(struct tls *tls, char text[TLS_FINGERPRINT_SIZE]);
/* Whether there is something to be said of that certificate: see certificate_warns(). */
bool tls_warns(struct tls *tls, char *warning, size_t size) MUST_CHECK;

#endif
