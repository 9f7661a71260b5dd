/*
 * Sockets and time, as the load programs need them.
 *
 * Threads: any; there is no state.
 */
#ifndef TCPCHAT_LOAD_NET_H
#define TCPCHAT_LOAD_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct net_address {
	struct sockaddr_storage storage;
	socklen_t size;
};

/* Reads "HOST:PORT" or "[HOST]:PORT", numbers or "localhost" only. False when it is none of these. */
bool net_parse_address(const char *text, struct net_address *address);

/* Whether the address is one of this machine's own. */
bool net_is_loopback(const struct net_address *address);

/* Connects; sends and connects give up after 'timeout_ms'. Returns a descriptor or -errno. */
int net_connect(const struct net_address *address, int timeout_ms);

/* Listens at 'text' and says so on stdout in the words of the server. Returns a descriptor, or ends the program. */
int net_listen(const char *program, const char *text);

/* Sends all of it, waiting where it must. Returns 0 or -errno. */
int net_send_all(int fd, const char *bytes, size_t size);

/* Raises the limit of open descriptors to the hard limit, and returns it. */
size_t net_raise_descriptor_limit(void);

/* The monotonic clock. */
uint64_t net_now_ns(void);

#endif
