/*
 * Certificates and keys in PEM files: reading them, and making one of our own.
 *
 * What is wrong is written to 'fault' as a sentence for the administrator, without a full stop: which file, why, and what to
 * do.
 *
 * Threads: one at a time for each file; blocks on the disk.
 */
#ifndef TCPSERVER_DOORS_TLS_CERTIFICATE_H
#define TCPSERVER_DOORS_TLS_CERTIFICATE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"

enum { CERTIFICATE_DATE_SIZE = sizeof "2036-11-21" };

/*
 * Gives the context the certificate (and those that vouch for it, which follow it) and the key of these files. The key has to
 * be for its owner, or its group, alone. Returns false with a fault.
 */
bool certificate_load(SSL_CTX *context, const char *certificate_path, const char *key_path, char *fault, size_t size)
	MUST_CHECK;

/* Whether there is something to be said of the certificate that does not stop a server: that its time is over, or has not
 * come. Written as a sentence. */
bool certificate_warns(const X509 *certificate, char *warning, size_t size) MUST_CHECK;

/*
 * Makes sure that there are a key (P-256) and a certificate for this machine, made out by itself for ten years: what is there
 * stays. Nobody sees half a file, nor a key that others can read. Returns false with a fault.
 */
bool certificate_make(const char *certificate_path, const char *key_path, char *fault, size_t size) MUST_CHECK;

#endif
