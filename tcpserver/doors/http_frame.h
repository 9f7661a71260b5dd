/*
 * Finds where a request of HTTP/1 begins and ends in a stream of bytes, and refuses what two readers could understand in two
 * ways: the ground of request smuggling. What it lets through, libmicrohttpd (http_engine) parses.
 *
 *         struct http_frame frame;
 *
 *         http_frame_init(&frame, limit);
 *         while (size > 0 && frame.state is HTTP_FRAME_HEADER or HTTP_FRAME_BODY)
 *                 taken = http_frame_take(&frame, bytes, size), ...
 *
 * It does no input or output.
 *
 * Threads: one at a time.
 * Source: RFC 9112, 2.2 (line ends), 3 (request line), 5 (fields), 6 (length of the body), 7.1 (chunks).
 */
#ifndef TCPSERVER_DOORS_HTTP_FRAME_H
#define TCPSERVER_DOORS_HTTP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HTTP_HEADER_SIZE_MAX = 16 * 1024, /* bytes of a request line and its fields, blank line included        */
	HTTP_FIELDS_MAX = 100,            /* fields in a header                                                 */
	HTTP_CHUNK_LINE_MAX = 256,        /* bytes of the line before a chunk                                   */
	HTTP_TRAILER_SIZE_MAX = 4 * 1024, /* bytes of fields behind the last chunk                              */
};

enum http_frame_state {
	HTTP_FRAME_HEADER, /* the header is not complete: 'header' has what there is of it     */
	HTTP_FRAME_BODY,   /* it is; more bytes belong to the body                             */
	HTTP_FRAME_WHOLE,  /* the request is complete                                          */
	HTTP_FRAME_WRONG,  /* refuse it with 'status' and 'wrong', and close: nobody knows what follows */
};

/* Where in a chunked body the next byte stands. */
enum http_chunk_state {
	HTTP_CHUNK_SIZE,
	HTTP_CHUNK_EXTENSION,
	HTTP_CHUNK_SIZE_LF,
	HTTP_CHUNK_DATA,
	HTTP_CHUNK_DATA_CR,
	HTTP_CHUNK_DATA_LF,
	HTTP_CHUNK_TRAILER,    /* at the start of a line */
	HTTP_CHUNK_NAME,       /* inside of one          */
	HTTP_CHUNK_FIELD,      /* behind its colon       */
	HTTP_CHUNK_FIELD_LF,
	HTTP_CHUNK_LAST_LF,
};

struct http_frame {
	enum http_frame_state state;
	size_t body_limit;
	char *header; /* of 'header_size' bytes */
	size_t header_size;
	size_t header_capacity;
	bool is_chunked;
	uint64_t left;      /* bytes of the body, or of the chunk */
	uint64_t body_size; /* bytes of data in chunks so far     */
	enum http_chunk_state chunk;
	size_t digits;      /* of the size of a chunk             */
	size_t line_size;   /* of what is not data in chunks      */
	int status;         /* of the answer: 400, 413, 431, 500, 501, 505 */
	const char *wrong;
};

/* A body may have 'body_limit' bytes. */
void http_frame_init(struct http_frame *frame, size_t body_limit);
/* Makes it ready for the next request. */
void http_frame_reset(struct http_frame *frame);
void http_frame_fini(struct http_frame *frame);
/* Takes bytes up to the end of the header, or of the body, whichever comes next. Returns how many. */
size_t http_frame_take(struct http_frame *frame, const char *bytes, size_t size);
/* Whether something of a request has come. */
bool http_frame_has_begun(const struct http_frame *frame);

#endif
