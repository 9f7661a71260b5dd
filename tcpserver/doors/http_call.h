/*
 * One request in hand, and what handles it: a function for each method and path, in the table of http_route.c.
 *
 * Threads: the client's own.
 */
#ifndef TCPSERVER_DOORS_HTTP_CALL_H
#define TCPSERVER_DOORS_HTTP_CALL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"
#include "common/text.h"
#include "tcpserver/doors/credentials.h"
#include "tcpserver/doors/http_message.h"

struct room;
struct session;

enum { HTTP_CAPTURES_MAX = 2 };

/* What becomes of a connection that is not HTTP any more. */
struct http_takeover {
	/* Holds the conversation until the session has ended; 'early' are the bytes that came behind the request, 'head' is the
	 * header of the reply. Frees 'context'. */
	void (*run)(struct session *session, const struct http_takeover *takeover, const char *early, size_t early_size);
	void *context;
	char *head;
	size_t head_size;
};

/* Where a web page comes from that sends a request. */
enum http_origin {
	HTTP_ORIGIN_NONE,    /* no page, or an old browser              */
	HTTP_ORIGIN_SAME,    /* from this server                        */
	HTTP_ORIGIN_ALLOWED, /* --allow-origin                          */
	HTTP_ORIGIN_FOREIGN,
};

struct http_call {
	struct session *session;
	const struct http_request *request;
	struct http_reply *reply;
	const char *captures[HTTP_CAPTURES_MAX]; /* what stands for each '*' of the path */
	enum http_origin origin;
	struct http_takeover takeover; /* its head is filled in by the door; 'reply' is that head then */
};

struct http_route {
	const char *method;
	const char *path; /* as "/rooms/" and "*" and "/messages"; a part "*" is any one */
	void (*handle)(struct http_call *call);
};

/*
 * Finds what handles the request; HEAD is handled as GET. NULL: nothing does; 'allowed' lists the methods that the path has,
 * "" if it has none.
 */
enum { HTTP_ALLOWED_SIZE = 64 };
const struct http_route *http_route_find(
	const struct http_request *request, const char *captures[HTTP_CAPTURES_MAX], char allowed[HTTP_ALLOWED_SIZE]) MUST_CHECK;

/* ---- What several handlers need. ---- */

/* A parameter of the query that is a number, or 'other' without it. Returns false when it is none: the reply says so then. */
bool http_call_number(struct http_call *call, const char *name, uint64_t other, uint64_t *number) MUST_CHECK;
/* The room of that name or id, with a reference that http_call_leave_room() gives back; NULL: the reply says why. */
struct room *http_call_room(struct http_call *call, const char *name) MUST_CHECK;
/* As above; it is made if there is none and anybody may. */
struct room *http_call_find_or_make_room(struct http_call *call, const char *name) MUST_CHECK;
/* Gives the reference back: rooms_give_back(). */
void http_call_leave_room(struct http_call *call, struct room *room);
/* Makes a room of that name. NULL: the reply says why. */
struct room *http_call_make_room(struct http_call *call, const char *name) MUST_CHECK;
/* Whether the request asks for a WebSocket as it has to; if not, the reply says what is wrong. */
bool http_call_is_upgrade(struct http_call *call) MUST_CHECK;

/* ---- Who asks (http_basic.c). ---- */

enum { HTTP_SECRET_SIZE = CREDENTIALS_SIZE };

/* The user name and password of "Authorization: Basic". Returns false without them. */
bool http_basic_read(
	const struct http_request *request, char user[HTTP_SECRET_SIZE], char password[HTTP_SECRET_SIZE]) MUST_CHECK;
/* The number of 128 bits, 32 hex digits, by which a client knows itself again: the field Chat-Session. Returns false, with
 * 'id' all zero, without one. */
bool http_session_id(const struct http_request *request, unsigned char *id) MUST_CHECK;

/* ---- Handlers. ---- */

void http_chat_create(struct http_call *call);
void http_chat_join(struct http_call *call);
void http_ping(struct http_call *call);
void http_root(struct http_call *call);
void http_page(struct http_call *call);
void http_room_page(struct http_call *call);
void http_rooms_list(struct http_call *call);
void http_rooms_create(struct http_call *call);
void http_room_show(struct http_call *call);
void http_room_delete(struct http_call *call);
void http_messages_list(struct http_call *call);
void http_messages_post(struct http_call *call);
void http_room_stream(struct http_call *call);
void http_metrics(struct http_call *call);
void http_livez(struct http_call *call);
void http_readyz(struct http_call *call);
void http_version(struct http_call *call);
void http_openapi(struct http_call *call);

#endif
