/*
 * The server as a service: what its manager (systemd) is told, by notify.h.
 *
 *         service_ready(&talk);               READY=1
 *         wait at most service_pulse(&talk)   STATUS=... and WATCHDOG=1, each turn of the main loop
 *         service_reloading()                 RELOADING=1, and then service_ready() again
 *         service_stopping()                  STOPPING=1
 *
 * What WATCHDOG=1 stands for: the main loop turns; the lock of the client list is to be had; and the journal moves, that is,
 * some of what was handed to it before the last look was answered since, or nothing waits, or it knows what is wrong
 * (health.h) and tries again by itself. The latter keeps the watchdog quiet on purpose: to start the server anew frees no disk and
 * brings no database back, but throws everybody out.
 *
 * Nothing happens where nobody wants to be told. Threads: main.
 */
#ifndef TCPSERVER_CORE_SERVICE_H
#define TCPSERVER_CORE_SERVICE_H

#include "common/sync.h"

struct talk;

/* The server listens, and its journal is open. */
void service_ready(struct talk *talk);
/* Milliseconds until it wants to be called again, -1: never. Takes the lock of the client list. */
int service_pulse(struct talk *talk) MUST_CHECK;
void service_reloading(void);
void service_stopping(void);

#endif
