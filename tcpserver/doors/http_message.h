/*
 * A request of HTTP as a handler sees it, and the reply that it makes.
 *
 * Threads: the client's own.
 * Source: RFC 9110; RFC 3986, 2.1 (percent-encoding).
 */
#ifndef TCPSERVER_DOORS_HTTP_MESSAGE_H
#define TCPSERVER_DOORS_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/sync.h"

struct MHD_Connection;
struct json_writer;

enum {
	HTTP_SEGMENTS_MAX = 8, /* of a path                     */
	HTTP_QUERY_MAX = 16,   /* parameters that are looked at */
	HTTP_FIELDS_MOST = 20, /* in the header of a reply      */
};

struct http_parameter {
	const char *name;
	const char *value;
};

/* Constant for the handler, and valid as long as it runs. Texts are ended by NUL, but for the
 * body. */
struct http_request {
	const char *method;
	const char *target; /* as the client wrote it; may hold any printable bytes */
	const char *body;
	size_t body_size;
	bool is_old; /* HTTP/1.0 */
	struct MHD_Connection *connection; /* for http_field() */

	/* Set by http_request_split(): valid UTF-8 without control characters. */
	char *decoded; /* memory of what follows                                                       */
	const char *authority; /* of a target like http://authority/path; NULL: see the field Host */
	const char *segments[HTTP_SEGMENTS_MAX]; /* of the path, decoded: "/rooms/a%2Fb" has "rooms" and "a/b" */
	size_t segment_count;
	struct http_parameter query[HTTP_QUERY_MAX];
	size_t query_count;
};

/* Splits and decodes the target. Returns NULL, or what is wrong with it. */
const char *http_request_split(struct http_request *request) MUST_CHECK;
void http_request_fini(struct http_request *request);
/* The value of the first parameter of that name; NULL if there is none. */
const char *http_query(const struct http_request *request, const char *name);
/* The first field of that name in the header; NULL if there is none. May hold any printable bytes. */
const char *http_field(const struct http_request *request, const char *name);
/* Whether a field of that name, or several, list the word, as in "Connection: keep-alive, Upgrade". */
bool http_field_has(const struct http_request *request, const char *name, const char *word);

/* Bytes that are made while they are sent. */
struct http_source {
	/* Writes the next bytes, 1 to 'size'; 0 at the end, or -1 when that cannot be reached. */
	ssize_t (*read)(void *context, char *out, size_t size);
	/* Frees 'context'. */
	void (*close)(void *context);
	void *context;
};

struct http_reply_field {
	const char *name; /* constant */
	char *value;
};

struct http_reply {
	unsigned status;
	char *body; /* the reply's own, freed with it, unless it is constant */
	const char *constant_body;
	size_t body_size;
	struct http_source source; /* in place of a body, if it can read */
	struct http_reply_field fields[HTTP_FIELDS_MOST];
	size_t field_count;
	bool closes;     /* the connection */
	bool takes_over; /* there is no reply: the handler has other plans with the connection */
};

/* Adds a field to the header. What is not printable would be a way to add another one: it is left out. Without memory the
 * field is missing. */
void http_reply_add(struct http_reply *reply, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);
/* The reply is this, in place of what it was, its fields too; 'body' is the reply's own from now on, NULL: no memory. */
void http_reply_give(struct http_reply *reply, unsigned status, const char *type, char *body, size_t size);
/* The same with what stays as it is. */
void http_reply_show(struct http_reply *reply, unsigned status, const char *type, const char *body, size_t size);
/* {"error":{"code":"...","text":"..."}}; 'format' says what, why, and what to do. */
void http_reply_error(struct http_reply *reply, unsigned status, const char *code, const char *format, ...) PRINTF_LIKE(4, 5);
/* A JSON object and a line end; 'write' is called twice, to count and to write, and has to write the same. */
void http_reply_json(struct http_reply *reply, unsigned status,
	void (*write)(struct json_writer *json, const void *context), const void *context);
/* Pieces that are made while they are sent. 'next' returns one in new memory, of one byte or more, and its size; NULL at the
 * end, with a size that is not 0 when the end cannot be reached. Takes 'context', which 'close' frees. */
void http_reply_pieces(struct http_reply *reply, unsigned status, const char *type,
	char *(*next)(void *context, size_t *size), void (*close)(void *context), void *context);
void http_reply_fini(struct http_reply *reply);

/* The bytes of the reply without libmicrohttpd's help, in new memory: for one after which the connection is closed, or not
 * HTTP any more. NULL without memory. */
char *http_reply_print(const struct http_reply *reply, bool with_body, size_t *size) MUST_CHECK;
const char *http_reason(unsigned status);

/* Reads a whole number from 0 on, of decimal digits alone. Returns whether it is one. */
bool http_number(const char *text, uint64_t *number) MUST_CHECK;

#endif
