/*
 * The servers that are known. Of one whose certificate nobody vouches for but itself, the fingerprint: it has to be there every
 * time. Of one that an authority vouched for, that it was so: no certificate that vouches for itself can take its place. A file
 * of lines "HOST:PORT SHA256:AB:CD:..." and "HOST:PORT authority" for its owner alone; lines that begin with '#' are comments,
 * and a person may edit it.
 *
 * Threads: any; the last line about a server counts.
 */
#ifndef TCPCLIENT_PINS_H
#define TCPCLIENT_PINS_H

#include <stddef.h>

#include "common/net.h"
#include "common/sync.h"
#include "common/tls.h"

enum { PINS_SERVER_SIZE = NET_HOST_SIZE + NET_PORT_SIZE + 3 };

enum pin {
	PIN_NONE,    /* the server is not known                                         */
	PIN_FOUND,     /* by its fingerprint                                            */
	PIN_AUTHORITY, /* an authority vouched for it                                   */
	PIN_DAMAGED, /* there is a line about it that cannot be read, or the file cannot */
};

/* How the file names a server: in small letters, an IPv6 address in brackets. */
void pins_server(const struct net_place *place, char server[PINS_SERVER_SIZE]);

/* What the file's text says of a server. Knows no file, for tests and fuzzers. */
enum pin pins_look_up(const char *text, size_t size, const char *server, unsigned char hash[TLS_HASH_SIZE]) MUST_CHECK;

/* What the file says; one that is not there says nothing. 'path' may be NULL: there is no file. */
enum pin pins_find(const char *path, const char *server, unsigned char hash[TLS_HASH_SIZE]) MUST_CHECK;
/* Adds a line; 'hash' is NULL for a server that an authority vouches for. Returns 0, or -errno. */
int pins_add(const char *path, const char *server, const unsigned char *hash) MUST_CHECK;

#endif
