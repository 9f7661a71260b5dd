/*
 * tcpchat.v1.Chat/Talk as a carrier (carrier.h): what goes over it is event mode, so it is all that a tcpchat server can do.
 *
 * When the room that was picked is closed, and there is no other one to go on in, it is over: who came to a room by its id
 * has no business in the lobby.
 *
 * Threads: see carrier.h.
 */
#ifndef TCPCLIENT_GRPC_TALK_H
#define TCPCLIENT_GRPC_TALK_H

#include "tcpclient/carrier.h"

#define GRPC_TALK_PATH "/tcpchat.v1.Chat/Talk"

/* Where to talk; borrowed as long as the carrier is used. */
struct grpc_talk {
	const char *authority; /* the server, as in "localhost:7777" */
	const char *room;      /* what people call it                */
};

struct carrier grpc_talk_carrier(const struct grpc_talk *talk);

#endif
