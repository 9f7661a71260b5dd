/*
 * A stream of an HTTP/2 connection: a call, and the end of its pair that the connection has. The other end is a session
 * of its own. What comes from the client waits here while the call does not take it, bounded by the stream's window.
 *
 * Owns: the connection has a reference, and the call's session has one (struct carrier's release()).
 * Threads: the connection's, but for what struct grpc_call says otherwise.
 */
#ifndef TCPSERVER_DOORS_GRPC_STREAM_H
#define TCPSERVER_DOORS_GRPC_STREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/net.h"
#include "tcpserver/doors/grpc_call.h"
#include "tcpserver/doors/grpc_request.h"

struct session;

enum grpc_answer {
	GRPC_ANSWER_NONE,  /* nothing was said to the client */
	GRPC_ANSWER_BEGUN, /* the headers were               */
	GRPC_ANSWER_ENDED, /* the status was                 */
};

/* What the calls of a connection have together. It stays as long as the connection, or the session of one of them. */
struct grpc_tally {
	atomic_uint references; /* the connection's, and one of each session */
	atomic_int wrong_passwords;
};

struct grpc_stream {
	struct grpc_call call;
	struct grpc_request request;
	struct grpc_tally *tally; /* of the session; NULL before it is */
	atomic_uint references;
	struct grpc_stream *previous; /* of the connection's */
	struct grpc_stream *next;
	char own_address[NET_ADDRESS_SIZE]; /* for the carrier */
	int32_t id;
	int pair;               /* -1: there is no call, or no longer            */
	long long deadline_ms;  /* on clock_ms(); 0: none                        */
	unsigned char *waiting; /* what the call has not taken yet               */
	size_t waiting_start;
	size_t waiting_end;
	size_t waiting_capacity;
	bool input_ended;  /* no more comes from the client                 */
	bool input_closed; /* that was said, or the call takes no more      */
	enum grpc_answer answer;
	bool is_dry;        /* the last read got all that there was          */
	bool is_deferred;   /* HTTP/2 waits to be told that there is more    */
	bool is_ending;     /* the call has ended, but not all was read      */
	const char *body;   /* what is left of an answer that is not gRPC's  */
};

/* With one reference. NULL without memory. */
struct grpc_tally *grpc_tally_create(void) MUST_CHECK;
void grpc_tally_release(struct grpc_tally *tally);
/* How many sessions there are, those of calls that have ended included, which are about to go. */
unsigned grpc_tally_sessions(const struct grpc_tally *tally);

/* With one reference. NULL without memory. */
struct grpc_stream *grpc_stream_create(int32_t id) MUST_CHECK;
void grpc_stream_release(struct grpc_stream *stream);

/* Begins the call: makes the pair, and a session at its other end. 'session' is the connection's. Returns 0 or -errno.
 */
int grpc_stream_begin(struct grpc_stream *stream, struct session *session, struct grpc_tally *tally) MUST_CHECK;
/* Gives the call bytes, or keeps them. Returns how many were given (or are not wanted any more); -ENOMEM. */
ssize_t grpc_stream_give(struct grpc_stream *stream, const void *bytes, size_t size) MUST_CHECK;
/* Gives it what waits; the same. */
ssize_t grpc_stream_give_waiting(struct grpc_stream *stream) MUST_CHECK;
size_t grpc_stream_waiting(const struct grpc_stream *stream);
/* No more comes from the client. */
void grpc_stream_end_input(struct grpc_stream *stream);
/* Takes bytes of the call. Returns how many; 0 at its end; -EAGAIN. */
ssize_t grpc_stream_take(struct grpc_stream *stream, void *bytes, size_t size) MUST_CHECK;
/* Whether there is something to take: 1, 0 at the end, -EAGAIN. */
int grpc_stream_look(const struct grpc_stream *stream) MUST_CHECK;
/* Ends what is between the two. The call, if it goes on, is told that its connection broke with 'error', a positive
 * errno; 0: that the client went by itself. */
void grpc_stream_cut(struct grpc_stream *stream, int error);

#endif
