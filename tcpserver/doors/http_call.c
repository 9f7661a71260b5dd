#include "tcpserver/doors/http_call.h"

#include <stdio.h>
#include <string.h>

#include "tcpserver/core/rooms.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

bool http_call_number(struct http_call *call, const char *name, uint64_t other, uint64_t *number)
{
	const char *value = http_query(call->request, name);

	*number = other;
	if (value == NULL || http_number(value, number))
		return true;
	http_reply_error(call->reply, 400, "usage", "%s has to be a whole number from 0 on", name);
	return false;
}

/* ---- Rooms. ---- */

/* There are too many rooms, or there is no memory; both may pass. */
static void refuse_for_now(struct http_call *call, enum rooms_result result)
{
	if (result != ROOMS_TOO_MANY) {
		http_reply_give(call->reply, 503, NULL, NULL, 0);
		return;
	}
	http_reply_error(call->reply, 503, "too-many-rooms", "there are %zu rooms, which is the most; see /rooms",
		call->session->talk->rooms.most);
	http_reply_add(call->reply, "Retry-After", "60");
}

static void refuse_missing(struct http_call *call, const char *name)
{
	char clean[NAME_SIZE];

	if (name_make(name, strlen(name), clean))
		http_reply_error(call->reply, 404, "no-such-room", "there is no room %s; see /rooms", clean);
	else /* what is no name is not sent back */
		http_reply_error(call->reply, 404, "no-such-room", "there is no such room; see /rooms");
}

/* The room, unless it is one of two strangers, which is nobody else's business. */
static struct room *unless_pair(struct http_call *call, const char *name, struct room *room)
{
	if (!room_attributes(room)->ends_with_member)
		return room;
	http_call_leave_room(call, room);
	refuse_missing(call, name);
	return NULL;
}

struct room *http_call_room(struct http_call *call, const char *name)
{
	struct room *room;
	enum rooms_result result = rooms_find(&call->session->talk->rooms, name, &room);

	if (result == ROOMS_DONE)
		return unless_pair(call, name, room);
	if (result == ROOMS_GONE)
		refuse_missing(call, name);
	else
		refuse_for_now(call, result);
	return NULL;
}

void http_call_leave_room(struct http_call *call, struct room *room)
{
	rooms_give_back(&call->session->talk->rooms, room);
}

static void refuse_making(struct http_call *call, const char *text, enum rooms_result result)
{
	struct http_reply *reply = call->reply;
	char name[NAME_SIZE];

	switch (result) {
	case ROOMS_BAD_NAME:
		http_reply_error(reply, 400, "bad-room-name", "a room's name has 1 to 50 letters, digits, _ - . # and single spaces"
			" inside, and is not like an id; choose another");
		break;
	case ROOMS_CLOSED:
		http_reply_error(reply, 403, "not-allowed", "nobody may make rooms here; /rooms lists those there are");
		break;
	case ROOMS_EXISTS:
		http_reply_error(reply, 409, "room-exists", "there is a room %s already; see /rooms",
			name_make(text, strlen(text), name) ? name : "of that name");
		break;
	default:
		refuse_for_now(call, result);
	}
}

/* What a room is like that the client makes; 'creator' is where its name stays. */
static struct room_attributes attributes_of(struct http_call *call, char creator[NAME_SIZE])
{
	struct room_attributes attributes = {
		.creator = creator,
		.creator_number = call->session->client.number,
		.listed = true,
	};
	char user[HTTP_SECRET_SIZE];
	char password[HTTP_SECRET_SIZE];

	creator[0] = '\0';
	if (http_basic_read(call->request, user, password))
		(void)name_make(user, strlen(user), creator); /* or it stays "" */
	(void)!http_session_id(call->request, attributes.creator_id); /* zero without one */
	return attributes;
}

struct room *http_call_make_room(struct http_call *call, const char *text)
{
	char creator[NAME_SIZE];
	struct room_attributes attributes = attributes_of(call, creator);
	struct room *room;
	enum rooms_result result = talk_make_room(call->session->talk, text, &attributes, &room);

	if (result == ROOMS_DONE)
		return room;
	refuse_making(call, text, result);
	return NULL;
}

struct room *http_call_find_or_make_room(struct http_call *call, const char *text)
{
	char creator[NAME_SIZE];
	struct room_attributes attributes = attributes_of(call, creator);
	struct room *room;
	enum rooms_result result = talk_find_room(call->session->talk, text, &attributes, &room);

	if (result == ROOMS_DONE)
		return unless_pair(call, text, room);
	if (result == ROOMS_GONE || result == ROOMS_CLOSED)
		refuse_missing(call, text);
	else
		refuse_making(call, text, result);
	return NULL;
}
