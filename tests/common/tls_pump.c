#include "common/tls_pump.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/sync.h"
#include "common/tls.h"

#include "tests/check.h"

enum { DEADLINE_MS = 20000, MUCH = 4 * 1024 * 1024 };

/* One connection: 'peer' speaks TLS, 'inside' speaks plain, and between the two is the pump. */
static struct {
	SSL *peer;
	int inside;
	struct tls_pump pump;
	pthread_t thread;
	int sockets[2]; /* peer's, pump's */
	int pair[2];
	SSL_CTX *contexts[2];
} scene;

static atomic_bool hurries;

static int wait_for(struct pollfd *polls, nfds_t count, int timeout_ms)
{
	int found = poll(polls, count, timeout_ms < 0 || timeout_ms > 50 ? 50 : timeout_ms); /* so that 'hurries' is seen */

	return found == 0 ? -ETIMEDOUT : found;
}

static void use_certificate(SSL_CTX *context)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();

	CHECK(key != NULL && certificate != NULL);
	CHECK(X509_gmtime_adj(X509_getm_notBefore(certificate), 0) != NULL);
	CHECK(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600) != NULL);
	CHECK_EQUAL(X509_set_pubkey(certificate, key), 1);
	CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
	CHECK_EQUAL(SSL_CTX_use_certificate(context, certificate), 1);
	CHECK_EQUAL(SSL_CTX_use_PrivateKey(context, key), 1);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static void *run(void *unused)
{
	int wanted;

	(void)unused;
	while ((wanted = tls_shake_hands(scene.pump.ssl)) > 0) {
		struct pollfd polled = {.fd = scene.pump.outer, .events = (short)wanted};

		CHECK(poll(&polled, 1, DEADLINE_MS) > 0);
	}
	CHECK_EQUAL(wanted, 0);
	tls_pump_run(&scene.pump);
	return NULL;
}

static void begin(unsigned long long server_options)
{
	(void)signal(SIGPIPE, SIG_IGN);
	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, scene.sockets), 0);
	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, scene.pair), 0);
	CHECK_EQUAL(fcntl(scene.sockets[1], F_SETFL, O_NONBLOCK), 0);
	scene.contexts[0] = SSL_CTX_new(TLS_client_method());
	scene.contexts[1] = SSL_CTX_new(TLS_server_method());
	CHECK(tls_set_policy(scene.contexts[1]));
	(void)SSL_CTX_set_options(scene.contexts[1], server_options);
	use_certificate(scene.contexts[1]);
	scene.inside = scene.pair[1];
	scene.peer = SSL_new(scene.contexts[0]);
	scene.pump = (struct tls_pump){.ssl = SSL_new(scene.contexts[1]),
		.outer = scene.sockets[1],
		.inner = scene.pair[0],
		.peer_timeout_s = 60,
		.stalled_ms = 5000,
		.wait = wait_for,
		.hurries = &hurries};
	CHECK_EQUAL(SSL_set_fd(scene.peer, scene.sockets[0]), 1);
	CHECK_EQUAL(SSL_set_fd(scene.pump.ssl, scene.sockets[1]), 1);
	SSL_set_accept_state(scene.pump.ssl);
	CHECK_EQUAL(thread_start(&scene.thread, 0, run, NULL), 0);
	CHECK_EQUAL(SSL_connect(scene.peer), 1);
}

/* The pump has to end by itself now. */
static void end(void)
{
	thread_join(scene.thread);
	CHECK(scene.pump.up.bytes == NULL && scene.pump.down.bytes == NULL);
	SSL_free(scene.pump.ssl);
	SSL_free(scene.peer);
	SSL_CTX_free(scene.contexts[0]);
	SSL_CTX_free(scene.contexts[1]);
	(void)close(scene.sockets[1]);
	(void)close(scene.pair[0]);
}

static void peer_says(const char *text)
{
	CHECK_EQUAL(SSL_write(scene.peer, text, (int)strlen(text)), strlen(text));
}

static void peer_hears(const char *text)
{
	char heard[100] = "";
	int size = 0;

	while (size < (int)strlen(text)) {
		int more = SSL_read(scene.peer, heard + size, (int)sizeof heard - 1 - size);

		CHECK(more > 0);
		size += more;
	}
	CHECK_TEXT(heard, text);
}

static void inside_says(const char *text)
{
	CHECK_EQUAL(send(scene.inside, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void inside_hears(const char *text)
{
	char heard[100] = "";

	CHECK_EQUAL(recv(scene.inside, heard, strlen(text), MSG_WAITALL), strlen(text));
	CHECK_TEXT(heard, text);
}

static void inside_hears_the_end(void)
{
	char byte;

	CHECK_EQUAL(recv(scene.inside, &byte, 1, 0), 0);
}

TEST(bytes_go_both_ways_and_an_end_inside_is_told)
{
	char byte;

	begin(0);
	peer_says("hello");
	inside_hears("hello");
	inside_says("hi");
	peer_hears("hi");
	inside_says("bye");
	CHECK_EQUAL(shutdown(scene.inside, SHUT_WR), 0);
	peer_hears("bye");
	CHECK_EQUAL(SSL_read(scene.peer, &byte, 1), 0);
	CHECK_EQUAL(SSL_get_error(scene.peer, 0), SSL_ERROR_ZERO_RETURN);
	peer_says("one more"); /* the other half goes on */
	inside_hears("one more");
	CHECK(SSL_shutdown(scene.peer) >= 0);
	inside_hears_the_end();
	CHECK_EQUAL(scene.pump.broken, 0);
	(void)close(scene.inside);
	end();
}

TEST(what_a_peer_says_before_its_end_arrives_and_is_answered)
{
	begin(0);
	peer_says("last");
	CHECK_EQUAL(SSL_shutdown(scene.peer), 0);
	inside_hears("last");
	inside_hears_the_end();
	CHECK_EQUAL(scene.pump.broken, 0);
	inside_says("the answer");
	(void)close(scene.inside);
	peer_hears("the answer");
	end();
}

TEST(a_connection_that_ends_without_a_word_is_broken)
{
	begin(0);
	peer_says("last");
	inside_hears("last");
	(void)shutdown(scene.sockets[0], SHUT_WR);
	inside_hears_the_end();
	CHECK_EQUAL(scene.pump.broken, ECONNRESET);
	(void)close(scene.inside);
	end();
}

TEST(unless_that_is_allowed)
{
	begin(SSL_OP_IGNORE_UNEXPECTED_EOF);
	peer_says("last");
	inside_hears("last");
	(void)shutdown(scene.sockets[0], SHUT_WR);
	inside_hears_the_end();
	CHECK_EQUAL(scene.pump.broken, 0);
	inside_says("the answer");
	peer_hears("the answer");
	(void)close(scene.inside);
	end();
}

TEST(a_reset_is_broken)
{
	begin(SSL_OP_IGNORE_UNEXPECTED_EOF);
	inside_says("unread");
	CHECK_EQUAL(poll(&(struct pollfd){.fd = scene.sockets[0], .events = POLLIN}, 1, DEADLINE_MS), 1);
	(void)close(scene.sockets[0]); /* with something unread */
	inside_hears_the_end();
	CHECK_EQUAL(scene.pump.broken, ECONNRESET);
	(void)close(scene.inside);
	end();
}

static void *write_much(void *unused)
{
	char *bytes = malloc(MUCH);

	(void)unused;
	CHECK(bytes != NULL);
	for (size_t i = 0; i < MUCH; i++)
		bytes[i] = (char)(i * 7 + i / 251);
	CHECK_EQUAL(send(scene.inside, bytes, MUCH, MSG_NOSIGNAL), MUCH);
	CHECK_EQUAL(shutdown(scene.inside, SHUT_WR), 0);
	free(bytes);
	return NULL;
}

TEST(a_slow_peer_gets_all_in_order_and_holds_up_only_the_inside)
{
	char byte[1000];
	size_t sum = 0;
	pthread_t writer;
	int size;

	begin(0);
	CHECK_EQUAL(thread_start(&writer, 0, write_much, NULL), 0);
	peer_says("meanwhile");
	inside_hears("meanwhile");
	while ((size = SSL_read(scene.peer, byte, sizeof byte)) > 0) {
		for (int i = 0; i < size; i++, sum++) {
			if (byte[i] != (char)(sum * 7 + sum / 251))
				FAIL("byte %zu is another one", sum);
		}
	}
	CHECK_EQUAL(sum, MUCH);
	thread_join(writer);
	CHECK(SSL_shutdown(scene.peer) >= 0);
	inside_hears_the_end();
	(void)close(scene.inside);
	end();
}

TEST(a_peer_that_takes_nothing_is_not_waited_for_at_the_end)
{
	static const char bytes[64 * 1024];
	ssize_t size;
	long long begun_ms;

	begin(0);
	do
		size = send(scene.inside, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (size > 0 || poll(&(struct pollfd){.fd = scene.inside, .events = POLLOUT}, 1, 200) > 0);
	atomic_store(&hurries, true);
	begun_ms = clock_ms();
	(void)close(scene.inside);
	end();
	CHECK(clock_ms() - begun_ms < DEADLINE_MS / 2);
}

TEST(changes_of_keys_between_lines_are_borne)
{
	begin(0);
	for (int i = 0; i < TLS_PUMP_IDLE_RECORDS / 2; i++) {
		CHECK_EQUAL(SSL_key_update(scene.peer, SSL_KEY_UPDATE_REQUESTED), 1);
		peer_says("hello");
		inside_hears("hello");
		inside_says("hi");
		peer_hears("hi");
	}
	CHECK(SSL_shutdown(scene.peer) >= 0);
	inside_hears_the_end();
	CHECK_EQUAL(scene.pump.broken, 0);
	(void)close(scene.inside);
	end();
}

TEST(a_flood_of_them_is_not)
{
	begin(0);
	for (int i = 0; i <= TLS_PUMP_IDLE_RECORDS; i++) {
		CHECK_EQUAL(SSL_key_update(scene.peer, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		CHECK_EQUAL(SSL_do_handshake(scene.peer), 1);
	}
	inside_hears_the_end();
	CHECK_EQUAL(scene.pump.broken, EPROTO);
	(void)close(scene.inside);
	end();
}
