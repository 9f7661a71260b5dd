/*
 * Event mode: the line door after /events. Each line from the server is one JSON object (docs/events.schema.json); lines
 * from the client are text and commands as before, or requests, which are JSON objects, too.
 *
 * Source: RFC 8259 (JSON).
 */
#ifndef TCPSERVER_DOORS_EVENT_H
#define TCPSERVER_DOORS_EVENT_H

#include <stddef.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/room_log.h"

extern const struct door event_door;
extern const struct format event_format;

/* Does what a request asks; an answer, or an error, has its id. 'line' may hold any bytes. Threads: the client's. */
void event_request(struct session *session, const char *line, size_t size);

#endif
