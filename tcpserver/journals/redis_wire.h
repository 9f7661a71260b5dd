/*
 * Bytes to a Redis and back, with TLS or without; nothing takes longer than its time.
 *
 * Threads: one at a time.
 */
#ifndef TCPSERVER_JOURNALS_REDIS_WIRE_H
#define TCPSERVER_JOURNALS_REDIS_WIRE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/sync.h"
#include "tcpserver/journals/engine.h"
#include "tcpserver/journals/redis_url.h"

struct redis_wire {
	int socket; /* -1: there is none */
	SSL *ssl;   /* NULL: plain       */
};

/* What TLS needs, for all connections of a URL. NULL with a fault. */
SSL_CTX *redis_wire_context(const struct redis_url *url, char fault[ENGINE_FAULT_SIZE]) MUST_CHECK;

/* Connects; 'context' is NULL without TLS. With TLS the other end has to have a certificate for the URL's host. Returns 0, or -errno, and
 * 'fault' says why. */
int redis_wire_open(struct redis_wire *wire, const struct redis_url *url, SSL_CTX *context, char fault[ENGINE_FAULT_SIZE]) MUST_CHECK;
void redis_wire_close(struct redis_wire *wire);

/* Sends all of it until 'deadline_ms' of clock_ms(). Returns 0, or -errno; -ETIMEDOUT. */
int redis_wire_send(struct redis_wire *wire, const char *bytes, size_t size, long long deadline_ms) MUST_CHECK;
/* Returns how many bytes came, 1 to 'size'; -EAGAIN: none until 'deadline_ms', which may be over: then it does not wait; -ECONNRESET at the end;
 * or another -errno. */
ssize_t redis_wire_receive(struct redis_wire *wire, char *bytes, size_t size, long long deadline_ms) MUST_CHECK;

#endif
