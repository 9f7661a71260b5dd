/*
 * libmicrohttpd as an engine: bytes of a client go in, requests come out at a handler, bytes of replies come back. It never
 * sees the client's socket: its connection is one end of a socket pair, and the engine holds the other.
 *
 *         struct http_engine *engine = http_engine_create(&options);
 *
 *         while (engine->state == HTTP_ENGINE_LISTENS && size > 0) {
 *                 size_t taken = http_engine_feed(engine, bytes, size);
 *                 ...
 *                 while ((length = http_engine_drain(engine, out, sizeof out)) > 0)
 *                         send(...);
 *         }
 *
 * Nothing behind a request is given to libmicrohttpd before its reply is complete, so that a handler can take over the
 * connection with all bytes that follow. It has three descriptors of its own from the end of a header on, and until
 * http_engine_rest().
 *
 * Threads: one at a time; the handler is called by http_engine_feed() and http_engine_drain().
 */
#ifndef TCPSERVER_DOORS_HTTP_ENGINE_H
#define TCPSERVER_DOORS_HTTP_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"
#include "tcpserver/doors/http_frame.h"

struct MHD_Daemon;
struct http_reply;
struct http_request;

struct http_engine_options {
	size_t body_limit; /* bytes */
	/* Fills the reply, which is empty and belongs to the engine. */
	void (*handle)(void *context, struct http_request *request, struct http_reply *reply);
	void *context;
};

enum http_engine_state {
	HTTP_ENGINE_LISTENS, /* to more bytes                                                                        */
	HTTP_ENGINE_REPLIES, /* and takes no bytes before http_engine_drain() has returned 0                         */
	HTTP_ENGINE_CLOSES,  /* everything is said; also for a connection that the client wants closed                */
	HTTP_ENGINE_REFUSES, /* the request is wrong: 'frame' says how to answer, then close                           */
	HTTP_ENGINE_YIELDS,  /* the handler has taken over                                                             */
	HTTP_ENGINE_FAILED,  /* no memory, no descriptor, or libmicrohttpd has understood something else than expected */
};

struct http_engine {
	struct http_engine_options options;
	enum http_engine_state state;
	struct http_frame frame;
	struct MHD_Daemon *daemon; /* NULL while it rests                        */
	int wire;                  /* our end of the socket pair, or -1          */
	bool header_is_read;       /* libmicrohttpd has come to the body         */
	bool replied;              /* the reply of this request is complete      */
	size_t drained;            /* bytes of it                                */
};

/* NULL without memory. */
struct http_engine *http_engine_create(const struct http_engine_options *options) MUST_CHECK;
void http_engine_destroy(struct http_engine *engine);
/* Takes bytes of one request at most. Returns how many: 0 only in another state than HTTP_ENGINE_LISTENS. */
size_t http_engine_feed(struct http_engine *engine, const char *bytes, size_t size) MUST_CHECK;
/* Writes bytes for the client to 'out'. Returns how many; 0: there are none now. */
size_t http_engine_drain(struct http_engine *engine, char *out, size_t size) MUST_CHECK;
/* Whether a request has begun and is not complete. */
bool http_engine_is_fed(const struct http_engine *engine);
/* Between requests: gives back memory and descriptors until the next one. */
void http_engine_rest(struct http_engine *engine);

#endif
