#include "tcpclient/news.h"

#include <stdio.h>
#include <string.h>

#include "tcpclient/carrier.h"

void news_address(const struct net_place *place, char address[NEWS_ADDRESS_SIZE])
{
	(void)snprintf(address, NEWS_ADDRESS_SIZE, strchr(place->host, ':') == NULL ? "%s:%s" : "[%s]:%s", place->host,
		place->port);
}

enum render_tone news_add(struct buffer *out, enum connection_event event, const char *address, const struct carrier *carrier,
	const char *detail)
{
	const char *protocol = carrier == NULL ? "tcp" : carrier->protocol;

	switch (event) {
	case CONNECTION_UNREACHABLE:
		buffer_add_format(out,
			"Error while connecting %s(protocol: %s): %s. Is the server running? Trying again; what you "
			"type waits.",
			address, protocol, detail);
		break;
	case CONNECTION_MADE:
		buffer_add_format(out, "Connected to %s(protocol: %s)!", detail, protocol);
		return RENDER_CALM;
	case CONNECTION_READY:
		return RENDER_CALM;
	case CONNECTION_LOST:
		buffer_add_format(
			out, "The server(%s) is gone: %s. Connecting again; what you type waits.", address, detail);
		break;
	case CONNECTION_FORGOT:
		buffer_add_format(out,
			"Your last lines (%s) may not have arrived, and this server cannot tell: send them again if "
			"they are "
			"missing.",
			detail);
		break;
	case CONNECTION_UNSENT:
		buffer_add_text(out, "(a line was too long to be sent; send it in parts)");
		break;
	case CONNECTION_SECURED:
		buffer_add_text(out, detail);
		return RENDER_CALM;
	case CONNECTION_INSECURE:
		buffer_add_text(out, detail);
		break;
	case CONNECTION_ENDED:
		buffer_add_format(out, "It is over: %s.", detail);
		break;
	case CONNECTION_CUT:
		buffer_add_text(out, "(a line from the server was too long to be shown)");
		break;
	}
	return RENDER_WARNING;
}
