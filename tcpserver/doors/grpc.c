#include "tcpserver/doors/grpc.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/net.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/grpc_connection.h"

enum {
	IN_SIZE = 16 * 1024,     /* bytes read at a time                                                      */
	OUT_SIZE = 64 * 1024,    /* bytes sent at a time, of many frames                                      */
	SENDS_MOST = 16,         /* of these, before it is looked what the client says                        */
	QUIET_MS = 1000,         /* after which a connection gives back what only traffic needs               */
	IDLE_MS = 5 * 60 * 1000, /* a connection may be without a call so long, if there was one before       */
	STALLED_MS = 10 * 1000,  /* at its end: for a client that takes nothing of what is left               */
	STOPPING_MS = 3 * 1000,  /* and so long when the server stops, the farewells of the calls included    */
};

/* The conversation with one client. */
struct peer {
	struct session *session;
	struct grpc_connection *connection;
	char *in;         /* IN_SIZE; NULL while it is quiet                             */
	char *out;        /* OUT_SIZE; NULL while it is quiet                            */
	size_t out_start; /* of what is to be sent                                       */
	size_t out_end;
	bool has_ended; /* the client closed its side, or broke the rules of HTTP/2    */
	bool is_going;  /* GOAWAY was said                                             */
	int error;      /* why the connection broke, a positive errno                  */
	bool has_more;  /* to send, which waits for nothing                            */
	bool is_quiet;
	size_t calls_begun;      /* when it was looked last                                     */
	long long idle_until_ms; /* a connection without a call                              */
	long long end_by_ms;     /* 0: it is not to end                                         */
};

static bool is_stopping(const struct session *session)
{
	/* Relaxed: a thread that misses it is woken after it was set. */
	return atomic_load_explicit(&session->talk->stopping, memory_order_relaxed);
}

/* ---- Moving bytes. ---- */

/* Returns false when the socket takes no more now, or is broken. */
static bool send_out(struct peer *peer)
{
	while (peer->out_start < peer->out_end) {
		ssize_t sent = send(peer->session->socket, peer->out + peer->out_start, peer->out_end - peer->out_start,
			MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return false;
		if (sent < 0) {
			peer->error = errno;
			return false;
		}
		peer->out_start += (size_t)sent;
		if (peer->is_going && peer->end_by_ms != 0 && !is_stopping(peer->session))
			peer->end_by_ms = clock_ms() + STALLED_MS;
	}
	return true;
}

static bool get_buffer(struct peer *peer, char **buffer, size_t size)
{
	if (*buffer == NULL)
		*buffer = malloc(size);
	if (*buffer == NULL)
		peer->error = ENOMEM;
	return *buffer != NULL;
}

/* Sends what there is: all, unless calls say more all the time. */
static void write_some(struct peer *peer)
{
	peer->has_more = false;
	for (int i = 0; peer->error == 0 && get_buffer(peer, &peer->out, OUT_SIZE) && send_out(peer); i++) {
		peer->has_more = i == SENDS_MOST;
		if (peer->has_more)
			return;
		peer->out_start = 0;
		peer->out_end = grpc_connection_fill(peer->connection, peer->out, OUT_SIZE);
		if (peer->out_end == 0)
			return;
	}
}

static void read_some(struct peer *peer)
{
	ssize_t got;

	if (peer->error != 0 || !get_buffer(peer, &peer->in, IN_SIZE))
		return;
	got = recv(peer->session->socket, peer->in, IN_SIZE, MSG_DONTWAIT);
	if (got > 0)
		peer->has_ended = !grpc_connection_feed(peer->connection, peer->in, (size_t)got);
	else if (got == 0)
		peer->has_ended = true;
	else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		peer->error = errno;
}

/* ---- Time. ---- */

static void go(struct peer *peer, const char *words, int within_ms)
{
	if (!peer->is_going)
		grpc_connection_say_goaway(peer->connection, words);
	peer->is_going = true;
	peer->end_by_ms = clock_ms() + within_ms;
}

static void check_time(struct peer *peer)
{
	size_t begun = grpc_connection_calls_begun(peer->connection);

	grpc_connection_check_time(peer->connection);
	if (grpc_connection_calls(peer->connection) > 0 || begun != peer->calls_begun)
		peer->idle_until_ms = clock_ms() + IDLE_MS;
	peer->calls_begun = begun;
	if (is_stopping(peer->session) && !peer->is_going)
		go(peer, "the server is stopping", STOPPING_MS);
	else if (!peer->is_going && clock_ms() >= peer->idle_until_ms)
		go(peer, "no call came", STALLED_MS);
}

static long long sooner(long long one, long long other)
{
	return other >= 0 && other < one ? other : one;
}

static int wait_ms(const struct peer *peer)
{
	long long now = clock_ms();
	long long until_ms = now + peer->session->talk->peer_timeout_s * 1000LL / 3;

	until_ms = sooner(until_ms, grpc_connection_deadline_ms(peer->connection));
	until_ms = sooner(until_ms, peer->end_by_ms == 0 ? -1 : peer->end_by_ms);
	if (grpc_connection_calls(peer->connection) == 0 && !peer->is_going)
		until_ms = sooner(until_ms, peer->idle_until_ms);
	if (!peer->is_quiet)
		until_ms = sooner(until_ms, now + QUIET_MS);
	return peer->has_more || until_ms < now ? 0 : (int)(until_ms - now);
}

/* ---- Waiting. ---- */

/* An idle connection holds no buffers, and no more stack than it needs for waiting. */
static void become_quiet(struct peer *peer)
{
	if (peer->is_quiet)
		return;
	peer->is_quiet = true;
	free(peer->in);
	peer->in = NULL;
	if (peer->out_start == peer->out_end) {
		free(peer->out);
		peer->out = NULL;
	}
	thread_trim_stack();
}

static short outer_events(const struct peer *peer)
{
	short events = peer->out_start < peer->out_end ? POLLOUT : 0;

	return grpc_connection_may_feed(peer->connection) ? (short)(events | POLLIN) : events;
}

static void wait_for_something(struct peer *peer)
{
	struct pollfd polls[1 + GRPC_STREAMS_MOST];
	size_t count = grpc_connection_polls(peer->connection, polls + 1);
	int found;

	polls[0] = (struct pollfd){.fd = peer->session->socket, .events = outer_events(peer)};
	found = outlet_poll(polls, 1 + count, wait_ms(peer));
	if (found == -ETIMEDOUT && !peer->has_more) {
		become_quiet(peer);
		if (net_peer_is_dead(peer->session->socket, peer->session->talk->peer_timeout_s))
			peer->error = EHOSTUNREACH;
	}
	if (found <= 0)
		return;
	peer->is_quiet = false;
	grpc_connection_polled(peer->connection, polls + 1, count);
	if ((polls[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
		read_some(peer);
}

/* ---- The conversation. ---- */

static bool is_over(const struct peer *peer)
{
	if (peer->error != 0 || peer->has_ended)
		return true;
	if (peer->out_start < peer->out_end)
		return peer->end_by_ms != 0 && clock_ms() >= peer->end_by_ms;
	if (grpc_connection_is_over(peer->connection))
		return true;
	if (!peer->is_going)
		return false;
	return grpc_connection_calls(peer->connection) == 0 || clock_ms() >= peer->end_by_ms;
}

static void converse(struct peer *peer)
{
	write_some(peer);
	while (!is_over(peer)) {
		wait_for_something(peer);
		check_time(peer);
		write_some(peer);
	}
	free(peer->in);
	free(peer->out);
}

static void grpc_serve(struct session *session)
{
	struct peer peer = {.session = session,
		.connection = grpc_connection_create(session),
		.idle_until_ms = session->name_deadline_ms};

	if (peer.connection == NULL) {
		session_break(session, ENOMEM);
		return;
	}
	converse(&peer);
	grpc_connection_destroy(peer.connection, peer.error);
	if (peer.error != 0)
		session_break(session, peer.error);
	session_finish(session, SESSION_LEFT);
}

static char *grpc_words(const struct telling *telling, size_t *size)
{
	(void)telling; /* the calls say it */
	*size = 0;
	return NULL;
}

static void grpc_turn_away(int socket, const char *why)
{
	(void)socket, (void)why; /* the door that looks first turns away */
}

const struct door grpc_door = {
	.name = "http2",
	.serve = grpc_serve,
	.words = grpc_words,
	.turn_away = grpc_turn_away,
};
