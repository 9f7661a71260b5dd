/*
 * An HTTP/2 connection as gRPC uses it: nghttp2 does the frames, this the calls. It does no input or output on the
 * client's socket: bytes go in by grpc_connection_feed(), and come out by grpc_connection_fill().
 *
 * A call's bytes are taken from its pair only when the windows of its stream and of the connection let them go on, so a
 * client that does not read is a slow reader for the call's session, as through every door. What a client sends is
 * credited to it when its call has taken it.
 *
 * Threads: one.
 * Source: RFC 9113; gRPC over HTTP2 (PROTOCOL-HTTP2.md).
 */
#ifndef TCPSERVER_DOORS_GRPC_CONNECTION_H
#define TCPSERVER_DOORS_GRPC_CONNECTION_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"

struct grpc_connection;
struct session;

enum {
	GRPC_STREAMS_MOST = 100,
	GRPC_FRAME_MOST = 16 * 1024 + 9, /* bytes of a frame that is sent, at most */
};

/* NULL without memory. 'session' is borrowed. */
struct grpc_connection *grpc_connection_create(struct session *session) MUST_CHECK;
/* The calls that go on are told that their connection broke with 'error', a positive errno; 0: that the client went by
 * itself. */
void grpc_connection_destroy(struct grpc_connection *connection, int error);

/* What came from the client. Returns false when it does not keep to HTTP/2: what there is to send is the last. */
bool grpc_connection_feed(struct grpc_connection *connection, const void *bytes, size_t size) MUST_CHECK;
/* Writes frames that are to be sent, as many as fit. Returns their size. */
size_t grpc_connection_fill(struct grpc_connection *connection, char *out, size_t size) MUST_CHECK;
/* Whether the client's frames may be looked at: not while too much of what they caused waits to be sent. */
bool grpc_connection_may_feed(const struct grpc_connection *connection);
/* Whether HTTP/2 is over: nothing more is to be read or written. */
bool grpc_connection_is_over(const struct grpc_connection *connection);
/* No new calls; those that are there go on. 'words' are for a person who looks at the frames. */
void grpc_connection_say_goaway(struct grpc_connection *connection, const char *words);

/* Whether so many wrong passwords came through its calls that it has to end. */
bool grpc_connection_guesses(const struct grpc_connection *connection);
/* Whether grpc_connection_fill() would have something. */
bool grpc_connection_wants_write(const struct grpc_connection *connection);

/* How many calls there are; and how many there were. */
size_t grpc_connection_calls(const struct grpc_connection *connection);
size_t grpc_connection_calls_begun(const struct grpc_connection *connection);

/* Writes what the calls wait for, GRPC_STREAMS_MOST at most. Returns how many. */
size_t grpc_connection_polls(struct grpc_connection *connection, struct pollfd *polls);
/* Takes note of what was found, in as many as were written last; nothing may have been done in between. */
void grpc_connection_polled(struct grpc_connection *connection, const struct pollfd *polls, size_t count);
/* When the time of a call is over next (clock_ms()); -1: never. */
long long grpc_connection_deadline_ms(const struct grpc_connection *connection);
/* Ends the calls whose time is over. */
void grpc_connection_check_time(struct grpc_connection *connection);

#endif
