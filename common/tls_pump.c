/*
 * The loop tries all four moves (read and write, up and down) until none goes on, and waits then for what they lack. No
 * state but the buffers is kept between two rounds, so what a wait has found needs no second look.
 */
#include "common/tls_pump.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <openssl/err.h>

#include "common/net.h"
#include "common/sync.h"

enum {
	IDLE_WITHIN_MS = 10 * 1000,
	HURRY_MS = 1000, /* for what is left when all has to come to an end */
	MEMORY_MS = 100, /* after which memory is asked for again          */
};

/* ---- Flows. ---- */

/* Returns false without memory: then later. */
static bool flow_open(struct tls_pump *pump, struct tls_flow *flow)
{
	if (flow->bytes == NULL)
		flow->bytes = malloc(TLS_PUMP_SIZE);
	pump->lacks_memory = pump->lacks_memory || flow->bytes == NULL;
	return flow->bytes != NULL;
}

static void flow_free(struct tls_flow *flow)
{
	free(flow->bytes);
	flow->bytes = NULL;
}

static void flow_filled(struct tls_flow *flow, size_t size)
{
	flow->start = 0;
	flow->size = size;
}

static void flow_took(struct tls_flow *flow, size_t size)
{
	flow->start += size;
	flow->size -= size;
}

/* Nobody takes what it has, or will have. */
static void flow_close(struct tls_flow *flow)
{
	flow->size = 0;
	flow->closed = true;
}

static bool wants_bytes(const struct tls_flow *flow)
{
	return flow->size == 0 && !flow->ended;
}

/* There is something to write: bytes, or the end. */
static bool wants_room(const struct tls_flow *flow)
{
	return !flow->closed && (flow->size > 0 || flow->ended);
}

/* ---- What the SSL says. ---- */

/* Whether a call is only to be made again later. */
static bool is_to_wait(struct tls_pump *pump, struct tls_flow *flow, int result)
{
	int error = SSL_get_error(pump->ssl, result);

	flow->waits_for = error == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

/* The positive errno of a call that failed for good; 0: the peer has said that no more comes. */
static int failure(struct tls_pump *pump, int result)
{
	int error = errno;

	switch (SSL_get_error(pump->ssl, result)) {
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return error == 0 ? ECONNRESET : error;
	default:
		/* It closed its side without a word: what came may not be all that it said. */
		return ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING ? ECONNRESET : EPROTO;
	}
}

static void prepare_call(void)
{
	ERR_clear_error();
	errno = 0;
}

static void count_record(int is_sent, int version, int type, const void *bytes, size_t size, SSL *ssl, void *context)
{
	struct tls_pump *pump = context;

	(void)version, (void)bytes, (void)size, (void)ssl;
	if (!is_sent && type == SSL3_RT_HEADER)
		pump->records++;
}

/* Records came without data. Returns false when they are too many. */
static bool bear_idle_records(struct tls_pump *pump, unsigned count)
{
	long long now = clock_ms();

	if (now - pump->idle_since_ms > IDLE_WITHIN_MS) {
		pump->idle_since_ms = now;
		pump->idle_records = 0;
	}
	pump->idle_records += count;
	return pump->idle_records <= TLS_PUMP_IDLE_RECORDS;
}

/* ---- Up: from the peer. ---- */

/* No more comes from the peer; 'error' is why it broke, a positive errno, or 0. */
static void end_up(struct tls_pump *pump, int error)
{
	pump->up.ended = true;
	/* A reset that a write met first looks like the peer's own end to a read. EPIPE: it had ended before. */
	if (error == 0 && pump->send_error != EPIPE)
		error = pump->send_error;
	if (error == 0)
		return;
	/* Release: it is seen by whoever sees the end. */
	atomic_store_explicit(&pump->broken, error, memory_order_release);
	flow_close(&pump->down); /* nothing arrives any more */
}

/* Each of these four returns whether something was done, so that more may be possible. */
static bool read_outer(struct tls_pump *pump)
{
	struct tls_flow *up = &pump->up;
	unsigned records = pump->records;
	size_t size = 0;
	int result;

	if (!wants_bytes(up) || !flow_open(pump, up))
		return false;
	prepare_call();
	result = SSL_read_ex(pump->ssl, up->bytes, TLS_PUMP_SIZE, &size);
	records = pump->records - records;
	if (records > (result == 1) && !bear_idle_records(pump, records - (result == 1)))
		end_up(pump, EPROTO);
	else if (result == 1)
		flow_filled(up, up->closed ? 0 : size);
	else if (is_to_wait(pump, up, result))
		return records > 0; /* there may be another one behind it, which no wait would find */
	else
		end_up(pump, failure(pump, result));
	return true;
}

static bool is_hurried(const struct tls_pump *pump)
{
	/* Relaxed: a thread that misses it is woken after it was set. */
	return pump->hurries != NULL && atomic_load_explicit(pump->hurries, memory_order_relaxed);
}

/* From now on what is left has to get on. */
static void inner_is_gone(struct tls_pump *pump)
{
	flow_close(&pump->up);
	if (!pump->inner_is_gone)
		pump->stalled_since_ms = clock_ms();
	pump->inner_is_gone = true;
}

static bool write_inner(struct tls_pump *pump)
{
	struct tls_flow *up = &pump->up;
	ssize_t size;

	if (!wants_room(up))
		return false;
	if (up->size == 0) {
		(void)shutdown(pump->inner, SHUT_WR); /* fails when it is gone, which is as good */
		up->closed = true;
		return true;
	}
	size = send(pump->inner, up->bytes + up->start, up->size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (size >= 0)
		flow_took(up, (size_t)size);
	else if (errno == EAGAIN || errno == EWOULDBLOCK)
		return false;
	else if (errno != EINTR)
		inner_is_gone(pump);
	return true;
}

/* ---- Down: to the peer. ---- */

static bool read_inner(struct tls_pump *pump)
{
	struct tls_flow *down = &pump->down;
	ssize_t size;

	if (!wants_bytes(down) || !flow_open(pump, down))
		return false;
	size = recv(pump->inner, down->bytes, TLS_PUMP_SIZE, MSG_DONTWAIT);
	if (size > 0)
		flow_filled(down, down->closed ? 0 : (size_t)size);
	else if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	else if (size == 0 || errno != EINTR)
		down->ended = true;
	return true;
}

/* As the other directions' writes; a write that fails is no end yet: what the peer said before may still be there. */
static bool failed_down(struct tls_pump *pump, int result)
{
	if (is_to_wait(pump, &pump->down, result))
		return false;
	pump->send_error = failure(pump, result);
	if (pump->send_error == 0)
		pump->send_error = EPIPE;
	flow_close(&pump->down);
	return true;
}

static bool write_outer(struct tls_pump *pump)
{
	struct tls_flow *down = &pump->down;
	size_t size = 0;
	int result;

	if (!wants_room(down))
		return false;
	prepare_call();
	if (down->size > 0) {
		result = SSL_write_ex(pump->ssl, down->bytes + down->start, down->size, &size);
		if (result != 1)
			return failed_down(pump, result);
		flow_took(down, size);
		if (!is_hurried(pump))
			pump->stalled_since_ms = clock_ms();
		return true;
	}
	result = SSL_shutdown(pump->ssl);
	if (result < 0)
		return failed_down(pump, result);
	(void)shutdown(pump->outer, SHUT_WR); /* fails when it is gone, which is as good */
	down->closed = true;
	return true;
}

/* ---- Waiting. ---- */

static void fill_polls(const struct tls_pump *pump, struct pollfd polls[2])
{
	short outer = 0;
	short inner = 0;

	if (wants_bytes(&pump->up))
		outer |= pump->up.waits_for;
	if (wants_room(&pump->down))
		outer |= pump->down.waits_for;
	if (wants_bytes(&pump->down))
		inner |= POLLIN;
	if (wants_room(&pump->up))
		inner |= POLLOUT;
	/* What has ended for good would be found at once, again and again. */
	polls[0] = (struct pollfd){.fd = outer == 0 && pump->outer_is_gone ? -1 : pump->outer, .events = outer};
	polls[1] = (struct pollfd){.fd = pump->inner_is_gone ? -1 : pump->inner, .events = inner};
}

static long long stalled_until_ms(const struct tls_pump *pump)
{
	return pump->stalled_since_ms + (is_hurried(pump) && pump->stalled_ms > HURRY_MS ? HURRY_MS : pump->stalled_ms);
}

static int wait_ms(const struct tls_pump *pump)
{
	int look_ms = pump->peer_timeout_s * 1000 / 3;
	long long left;

	if (pump->lacks_memory)
		return MEMORY_MS;
	if (!pump->inner_is_gone)
		return look_ms;
	left = stalled_until_ms(pump) - clock_ms();
	if (left < 0)
		return 0;
	return left < look_ms ? (int)left : look_ms;
}

static void note_what_was_found(struct tls_pump *pump, const struct pollfd polls[2])
{
	if ((polls[0].revents & (POLLHUP | POLLERR)) != 0)
		pump->outer_is_gone = true;
	if ((polls[1].revents & POLLHUP) != 0)
		inner_is_gone(pump);
}

static void pump_wait(struct tls_pump *pump)
{
	struct pollfd polls[2];
	int found;

	if (pump->up.size == 0)
		flow_free(&pump->up);
	if (pump->down.size == 0)
		flow_free(&pump->down);
	fill_polls(pump, polls);
	found = pump->wait(polls, pump->lacks_memory ? 0 : 2, wait_ms(pump));
	pump->lacks_memory = false;
	if (found > 0)
		note_what_was_found(pump, polls);
	else if (found == -ETIMEDOUT && !pump->up.ended && net_peer_is_dead(pump->outer, pump->peer_timeout_s))
		end_up(pump, EHOSTUNREACH);
}

/* Nobody is inside, and the peer was told all that it will be told. */
static bool is_over(const struct tls_pump *pump)
{
	if (!pump->inner_is_gone)
		return false;
	return (pump->down.ended && pump->down.closed) || stalled_until_ms(pump) <= clock_ms();
}

static void pump_init(struct tls_pump *pump)
{
	pump->up = (struct tls_flow){.waits_for = POLLIN};
	pump->down = (struct tls_flow){.waits_for = POLLOUT};
	pump->send_error = 0;
	pump->outer_is_gone = false;
	pump->inner_is_gone = false;
	pump->lacks_memory = false;
	pump->records = 0;
	pump->idle_records = 0;
	pump->idle_since_ms = clock_ms();
	SSL_set_msg_callback(pump->ssl, count_record);
	SSL_set_msg_callback_arg(pump->ssl, pump);
}

void tls_pump_run(struct tls_pump *pump)
{
	pump_init(pump);
	while (!is_over(pump)) {
		bool moved = read_outer(pump);

		moved = write_inner(pump) || moved;
		moved = read_inner(pump) || moved;
		moved = write_outer(pump) || moved;
		if (!moved)
			pump_wait(pump);
	}
	flow_free(&pump->up);
	flow_free(&pump->down);
	SSL_set_msg_callback(pump->ssl, NULL);
}
