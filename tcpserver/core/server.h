/*
 * The server: listens, and gives each accepted socket a thread with a session.
 *
 * Threads: that of main.
 */
#ifndef TCPSERVER_CORE_SERVER_H
#define TCPSERVER_CORE_SERVER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "tcpserver/core/talk.h"

enum { SERVER_LISTENERS_MAX = 16 };

struct carrier;

struct listener {
	int socket;
	const struct door *door; /* of those who come in by it */
};

struct server {
	struct talk talk;
	struct listener listeners[SERVER_LISTENERS_MAX];
	size_t listener_count;
	long long paused_until_ms; /* 0: accepting */
};

/*
 * Makes a client of a connected, non-blocking socket, which it takes: gives it a thread, or turns it away. 'carrier' is
 * who carries it, when the socket is an inner end (session.h), and then it does not count a second time; NULL: the socket is the
 * peer's. Threads: any that keeps the server from ending, as a client's own.
 */
void server_admit(struct talk *talk, int socket, const struct carrier *carrier, const struct door *door);

/*
 * Accepts until 'stop_requested' says true, which it is asked after each signal; then ends the talk: closes the listeners,
 * has everybody told, and returns when all client threads are joined and the sockets closed. The listeners have to be
 * open, the talk filled in. Signals that are to be noticed have to be blocked before; 'wait_mask' lets them through.
 */
void server_run(struct server *server, const sigset_t *wait_mask, bool (*stop_requested)(void));

#endif
