#include "tcpserver/journals/redis_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "common/tls.h"

/* ---- TLS. ---- */

static bool wire_load_authorities(SSL_CTX *context, const struct redis_url *url)
{
	if (url->authorities[0] == '\0')
		return SSL_CTX_set_default_verify_paths(context) == 1;
	return SSL_CTX_load_verify_file(context, url->authorities) == 1;
}

SSL_CTX *redis_wire_context(const struct redis_url *url, char fault[ENGINE_FAULT_SIZE])
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	char why[TLS_FAULT_SIZE];

	if (context != NULL && tls_set_policy(context) && wire_load_authorities(context, url)) {
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
		return context;
	}
	tls_fault(why, sizeof why);
	(void)snprintf(fault, ENGINE_FAULT_SIZE, "cacert=%.200s: it has to be a PEM file of certificates: %.120s", url->authorities, why);
	SSL_CTX_free(context);
	return NULL;
}

/* The certificate has to be for this host: an address, or a name, which is sent, too. */
static bool wire_expect_host(SSL *ssl, const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];
	char name[NET_HOST_SIZE]; /* OpenSSL's macro takes no constant */

	(void)snprintf(name, sizeof name, "%s", host);
	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	return X509_VERIFY_PARAM_set1_host(SSL_get0_param(ssl), host, 0) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

/* Returns 0, or -ETIMEDOUT, or -errno of poll(). */
static int wire_wait(const struct redis_wire *wire, short events, long long deadline_ms)
{
	struct pollfd descriptor = {.fd = wire->socket, .events = events};
	long long left = deadline_ms - clock_ms();
	int found = poll(&descriptor, 1, left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);

	if (found < 0 && errno != EINTR)
		return -errno;
	return found == 0 ? -ETIMEDOUT : 0;
}

static int wire_shake_hands(struct redis_wire *wire, const struct redis_url *url, SSL_CTX *context, long long deadline_ms)
{
	int wanted;
	int error = 0;

	wire->ssl = SSL_new(context);
	if (wire->ssl == NULL || SSL_set_fd(wire->ssl, wire->socket) != 1 || !wire_expect_host(wire->ssl, url->place.host))
		return -ENOMEM;
	SSL_set_connect_state(wire->ssl);
	while ((wanted = tls_shake_hands(wire->ssl)) > 0 && error == 0)
		error = wire_wait(wire, (short)wanted, deadline_ms);
	return error != 0 ? error : wanted;
}

/* ---- The connection. ---- */

static void wire_explain(const struct redis_wire *wire, const struct redis_url *url, int error, char fault[ENGINE_FAULT_SIZE])
{
	char why[TLS_FAULT_SIZE];
	long verified = wire->ssl == NULL ? X509_V_OK : SSL_get_verify_result(wire->ssl);

	if (verified != X509_V_OK)
		(void)snprintf(why, sizeof why, "its certificate is not trusted: %s", X509_verify_cert_error_string(verified));
	else if (error == -EPROTO)
		tls_fault(why, sizeof why);
	else
		(void)snprintf(why, sizeof why, "%s", strerrordesc_np(-error));
	(void)snprintf(fault, ENGINE_FAULT_SIZE, "Redis at %.200s port %s cannot be reached%s: %.120s", url->place.host, url->place.port,
		url->is_tls ? " with TLS" : "", why);
}

int redis_wire_open(struct redis_wire *wire, const struct redis_url *url, SSL_CTX *context, char fault[ENGINE_FAULT_SIZE])
{
	long long deadline_ms = clock_ms() + ENGINE_TIMEOUT_S * 1000LL;
	int error = 0;

	*wire = (struct redis_wire){.socket = net_connect(&url->place, ENGINE_TIMEOUT_S * 1000)};
	if (wire->socket < 0) {
		error = wire->socket;
	} else {
		net_tune(wire->socket, 2 * ENGINE_TIMEOUT_S);
		if (fcntl(wire->socket, F_SETFL, O_NONBLOCK) != 0)
			error = -errno;
		else if (context != NULL)
			error = wire_shake_hands(wire, url, context, deadline_ms);
	}
	if (error == 0)
		return 0;
	wire_explain(wire, url, error, fault);
	redis_wire_close(wire);
	return error;
}

void redis_wire_close(struct redis_wire *wire)
{
	SSL_free(wire->ssl);
	if (wire->socket >= 0)
		(void)close(wire->socket);
	*wire = (struct redis_wire){.socket = -1};
}

/* ---- Bytes. ---- */

/* What an SSL's call that did not succeed waits for, as poll() has it; or -errno. */
static int wire_ssl_wants(const struct redis_wire *wire, int result)
{
	int error = SSL_get_error(wire->ssl, result);

	if (error == SSL_ERROR_WANT_READ)
		return POLLIN;
	if (error == SSL_ERROR_WANT_WRITE)
		return POLLOUT;
	ERR_clear_error();
	return error == SSL_ERROR_SYSCALL && errno != 0 ? -errno : -ECONNRESET;
}

/* Returns how many bytes, or 0, and '*wants' is what to wait for, or -errno. */
static size_t wire_try_send(struct redis_wire *wire, const char *bytes, size_t size, int *wants)
{
	ssize_t sent;

	if (wire->ssl == NULL) {
		sent = send(wire->socket, bytes, size, MSG_NOSIGNAL);
		*wants = sent > 0 || errno == EAGAIN ? POLLOUT : errno == EINTR ? 0 : -errno;
		return sent > 0 ? (size_t)sent : 0;
	}
	ERR_clear_error();
	sent = SSL_write(wire->ssl, bytes, size > INT_MAX ? INT_MAX : (int)size);
	if (sent <= 0)
		*wants = wire_ssl_wants(wire, (int)sent);
	return sent > 0 ? (size_t)sent : 0;
}

int redis_wire_send(struct redis_wire *wire, const char *bytes, size_t size, long long deadline_ms)
{
	while (size > 0) {
		int wants = 0;
		size_t sent = wire_try_send(wire, bytes, size, &wants);
		int error = sent > 0 ? 0 : wants < 0 ? wants : wire_wait(wire, (short)wants, deadline_ms);

		if (error != 0)
			return error;
		bytes += sent;
		size -= sent;
	}
	return 0;
}

/* As wire_try_send(). */
static size_t wire_try_receive(struct redis_wire *wire, char *bytes, size_t size, int *wants)
{
	ssize_t received;

	if (wire->ssl == NULL) {
		received = recv(wire->socket, bytes, size, 0);
		*wants = received == 0 ? -ECONNRESET : errno == EAGAIN || errno == EINTR ? POLLIN : -errno;
		return received > 0 ? (size_t)received : 0;
	}
	ERR_clear_error();
	received = SSL_read(wire->ssl, bytes, size > INT_MAX ? INT_MAX : (int)size);
	if (received <= 0)
		*wants = wire_ssl_wants(wire, (int)received);
	return received > 0 ? (size_t)received : 0;
}

ssize_t redis_wire_receive(struct redis_wire *wire, char *bytes, size_t size, long long deadline_ms)
{
	for (;;) {
		int wants = 0;
		size_t received = wire_try_receive(wire, bytes, size, &wants);
		int error = received > 0 || wants < 0 ? wants : wire_wait(wire, (short)wants, deadline_ms);

		if (received > 0)
			return (ssize_t)received;
		if (error != 0)
			return error == -ETIMEDOUT ? -EAGAIN : error;
	}
}
