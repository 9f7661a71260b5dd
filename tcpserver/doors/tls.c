#include "tcpserver/doors/tls.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/net.h"
#include "common/tls_pump.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/sniff.h"
#include "tcpserver/doors/tls_context.h"

enum { STALLED_MS = 10 * 1000 }; /* when the conversation is over: for a client that takes nothing of what is left */

static bool is_stopping(const struct session *session)
{
	/* Relaxed: a thread that misses it is woken after it was set. */
	return atomic_load_explicit(&session->talk->stopping, memory_order_relaxed);
}

/* Returns 0, or -errno: -EPROTO as tls_shake_hands(), -ETIMEDOUT when it took too long, -ECANCELED when the server stops. */
static int shake_hands(const struct session *session, SSL *ssl)
{
	int wanted;

	while ((wanted = tls_shake_hands(ssl)) > 0) {
		struct pollfd poll = {.fd = session->socket, .events = (short)wanted};
		long long left = session->name_deadline_ms - clock_ms();

		if (is_stopping(session))
			return -ECANCELED;
		if (left <= 0)
			return -ETIMEDOUT;
		(void)outlet_poll(&poll, 1, (int)left); /* the next call finds what there is */
	}
	return wanted;
}

/* ---- The conversation. ---- */

/* Gives the talk the other end of 'inner', and carries until both are done. */
static void carry(struct session *session, SSL *ssl, int inner, int given)
{
	struct talk *talk = session->talk;
	char own_address[NET_ADDRESS_SIZE];
	struct tls_pump pump = {.ssl = ssl,
		.outer = session->socket,
		.inner = inner,
		.peer_timeout_s = talk->peer_timeout_s,
		.stalled_ms = STALLED_MS,
		.wait = outlet_poll,
		.hurries = &talk->stopping};
	struct carrier carrier = {.address = session->address, .own_address = own_address, .broken = &pump.broken, .is_secure = true};
	int broken;

	net_own_address(session->socket, own_address);
	client_list_carry(&talk->clients, &session->client);
	talk->admit(talk, given, &carrier, &sniff_door);
	tls_pump_run(&pump);
	/* Relaxed: this thread wrote it. */
	broken = atomic_load_explicit(&pump.broken, memory_order_relaxed);
	if (broken == EPROTO)
		log_event(LOG_WARNING, "TLS connection ended", "from", session->address, "why",
			"the client does not keep to the protocol", NULL);
	if (broken != 0)
		session_break(session, broken);
}

static void converse(struct session *session, SSL *ssl)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
		session_break(session, errno);
		log_event(LOG_WARNING, "TLS connection ended", "from", session->address, "why", strerror(session->lost_errno),
			"what to do", "raise the limit of open files (ulimit -n), or lower --max-clients", NULL);
		return;
	}
	thread_trim_stack(); /* a handshake goes deep */
	carry(session, ssl, pair[0], pair[1]);
	(void)close(pair[0]); /* nobody has the other end any more */
}

static void refuse(struct session *session, int error)
{
	char fault[TLS_FAULT_SIZE];

	if (error == -EPROTO)
		tls_fault(fault, sizeof fault);
	log_event(LOG_INFO, "TLS handshake failed", "from", session->address, "why",
		error == -EPROTO ? fault : strerror(-error), NULL);
	session_break(session, -error);
}

static void tls_serve(struct session *session)
{
	SSL *ssl = session->talk->tls == NULL ? NULL : tls_begin(session->talk->tls, session->socket);
	int error = ssl == NULL ? -ENOMEM : shake_hands(session, ssl);

	if (error == 0)
		converse(session, ssl);
	else
		refuse(session, error);
	SSL_free(ssl);
	session_finish(session, SESSION_LEFT);
}

static char *tls_words(const struct telling *telling, size_t *size)
{
	(void)telling; /* the inner door says it */
	*size = 0;
	return NULL;
}

static void tls_turn_away(int socket, const char *why)
{
	(void)socket, (void)why; /* before a handshake there are no words */
}

const struct door tls_door = {
	.name = "tls",
	.serve = tls_serve,
	.words = tls_words,
	.turn_away = tls_turn_away,
};
