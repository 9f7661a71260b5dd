/* A server in event mode that falls silent: it is asked whether it is there, and given up when it does not answer. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tcpclient/connection.h"
#include "tests/check.h"

enum { DEADLINE_MS = 20000 };

static char lost[100];

static void on_line(void *context, const char *line, size_t size, const struct heard *heard)
{
	(void)context;
	(void)line;
	(void)size;
	(void)heard;
}

static void on_heard(void *context, const char *line, size_t size, const struct event *event, const char *request)
{
	(void)context;
	(void)line;
	(void)size;
	(void)event;
	(void)request;
}

static void on_greet(void *context, enum dialect dialect, struct buffer *out)
{
	(void)context;
	(void)out;
	CHECK_EQUAL(dialect, DIALECT_EVENTS);
}

static void on_pause(void *context)
{
	(void)context;
}

static void on_event(void *context, enum connection_event event, const char *detail)
{
	(void)context;
	if (event == CONNECTION_LOST)
		(void)snprintf(lost, sizeof lost, "%s", detail);
}

static const struct connection_listener listener = {
	.line = on_line, .heard = on_heard, .greet = on_greet, .pause = on_pause, .event = on_event};

static void expect(int peer, const char *wanted)
{
	char line[200];
	size_t size = 0;

	do {
		struct pollfd polled = {.fd = peer, .events = POLLIN};

		CHECK(size < sizeof line - 1);
		CHECK_EQUAL(poll(&polled, 1, DEADLINE_MS), 1);
		CHECK_EQUAL(recv(peer, line + size, 1, 0), 1);
	} while (line[size++] != '\n');
	line[size] = '\0';
	CHECK_TEXT(line, wanted);
}

static void tell(int peer, const char *text)
{
	CHECK_EQUAL(send(peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

TEST(a_silent_server_is_asked_and_given_up)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t address_size = sizeof address;
	struct connection_settings settings = {
		.name = "bob", .events = true, .ping_after_ms = 30, .dead_after_ms = 90, .listener = &listener};
	struct connection *connection;
	enum connection_end end;
	struct pollfd ended = {.events = POLLIN};
	int door = socket(AF_INET, SOCK_STREAM, 0);
	int peer;

	CHECK(bind(door, (struct sockaddr *)&address, sizeof address) == 0 && listen(door, 1) == 0);
	CHECK(getsockname(door, (struct sockaddr *)&address, &address_size) == 0);
	(void)snprintf(settings.place.host, sizeof settings.place.host, "127.0.0.1");
	(void)snprintf(settings.place.port, sizeof settings.place.port, "%u", (unsigned)ntohs(address.sin_port));
	settings.outbox = outbox_create();
	CHECK_EQUAL(connection_open(&settings, &connection), 0);
	peer = accept(door, NULL, NULL);
	expect(peer, "bob\n");
	tell(peer, "* Welcome bob - tcpchat/1. You are in lobby.\n");
	expect(peer, "/events\n");
	tell(peer, "{\"kind\":\"welcome\",\"participant\":\"bob\"}\n");
	expect(peer, "{\"op\":\"ping\"}\n");
	tell(peer, "{\"kind\":\"pong\"}\n");
	expect(peer, "{\"op\":\"ping\"}\n");
	ended.fd = connection_ended(connection);
	CHECK_EQUAL(poll(&ended, 1, DEADLINE_MS), 1);
	CHECK(connection_close(connection, &end));
	CHECK_EQUAL(end, CONNECTION_BROKEN);
	CHECK_TEXT(lost, "Connection timed out");
	outbox_destroy(settings.outbox);
	(void)close(peer);
	(void)close(door);
}
