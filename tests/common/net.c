#include "common/net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/check.h"

enum { DEADLINE_MS = 20000 };

static void check_place(const char *text, const char *host, const char *port)
{
	struct net_place place;

	if (!net_place_parse(text, "default", "7777", &place))
		FAIL("\"%s\" is refused", text);
	CHECK_TEXT(place.host, host);
	CHECK_TEXT(place.port, port);
}

static void check_no_place(const char *text)
{
	struct net_place place = {.host = "untouched"};

	if (net_place_parse(text, "default", "7777", &place))
		FAIL("\"%s\" passes as host \"%s\", port \"%s\"", text, place.host, place.port);
	CHECK_TEXT(place.host, "untouched");
}

TEST(a_place_has_a_host_and_a_port)
{
	check_place("localhost:80", "localhost", "80");
	check_place("127.0.0.1:0", "127.0.0.1", "0");
	check_place("chat.example:65535", "chat.example", "65535");
}

TEST(what_is_left_out_of_a_place_is_the_default)
{
	check_place("localhost", "localhost", "7777");
	check_place(":80", "default", "80");
	check_place("", "default", "7777");
}

TEST(an_ipv6_address_may_stand_in_brackets)
{
	check_place("[::1]:80", "::1", "80");
	check_place("[::1]", "::1", "7777");
	check_place("[fe80::1%eth0]:80", "fe80::1%eth0", "80");
	check_place("::1", "::1", "7777");
	check_place("fe80::1%eth0", "fe80::1%eth0", "7777");
	check_place("::", "::", "7777");
	check_place("::ffff:127.0.0.1", "::ffff:127.0.0.1", "7777");
}

TEST(a_port_is_a_number_up_to_65535)
{
	check_no_place("localhost:");
	check_no_place("localhost:65536");
	check_no_place("localhost:-1");
	check_no_place("localhost:+1");
	check_no_place("localhost: 1");
	check_no_place("localhost:1x");
	check_no_place("localhost:http");
	check_no_place("localhost:000080");
	check_no_place("[::1]:");
	check_no_place(":");
}

TEST(brackets_match)
{
	check_no_place("[::1");
	check_no_place("[::1]80");
	check_no_place("[::1]]:80");
	check_no_place("[");
	check_no_place("[::1] :80");
}

/* Whatever had two colons counted as an IPv6 address, and whatever stood in brackets; the mistake was found only later. */
TEST(two_colons_are_no_port_and_brackets_no_name)
{
	check_no_place("127.0.0.1:7777:8888");
	check_no_place("localhost:80:");
	check_no_place("a:b:c");
	check_no_place("[localhost]:80");
	check_no_place("[]:80");
	check_no_place("[127.0.0.1]:80");
}

TEST(without_a_default_the_port_has_to_be_given)
{
	struct net_place place;

	CHECK(net_place_parse("localhost:1", "", NULL, &place));
	CHECK(!net_place_parse("localhost", "", NULL, &place));
	CHECK(!net_place_parse("[::1]", "", NULL, &place));
}

TEST(a_host_has_its_longest_length)
{
	char text[NET_HOST_SIZE + 8];
	struct net_place place;

	memset(text, 'h', sizeof text);
	memcpy(text + NET_HOST_SIZE - 1, ":1", 3);
	CHECK(net_place_parse(text, "", NULL, &place));
	memset(text, 'h', sizeof text);
	memcpy(text + NET_HOST_SIZE, ":1", 3);
	CHECK(!net_place_parse(text, "", NULL, &place));
}

static int listen_at(const char *host)
{
	struct net_place place = {.port = "0"};

	(void)snprintf(place.host, sizeof place.host, "%s", host);
	return net_listen(&place);
}

/* The place where a client finds 'listener', at 'host'. */
static struct net_place place_of(int listener, const char *host)
{
	char address[NET_ADDRESS_SIZE];
	struct net_place place;

	net_own_address(listener, address);
	CHECK(strrchr(address, ':') != NULL);
	(void)snprintf(place.host, sizeof place.host, "%s", host);
	(void)snprintf(place.port, sizeof place.port, "%.5s", strrchr(address, ':') + 1);
	return place;
}

static int accept_one(int listener)
{
	struct pollfd waiting = {.fd = listener, .events = POLLIN};
	int accepted;

	CHECK(poll(&waiting, 1, -1) == 1);
	accepted = accept(listener, NULL, NULL);
	CHECK(accepted >= 0);
	return accepted;
}

/* Connects to 'host' and checks that both ends see 'prefix' and the port. */
static void check_talk(int listener, const char *host, const char *prefix)
{
	struct net_place place = place_of(listener, host);
	int client = net_connect(&place, DEADLINE_MS);
	int served;
	char own[NET_ADDRESS_SIZE];
	char peer[NET_ADDRESS_SIZE];
	char expected[NET_ADDRESS_SIZE];
	char byte = 'x';

	if (client < 0)
		FAIL("cannot connect to %s: %s", host, strerror(-client));
	served = accept_one(listener);
	net_own_address(client, own);
	net_peer_address(served, peer);
	CHECK_TEXT(peer, own);
	net_own_address(served, own);
	net_peer_address(client, peer);
	CHECK_TEXT(peer, own);
	(void)snprintf(expected, sizeof expected, "%s:%s", prefix, place.port);
	CHECK_TEXT(own, expected);
	CHECK(write(client, &byte, 1) == 1 && read(served, &byte, 1) == 1);
	(void)close(client);
	(void)close(served);
}

static bool has_ipv6(void)
{
	int listener = listen_at("::1");

	if (listener < 0)
		return false;
	(void)close(listener);
	return true;
}

TEST(a_listener_takes_connections)
{
	int listener = listen_at("127.0.0.1");

	CHECK(listener >= 0);
	check_talk(listener, "127.0.0.1", "127.0.0.1");
	(void)close(listener);
}

TEST(a_listener_everywhere_takes_ipv4_and_ipv6)
{
	static const char *const hosts[] = {"", "::"};

	for (int i = 0; i < 2; i++) {
		int listener = listen_at(hosts[i]);

		CHECK(listener >= 0);
		check_talk(listener, "127.0.0.1", "127.0.0.1");
		if (has_ipv6())
			check_talk(listener, "::1", "[::1]");
		(void)close(listener);
	}
}

TEST(a_client_tries_each_address_of_a_name)
{
	int listener = listen_at("127.0.0.1"); /* "localhost" may be ::1 first */
	struct net_place place;
	int client;

	CHECK(listener >= 0);
	place = place_of(listener, "localhost");
	client = net_connect(&place, DEADLINE_MS);
	CHECK(client >= 0);
	(void)close(client);
	(void)close(listener);
}

TEST(a_listener_does_not_block_and_a_connection_does)
{
	int listener = listen_at("127.0.0.1");
	struct net_place place;
	int client;

	CHECK(listener >= 0);
	CHECK(accept(listener, NULL, NULL) == -1 && errno == EAGAIN);
	CHECK((fcntl(listener, F_GETFD) & FD_CLOEXEC) != 0);
	place = place_of(listener, "127.0.0.1");
	client = net_connect(&place, DEADLINE_MS);
	CHECK(client >= 0);
	CHECK((fcntl(client, F_GETFL) & O_NONBLOCK) == 0);
	CHECK((fcntl(client, F_GETFD) & FD_CLOEXEC) != 0);
	(void)close(client);
	(void)close(listener);
}

TEST(a_port_in_use_is_told)
{
	int listener = listen_at("127.0.0.1");
	struct net_place place;

	CHECK(listener >= 0);
	place = place_of(listener, "127.0.0.1");
	CHECK_EQUAL(net_listen(&place), -EADDRINUSE);
	place = place_of(listener, "");
	CHECK_EQUAL(net_listen(&place), -EADDRINUSE);
	(void)close(listener);
}

TEST(a_port_is_free_again_at_once)
{
	int listener = listen_at("127.0.0.1");
	struct net_place place;
	int client;
	int served;

	CHECK(listener >= 0);
	place = place_of(listener, "127.0.0.1");
	client = net_connect(&place, DEADLINE_MS);
	CHECK(client >= 0);
	served = accept_one(listener);
	(void)close(served); /* the server's side closes first and leaves a TIME_WAIT */
	(void)close(listener);
	(void)close(client);
	listener = net_listen(&place);
	CHECK(listener >= 0);
	(void)close(listener);
}

TEST(an_address_of_another_machine_is_told)
{
	CHECK_EQUAL(listen_at("192.0.2.1"), -EADDRNOTAVAIL); /* TEST-NET-1, RFC 5737 */
	CHECK_EQUAL(listen_at("no name"), -EADDRNOTAVAIL);
}

TEST(a_connection_that_is_refused_is_told)
{
	int listener = listen_at("127.0.0.1");
	struct net_place place;

	CHECK(listener >= 0);
	place = place_of(listener, "127.0.0.1");
	(void)close(listener);
	CHECK_EQUAL(net_connect(&place, DEADLINE_MS), -ECONNREFUSED);
}

/* Fills the queue of a listener that takes no more than it has to: the next one gets no answer. */
static int fill_queue(int listener, int *clients, int most)
{
	struct sockaddr_in address;
	socklen_t size = sizeof address;
	int count = 0;
	struct pollfd polled = {.events = POLLOUT};

	CHECK(listen(listener, 0) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
	do {
		CHECK(count < most);
		polled.fd = clients[count++] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(polled.fd, (const struct sockaddr *)&address, size);
	} while (poll(&polled, 1, 100) == 1);
	return count;
}

TEST(an_address_that_does_not_answer_is_given_up)
{
	int listener = listen_at("127.0.0.1");
	int clients[10];
	int count;
	struct net_place place;

	CHECK(listener >= 0);
	place = place_of(listener, "127.0.0.1");
	count = fill_queue(listener, clients, 10);
	CHECK_EQUAL(net_connect(&place, 200), -ETIMEDOUT);
	while (count > 0)
		(void)close(clients[--count]);
	(void)close(listener);
}

TEST(what_was_connected_waits_when_it_is_read)
{
	int listener = listen_at("127.0.0.1");
	struct net_place place;
	int client;

	CHECK(listener >= 0);
	place = place_of(listener, "127.0.0.1");
	client = net_connect(&place, DEADLINE_MS);
	CHECK(client >= 0);
	CHECK((fcntl(client, F_GETFL) & O_NONBLOCK) == 0);
	(void)close(client);
	(void)close(listener);
}

TEST(a_host_that_is_not_known_is_told)
{
	struct net_place place = {.host = "no name", .port = "1"};

	CHECK_EQUAL(net_connect(&place, DEADLINE_MS), -EHOSTUNREACH);
}

TEST(what_has_no_address_is_unknown)
{
	char text[NET_ADDRESS_SIZE];
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	net_own_address(pair[0], text);
	CHECK_TEXT(text, "unknown");
	net_peer_address(-1, text);
	CHECK_TEXT(text, "unknown");
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static int number(int socket, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof value;

	CHECK(getsockopt(socket, level, name, &value, &size) == 0);
	return value;
}

TEST(a_tuned_connection_notices_in_time_that_its_peer_is_gone)
{
	static const int times_s[] = {1, 2, 6, 60, 90};
	int listener = listen_at("127.0.0.1");
	struct net_place place;
	int client;

	CHECK(listener >= 0);
	place = place_of(listener, "127.0.0.1");
	client = net_connect(&place, DEADLINE_MS);
	CHECK(client >= 0);
	for (size_t i = 0; i < sizeof times_s / sizeof *times_s; i++) {
		int idle;
		int probes;

		net_tune(client, times_s[i]);
		CHECK(number(client, IPPROTO_TCP, TCP_NODELAY) != 0);
		CHECK(number(client, SOL_SOCKET, SO_KEEPALIVE) != 0);
		idle = number(client, IPPROTO_TCP, TCP_KEEPIDLE);
		probes = number(client, IPPROTO_TCP, TCP_KEEPINTVL) * number(client, IPPROTO_TCP, TCP_KEEPCNT);
		CHECK(idle > 0 && probes > 0);
		CHECK(times_s[i] < 6 || idle + probes <= times_s[i]);
	}
	(void)close(client);
	(void)close(listener);
}
