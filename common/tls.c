#include "common/tls.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/hex.h"

/* Of TLS 1.2; those of TLS 1.3 are all good. */
static const char suites[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
			     "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
			     "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

bool tls_set_policy(SSL_CTX *context)
{
	char groups[] = "X25519:P-256:P-384"; /* OpenSSL's macro takes no constant */

	(void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
						   SSL_OP_PRIORITIZE_CHACHA);
	(void)SSL_CTX_set_mode(context,
		SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	/* Without it a call could go on as long as the peer sends records without data: see tls_pump.c. */
	(void)SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets remember for us */
	SSL_CTX_set_read_ahead(context, 1);
	return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 && SSL_CTX_set_cipher_list(context, suites) == 1 &&
	       SSL_CTX_set1_groups_list(context, groups) == 1;
}

/* ---- Fingerprints. ---- */

static const char prefix[] = "SHA256:";

bool tls_hash(const X509 *certificate, unsigned char hash[TLS_HASH_SIZE])
{
	unsigned size = TLS_HASH_SIZE;

	return X509_digest(certificate, EVP_sha256(), hash, &size) == 1 && size == TLS_HASH_SIZE;
}

void tls_fingerprint_write(const unsigned char hash[TLS_HASH_SIZE], char text[TLS_FINGERPRINT_SIZE])
{
	char *end = stpcpy(text, prefix);

	for (size_t i = 0; i < TLS_HASH_SIZE; i++)
		end += sprintf(end, i == 0 ? "%02X" : ":%02X", hash[i]);
}

bool tls_fingerprint_read(const char *text, unsigned char hash[TLS_HASH_SIZE])
{
	unsigned char result[TLS_HASH_SIZE];

	if (strncasecmp(text, prefix, strlen(prefix)) == 0)
		text += strlen(prefix);
	for (size_t i = 0; i < TLS_HASH_SIZE; i++) {
		int high;
		int low;

		if (i > 0 && *text == ':')
			text++;
		high = hex_digit(text[0]);
		low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0)
			return false;
		result[i] = (unsigned char)(high << 4 | low);
		text += 2;
	}
	if (*text != '\0')
		return false;
	memcpy(hash, result, sizeof result);
	return true;
}

/* ---- Handshakes. ---- */

void tls_fault(char *text, size_t size)
{
	unsigned long error = ERR_get_error(); /* the first one: what follows came of it */
	const char *reason = error == 0 ? NULL : ERR_reason_error_string(error);

	(void)snprintf(text, size, "%s", reason == NULL ? "unknown" : reason);
	ERR_clear_error();
}

int tls_shake_hands(SSL *ssl)
{
	int result;

	ERR_clear_error();
	errno = 0;
	result = SSL_do_handshake(ssl);
	if (result == 1)
		return 0;
	switch (SSL_get_error(ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return POLLIN;
	case SSL_ERROR_WANT_WRITE:
		return POLLOUT;
	case SSL_ERROR_ZERO_RETURN:
		return -ECONNRESET;
	case SSL_ERROR_SYSCALL:
		return errno == 0 ? -ECONNRESET : -errno;
	default:
		if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
			return -ECONNRESET;
		return -EPROTO;
	}
}
