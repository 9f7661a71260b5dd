#include "common/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NOTSENT_MOST = 128 * 1024 }; /* bytes a socket takes ahead of what the peer's window allows */

static bool is_port(const char *text)
{
	char *end;
	long number;

	if (text[0] < '0' || text[0] > '9' || strlen(text) >= NET_PORT_SIZE)
		return false;
	number = strtol(text, &end, 10);
	return *end == '\0' && number <= 65535;
}

static bool copy_host(const char *text, size_t size, char host[NET_HOST_SIZE])
{
	if (size >= NET_HOST_SIZE)
		return false;
	memcpy(host, text, size);
	host[size] = '\0';
	return true;
}

/* Whether 'text' is an IPv6 address, perhaps with a scope, as in "fe80::1%eth0". */
static bool is_ipv6(const char *text, size_t size)
{
	char address[INET6_ADDRSTRLEN];
	const char *scope = memchr(text, '%', size);
	size_t address_size = scope == NULL ? size : (size_t)(scope - text);
	struct in6_addr unused;

	if (address_size >= sizeof address)
		return false;
	memcpy(address, text, address_size);
	address[address_size] = '\0';
	return inet_pton(AF_INET6, address, &unused) == 1;
}

/* Finds where the host ends; returns what follows it ("" or ":PORT"), or NULL when the brackets do not match. */
static const char *split_host(const char *text, const char **host, size_t *host_size)
{
	const char *colon = strchr(text, ':');
	const char *end;

	if (text[0] == '[') {
		end = strchr(text, ']');
		*host = text + 1;
		*host_size = end == NULL ? 0 : (size_t)(end - text - 1);
		return end == NULL ? NULL : end + 1;
	}
	if (colon != NULL && strchr(colon + 1, ':') != NULL) /* two colons: a bare IPv6 address */
		colon = NULL;
	*host = text;
	*host_size = colon == NULL ? strlen(text) : (size_t)(colon - text);
	return text + *host_size;
}

bool net_place_parse(const char *text, const char *host, const char *port, struct net_place *place)
{
	struct net_place result;
	const char *start;
	size_t size;
	const char *rest = split_host(text, &start, &size);

	if (rest == NULL || (rest[0] != '\0' && rest[0] != ':'))
		return false;
	if (rest[0] == ':')
		port = rest + 1;
	if (port == NULL || !is_port(port))
		return false;
	if ((text[0] == '[' || memchr(start, ':', size) != NULL) && !is_ipv6(start, size))
		return false;
	if (size == 0) {
		start = host;
		size = strlen(host);
	}
	if (!copy_host(start, size, result.host))
		return false;
	(void)snprintf(result.port, sizeof result.port, "%s", port);
	*place = result;
	return true;
}

static int resolve(const struct net_place *place, int flags, struct addrinfo **found)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
	const char *host = place->host[0] == '\0' ? NULL : place->host;
	int error = getaddrinfo(host, place->port, &hints, found);

	if (error == 0)
		return 0;
	if (error == EAI_SYSTEM)
		return -errno;
	return error == EAI_MEMORY ? -ENOMEM : -EHOSTUNREACH;
}

static int listen_at(int family, const struct sockaddr *address, socklen_t size)
{
	int on = 1;
	int off = 0;
	int error;
	int listener = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (listener < 0)
		return -errno;
	if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
		goto fail;
	if (family == AF_INET6 && setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0)
		goto fail;
	if (bind(listener, address, size) != 0 || listen(listener, SOMAXCONN) != 0)
		goto fail;
	return listener;

fail:
	error = -errno;
	(void)close(listener);
	return error;
}

/* Any address of this machine: IPv6, which takes IPv4 along, or IPv4 where there is no IPv6. */
static int listen_everywhere(const struct net_place *place)
{
	in_port_t port = htons((in_port_t)atoi(place->port)); /* is_port() has looked at it */
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = in6addr_any};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = port};
	int listener = listen_at(AF_INET6, (const struct sockaddr *)&six, sizeof six);

	if (listener == -EAFNOSUPPORT || listener == -EADDRNOTAVAIL)
		listener = listen_at(AF_INET, (const struct sockaddr *)&four, sizeof four);
	return listener;
}

int net_listen(const struct net_place *place)
{
	struct addrinfo *found;
	int listener;

	if (place->host[0] == '\0' || strcmp(place->host, "::") == 0)
		return listen_everywhere(place);
	listener = resolve(place, AI_PASSIVE, &found);
	if (listener != 0)
		return listener == -EHOSTUNREACH ? -EADDRNOTAVAIL : listener;
	listener = listen_at(found->ai_family, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return listener;
}

/* Waits until a connection that was begun is made. Returns 0, or -errno. */
static int await_connection(int connection, int timeout_ms)
{
	struct pollfd polled = {.fd = connection, .events = POLLOUT};
	long long deadline = clock_ms() + timeout_ms;
	long long left = timeout_ms;
	int error = 0;
	socklen_t size = sizeof error;

	while (poll(&polled, 1, (int)left) <= 0) { /* EINTR, or too late */
		left = deadline - clock_ms();
		if (left <= 0)
			return -ETIMEDOUT;
	}
	return getsockopt(connection, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? -error : -errno;
}

static int set_blocking(int connection)
{
	int flags = fcntl(connection, F_GETFL);

	return flags < 0 || fcntl(connection, F_SETFL, flags & ~O_NONBLOCK) != 0 ? -errno : 0;
}

static int connect_to(const struct addrinfo *address, int timeout_ms)
{
	int error = 0;
	int connection = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (connection < 0)
		return -errno;
	if (connect(connection, address->ai_addr, address->ai_addrlen) != 0)
		error = errno == EINPROGRESS || errno == EINTR ? await_connection(connection, timeout_ms) : -errno;
	if (error == 0)
		error = set_blocking(connection);
	if (error == 0)
		return connection;
	(void)close(connection);
	return error;
}

int net_connect(const struct net_place *place, int timeout_ms)
{
	struct addrinfo *found;
	int connection = resolve(place, 0, &found);

	if (connection != 0)
		return connection;
	for (const struct addrinfo *address = found; address != NULL; address = address->ai_next) {
		connection = connect_to(address, timeout_ms);
		if (connection >= 0)
			break;
	}
	freeaddrinfo(found);
	return connection;
}

static void set_number(int socket, int level, int name, int value)
{
	(void)setsockopt(socket, level, name, &value, sizeof value); /* without it the chat works, only less well */
}

void net_tune(int socket, int dead_after_s)
{
	int interval = dead_after_s / 6 > 0 ? dead_after_s / 6 : 1;

	set_number(socket, IPPROTO_TCP, TCP_NODELAY, 1);
	/* Otherwise the kernel hides megabytes of lag. */
	set_number(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_MOST);
	set_number(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_number(socket, IPPROTO_TCP, TCP_KEEPIDLE, dead_after_s / 2 > 0 ? dead_after_s / 2 : 1);
	set_number(socket, IPPROTO_TCP, TCP_KEEPINTVL, interval);
	set_number(socket, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

bool net_peer_is_dead(int socket, int dead_after_s)
{
	struct tcp_info info;
	socklen_t size = sizeof info;

	if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
		return false; /* not TCP */
	return info.tcpi_unacked > 0 && info.tcpi_retransmits > 0 &&
		info.tcpi_last_ack_recv / 1000 >= (unsigned)dead_after_s * 2 / 3;
}

static void format_address(const struct sockaddr_storage *address, char text[NET_ADDRESS_SIZE])
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
	char host[INET6_ADDRSTRLEN];

	if (address->ss_family == AF_INET) {
		(void)inet_ntop(AF_INET, &four->sin_addr, host, sizeof host); /* fits: cannot fail */
		(void)snprintf(text, NET_ADDRESS_SIZE, "%s:%u", host, ntohs(four->sin_port));
	} else if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
		(void)inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], host, sizeof host);
		(void)snprintf(text, NET_ADDRESS_SIZE, "%s:%u", host, ntohs(six->sin6_port));
	} else if (address->ss_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
		(void)snprintf(text, NET_ADDRESS_SIZE, "[%s]:%u", host, ntohs(six->sin6_port));
	} else {
		(void)snprintf(text, NET_ADDRESS_SIZE, "unknown");
	}
}

void net_own_address(int socket, char text[NET_ADDRESS_SIZE])
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t size = sizeof address;

	(void)getsockname(socket, (struct sockaddr *)&address, &size); /* AF_UNSPEC stays when it fails */
	format_address(&address, text);
}

void net_peer_address(int socket, char text[NET_ADDRESS_SIZE])
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t size = sizeof address;

	(void)getpeername(socket, (struct sockaddr *)&address, &size); /* AF_UNSPEC stays when it fails */
	format_address(&address, text);
}
