#include "tests/load/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { NET_BACKLOG = 4096 };

bool net_parse_address(const char *text, struct net_address *address)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *found;
	const char *colon = strrchr(text, ':');
	char host[128];
	size_t size;

	if (colon == NULL || (size_t)(colon - text) >= sizeof host)
		return false;
	size = (size_t)(colon - text);
	if (size >= 2 && text[0] == '[' && text[size - 1] == ']') {
		text++;
		size -= 2;
	}
	memcpy(host, text, size);
	host[size] = '\0';
	if (getaddrinfo(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, colon + 1, &hints, &found) != 0)
		return false;
	memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
	address->size = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

bool net_is_loopback(const struct net_address *address)
{
	if (address->storage.ss_family == AF_INET) {
		struct sockaddr_in inet;

		memcpy(&inet, &address->storage, sizeof inet);
		return ntohl(inet.sin_addr.s_addr) >> 24 == 127;
	}
	struct sockaddr_in6 inet6;

	memcpy(&inet6, &address->storage, sizeof inet6);
	return IN6_IS_ADDR_LOOPBACK(&inet6.sin6_addr);
}

int net_connect(const struct net_address *address, int timeout_ms)
{
	struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
	int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (connect(fd, (const struct sockaddr *)&address->storage, address->size) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

static _Noreturn void net_die(const char *program, const char *what, const char *text)
{
	fprintf(stderr, "%s: %s %s: %s\n", program, what, text, strerror(errno));
	exit(EXIT_FAILURE);
}

/* The line on which scripts wait, and from which they take the port. */
static void net_say_listening(int fd)
{
	struct net_address own = {.size = sizeof own.storage};
	char host[64];
	char port[16];

	getsockname(fd, (struct sockaddr *)&own.storage, &own.size);
	getnameinfo((struct sockaddr *)&own.storage, own.size, host, sizeof host, port, sizeof port,
		NI_NUMERICHOST | NI_NUMERICSERV);
	printf("[O] The server is now listening from %s:%s(protocol: tcp)\n", host, port);
	fflush(stdout);
}

int net_listen(const char *program, const char *text)
{
	struct net_address address;
	int fd;

	if (!net_parse_address(text, &address)) {
		fprintf(stderr, "%s: '%s' is no address; use a number, as 127.0.0.1:7777\n", program, text);
		exit(2);
	}
	fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		net_die(program, "no socket for", text);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(fd, (const struct sockaddr *)&address.storage, address.size) != 0 || listen(fd, NET_BACKLOG) != 0)
		net_die(program, "cannot listen at", text);
	net_say_listening(fd);
	return fd;
}

int net_send_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -errno;
		bytes += sent;
		size -= (size_t)sent;
	}
	return 0;
}

size_t net_raise_descriptor_limit(void)
{
	struct rlimit limit = {0};

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return (size_t)limit.rlim_cur;
}

uint64_t net_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}
