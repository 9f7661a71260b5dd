/*
 * A pump carries plain bytes between an encrypted connection and a socket: whoever has the other end of that socket speaks
 * as if there were no TLS. One thread owns the SSL and does both directions, because an SSL that two threads share is
 * broken by a peer that changes its keys.
 *
 *         peer <== TLS == outer [pump] inner -- plain --> whoever
 *
 * Each end that one side says is told to the other: a close_notify of the peer becomes the end of input inside, a
 * shutdown() inside becomes a close_notify. A slow reader on one side makes the other one wait; there are never more than two
 * buffers of TLS_PUMP_SIZE between the two, and none while nothing flows.
 *
 * A broken connection cannot be told through a socketpair: it looks like an end. So the pump writes the errno to 'broken'
 * before it says the end, and whoever reads an end inside looks there.
 *
 * A peer that sends records without data (key updates, warnings, empty ones) costs work and says nothing; one that sends
 * more than TLS_PUMP_IDLE_RECORDS within ten seconds is taken for broken.
 *
 * Threads: the one that runs it; 'broken' is read by any.
 */
#ifndef COMMON_TLS_PUMP_H
#define COMMON_TLS_PUMP_H

#include <openssl/ssl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	TLS_PUMP_SIZE = 16 * 1024, /* bytes: the largest record */
	TLS_PUMP_IDLE_RECORDS = 64,
};

/* One direction. */
struct tls_flow {
	char *bytes;   /* TLS_PUMP_SIZE; NULL while there are none */
	size_t start;  /* of what is to be written                 */
	size_t size;   /* of what is to be written                 */
	bool ended;    /* no more comes                            */
	bool closed;   /* and that was said; or nobody takes more  */
	short waits_for; /* POLLIN or POLLOUT of the outer socket, for the SSL's call to go on */
};

struct tls_pump {
	/* To be filled in. */
	SSL *ssl;        /* whose handshake is made; borrowed */
	int outer;       /* its socket; borrowed              */
	int inner;       /* borrowed                          */
	int peer_timeout_s; /* a peer that does not answer for so long is gone */
	int stalled_ms;  /* when nobody is inside any more: how long to wait for a peer that takes nothing */
	/* As poll(), but -ETIMEDOUT when nothing came, 0 when it is to be called again; or -errno. */
	int (*wait)(struct pollfd *polls, nfds_t count, int timeout_ms);
	/* Set when all has to come to an end: then there is a second for all that is left. May be NULL. */
	const atomic_bool *hurries;

	/* 0 at first; filled in by the pump: why the connection broke, a positive errno; EPROTO: the peer did not keep to TLS. 0: it did not.
	 * Released before the end is said inside. */
	atomic_int broken;

	/* The rest is the pump's own. */
	struct tls_flow up;   /* from the peer */
	struct tls_flow down; /* to the peer   */
	int send_error;       /* positive errno of the write that failed; 0: none did */
	bool outer_is_gone;   /* both sides of it have ended          */
	bool inner_is_gone;
	bool lacks_memory;
	unsigned records;     /* that came                            */
	unsigned idle_records; /* of these, without data, since 'idle_since_ms' */
	long long idle_since_ms;
	long long stalled_since_ms; /* nobody is inside, and nothing was taken */
};

/* Pumps until both sides have ended, and nobody is inside any more. Neither socket is closed. */
void tls_pump_run(struct tls_pump *pump);

#endif
