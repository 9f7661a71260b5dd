/*
 * The door that looks first: every port speaks every protocol, and the first bytes tell which.
 *
 * A client that is silent for 300 ms is a person at a terminal, and speaks lines; but not where HTTP was spoken within the last two
 * minutes: that may be a browser, which opens connections before it needs them. One that has begun something which may still
 * become one thing or another is waited for, no longer than for a name (--name-timeout). Nothing is read, only looked at, so that
 * the next door gets all of it.
 */
#ifndef TCPSERVER_DOORS_SNIFF_H
#define TCPSERVER_DOORS_SNIFF_H

#include <stddef.h>

#include "tcpserver/core/door.h"

enum { SNIFF_SIZE = 24 }; /* bytes that are looked at, at most; with as many it is always decided */

enum protocol {
	PROTOCOL_OPEN, /* more bytes have to come before it can be told */
	PROTOCOL_LINES,
	PROTOCOL_HTTP,
	PROTOCOL_HTTP2,
	PROTOCOL_TLS,
};

/*
 * What begins with these bytes; 'size' may be 0. A request line of HTTP is a method, a space, and what no name may have: '/',
 * '*', or "http:" and the like (RFC 9112, 3). HTTP/2 is its preface (RFC 9113, 3.4), which is gRPC. TLS is a handshake record of version 3 (RFC 8446, 5.1). All else is lines.
 * Threads: any.
 */
enum protocol sniff_protocol(const char *bytes, size_t size);

/* HTTP was spoken where this client comes from: nobody from there is greeted for a while. Threads: any. */
void sniff_note_browser(const struct session *session);

/* Goes on with the doors of the session's talk (talk.h). */
extern const struct door sniff_door;

#endif
