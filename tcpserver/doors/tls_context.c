/*
 * What all TLS connections of a server share, and how it is changed while they go on: each has a reference of the context
 * with which it began.
 */
#include "tcpserver/doors/tls_context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "tcpserver/core/locks.h"
#include "tcpserver/doors/tls.h"
#include "tcpserver/doors/tls_certificate.h"

struct tls {
	struct tls_options options; /* constant */
	pthread_mutex_t mutex;      /* TLS_LOCK */
	SSL_CTX *context GUARDED_BY(TLS_LOCK);
};

static void tls_lock(struct tls *tls) ACQUIRES(TLS_LOCK) UNCHECKED;
static void tls_unlock(struct tls *tls) RELEASES(TLS_LOCK) UNCHECKED;

static void tls_lock(struct tls *tls)
{
	mutex_lock(&tls->mutex);
}

static void tls_unlock(struct tls *tls)
{
	mutex_unlock(&tls->mutex);
}

/* ALPN: what the two will speak. Who offers nothing that we know goes on without; the doors look at what it says. A browser
 * offers both, and shall speak HTTP/1.1, which the page needs; gRPC offers "h2" alone. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_size, const unsigned char *offered,
	unsigned offered_size, void *context)
{
#ifdef TCPCHAT_GRPC
	static const unsigned char known[] = "\x08http/1.1\x02h2";
#else
	static const unsigned char known[] = "\x08http/1.1";
#endif
	unsigned char *found;

	(void)ssl, (void)context;
	if (SSL_select_next_proto(&found, chosen_size, known, sizeof known - 1, offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*chosen = found;
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *make_context(const struct tls_options *options, char *fault, size_t size)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (context == NULL || !tls_set_policy(context)) {
		tls_fault(fault, size);
		SSL_CTX_free(context);
		return NULL;
	}
	/* Who closes without a word of TLS is gone as who closes without one of TCP: many programs do. */
	(void)SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_num_tickets(context, 1);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	if (certificate_load(context, options->certificate_path, options->key_path, fault, size))
		return context;
	SSL_CTX_free(context);
	return NULL;
}

struct tls *tls_open(const struct tls_options *options, char *fault, size_t size)
{
	SSL_CTX *context;
	struct tls *tls;

	if (options->makes_own && !certificate_make(options->certificate_path, options->key_path, fault, size))
		return NULL;
	context = make_context(options, fault, size);
	if (context == NULL)
		return NULL;
	tls = calloc(1, sizeof *tls);
	if (tls == NULL) {
		(void)snprintf(fault, size, "there is no memory");
		SSL_CTX_free(context);
		return NULL;
	}
	tls->options = *options;
	mutex_init(&tls->mutex);
	tls_lock(tls);
	tls->context = context;
	tls_unlock(tls);
	return tls;
}

int tls_reload(struct tls *tls, char *fault, size_t size)
{
	SSL_CTX *context = make_context(&tls->options, fault, size);

	if (context == NULL)
		return -EINVAL;
	tls_lock(tls);
	SSL_CTX *old = tls->context;
	tls->context = context;
	tls_unlock(tls);
	SSL_CTX_free(old); /* connections have references of their own */
	return 0;
}

static SSL_CTX *tls_acquire_context(struct tls *tls)
{
	SSL_CTX *context;

	tls_lock(tls);
	context = tls->context;
	(void)SSL_CTX_up_ref(context); /* cannot fail: it counts */
	tls_unlock(tls);
	return context;
}

static void tls_fini(struct tls *tls) UNCHECKED /* nobody else has it any more */
{
	SSL_CTX_free(tls->context);
	mutex_fini(&tls->mutex);
}

void tls_close(struct tls *tls)
{
	if (tls == NULL)
		return;
	tls_fini(tls);
	free(tls);
}

SSL *tls_begin(struct tls *tls, int socket)
{
	SSL_CTX *context = tls_acquire_context(tls);
	SSL *ssl = SSL_new(context);

	SSL_CTX_free(context);
	if (ssl == NULL || SSL_set_fd(ssl, socket) != 1) {
		SSL_free(ssl);
		ERR_clear_error();
		return NULL;
	}
	SSL_set_accept_state(ssl);
	return ssl;
}

void tls_tell_fingerprint(struct tls *tls, char text[TLS_FINGERPRINT_SIZE])
{
	SSL_CTX *context = tls_acquire_context(tls);
	unsigned char hash[TLS_HASH_SIZE];

	text[0] = '\0';
	if (tls_hash(SSL_CTX_get0_certificate(context), hash))
		tls_fingerprint_write(hash, text);
	SSL_CTX_free(context);
}

bool tls_warns(struct tls *tls, char *warning, size_t size)
{
	SSL_CTX *context = tls_acquire_context(tls);
	bool warns = certificate_warns(SSL_CTX_get0_certificate(context), warning, size);

	SSL_CTX_free(context);
	return warns;
}
