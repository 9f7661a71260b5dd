#include "tcpserver/doors/grpc_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

/* ---- What calls have together. ---- */

struct grpc_tally *grpc_tally_create(void)
{
	struct grpc_tally *tally = calloc(1, sizeof *tally);

	if (tally != NULL)
		tally->references = 1;
	return tally;
}

void grpc_tally_release(struct grpc_tally *tally)
{
	/* Acquire and release: all uses by others come before the memory is given back. */
	if (atomic_fetch_sub_explicit(&tally->references, 1, memory_order_acq_rel) == 1)
		free(tally);
}

unsigned grpc_tally_sessions(const struct grpc_tally *tally)
{
	/* Relaxed: it guards no other memory. */
	return atomic_load_explicit(&tally->references, memory_order_relaxed) - 1;
}

/* ---- Coming and going. ---- */

struct grpc_stream *grpc_stream_create(int32_t id)
{
	struct grpc_stream *stream = calloc(1, sizeof *stream);

	if (stream == NULL)
		return NULL;
	grpc_call_init(&stream->call);
	stream->references = 1;
	stream->id = id;
	stream->pair = -1;
	return stream;
}

void grpc_stream_release(struct grpc_stream *stream)
{
	/* Acquire and release: all uses by the other one come before the memory is given back. */
	if (atomic_fetch_sub_explicit(&stream->references, 1, memory_order_acq_rel) != 1)
		return;
	free(stream->waiting);
	free(stream);
}

static void release_carrier(const struct carrier *carrier)
{
	struct grpc_stream *stream = carrier->context; /* the call is the first of the stream */

	grpc_tally_release(stream->tally);
	grpc_stream_release(stream);
}

static void fill_carrier(struct grpc_stream *stream, const struct session *session)
{
	if (session->carrier != NULL)
		(void)snprintf(stream->own_address, sizeof stream->own_address, "%s", session->carrier->own_address);
	else
		net_own_address(session->socket, stream->own_address);
	stream->call.carrier = (struct carrier){
		.address = session->address, /* looked at only while the session is made */
		.own_address = stream->own_address,
		.broken = &stream->call.broken,
		.is_secure = session->is_secure,
		.wrong_passwords = &stream->tally->wrong_passwords,
		.context = stream,
		.release = release_carrier,
	};
}

int grpc_stream_begin(struct grpc_stream *stream, struct session *session, struct grpc_tally *tally)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return -errno;
	stream->tally = tally;
	fill_carrier(stream, session);
	stream->pair = pair[0];
	/* Relaxed: whoever adds a reference has one already. */
	(void)atomic_fetch_add_explicit(&tally->references, 1, memory_order_relaxed);
	(void)atomic_fetch_add_explicit(&stream->references, 1, memory_order_relaxed);
	session->talk->admit(session->talk, pair[1], &stream->call.carrier, &grpc_call_door);
	return 0;
}

/* ---- From the client. ---- */

size_t grpc_stream_waiting(const struct grpc_stream *stream)
{
	return stream->waiting_end - stream->waiting_start;
}

static void forget_waiting(struct grpc_stream *stream)
{
	free(stream->waiting);
	stream->waiting = NULL;
	stream->waiting_start = 0;
	stream->waiting_end = 0;
	stream->waiting_capacity = 0;
}

/* The end is said when nothing waits before it. */
static void close_input(struct grpc_stream *stream)
{
	if (!stream->input_ended || stream->input_closed || stream->pair < 0 || grpc_stream_waiting(stream) > 0)
		return;
	(void)shutdown(stream->pair, SHUT_WR); /* fails when the call is gone, which is as good */
	stream->input_closed = true;
}

void grpc_stream_end_input(struct grpc_stream *stream)
{
	stream->input_ended = true;
	close_input(stream);
}

/* Returns how many bytes the call took; all of them when it takes no more. */
static size_t send_in(struct grpc_stream *stream, const void *bytes, size_t size)
{
	ssize_t sent;

	if (stream->pair < 0 || stream->input_closed)
		return size;
	do
		sent = send(stream->pair, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return (size_t)sent;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return 0;
	stream->input_closed = true;
	return size;
}

/* Makes room for 'size' more bytes; what was given goes. */
static bool waiting_room(struct grpc_stream *stream, size_t size)
{
	size_t waiting = grpc_stream_waiting(stream);
	size_t capacity = 2 * stream->waiting_capacity > waiting + size ? 2 * stream->waiting_capacity : waiting + size;
	unsigned char *grown;

	if (stream->waiting_end + size <= stream->waiting_capacity)
		return true;
	grown = malloc(capacity);
	if (grown == NULL)
		return false;
	if (waiting > 0)
		memcpy(grown, stream->waiting + stream->waiting_start, waiting);
	forget_waiting(stream);
	stream->waiting = grown;
	stream->waiting_end = waiting;
	stream->waiting_capacity = capacity;
	return true;
}

static bool keep_waiting(struct grpc_stream *stream, const unsigned char *bytes, size_t size)
{
	if (!waiting_room(stream, size))
		return false;
	memcpy(stream->waiting + stream->waiting_end, bytes, size);
	stream->waiting_end += size;
	return true;
}

ssize_t grpc_stream_give(struct grpc_stream *stream, const void *bytes, size_t size)
{
	size_t given = grpc_stream_waiting(stream) > 0 ? 0 : send_in(stream, bytes, size);

	if (given < size && !keep_waiting(stream, (const unsigned char *)bytes + given, size - given))
		return -ENOMEM;
	return (ssize_t)given;
}

ssize_t grpc_stream_give_waiting(struct grpc_stream *stream)
{
	size_t given = send_in(stream, stream->waiting + stream->waiting_start, grpc_stream_waiting(stream));

	stream->waiting_start += given;
	if (grpc_stream_waiting(stream) == 0)
		forget_waiting(stream);
	close_input(stream);
	return (ssize_t)given;
}

/* ---- To the client. ---- */

static ssize_t receive_out(const struct grpc_stream *stream, void *bytes, size_t size, int flags)
{
	ssize_t got;

	do
		got = recv(stream->pair, bytes, size, flags | MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? -EAGAIN
							       : 0; /* closed with something unread: an end, too */
	return got;
}

ssize_t grpc_stream_take(struct grpc_stream *stream, void *bytes, size_t size)
{
	ssize_t got = stream->pair < 0 ? 0 : stream->is_dry ? -EAGAIN : receive_out(stream, bytes, size, 0);

	stream->is_dry = got < (ssize_t)size;
	return got;
}

int grpc_stream_look(const struct grpc_stream *stream)
{
	char byte;

	return stream->pair < 0 ? 0 : (int)receive_out(stream, &byte, 1, MSG_PEEK);
}

/*
 * A socket that is closed with something unread breaks the connection for the other end, too, and that the client went
 * by itself would be lost. Once it is shut down no more comes.
 */
static void close_pair(struct grpc_stream *stream)
{
	char ignored[4096];

	(void)shutdown(stream->pair, SHUT_RDWR); /* fails when the call is gone, which is as good */
	while (receive_out(stream, ignored, sizeof ignored, 0) > 0)
		continue;
	(void)close(stream->pair); /* nothing can be done about an error */
	stream->pair = -1;
}

void grpc_stream_cut(struct grpc_stream *stream, int error)
{
	if (stream->pair < 0)
		return;
	/* Release: both are seen by whoever sees the end. */
	atomic_store_explicit(&stream->call.broken, error, memory_order_release);
	atomic_store_explicit(&stream->call.is_cancelled, true, memory_order_release);
	close_pair(stream);
	forget_waiting(stream);
}
