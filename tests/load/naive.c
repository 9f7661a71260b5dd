/*
 * naive: the plainest broadcast chat server, a yardstick.
 *
 * A thread for each client; the first line is its name, each line after it goes to everybody, its author too, as
 * "NAME: TEXT": one blocking send() for each member and line, under the one mutex that guards the list of members.
 * Reading is buffered, so that nothing but this is slow. It sends no notices, and checks no names: it is a yardstick
 * for delivering lines and no server for people.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/load/net.h"

enum {
	NAIVE_MEMBERS_MAX = 20000,
	NAIVE_NAME_SIZE = 64,
	NAIVE_BUFFER_SIZE = 16 * 1024,
	NAIVE_STACK_SIZE = 64 * 1024,
};

static pthread_mutex_t naive_mutex = PTHREAD_MUTEX_INITIALIZER;
static int naive_members[NAIVE_MEMBERS_MAX]; /* guarded by 'naive_mutex' */
static size_t naive_member_count;            /* guarded by 'naive_mutex' */

static void naive_add(int fd)
{
	pthread_mutex_lock(&naive_mutex);
	if (naive_member_count < NAIVE_MEMBERS_MAX)
		naive_members[naive_member_count++] = fd;
	pthread_mutex_unlock(&naive_mutex);
}

static void naive_remove(int fd)
{
	pthread_mutex_lock(&naive_mutex);
	for (size_t i = 0; i < naive_member_count; i++) {
		if (naive_members[i] == fd) {
			naive_members[i] = naive_members[--naive_member_count];
			break;
		}
	}
	pthread_mutex_unlock(&naive_mutex);
}

static void naive_broadcast(const char *line, size_t size)
{
	pthread_mutex_lock(&naive_mutex);
	for (size_t i = 0; i < naive_member_count; i++)
		(void)net_send_all(naive_members[i], line, size); /* who left is removed by its own thread */
	pthread_mutex_unlock(&naive_mutex);
}

/* Says 'text' in the name of 'name'; without a name yet, takes it for the name. */
static void naive_take_line(int fd, char *name, const char *text, size_t size)
{
	char line[NAIVE_NAME_SIZE + 2 + NAIVE_BUFFER_SIZE];
	size_t head;

	if (name[0] == '\0') {
		snprintf(name, NAIVE_NAME_SIZE, "%.*s", (int)size, text);
		naive_add(fd);
		return;
	}
	head = (size_t)snprintf(line, sizeof line, "%s: ", name);
	memcpy(line + head, text, size);
	line[head + size] = '\n';
	naive_broadcast(line, head + size + 1);
}

/* Takes all whole lines of the buffer. Returns how many bytes are left of the last one. */
static size_t naive_take_lines(int fd, char *name, char *buffer, size_t size)
{
	char *start = buffer;
	char *end;

	while ((end = memchr(start, '\n', (size_t)(buffer + size - start))) != NULL) {
		naive_take_line(fd, name, start, (size_t)(end - start));
		start = end + 1;
	}
	size = (size_t)(buffer + size - start);
	memmove(buffer, start, size);
	return size;
}

static void *naive_serve(void *argument)
{
	int fd = (int)(intptr_t)argument;
	char name[NAIVE_NAME_SIZE] = "";
	char buffer[NAIVE_BUFFER_SIZE];
	size_t size = 0;

	while (size < sizeof buffer) {
		ssize_t received = recv(fd, buffer + size, sizeof buffer - size, 0);

		if (received < 0 && errno == EINTR)
			continue;
		if (received <= 0)
			break;
		size = naive_take_lines(fd, name, buffer, size + (size_t)received);
	}
	naive_remove(fd);
	close(fd);
	return NULL;
}

static void naive_accept(int listener, const pthread_attr_t *attributes)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	pthread_t thread;

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (pthread_create(&thread, attributes, naive_serve, (void *)(intptr_t)fd) != 0)
		close(fd);
}

static const char *naive_read_options(int argument_count, char **arguments)
{
	static const struct option options[] = {{"listen", required_argument, NULL, 'l'}, {0}};
	const char *address = "127.0.0.1:0";
	int option;

	while ((option = getopt_long(argument_count, arguments, "", options, NULL)) != -1) {
		if (option != 'l') {
			fprintf(stderr, "Usage: naive [--listen ADDRESS:PORT]\n");
			exit(2);
		}
		address = optarg;
	}
	return address;
}

int main(int argument_count, char **arguments)
{
	const char *address = naive_read_options(argument_count, arguments);
	pthread_attr_t attributes;
	int listener;

	signal(SIGPIPE, SIG_IGN);
	net_raise_descriptor_limit();
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, NAIVE_STACK_SIZE);
	listener = net_listen("naive", address);
	/* It ends when whoever started it ends it. */
	for (;;)
		naive_accept(listener, &attributes);
}
