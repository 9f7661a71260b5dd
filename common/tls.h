/*
 * What both ends of an encrypted connection agree on: versions, ciphers, fingerprints, and how a handshake is made on a
 * socket that does not wait.
 *
 * OpenSSL keeps what went wrong in a queue of each thread: tls_fault() takes it from there, so it is to be asked in the
 * thread where something failed, before the next call.
 *
 * Threads: any; an SSL belongs to one thread at a time.
 */
#ifndef COMMON_TLS_H
#define COMMON_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"

enum {
	TLS_HASH_SIZE = 32,
	TLS_FINGERPRINT_SIZE = 7 + 3 * TLS_HASH_SIZE, /* "SHA256:AB:CD:...", with its NUL */
	TLS_FAULT_SIZE = 256,
};

/* TLS 1.2 and 1.3 alone, with suites that keep secrets even when the key becomes known later (ECDHE, AEAD); buffers that
 * are not in use are given back. Returns false when OpenSSL cannot do that, or without memory. */
bool tls_set_policy(SSL_CTX *context) MUST_CHECK;

/* The SHA-256 of a whole certificate: as bytes, and as people compare it. */
bool tls_hash(const X509 *certificate, unsigned char hash[TLS_HASH_SIZE]) MUST_CHECK;
void tls_fingerprint_write(const unsigned char hash[TLS_HASH_SIZE], char text[TLS_FINGERPRINT_SIZE]);
/* Reads a fingerprint: 64 hex digits, of either case, perhaps with colons between each two and "SHA256:" before them. */
bool tls_fingerprint_read(const char *text, unsigned char hash[TLS_HASH_SIZE]) MUST_CHECK;

/* Writes what OpenSSL says was wrong with the last call, in its words; "unknown" when it says nothing. Forgets it. */
void tls_fault(char *text, size_t size);

/*
 * Goes on with a handshake, on a socket that does not wait. Returns 0 when it is made; POLLIN or POLLOUT, for which to wait
 * on the socket before the next call; -EPROTO when the peer does not speak TLS as we do (tls_fault() says what is wrong);
 * -ECONNRESET when it closed, or another -errno when the connection broke.
 */
int tls_shake_hands(SSL *ssl) MUST_CHECK;

#endif
