#include "tcpclient/secure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "common/tls.h"
#include "common/tls_pump.h"
#include "tcpclient/pins.h"

enum {
	STALLED_MS = 1000,     /* to send the last words, when we leave */
	PEER_TIMEOUT_S = 60,
	NAMES_SIZE_MAX = 300,  /* of a certificate, that are shown      */
	DATE_SIZE = sizeof "2036-11-21",
};

struct secure {
	struct secure_settings settings;
	SSL_CTX *context;
	char server[PINS_SERVER_SIZE];
	char name[NET_HOST_SIZE]; /* that the certificate has to be for: the host without a scope */
	bool is_address;
	bool has_wanted;
	unsigned char wanted[TLS_HASH_SIZE]; /* the fingerprint that was given */
};

struct secure_call {
	struct tls_pump pump;
	int given; /* the end of the pair that the caller has */
	pthread_t thread;
};

/* ---- What is wrong with a certificate. ---- */

/* All that the check has found, since some of it may not matter. */
struct doubts {
	bool vouches_for_itself;
	bool is_unknown; /* nobody that we trust vouches for it */
	bool is_for_another;
	bool is_old;
	bool is_early;
	int other; /* X509_V_..., or 0 */
};

static void note_doubt(struct doubts *doubts, int error)
{
	switch (error) {
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		doubts->vouches_for_itself = true;
		break;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_UNTRUSTED:
		doubts->is_unknown = true;
		break;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		doubts->is_for_another = true;
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		doubts->is_old = true;
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		doubts->is_early = true;
		break;
	default:
		doubts->other = doubts->other == 0 ? error : doubts->other;
	}
}

static int doubts_place; /* of SSL_set_ex_data(); constant after secure_create() */

/* Goes on whatever is wrong: it is judged when all is known. */
static int on_check(int is_good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());

	if (!is_good)
		note_doubt(SSL_get_ex_data(ssl, doubts_place), X509_STORE_CTX_get_error(store));
	return 1;
}

/* ---- Words about it. ---- */

static void add_date(struct buffer *words, const ASN1_TIME *time)
{
	struct tm parts = {.tm_mday = 0};
	char text[DATE_SIZE];

	if (ASN1_TIME_to_tm(time, &parts) == 1 && strftime(text, sizeof text, "%Y-%m-%d", &parts) > 0)
		buffer_add_text(words, text);
}

static void add_text(struct buffer *words, const char *text, long size)
{
	buffer_add_clean(words, text, size < NAMES_SIZE_MAX ? (size_t)size : NAMES_SIZE_MAX);
}

static void add_name(struct buffer *words, const X509_NAME *name)
{
	BIO *memory = BIO_new(BIO_s_mem());
	char *bytes;
	long size;

	if (memory == NULL)
		return;
	(void)X509_NAME_print_ex(memory, name, 0, (XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) | ASN1_STRFLGS_UTF8_CONVERT);
	size = BIO_get_mem_data(memory, &bytes);
	add_text(words, bytes, size);
	BIO_free(memory);
}

static void add_address(struct buffer *words, const ASN1_OCTET_STRING *address)
{
	char text[INET6_ADDRSTRLEN];
	int family = ASN1_STRING_length(address) == 4 ? AF_INET : AF_INET6;

	if (ASN1_STRING_length(address) != 4 && ASN1_STRING_length(address) != 16)
		return;
	if (inet_ntop(family, ASN1_STRING_get0_data(address), text, sizeof text) != NULL)
		buffer_add_text(words, text);
}

/* For whom the certificate is. */
static void add_names(struct buffer *words, const X509 *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	size_t begun = words->size;
	const char *between = "";

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && words->size - begun < NAMES_SIZE_MAX; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_DNS && name->type != GEN_IPADD)
			continue;
		buffer_add_text(words, between);
		between = ", ";
		if (name->type == GEN_DNS)
			add_text(words, (const char *)ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName));
		else
			add_address(words, name->d.iPAddress);
	}
	GENERAL_NAMES_free(names);
	if (words->size == begun)
		buffer_add_text(words, "nobody");
}

static void add_fingerprint(struct buffer *words, const unsigned char hash[TLS_HASH_SIZE])
{
	char text[TLS_FINGERPRINT_SIZE];

	tls_fingerprint_write(hash, text);
	buffer_add_text(words, text);
}

static void explain_doubts(
	const struct secure *secure, const X509 *certificate, const struct doubts *doubts, struct buffer *words)
{
	if (doubts->is_for_another) {
		buffer_add_format(words, "It is not for %s, but for ", secure->name);
		add_names(words, certificate);
		buffer_add_text(words, ". Connect by such a name.\n");
	}
	if (doubts->is_old) {
		buffer_add_text(words, "It has expired on ");
		add_date(words, X509_get0_notAfter(certificate));
		buffer_add_text(words, ". Whoever runs the server has to get a new one.\n");
	}
	if (doubts->is_early) {
		buffer_add_text(words, "It is not valid before ");
		add_date(words, X509_get0_notBefore(certificate));
		buffer_add_text(words, ". Is the clock of this machine right?\n");
	}
	if (doubts->vouches_for_itself) {
		buffer_add_text(words, "Only it itself vouches for it.\n");
	} else if (doubts->is_unknown) {
		buffer_add_text(words, "The authority that vouches for it is not known here: ");
		add_name(words, X509_get_issuer_name(certificate));
		buffer_add_text(words, ". If you trust it, give its certificate with --ca FILE.\n");
	}
	if (doubts->other != 0)
		buffer_add_format(words, "It is not good: %s.\n", X509_verify_cert_error_string(doubts->other));
}

static void explain_refusal(const struct secure *secure, const X509 *certificate, const struct doubts *doubts,
	const unsigned char hash[TLS_HASH_SIZE], struct buffer *words)
{
	buffer_add_format(words, "The certificate of %s is not to be trusted; nothing was sent.\n", secure->server);
	explain_doubts(secure, certificate, doubts, words);
	buffer_add_text(words, "Its fingerprint is ");
	add_fingerprint(words, hash);
	buffer_add_text(words, "; if whoever runs the server names the same one, connect with --fingerprint.");
}

/* 'old' is NULL when an authority vouched for the server before. */
static void explain_change(
	const struct secure *secure, const unsigned char *old, const unsigned char hash[TLS_HASH_SIZE], struct buffer *words)
{
	buffer_add_format(words, "The certificate of %s is not the one it was; nothing was sent.\nbefore: ", secure->server);
	if (old == NULL)
		buffer_add_text(words, "an authority vouched for it");
	else
		add_fingerprint(words, old);
	buffer_add_text(words, "\nnow:    ");
	add_fingerprint(words, hash);
	if (old == NULL)
		buffer_add_text(words, ", for which only it itself vouches");
	buffer_add_format(words,
		"\nThe server may have been set up anew, or somebody else may answer in its place. Ask whoever runs it for the "
		"fingerprint. If it is the new one, remove each line of %s from %s, and connect again.",
		secure->server, secure->settings.pins_path);
}

static void explain_damage(const struct secure *secure, struct buffer *words)
{
	buffer_add_format(words,
		"What is remembered of the certificate of %s cannot be read; nothing was sent.\nLook at its line in %s: after the "
		"server stands SHA256: and 64 hex digits, or the word authority. Mend or remove it, and connect again.",
		secure->server, secure->settings.pins_path);
}

static void explain_other(const struct secure *secure, const unsigned char hash[TLS_HASH_SIZE], struct buffer *words)
{
	buffer_add_format(words, "%s has not the fingerprint that --fingerprint names; nothing was sent.\nwanted: ", secure->server);
	add_fingerprint(words, secure->wanted);
	buffer_add_text(words, "\nfound:  ");
	add_fingerprint(words, hash);
	buffer_add_text(words, "\nSomebody else may answer in its place, or it has a new certificate: ask whoever runs it.");
}

/* ---- Whom to trust. ---- */

/* A certificate that vouches for itself, and which is not known: without a person who has compared it, it is anybody's. */
static void refuse_stranger(const struct secure *secure, const unsigned char hash[TLS_HASH_SIZE], struct buffer *words)
{
	struct secure_stranger *stranger = secure->settings.stranger;

	memcpy(stranger->hash, hash, TLS_HASH_SIZE);
	stranger->was_met = true;
	buffer_add_format(words,
		"Nobody but %s itself vouches for its certificate, which is seen here for the first time; nothing was sent.\n"
		"Its fingerprint is ",
		secure->server);
	add_fingerprint(words, hash);
	if (secure->settings.asks)
		return;
	buffer_add_text(words, ".\nIf whoever runs the server names the same one, connect with --fingerprint and it; or connect once at a "
		"terminal, where you are asked, and it is remembered.");
}

int secure_befriend(const struct secure *secure, const struct secure_stranger *stranger)
{
	if (secure->settings.pins_path == NULL)
		return -ENOENT;
	return pins_add(secure->settings.pins_path, secure->server, stranger->hash);
}

/* Remembers that an authority vouches for the server, so that nobody takes its place without one. */
static void remember_authority(const struct secure *secure, struct buffer *words)
{
	const char *path = secure->settings.pins_path;
	unsigned char known[TLS_HASH_SIZE];
	enum pin pin = pins_find(path, secure->server, known);
	int error;

	if (path == NULL || pin == PIN_AUTHORITY || pin == PIN_DAMAGED)
		return;
	error = pins_add(path, secure->server, NULL);
	if (error != 0)
		buffer_add_format(words, " That could not be remembered (%s).", strerrordesc_np(-error));
}

static bool judge_own(const struct secure *secure, const X509 *certificate, const struct doubts *doubts,
	const unsigned char hash[TLS_HASH_SIZE], struct buffer *words)
{
	unsigned char known[TLS_HASH_SIZE];
	bool is_known;

	switch (pins_find(secure->settings.pins_path, secure->server, known)) {
	case PIN_DAMAGED:
		explain_damage(secure, words);
		return false;
	case PIN_FOUND:
		is_known = memcmp(known, hash, TLS_HASH_SIZE) == 0;
		if (is_known)
			buffer_add_text(words, "The server's certificate is the one that was seen before.");
		else
			explain_change(secure, known, hash, words);
		return is_known;
	case PIN_AUTHORITY:
		if (doubts->vouches_for_itself)
			explain_change(secure, NULL, hash, words);
		else
			explain_refusal(secure, certificate, doubts, hash, words);
		return false;
	case PIN_NONE:
		break;
	}
	if (doubts->vouches_for_itself && !doubts->is_old && !doubts->is_early && doubts->other == 0)
		refuse_stranger(secure, hash, words);
	else
		explain_refusal(secure, certificate, doubts, hash, words);
	return false;
}

static bool has_no(const struct doubts *doubts)
{
	return !doubts->vouches_for_itself && !doubts->is_unknown && !doubts->is_for_another && !doubts->is_old &&
	       !doubts->is_early && doubts->other == 0;
}

static bool judge(const struct secure *secure, const X509 *certificate, const struct doubts *doubts, struct buffer *words)
{
	unsigned char hash[TLS_HASH_SIZE];

	if (!tls_hash(certificate, hash)) {
		buffer_add_text(words, "There is no memory.");
		return false;
	}
	if (secure->has_wanted) {
		if (memcmp(secure->wanted, hash, TLS_HASH_SIZE) == 0)
			buffer_add_text(words, "The server's certificate has the fingerprint that was asked for.");
		else
			explain_other(secure, hash, words);
		return memcmp(secure->wanted, hash, TLS_HASH_SIZE) == 0;
	}
	if (has_no(doubts)) {
		buffer_add_text(words, "Its certificate is vouched for by ");
		add_name(words, X509_get_issuer_name(certificate));
		buffer_add_text(words, ".");
		remember_authority(secure, words);
		return true;
	}
	if (secure->settings.authorities == NULL)
		return judge_own(secure, certificate, doubts, hash, words);
	explain_refusal(secure, certificate, doubts, hash, words);
	return false;
}

/* ---- What is the same for all connections. ---- */

static bool load_authorities(struct secure *secure, char *fault, size_t size)
{
	const char *path = secure->settings.authorities;
	char reason[TLS_FAULT_SIZE];

	if (path == NULL) {
		(void)SSL_CTX_set_default_verify_paths(secure->context); /* without any, nobody is vouched for */
		return true;
	}
	if (SSL_CTX_load_verify_file(secure->context, path) == 1)
		return true;
	tls_fault(reason, sizeof reason);
	(void)snprintf(fault, size, "--ca %s: it has to be a PEM file of certificates: %s", path,
		access(path, R_OK) == 0 ? reason : strerrordesc_np(errno));
	return false;
}

static void take_name(struct secure *secure)
{
	unsigned char address[sizeof(struct in6_addr)];
	char *scope;

	(void)snprintf(secure->name, sizeof secure->name, "%s", secure->settings.place.host);
	scope = strchr(secure->name, ':') == NULL ? NULL : strchr(secure->name, '%');
	if (scope != NULL)
		*scope = '\0';
	secure->is_address = inet_pton(AF_INET, secure->name, address) == 1 || inet_pton(AF_INET6, secure->name, address) == 1;
}

struct secure *secure_create(const struct secure_settings *settings, char *fault, size_t size)
{
	struct secure *secure = memory_get(sizeof *secure);

	memset(secure, 0, sizeof *secure);
	secure->settings = *settings;
	take_name(secure);
	pins_server(&settings->place, secure->server);
	doubts_place = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	secure->has_wanted = settings->fingerprint != NULL;
	if (secure->has_wanted && !tls_fingerprint_read(settings->fingerprint, secure->wanted)) {
		(void)snprintf(fault, size, "--fingerprint is SHA256: and 64 hex digits, as the server prints it when it starts");
		goto fail;
	}
	secure->context = SSL_CTX_new(TLS_client_method());
	if (secure->context == NULL || doubts_place < 0 || !tls_set_policy(secure->context)) {
		tls_fault(fault, size);
		goto fail;
	}
	SSL_CTX_set_verify(secure->context, SSL_VERIFY_PEER, on_check);
	if (load_authorities(secure, fault, size))
		return secure;

fail:
	secure_destroy(secure);
	return NULL;
}

void secure_destroy(struct secure *secure)
{
	if (secure == NULL)
		return;
	SSL_CTX_free(secure->context);
	free(secure);
}

/* ---- One connection. ---- */

/* Some servers speak HTTP/2 only with whom has offered it. */
static bool offer_http2(SSL *ssl)
{
	static const unsigned char http2[] = {2, 'h', '2'};

	return SSL_set_alpn_protos(ssl, http2, sizeof http2) == 0;
}

static SSL *begin(const struct secure *secure, int socket, struct doubts *doubts)
{
	char name[NET_HOST_SIZE]; /* OpenSSL's macro takes no constant */
	SSL *ssl = SSL_new(secure->context);
	X509_VERIFY_PARAM *wanted = ssl == NULL ? NULL : SSL_get0_param(ssl);
	bool set = ssl != NULL && SSL_set_fd(ssl, socket) == 1 && SSL_set_ex_data(ssl, doubts_place, doubts) == 1;

	memcpy(name, secure->name, sizeof name);
	set = set && (!secure->settings.speaks_http2 || offer_http2(ssl));
	if (set && secure->is_address)
		set = X509_VERIFY_PARAM_set1_ip_asc(wanted, secure->name) == 1;
	else if (set)
		set = X509_VERIFY_PARAM_set1_host(wanted, secure->name, 0) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
	if (set) {
		SSL_set_connect_state(ssl);
		return ssl;
	}
	SSL_free(ssl);
	return NULL;
}

/* Returns -ECANCELED, or 0. */
static int look_at_wake(const struct secure_wait *wait)
{
	uint64_t count;

	(void)!read(wait->wake_descriptor, &count, sizeof count); /* EAGAIN: nobody has woken us */
	return wait->cancelled(wait->context) ? -ECANCELED : 0;
}

/* Returns as tls_shake_hands(), or -ETIMEDOUT or -ECANCELED. */
static int shake_hands(SSL *ssl, int socket, const struct secure_wait *wait)
{
	long long deadline_ms = clock_ms() + wait->timeout_ms;
	int wanted;

	while ((wanted = tls_shake_hands(ssl)) > 0) {
		struct pollfd polls[] = {
			{.fd = socket, .events = (short)wanted}, {.fd = wait->wake_descriptor, .events = POLLIN}};
		long long left = deadline_ms - clock_ms();

		if (left <= 0)
			return -ETIMEDOUT;
		(void)poll(polls, 2, (int)left); /* EINTR: the next round */
		if (polls[1].revents != 0 && look_at_wake(wait) != 0)
			return -ECANCELED;
	}
	return wanted;
}

static enum secure_result explain_failure(const struct secure *secure, int error, struct buffer *words)
{
	char fault[TLS_FAULT_SIZE];

	if (error == -ECANCELED)
		return SECURE_CANCELLED;
	if (error != -EPROTO) {
		buffer_add_format(words, "the TLS handshake broke off: %s",
			error == -ECONNRESET ? "the server closed the connection" : strerrordesc_np(-error));
		return SECURE_BROKEN;
	}
	tls_fault(fault, sizeof fault);
	buffer_add_format(words,
		"%s does not speak TLS as it is needed here (%s); nothing was sent.\nPerhaps it has no certificate: then only a "
		"connection without --tls is possible, which everybody on the way can read.",
		secure->server, fault);
	return SECURE_STRANGE;
}

static void add_kind(struct buffer *words, const SSL *ssl)
{
	buffer_add_format(words, "The connection is encrypted (%s, %s). ", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
}

/* Makes a handshake and judges the server. */
static enum secure_result meet(
	const struct secure *secure, SSL *ssl, int socket, const struct secure_wait *wait, const struct doubts *doubts, struct buffer *words)
{
	struct buffer judgement = {0};
	X509 *certificate;
	bool trusted;
	int error = shake_hands(ssl, socket, wait);

	if (error != 0)
		return explain_failure(secure, error, words);
	certificate = SSL_get1_peer_certificate(ssl);
	if (certificate == NULL) {
		buffer_add_format(words, "%s shows no certificate; nothing was sent.", secure->server);
		return SECURE_DISTRUSTED;
	}
	trusted = judge(secure, certificate, doubts, &judgement);
	X509_free(certificate);
	if (trusted)
		add_kind(words, ssl);
	buffer_add(words, judgement.bytes, judgement.size);
	buffer_fini(&judgement);
	return trusted ? SECURE_MADE : SECURE_DISTRUSTED;
}

static int wait_for(struct pollfd *polls, nfds_t count, int timeout_ms)
{
	int found = poll(polls, count, timeout_ms);

	if (found == 0)
		return -ETIMEDOUT;
	return found < 0 ? 0 : found; /* EINTR: once more */
}

static void *run_pump(void *argument)
{
	struct secure_call *call = argument;
	sigset_t set;

	thread_name("tls");
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGPIPE); /* OpenSSL writes as to a file */
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	tls_pump_run(&call->pump);
	return NULL;
}

static int start(struct secure_call *call, SSL *ssl, int socket)
{
	int pair[2];
	int error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	call->given = pair[1];
	call->pump = (struct tls_pump){.ssl = ssl,
		.outer = socket,
		.inner = pair[0],
		.peer_timeout_s = PEER_TIMEOUT_S,
		.stalled_ms = STALLED_MS,
		.wait = wait_for};
	error = thread_start(&call->thread, 0, run_pump, call);
	if (error == 0)
		return 0;
	(void)close(pair[0]);
	(void)close(pair[1]);
	return error;
}

/* Goes on with a handshake that was made. */
static enum secure_result carry(SSL *ssl, int socket, struct secure_call **out, struct buffer *words)
{
	struct secure_call *call = memory_get(sizeof *call);
	int error;

	memset(call, 0, sizeof *call);
	error = start(call, ssl, socket);
	if (error == 0) {
		*out = call;
		return SECURE_MADE;
	}
	free(call);
	buffer_clear(words);
	buffer_add_text(words, strerrordesc_np(-error));
	return SECURE_BROKEN;
}

static void never_wait(int socket)
{
	(void)fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK); /* cannot fail on a socket */
}

enum secure_result secure_call(
	const struct secure *secure, int socket, const struct secure_wait *wait, struct secure_call **call, struct buffer *words)
{
	struct doubts doubts = {0};
	SSL *ssl = begin(secure, socket, &doubts);
	enum secure_result result = SECURE_BROKEN;

	never_wait(socket);
	if (ssl == NULL)
		buffer_add_text(words, "there is no memory");
	else
		result = meet(secure, ssl, socket, wait, &doubts, words);
	if (ssl != NULL)
		(void)SSL_set_ex_data(ssl, doubts_place, NULL); /* they go now; no further handshake comes */
	if (result == SECURE_MADE)
		result = carry(ssl, socket, call, words);
	if (result == SECURE_MADE)
		return result;
	SSL_free(ssl);
	(void)close(socket); /* nothing was said */
	return result;
}

int secure_socket(const struct secure_call *call)
{
	return call->given;
}

int secure_broken(const struct secure_call *call)
{
	/* Acquire: see tls_pump.h. */
	return atomic_load_explicit(&call->pump.broken, memory_order_acquire);
}

void secure_end(struct secure_call *call)
{
	thread_join(call->thread);
	SSL_free(call->pump.ssl);
	(void)close(call->pump.inner);
	(void)close(call->pump.outer); /* nothing is left to be lost */
	free(call);
}
