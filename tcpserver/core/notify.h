/*
 * Tells the service manager (systemd) how the server is, and asks what it gave us: sd_notify(3) without its library.
 *
 * The protocol is a datagram of NAME=VALUE lines to the socket that $NOTIFY_SOCKET names, promised to stay as it is; a
 * library that pulls in compression and cryptography would cost more than these few lines.
 *
 * Threads: any that does not change the environment meanwhile. It blocks for a second at most, when the manager does not read.
 * Source: sd_notify(3), sd_watchdog_enabled(3), systemd's "Interface Portability and Stability Promise".
 */
#ifndef TCPSERVER_CORE_NOTIFY_H
#define TCPSERVER_CORE_NOTIFY_H

#include <stdbool.h>

#include "common/sync.h"

/* Whether somebody wants to be told. */
bool notify_is_wanted(void) MUST_CHECK;

/* Sends the lines, as "READY=1\nSTATUS=listening". Returns 0, also when nobody wants to know, or -errno. */
int notify_send(const char *lines) MUST_CHECK;

/* Within how many milliseconds WATCHDOG=1 has to come again; 0: nobody waits for it from this process. */
long long notify_watchdog_ms(void) MUST_CHECK;

#endif
