/*
 * Requests, as a tcpchat server understands them in event mode: one JSON object a line, whose "id" its answer bears.
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef TCPCLIENT_REQUEST_H
#define TCPCLIENT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/text.h"
#include "tcpclient/buffer.h"

enum {
	REQUEST_SIZE_MAX = 65535, /* of its line: as the server's --max-line            */
	REQUEST_ID_SESSION = -4,  /* the number of the request that tells our session   */
};

/*
 * Adds what a typed line asks for, with its LF. A message goes to 'room'; "" is where the server believes us to be.
 * Returns false when there is no request for it, but only the line itself: a command that we do not know.
 */
bool request_write(struct buffer *out, const char *room, const char *line, size_t size, long long id) MUST_CHECK;

/* Adds a request with one field, which may be NULL: {"op":"join","room":"tea","id":1}. */
void request_write_op(struct buffer *out, const char *op, const char *field, const char *value, long long id);

/* Adds the request that tells our session, 32 hex digits; with 'name' it is the first of a connection, and asks for no
 * history of the lobby. */
void request_write_session(struct buffer *out, const char *session, const char *name);

/* From where a room is read on; what is 0 or NULL is not told. */
struct request_reading {
	long long after;     /* the number of the message that was read last */
	const char *room_id; /* of the room where 'after' counts             */
	const char *history; /* a number, "all" or "none"                    */
};

/* Adds the request to be in a room, or to read it anew from there. */
void request_write_join(struct buffer *out, const char *room, const struct request_reading *reading, long long id);

/* Whether a line is said to people, by a request that may be sent again under its number. */
bool request_is_message(const char *line, size_t size) MUST_CHECK;

/* Whether a line is the command 'name', or one of its other names; its arguments begin at '*arguments' then. */
bool request_is(const char *line, const char *name, const char **arguments) MUST_CHECK;

/* Takes a name, which may stand in quotes, and the white space after it. Returns false when there is none. */
bool request_take_name(const char **arguments, char name[NAME_SIZE]) MUST_CHECK;

/* Whether what a line asks for is asked again after the connection was lost: messages, and to be in a room. */
bool request_is_lasting(const char *line, size_t size) MUST_CHECK;

#endif
