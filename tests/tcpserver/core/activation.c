#include "tcpserver/core/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net.h"

#include "tests/check.h"

enum { CAPACITY = 4, FIRST = 3 };

static struct activation sockets[CAPACITY];
static char fault[ACTIVATION_FAULT_SIZE];

/* Puts a descriptor where the manager puts it. */
static void pass(int descriptor, int place)
{
	CHECK(descriptor >= 0);
	if (descriptor == FIRST + place)
		return;
	CHECK(dup2(descriptor, FIRST + place) >= 0);
	(void)close(descriptor);
}

static int blocking_listener(void)
{
	static const struct net_place place = {.host = "127.0.0.1", .port = "0"};
	int listener = net_listen(&place);

	CHECK(listener >= 0);
	CHECK(fcntl(listener, F_SETFD, 0) == 0);
	CHECK(fcntl(listener, F_SETFL, 0) == 0);
	return listener;
}

static int take(const char *count, const char *names)
{
	char process[24];

	(void)snprintf(process, sizeof process, "%d", (int)getpid());
	CHECK(setenv("LISTEN_PID", process, 1) == 0);
	CHECK(setenv("LISTEN_FDS", count, 1) == 0);
	CHECK((names == NULL ? unsetenv("LISTEN_FDNAMES") : setenv("LISTEN_FDNAMES", names, 1)) == 0);
	return activation_take(sockets, CAPACITY, fault);
}

TEST(sockets_are_taken_with_their_names)
{
	pass(blocking_listener(), 1);
	pass(blocking_listener(), 0);
	CHECK_EQUAL(take("2", "http:"), 2);
	CHECK_EQUAL(sockets[0].socket, FIRST);
	CHECK_EQUAL(sockets[1].socket, FIRST + 1);
	CHECK_TEXT(sockets[0].name, "http");
	CHECK_TEXT(sockets[1].name, "");
	for (int i = 0; i < 2; i++) {
		CHECK(fcntl(sockets[i].socket, F_GETFD) & FD_CLOEXEC);
		CHECK(fcntl(sockets[i].socket, F_GETFL) & O_NONBLOCK);
	}
	CHECK(getenv("LISTEN_PID") == NULL && getenv("LISTEN_FDS") == NULL && getenv("LISTEN_FDNAMES") == NULL);
}

TEST(a_name_may_be_missing_or_long)
{
	char names[2 * ACTIVATION_NAME_SIZE];

	pass(blocking_listener(), 0);
	CHECK_EQUAL(take("1", NULL), 1);
	CHECK_TEXT(sockets[0].name, "");
	memset(names, 'x', sizeof names - 1);
	names[sizeof names - 1] = '\0';
	CHECK_EQUAL(take("1", names), 1);
	CHECK_EQUAL(strlen(sockets[0].name), ACTIVATION_NAME_SIZE - 1);
}

TEST(what_is_for_another_process_is_left_alone)
{
	CHECK(setenv("LISTEN_PID", "1", 1) == 0);
	CHECK(setenv("LISTEN_FDS", "3", 1) == 0);
	CHECK_EQUAL(activation_take(sockets, CAPACITY, fault), 0);
	CHECK_TEXT(getenv("LISTEN_FDS"), "3");
	CHECK(unsetenv("LISTEN_PID") == 0);
	CHECK_EQUAL(activation_take(sockets, CAPACITY, fault), 0);
}

TEST(the_number_of_sockets_has_bounds)
{
	static const char *const wrong[] = {"5", "-1", "", "1x", "99999999999999999999"};

	CHECK_EQUAL(take("0", NULL), 0);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		CHECK_EQUAL(take(wrong[i], NULL), -EINVAL);
		CHECK_CONTAINS(fault, "0 to 4");
	}
}

static void check_refused(const char *why)
{
	CHECK_EQUAL(take("1", "http"), -EINVAL);
	CHECK_CONTAINS(fault, "descriptor 3");
	CHECK_CONTAINS(fault, "\"http\"");
	CHECK_CONTAINS(fault, why);
}

TEST(what_is_no_listening_tcp_socket_is_refused)
{
	int pair[2];

	(void)close(FIRST);
	check_refused("no such descriptor");
	pass(open("/dev/null", O_RDONLY), 0);
	check_refused("no socket");
	pass(socket(AF_INET, SOCK_DGRAM, 0), 0);
	check_refused("no TCP socket");
	pass(socket(AF_INET6, SOCK_STREAM, 0), 0);
	check_refused("Accept=no");
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	pass(pair[0], 0);
	check_refused("no TCP socket");
}
