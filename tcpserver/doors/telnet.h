/*
 * Takes telnet commands out of a stream of bytes, and refuses each option that the peer proposes.
 *
 * It does no input or output; commands may be split over any number of calls. A byte 0xFF that no telnet command follows
 * stays in the text: not everything that sends one is a telnet.
 *
 * Threads: one at a time.
 * Source: RFC 854 (commands, refusing), RFC 855 (subnegotiation).
 */
#ifndef TCPSERVER_DOORS_TELNET_H
#define TCPSERVER_DOORS_TELNET_H

#include <stddef.h>

enum {
	TELNET_REPLY_SIZE = 3,
	TELNET_SUBNEGOTIATION_MAX = 512, /* bytes; after them it counts as ended */
};

enum telnet_state {
	TELNET_TEXT,
	TELNET_IAC,               /* after 0xFF                              */
	TELNET_OPTION,            /* after WILL, WONT, DO, DONT               */
	TELNET_SUBNEGOTIATION,    /* after SB                                 */
	TELNET_SUBNEGOTIATION_IAC /* after 0xFF in it                         */
};

struct telnet {
	enum telnet_state state;
	unsigned char command;
	size_t subnegotiation_size;
};

/* The room that telnet_filter() needs for what is left of 'size' bytes: a 0xFF may have been held back. */
#define TELNET_TEXT_SIZE(size) ((size_t)(size) + 1)
/* The room that it needs for the replies. */
#define TELNET_REPLIES_SIZE(size) ((size_t)(size) + TELNET_REPLY_SIZE)

/* Writes the text in 'bytes' to 'text' and returns its size; what is to be sent back goes to 'replies'. */
size_t telnet_filter(struct telnet *telnet, const char *bytes, size_t size, char *text, char *replies,
	size_t *replies_size);

/* Whether the bytes need filtering at all; nearly none do. */
int telnet_concerns(const struct telnet *telnet, const char *bytes, size_t size);

#endif
