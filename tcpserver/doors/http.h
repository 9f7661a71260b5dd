/*
 * The HTTP door: browsers, curl, scripts. HTTP/1.1 and 1.0; rooms as resources, streams, and the way to WebSockets.
 * docs/PROTOCOL.md says it all.
 *
 * Source: RFC 9110, RFC 9112; WHATWG Fetch (CORS).
 */
#ifndef TCPSERVER_DOORS_HTTP_H
#define TCPSERVER_DOORS_HTTP_H

#include "tcpserver/core/door.h"

extern const struct door http_door;

#endif
