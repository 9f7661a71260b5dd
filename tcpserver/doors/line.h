/*
 * The line door: text in lines, for tcpclient, telnet, nc and scripts. docs/PROTOCOL.md says it all.
 */
#ifndef TCPSERVER_DOORS_LINE_H
#define TCPSERVER_DOORS_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/room_log.h"

struct message;

extern const struct door line_door;
extern const struct format line_format;

/* Writes a message as people read it, without an end of line, to 'out' if it fits in 'size' bytes; 'history' puts its time
 * before it. Returns its size in any case. */
size_t line_write(const struct message *message, bool history, char *out, size_t size);

/* Holds the conversation, also of the clients that have begun events; see struct door. */
void line_serve(struct session *session);
void line_turn_away(int socket, const char *why);

#endif
