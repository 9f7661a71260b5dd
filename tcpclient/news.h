/*
 * What a person is told when the connection is made, lost, or cannot be used as it should.
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef TCPCLIENT_NEWS_H
#define TCPCLIENT_NEWS_H

#include "tcpclient/buffer.h"
#include "tcpclient/connection.h"
#include "tcpclient/render.h"

enum { NEWS_ADDRESS_SIZE = NET_HOST_SIZE + NET_PORT_SIZE + 3 };

/* The address of a server as it was given, until its real one is known. */
void news_address(const struct net_place *place, char address[NEWS_ADDRESS_SIZE]);

/* Adds the sentence for an event, without a line end; nothing when there is nothing to tell. 'address' is the server's; 'carrier' is what
 * it is spoken to with, or NULL. */
enum render_tone news_add(struct buffer *out, enum connection_event event, const char *address, const struct carrier *carrier,
	const char *detail);

#endif
