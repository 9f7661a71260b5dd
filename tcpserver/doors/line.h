/*
 * The line door: text in lines, for tcpclient, telnet, nc and scripts. docs/PROTOCOL.md says it all.
 */
#ifndef TCPSERVER_DOORS_LINE_H
#define TCPSERVER_DOORS_LINE_H

#include "tcpserver/core/door.h"
#include "tcpserver/core/room_log.h"

extern const struct door line_door;
extern const struct format line_format;

/* Holds the conversation, also of the clients that have begun events; see struct door. */
void line_serve(struct session *session);
void line_turn_away(int socket, const char *why);

#endif
