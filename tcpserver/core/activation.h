/*
 * Sockets that listen already when the server starts: the service manager (systemd, or systemd-socket-activate) made them
 * and passes them on. While the server is away, those who connect wait in them instead of being refused.
 *
 * Threads: main, before others start. Source: sd_listen_fds(3).
 */
#ifndef TCPSERVER_CORE_ACTIVATION_H
#define TCPSERVER_CORE_ACTIVATION_H

#include <stddef.h>

#include "common/sync.h"

enum { ACTIVATION_NAME_SIZE = 256, ACTIVATION_FAULT_SIZE = 256 };

struct activation {
	int socket; /* listens; non-blocking and close-on-exec now */
	char name[ACTIVATION_NAME_SIZE]; /* FileDescriptorName= of the socket unit; "": none */
};

/*
 * Takes the sockets that were passed to this process ($LISTEN_PID, $LISTEN_FDS, $LISTEN_FDNAMES), and the variables from the
 * environment, so that no other program believes that they are meant for it. Returns how many, 0 when there are none; or
 * -EINVAL when one of them is no listening TCP socket, or they are more than 'capacity': 'fault' says which and why then.
 * Owns: the caller closes the sockets.
 */
int activation_take(struct activation *sockets, size_t capacity, char fault[ACTIVATION_FAULT_SIZE]) MUST_CHECK;

#endif
