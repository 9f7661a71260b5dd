#include "tcpserver/core/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/check.h"

/* A manager's socket with an abstract name of its own, which NOTIFY_SOCKET has then. */
static int listen_abstract(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[sizeof address.sun_path];
	int length = snprintf(name, sizeof name, "@tcpchat-test-%d", (int)getpid());
	int manager = socket(AF_UNIX, SOCK_DGRAM, 0);

	memcpy(address.sun_path, name, (size_t)length);
	address.sun_path[0] = '\0';
	CHECK(bind(manager, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length)) == 0);
	CHECK(setenv("NOTIFY_SOCKET", name, 1) == 0);
	return manager;
}

TEST(what_is_sent_arrives_as_one_datagram)
{
	int manager = listen_abstract();
	char buffer[100] = "";

	CHECK(notify_is_wanted());
	CHECK_EQUAL(notify_send("READY=1\nSTATUS=up"), 0);
	CHECK_EQUAL(recv(manager, buffer, sizeof buffer, 0), strlen("READY=1\nSTATUS=up"));
	CHECK_TEXT(buffer, "READY=1\nSTATUS=up");
	(void)close(manager);
}

TEST(without_a_manager_nothing_is_wanted)
{
	static const char *const values[] = {"", "@", "/", "relative/path", "vsock:2:1234"};

	CHECK(unsetenv("NOTIFY_SOCKET") == 0);
	CHECK(!notify_is_wanted());
	CHECK_EQUAL(notify_send("READY=1"), 0);
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		CHECK(setenv("NOTIFY_SOCKET", values[i], 1) == 0);
		CHECK(!notify_is_wanted());
	}
}

TEST(a_manager_that_is_not_there_is_an_error)
{
	char path[sizeof(struct sockaddr_un)];

	CHECK(setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1) == 0);
	CHECK_EQUAL(notify_send("READY=1"), -ENOENT);
	(void)snprintf(path, sizeof path, "/%0*d", (int)sizeof path - 2, 0);
	CHECK(setenv("NOTIFY_SOCKET", path, 1) == 0);
	CHECK_EQUAL(notify_send("READY=1"), -ENAMETOOLONG);
}

TEST(a_manager_that_does_not_read_holds_nobody_up_for_long)
{
	int manager = listen_abstract();
	int error = 0;

	for (int i = 0; i < 100000 && error == 0; i++)
		error = notify_send("STATUS=still here");
	CHECK_EQUAL(error, -EAGAIN);
	(void)close(manager);
}

TEST(the_watchdog_waits_for_the_process_that_it_names)
{
	char number[24];
	int manager = listen_abstract();

	CHECK(unsetenv("WATCHDOG_USEC") == 0 && unsetenv("WATCHDOG_PID") == 0);
	CHECK_EQUAL(notify_watchdog_ms(), 0);
	CHECK(setenv("WATCHDOG_USEC", "60000000", 1) == 0);
	CHECK_EQUAL(notify_watchdog_ms(), 60000);
	CHECK(setenv("WATCHDOG_PID", "1", 1) == 0);
	CHECK_EQUAL(notify_watchdog_ms(), 0);
	(void)snprintf(number, sizeof number, "%d", (int)getpid());
	CHECK(setenv("WATCHDOG_PID", number, 1) == 0);
	CHECK_EQUAL(notify_watchdog_ms(), 60000);
	CHECK(setenv("WATCHDOG_USEC", "5 s", 1) == 0);
	CHECK_EQUAL(notify_watchdog_ms(), 0);
	(void)close(manager);
}
