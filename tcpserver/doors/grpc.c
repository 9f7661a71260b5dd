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
	GUESSED_MS = 3 * 1000,   /* the same after too many wrong passwords                                   */
};

/* The conversation with one client. */
struct peer {
	struct session *session;
	struct grpc_connection *connection;
	char *rest;        /* what the socket did not take of what was sent; or NULL      */
	size_t rest_start; /* of it, what has not gone since                              */
	size_t rest_end;
	bool has_ended;   /* the client closed its side, or broke the rules of HTTP/2    */
	bool is_going;    /* GOAWAY was said                                             */
	bool has_guessed; /* and because of too many wrong passwords                     */
	int error;        /* why the connection broke, a positive errno                  */
	int send_error;   /* the same, as a send() met it                                */
	bool has_more;    /* to send, which waits for nothing                            */
	bool is_quiet;
	size_t calls_begun;      /* when it was looked last                                     */
	long long idle_until_ms; /* a connection without a call                                 */
	long long end_by_ms;     /* 0: it is not to end                                         */
};

static bool is_stopping(const struct session *session)
{
	/* Relaxed: a thread that misses it is woken after it was set. */
	return atomic_load_explicit(&session->talk->stopping, memory_order_relaxed);
}

/* ---- Moving bytes. ---- */

/* Whether taking bytes puts off the end. */
static bool has_patience(const struct peer *peer)
{
	return peer->end_by_ms != 0 && !peer->has_guessed && !is_stopping(peer->session);
}

/* Returns how many bytes the socket took. */
static size_t send_bytes(struct peer *peer, const char *bytes, size_t size)
{
	size_t taken = 0;

	while (taken < size) {
		ssize_t sent = send(peer->session->socket, bytes + taken, size - taken, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
			peer->send_error = errno;
		if (sent < 0)
			break;
		taken += (size_t)sent;
		if (has_patience(peer))
			peer->end_by_ms = clock_ms() + STALLED_MS;
	}
	return taken;
}

static bool has_rest(const struct peer *peer)
{
	return peer->rest_start < peer->rest_end;
}

static void send_rest(struct peer *peer)
{
	if (!has_rest(peer))
		return;
	peer->rest_start += send_bytes(peer, peer->rest + peer->rest_start, peer->rest_end - peer->rest_start);
	if (has_rest(peer))
		return;
	free(peer->rest);
	peer->rest = NULL;
}

static void keep_rest(struct peer *peer, const char *bytes, size_t size)
{
	peer->rest = malloc(size);
	if (peer->rest == NULL) {
		peer->error = ENOMEM;
		return;
	}
	memcpy(peer->rest, bytes, size);
	peer->rest_start = 0;
	peer->rest_end = size;
}

/* Returns whether the socket took all there was; then there may be more. */
static bool write_once(struct peer *peer)
{
	char out[OUT_SIZE];
	size_t size = grpc_connection_fill(peer->connection, out, OUT_SIZE);
	size_t taken = send_bytes(peer, out, size);

	if (taken < size && peer->send_error == 0)
		keep_rest(peer, out + taken, size - taken);
	return size > 0 && taken == size;
}

/* Sends what there is: all, unless calls say more all the time. */
static void write_some(struct peer *peer)
{
	int count = 0;

	peer->has_more = false;
	if (peer->error != 0)
		return;
	send_rest(peer);
	if (has_rest(peer) || peer->send_error != 0)
		return;
	while (grpc_connection_wants_write(peer->connection) && write_once(peer)) {
		peer->has_more = ++count == SENDS_MOST;
		if (peer->has_more)
			return;
	}
}

/* The socket is one end of a pair when the client came through TLS: who has the other end knows how it went. */
static int carrier_error(const struct session *session)
{
	/* Acquire: see struct carrier. */
	return session->carrier == NULL ? 0 : atomic_load_explicit(session->carrier->broken, memory_order_acquire);
}

/* Returns whether there was something. */
static bool read_some(struct peer *peer)
{
	char in[IN_SIZE];
	ssize_t got;

	if (peer->error != 0)
		return false;
	got = recv(peer->session->socket, in, IN_SIZE, MSG_DONTWAIT);
	if (got > 0) {
		peer->has_ended = !grpc_connection_feed(peer->connection, in, (size_t)got);
	} else if (got == 0) {
		peer->has_ended = true;
		peer->error = carrier_error(peer->session);
	} else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
		peer->error = errno;
	}
	return got > 0;
}

/* It takes no more, but what it said before counts: it may have cancelled its calls. EPIPE says that it had closed its
 * side. */
static void read_last(struct peer *peer)
{
	while (!peer->has_ended && read_some(peer))
		continue;
	peer->has_ended = true;
	if (peer->error == 0 && peer->send_error != EPIPE)
		peer->error = peer->send_error;
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
	if (!peer->has_guessed && grpc_connection_guesses(peer->connection)) {
		peer->has_guessed = true;
		go(peer, "too many wrong passwords", GUESSED_MS);
	}
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

/* An idle connection holds no more stack than it needs for waiting: its buffers are there. */
static void become_quiet(struct peer *peer)
{
	if (peer->is_quiet)
		return;
	peer->is_quiet = true;
	thread_trim_stack();
}

static short outer_events(const struct peer *peer)
{
	short events = has_rest(peer) ? POLLOUT : 0;

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
		(void)read_some(peer); /* the next turn finds whether there is more */
}

/* ---- The conversation. ---- */

static bool is_over(const struct peer *peer)
{
	if (peer->error != 0 || peer->has_ended)
		return true;
	if (has_rest(peer) || peer->has_more)
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
		if (peer->send_error != 0)
			read_last(peer);
	}
	free(peer->rest);
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
