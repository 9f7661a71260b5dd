/*
 * The talk: what all clients of a server share.
 *
 * Threads: constant but for what says otherwise.
 */
#ifndef TCPSERVER_CORE_TALK_H
#define TCPSERVER_CORE_TALK_H

#include <stdatomic.h>
#include <stddef.h>

#include "tcpserver/core/client_list.h"

struct door;
struct room;

struct talk {
	struct client_list clients;
	struct room *lobby;
	const struct door *door;
	size_t max_clients;
	size_t max_line;     /* bytes               */
	size_t lag_memory;   /* bytes               */
	int name_timeout_ms;
	int peer_timeout_s;  /* a silent dead peer is noticed within it */
	atomic_bool stopping; /* once true, every client says farewell  */
};

#endif
