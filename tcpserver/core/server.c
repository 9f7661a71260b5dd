#include "tcpserver/core/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/net.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/metrics.h"
#include "tcpserver/core/service.h"
#include "tcpserver/core/session.h"

enum {
	CLIENT_STACK_SIZE = 256 * 1024, /* bytes; room for a look into the journal; what is not used costs nothing */
	PAUSE_MS = 200,                /* after accept() found no descriptor          */
	ACCEPT_BATCH = 64,             /* connections taken before signals are looked at again */
};

static void *run_client(void *argument)
{
	struct session *session = argument;
	struct talk *talk = session->talk;
	struct client *client = &session->client;

	thread_name("client");
	session_run(session);
	(void)close(session->socket); /* nothing can be done about an error */
	client_list_depart(&talk->clients, client);
	session_destroy(session);
	return NULL;
}

static void log_turned_away(int socket, const struct carrier *carrier, enum metrics_refusal refusal, const char *why)
{
	static struct log_gate gates[METRICS_REFUSALS];
	char left_out[LOG_COUNT_SIZE];
	char address[NET_ADDRESS_SIZE];

	if (!log_passes(&gates[refusal], left_out))
		return;
	if (carrier == NULL)
		net_peer_address(socket, address);
	log_event(LOG_WARNING, "turned away", "from", carrier == NULL ? address : carrier->address, "why", why,
		left_out[0] == '\0' ? NULL : "left out", left_out, NULL);
}

static void turn_away(const struct door *door, int socket, const struct carrier *carrier, enum metrics_refusal refusal)
{
	static const char *const words[METRICS_REFUSALS] = {
		[METRICS_SERVER_FULL] = "as many clients as allowed are here",
		[METRICS_ADDRESS_FULL] = "as many clients as allowed are here from your address",
		[METRICS_NO_MEMORY] = "there is no memory for one more client",
		[METRICS_NO_THREAD] = "there is no thread for one more client",
	};

	log_turned_away(socket, carrier, refusal, words[refusal]);
	metrics_refused(refusal);
	door->turn_away(socket, words[refusal]);
	(void)close(socket); /* nothing can be done about an error */
}

static const enum metrics_refusal refusals[] = {
	[CLIENT_LIST_FULL] = METRICS_SERVER_FULL,
	[CLIENT_ADDRESS_FULL] = METRICS_ADDRESS_FULL,
	[CLIENT_NO_MEMORY] = METRICS_NO_MEMORY,
};

void server_admit(struct talk *talk, int socket, const struct carrier *carrier, const struct door *door)
{
	struct session *session = session_create(talk, socket, door, carrier);
	enum client_admission admission;
	pthread_t thread;

	if (session == NULL) {
		turn_away(door, socket, carrier, refusals[CLIENT_NO_MEMORY]);
		if (carrier != NULL && carrier->release != NULL)
			carrier->release(carrier);
		return;
	}
	admission = client_list_add(&talk->clients, &session->client, session->address, &talk->limits);
	if (admission != CLIENT_ADMITTED) {
		turn_away(door, socket, carrier, refusals[admission]);
		goto fail_session;
	}
	if (thread_start(&thread, CLIENT_STACK_SIZE, run_client, session) != 0) {
		turn_away(door, socket, carrier, METRICS_NO_THREAD);
		goto fail_listed;
	}
	return;

fail_listed:
	client_list_remove(&talk->clients, &session->client);
fail_session:
	session_destroy(session);
}

/* No descriptors, no memory: those who wait to be accepted stay in the queue of the kernel for a moment. */
static void pause_accepting(struct server *server, int error)
{
	if (server->paused_until_ms == 0)
		log_event(LOG_WARNING, "accepting paused", "why", strerror(error), "what to do",
			"raise the limit of open files (ulimit -n), or lower --max-clients", NULL);
	server->paused_until_ms = clock_ms() + PAUSE_MS;
}

static void note_accepting(struct server *server)
{
	if (server->paused_until_ms == 0)
		return;
	server->paused_until_ms = 0;
	log_event(LOG_INFO, "accepting again", NULL);
}

/* Errors of accept() that concern only the connection that was about to be accepted. Source: accept(2). */
static bool is_passing(int error)
{
	return error == EINTR || error == ECONNABORTED || error == EPROTO || error == ENETDOWN || error == ENOPROTOOPT ||
		error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENETUNREACH;
}

static void accept_from(struct server *server, const struct listener *listener)
{
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int socket = accept4(listener->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (socket >= 0) {
			note_accepting(server);
			metrics_accepted();
			server_admit(&server->talk, socket, NULL, listener->door);
		} else if (errno == EAGAIN) {
			return;
		} else if (!is_passing(errno)) {
			pause_accepting(server, errno);
			return;
		}
	}
}

static void accept_once(struct server *server, const sigset_t *wait_mask)
{
	struct pollfd polls[SERVER_LISTENERS_MAX];
	bool paused = server->paused_until_ms > clock_ms();
	int pulse_ms = service_pulse(&server->talk);
	int wait_ms = paused && (pulse_ms < 0 || pulse_ms > PAUSE_MS) ? PAUSE_MS : pulse_ms;
	struct timespec wait = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000L};

	for (size_t i = 0; i < server->listener_count; i++)
		polls[i] = (struct pollfd){.fd = server->listeners[i].socket, .events = POLLIN};
	if (ppoll(polls, paused ? 0 : server->listener_count, wait_ms < 0 ? NULL : &wait, wait_mask) <= 0)
		return; /* a signal, or the end of the wait */
	for (size_t i = 0; i < server->listener_count; i++) {
		if (polls[i].revents != 0)
			accept_from(server, &server->listeners[i]);
	}
}

static void server_stop(struct server *server)
{
	struct talk *talk = &server->talk;

	service_stopping();
	for (size_t i = 0; i < server->listener_count; i++)
		(void)close(server->listeners[i].socket);
	server->listener_count = 0;
	/* Relaxed: the wake-ups that follow take a lock. */
	atomic_store_explicit(&talk->stopping, true, memory_order_relaxed);
	if (talk->rooms.journal->ops->stop_soon != NULL)
		talk->rooms.journal->ops->stop_soon(talk->rooms.journal);
	client_list_wake_all(&talk->clients);
	client_list_wait_empty(&talk->clients);
}

void server_run(struct server *server, const sigset_t *wait_mask, bool (*stop_requested)(void))
{
	while (!stop_requested())
		accept_once(server, wait_mask);
	(void)pthread_sigmask(SIG_SETMASK, wait_mask, NULL); /* a second signal shall not wait */
	server_stop(server);
}
