/*
 * Encrypted connections: the handshake, whom to trust, and a pump (common/tls_pump.h) in a thread of its own, which lets the
 * rest of the client speak with a socket as if there were no TLS.
 *
 * Who is trusted: a certificate with the fingerprint that was given, whatever else is in it; else one that an authority
 * vouches for and that is for the host's name; else, unless authorities were given, one that vouches for itself, if it is the
 * one that is known (pins.h). One of a server that is not known is refused, and kept as a 'struct secure_stranger': a person
 * may be asked, and secure_befriend() makes it known. A server that an authority vouched for once cannot come back with a
 * certificate that vouches for itself.
 *
 * Threads: a 'struct secure' is constant, and used by any; a connection belongs to one.
 */
#ifndef TCPCLIENT_SECURE_H
#define TCPCLIENT_SECURE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/net.h"
#include "common/sync.h"
#include "common/tls.h"
#include "tcpclient/buffer.h"

/* A server that is not known; written by the connection's thread, and to be read when that has ended. */
struct secure_stranger {
	bool was_met;
	unsigned char hash[TLS_HASH_SIZE]; /* of its certificate */
};

struct secure_settings {
	struct net_place place;
	const char *authorities; /* a file of certificates, or NULL: those that the system trusts */
	const char *fingerprint; /* or NULL                                                        */
	const char *pins_path;   /* or NULL: nothing is remembered                                  */
	bool asks;               /* a person will be asked about a stranger                         */
	bool speaks_http2;       /* what goes through it is HTTP/2, as ALPN has it                  */
	struct secure_stranger *stranger; /* who was refused as one; stays                          */
};

struct secure;

/* The settings' strings have to stay. NULL with a fault, a sentence for people. */
struct secure *secure_create(const struct secure_settings *settings, char *fault, size_t size) MUST_CHECK;
/* Accepts NULL. */
void secure_destroy(struct secure *secure);

/* Remembers a stranger's certificate as the server's. Returns 0, or -errno. */
int secure_befriend(const struct secure *secure, const struct secure_stranger *stranger) MUST_CHECK;

/* How secure_call() went. */
enum secure_result {
	SECURE_MADE,
	SECURE_BROKEN,     /* the connection broke, or took too long: it may be tried again */
	SECURE_DISTRUSTED, /* the server is not the one it should be                         */
	SECURE_STRANGE,    /* it does not speak TLS, or not as we do                         */
	SECURE_CANCELLED,
};

struct secure_call;

/* What the caller has to say to a wait. */
struct secure_wait {
	int timeout_ms;
	int wake_descriptor; /* read when it is readable, and then 'cancelled' is asked */
	bool (*cancelled)(const void *context);
	const void *context;
};

/*
 * Makes an encrypted connection on 'socket', which it takes. 'words' gets what a person should know of it: who vouches for
 * the server, or why there is no connection; several lines, clean, without a NUL. On SECURE_MADE '*call' is the connection, which
 * the caller ends with secure_end().
 */
enum secure_result secure_call(const struct secure *secure, int socket, const struct secure_wait *wait,
	struct secure_call **call, struct buffer *words) MUST_CHECK;

/* The socket that speaks plain; the caller closes it, before secure_end(). */
int secure_socket(const struct secure_call *call);
/* When that socket came to an end: why the connection broke, a positive errno; 0: it did not break. */
int secure_broken(const struct secure_call *call);
/* Waits until what was said has gone, a second at most, and frees the call. */
void secure_end(struct secure_call *call);

#endif
