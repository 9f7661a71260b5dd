/*
 * A TLS client that does what Python's cannot: changes its keys, asks to renegotiate.
 *
 *         tls_peer PORT update COUNT        says COUNT lines, each after a change of keys that asks for another one
 *         tls_peer PORT flood COUNT         changes its keys COUNT times and says nothing
 *         tls_peer PORT renegotiate         asks for a new handshake (TLS 1.2), and says a line
 *         tls_peer PORT handshakes SECONDS  makes as many connections as it can
 *
 * What came of it is printed in a word or two. Exit code 1: not even the beginning worked.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

static _Noreturn void fail(const char *what)
{
	(void)fprintf(stderr, "tls_peer: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(EXIT_FAILURE);
}

static int reach(int port)
{
	struct sockaddr_in place = {
		.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connection < 0 || connect(connection, (const struct sockaddr *)&place, sizeof place) != 0)
		fail("cannot connect");
	return connection;
}

static SSL *meet(SSL_CTX *context, int port)
{
	SSL *ssl = SSL_new(context);

	if (ssl == NULL || SSL_set_fd(ssl, reach(port)) != 1 || SSL_connect(ssl) != 1)
		fail("no handshake");
	return ssl;
}

static void leave(SSL *ssl)
{
	(void)close(SSL_get_fd(ssl));
	SSL_free(ssl);
}

/* Reads until a line ends with 'wanted'. Returns false at the end. */
static int await(SSL *ssl, const char *wanted)
{
	char line[4096];
	size_t size = 0;

	while (size < sizeof line - 1) {
		if (SSL_read(ssl, line + size, 1) != 1)
			return 0;
		if (line[size++] != '\n')
			continue;
		line[size - 1] = '\0';
		if (size > strlen(wanted) && strcmp(line + size - 1 - strlen(wanted), wanted) == 0)
			return 1;
		size = 0;
	}
	return 0;
}

static int say(SSL *ssl, const char *text)
{
	return SSL_write(ssl, text, (int)strlen(text)) > 0;
}

static void join(SSL *ssl)
{
	if (!say(ssl, "peer\n") || !await(ssl, "/quit leaves."))
		fail("no welcome");
}

static void update(SSL *ssl, int count)
{
	char line[40];

	for (int i = 0; i < count; i++) {
		(void)snprintf(line, sizeof line, "line %d\n", i);
		if (SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) != 1 || !say(ssl, line))
			fail("a change of keys, or a line");
		line[strlen(line) - 1] = '\0';
		if (!await(ssl, line))
			fail("no echo");
	}
	(void)printf("all lines came\n");
}

static void flood(SSL *ssl, int count)
{
	int done = 0;

	while (done < count && SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1)
		done++;
	(void)printf(await(ssl, "a line that never comes") ? "goes on\n" : "ended\n");
}

static void renegotiate(SSL *ssl)
{
	int again = SSL_renegotiate(ssl) == 1 && SSL_do_handshake(ssl) == 1;

	(void)printf(again ? "renegotiated\n" : "refused\n");
}

static void handshakes(SSL_CTX *context, int port, int seconds)
{
	time_t end = time(NULL) + seconds;
	int count = 0;

	for (; time(NULL) < end; count++)
		leave(meet(context, port));
	(void)printf("%d\n", count / seconds);
}

int main(int argc, char **argv)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	const char *mode = argc < 3 ? "" : argv[2];
	int port = argc < 2 ? 0 : atoi(argv[1]);
	int count = argc < 4 ? 0 : atoi(argv[3]);
	SSL *ssl;

	(void)signal(SIGPIPE, SIG_IGN);
	if (strcmp(mode, "handshakes") == 0) {
		handshakes(context, port, count);
		SSL_CTX_free(context);
		return EXIT_SUCCESS;
	}
	if (strcmp(mode, "renegotiate") == 0)
		(void)SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
	ssl = meet(context, port);
	join(ssl);
	if (strcmp(mode, "update") == 0)
		update(ssl, count);
	else if (strcmp(mode, "flood") == 0)
		flood(ssl, count);
	else
		renegotiate(ssl);
	leave(ssl);
	SSL_CTX_free(context);
	return EXIT_SUCCESS;
}
