/*
 * For the TLS door alone: a connection begins with the certificate that there is now. The rest is in tls.h.
 *
 * Threads: any.
 */
#ifndef TCPSERVER_DOORS_TLS_CONTEXT_H
#define TCPSERVER_DOORS_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "common/sync.h"

struct tls;

/* Makes the server's side of a connection on 'socket', which stays the caller's, and is not to wait. NULL without memory. */
SSL *tls_begin(struct tls *tls, int socket) MUST_CHECK;

#endif
