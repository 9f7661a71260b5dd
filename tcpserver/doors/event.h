/*
 * Event mode: the line door after /events. Each line from the server is one JSON object (docs/events.schema.json); lines
 * from the client are text and commands as before, or requests, which are JSON objects, too.
 *
 * Source: RFC 8259 (JSON).
 */
#ifndef TCPSERVER_DOORS_EVENT_H
#define TCPSERVER_DOORS_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/room_log.h"

struct message;

extern const struct door event_door;
extern const struct format event_format;

/* Writes the object of a message, without an end of line, to 'out' if it fits in 'size' bytes. Returns its size in any case.
 * Threads: any. */
size_t event_write(const struct message *message, bool history, char *out, size_t size);
/* The same of what is told to a client that asked for short events: of a message that somebody says only 'seq', 'participant'
 * and 'text' (and 'history'); others are whole. */
size_t event_write_short(const struct message *message, bool history, char *out, size_t size);
/* The same for what is told to one client. */
size_t event_write_telling(const struct telling *telling, char *out, size_t size);

/* Does what a request asks; an answer, or an error, has its id. 'line' may hold any bytes. Threads: the client's. */
void event_request(struct session *session, const char *line, size_t size);

#endif
