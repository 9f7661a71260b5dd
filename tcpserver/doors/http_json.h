/*
 * Bodies of requests in JSON.
 *
 * Threads: the client's own.
 * Source: RFC 8259 (JSON).
 */
#ifndef TCPSERVER_DOORS_HTTP_JSON_H
#define TCPSERVER_DOORS_HTTP_JSON_H

#include <jansson.h>
#include <stdbool.h>

struct http_call;

enum { HTTP_JSON_DEPTH_MAX = 8 }; /* brackets in brackets; the parser calls itself for each, on a small stack */

/* Whether the body is in JSON, as the field Content-Type tells. */
bool http_json_is_told(const struct http_call *call);
/* The object in the body, which the caller gives back with json_decref(); no text in it has a NUL. NULL: the reply says why. */
json_t *http_json_read(struct http_call *call);

#endif
