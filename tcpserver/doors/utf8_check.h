/*
 * Looks whether bytes that come in pieces are UTF-8, and says so at the first byte that cannot be.
 *
 *         struct utf8_check check = {.rest = 0};
 *
 *         while (more)
 *                 if (!utf8_check_feed(&check, bytes, size)) ...
 *         if (!utf8_check_is_whole(&check)) ...
 *
 * Threads: one at a time.
 * Source: Unicode 15, 3.9, table 3-7 (well-formed sequences); RFC 6455, 8.1 (fail at once).
 */
#ifndef TCPSERVER_DOORS_UTF8_CHECK_H
#define TCPSERVER_DOORS_UTF8_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/* All zero at the start of a text. */
struct utf8_check {
	unsigned char rest; /* bytes of the character at hand that are still to come */
	unsigned char low;  /* what the next of these is at least,                   */
	unsigned char high; /* and at most                                           */
};

/* Whether the text goes on well with these bytes. */
bool utf8_check_feed(struct utf8_check *check, const char *bytes, size_t size);
/* Whether it may end here. */
bool utf8_check_is_whole(const struct utf8_check *check);

#endif
