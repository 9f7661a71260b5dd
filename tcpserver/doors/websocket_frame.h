/*
 * WebSocket frames: the heads of those that the server sends, and the reader of those that a client sends.
 *
 *         websocket_reader_feed(&reader, bytes, size);
 *         while ((heard = websocket_reader_next(&reader, &payload, &payload_size)) != WEBSOCKET_HEARD_NOTHING)
 *                 ...
 *
 * It does no input or output. What breaks the rules is a fault, at the first byte that shows it as far as its frame's head
 * has come with a part of its payload, and nothing is heard after it, nor after a close frame. Between two frames a reader
 * holds no memory, but for a message of which a part has come.
 *
 * Threads: one at a time.
 * Source: RFC 6455, 5 (framing), 7.4 (close codes), 8.1 (UTF-8).
 */
#ifndef TCPSERVER_DOORS_WEBSOCKET_FRAME_H
#define TCPSERVER_DOORS_WEBSOCKET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sync.h"
#include "tcpserver/doors/utf8_check.h"

struct wslay_frame_context;

enum {
	WEBSOCKET_HEAD_SIZE_MAX = 10, /* bytes; of a frame that the server sends */
	WEBSOCKET_CONTROL_MAX = 125,  /* bytes of payload in a control frame     */
};

/* The first byte of a frame that is sent. */
enum websocket_first_byte {
	WEBSOCKET_TEXT_BEGINS = 0x01, /* the first fragment of a message */
	WEBSOCKET_TEXT_GOES_ON = 0x00,
	WEBSOCKET_TEXT_ENDS = 0x80,   /* its last one                    */
	WEBSOCKET_TEXT = 0x81,        /* a whole message                 */
	WEBSOCKET_CLOSE = 0x88,
	WEBSOCKET_PING = 0x89,
	WEBSOCKET_PONG = 0x8A,
};

/* ---- Sending. ---- */

/* The bytes before a payload of that size: 2, 4 or 10. */
size_t websocket_head_size(size_t payload_size);
/* Writes them. Returns how many. */
size_t websocket_write_head(char *out, enum websocket_first_byte first, size_t payload_size);

/* Writes something to 'out' if it fits in 'size' bytes. Returns its size in any case. */
typedef size_t websocket_writer(const void *what, char *out, size_t size);

/* Writes a text frame around what 'write' writes, in place; 'guess' is about how large that is, which saves writing it again.
 * As websocket_writer(). */
size_t websocket_write_text(websocket_writer *write, const void *what, size_t guess, char *out, size_t size);
/* The same in new memory, which the caller frees; NULL without memory. */
char *websocket_make_text(websocket_writer *write, const void *what, size_t *size) MUST_CHECK;

/* ---- Receiving. ---- */

enum websocket_heard {
	WEBSOCKET_HEARD_NOTHING, /* no whole message is left: feed again                      */
	WEBSOCKET_HEARD_TEXT,    /* a whole message                                            */
	WEBSOCKET_HEARD_PING,
	WEBSOCKET_HEARD_PONG,
	WEBSOCKET_HEARD_CLOSE,   /* 'close_code' is the client's, WEBSOCKET_CLOSE_NO_CODE if it gave none */
	WEBSOCKET_HEARD_FAULT,   /* 'close_code' says what was wrong                           */
};

struct websocket_reader {
	struct wslay_frame_context *wslay; /* NULL between frames */
	const char *next;                  /* the fed bytes not yet looked at */
	size_t next_size;
	size_t limit;                      /* the longest message allowed, bytes */
	size_t held;                       /* bytes that wslay has and has not told of yet */
	uint64_t frame_rest;               /* payload of the frame at hand that is still to come */
	unsigned char opcode;              /* of the frame at hand */
	bool in_frame;
	bool is_final;                     /* the frame at hand ends its message */
	bool in_message;                   /* a fragment came that does not end its message */
	bool message_was_read;
	bool ended;
	struct utf8_check utf8;
	char *message;                     /* what came of it; NULL: nothing, or all is in wslay's hands */
	size_t message_size;
	size_t message_capacity;
	char control[WEBSOCKET_CONTROL_MAX];
	size_t control_size;
	unsigned close_code;
};

void websocket_reader_init(struct websocket_reader *reader, size_t limit);
void websocket_reader_fini(struct websocket_reader *reader);

/* Gives bytes to read. They are borrowed until websocket_reader_next() hears nothing, and until then nothing else may be fed. */
void websocket_reader_feed(struct websocket_reader *reader, const char *bytes, size_t size);
/* Takes what is heard next. '*payload' has '*size' bytes, is not ended by NUL, and is valid until the next call. */
enum websocket_heard websocket_reader_next(struct websocket_reader *reader, const char **payload, size_t *size);

/* Whether a close frame may carry that code. */
bool websocket_close_code_is_valid(unsigned code);

#endif
