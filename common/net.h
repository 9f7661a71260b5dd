/*
 * Addresses and sockets, as far as both ends of the wire need them.
 *
 * Threads: any; net_listen() and net_connect() may block (name look-up, connecting), the rest does not.
 */
#ifndef COMMON_NET_H
#define COMMON_NET_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"

enum {
	NET_HOST_SIZE = 256,
	NET_PORT_SIZE = 6,
	NET_ADDRESS_SIZE = 72, /* "[" IPv6 with scope "]:65535" and a NUL */
};

/* Where to listen or to connect: a host name or address without brackets ("" is any), and a port number. */
struct net_place {
	char host[NET_HOST_SIZE];
	char port[NET_PORT_SIZE];
};

/*
 * Reads "HOST:PORT", "HOST", ":PORT", "[IPV6]:PORT", "[IPV6]" or a bare IPv6 address. What is left out comes from
 * 'host' and 'port'; with 'port' NULL a port has to be given. Returns whether 'text' is of that form, with a port of
 * 0 to 65535.
 */
bool net_place_parse(const char *text, const char *host, const char *port, struct net_place *place) MUST_CHECK;

/*
 * Opens a listening socket, non-blocking and close-on-exec. "" and "::" take IPv4 connections too; where the machine
 * has no IPv6 they listen on IPv4 alone. Returns the socket, or -errno; -EADDRNOTAVAIL when no such address exists here.
 */
int net_listen(const struct net_place *place) MUST_CHECK;

/*
 * Connects to the first of the host's addresses that answers, and waits for each of them 'timeout_ms' at most. Returns the
 * socket (blocking), or -errno of the last one; -ETIMEDOUT when it did not answer, -EHOSTUNREACH when the host's name is
 * not known.
 */
int net_connect(const struct net_place *place, int timeout_ms) MUST_CHECK;

/*
 * Makes a connection fit for chat: no delay for small packets, and probes that notice within 'dead_after_s' seconds that
 * the peer of an idle connection is gone.
 */
void net_tune(int socket, int dead_after_s);

/*
 * Whether the peer has not answered for 'dead_after_s' seconds although something was sent to it. A peer that only does
 * not read answers the probes of its full window, so it does not count as dead.
 */
bool net_peer_is_dead(int socket, int dead_after_s);

/* Writes the address of the socket's own end, or of its peer, as "127.0.0.1:7777" or "[::1]:7777"; "unknown" when there
 * is none. IPv4 addresses inside IPv6 are shown as IPv4. */
void net_own_address(int socket, char text[NET_ADDRESS_SIZE]);
void net_peer_address(int socket, char text[NET_ADDRESS_SIZE]);

#endif
