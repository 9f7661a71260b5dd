#include "tcpserver/doors/http_call.h"

#include <stdio.h>
#include <string.h>

#include "tcpserver/core/rooms.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

enum { SWEEP_MOST = 100 }; /* rooms that make place at a time */

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

struct room *http_call_room(struct http_call *call, const char *name)
{
	struct room *room = rooms_find(&call->session->talk->rooms, name);
	char clean[NAME_SIZE];

	if (room != NULL && !room_attributes(room)->ends_with_member)
		return room;
	if (room != NULL)
		http_call_leave_room(call, room); /* two strangers are nobody else's business */
	if (name_make(name, strlen(name), clean))
		http_reply_error(call->reply, 404, "no-such-room", "there is no room %s; see /rooms", clean);
	else /* what is no name is not sent back */
		http_reply_error(call->reply, 404, "no-such-room", "there is no such room; see /rooms");
	return NULL;
}

/* One that was opened for this request alone, because the journal keeps it, is closed again; one that was made in this life of
 * the server waits for those who will come. */
void http_call_leave_room(struct http_call *call, struct room *room)
{
	if (room_attributes(room)->creator_number == 0)
		rooms_forget_empty(&call->session->talk->rooms, room);
	room_release(room);
}

/* Rooms that nobody is in. */
struct sweep {
	struct room *rooms[SWEEP_MOST];
	size_t count;
};

static void sweep_take(struct room *room, size_t people, void *context)
{
	struct sweep *sweep = context;

	if (people == 0 && sweep->count < SWEEP_MOST && !room_attributes(room)->persistent)
		sweep->rooms[sweep->count++] = room_acquire(room);
}

/* There are too many rooms: some of those that nobody is in make place. What the journal keeps of them stays. Returns how
 * many. */
static size_t sweep_rooms(struct rooms *rooms)
{
	struct sweep sweep = {.count = 0};

	(void)rooms_visit(rooms, SIZE_MAX, sweep_take, &sweep);
	for (size_t i = 0; i < sweep.count; i++) {
		rooms_forget_empty(rooms, sweep.rooms[i]);
		room_release(sweep.rooms[i]);
	}
	return sweep.count;
}

static enum rooms_result create_room(struct http_call *call, const char *name, struct room **room)
{
	struct rooms *rooms = &call->session->talk->rooms;
	char user[HTTP_SECRET_SIZE];
	char password[HTTP_SECRET_SIZE];
	char creator[NAME_SIZE] = "";
	struct room_attributes attributes = {
		.name = name,
		.creator = creator,
		.creator_number = call->session->client.number,
		.listed = true,
	};
	enum rooms_result result;

	if (http_basic_read(call->request, user, password))
		(void)name_make(user, strlen(user), creator); /* or it stays "" */
	(void)!http_session_id(call->request, attributes.creator_id); /* zero without one */
	result = rooms_create(rooms, &attributes, room);
	if (result == ROOMS_TOO_MANY && sweep_rooms(rooms) > 0)
		result = rooms_create(rooms, &attributes, room);
	return result;
}

static bool is_id(const char *text)
{
	char key[NAME_KEY_SIZE];

	(void)name_key(text, key);
	return room_is_id(key);
}

/* The room of that name is there, or kept by the journal. */
static bool is_taken(struct http_call *call, const char *name)
{
	struct room *room = rooms_find(&call->session->talk->rooms, name);

	if (room != NULL)
		http_call_leave_room(call, room);
	return room != NULL;
}

struct room *http_call_make_room(struct http_call *call, const char *text)
{
	const struct talk *talk = call->session->talk;
	struct http_reply *reply = call->reply;
	char name[NAME_SIZE];
	struct room *room = NULL;
	enum rooms_result result = ROOMS_EXISTS;

	if (!name_make(text, strlen(text), name) || is_id(name)) {
		http_reply_error(reply, 400, "bad-room-name", "a room's name has 1 to 50 letters, digits, _ - . # and single spaces"
			" inside, and is not like an id; choose another");
		return NULL;
	}
	if (!talk->rooms_are_open) {
		http_reply_error(reply, 403, "not-allowed", "nobody may make rooms here; /rooms lists those there are");
		return NULL;
	}
	if (!is_taken(call, name))
		result = create_room(call, name, &room);
	if (result == ROOMS_EXISTS) {
		http_reply_error(reply, 409, "room-exists", "there is a room %s already; see /rooms", name);
	} else if (result == ROOMS_TOO_MANY) {
		http_reply_error(reply, 503, "too-many-rooms", "there are %zu rooms, which is the most; see /rooms", talk->rooms.most);
		http_reply_add(reply, "Retry-After", "60");
	} else if (result != ROOMS_DONE) {
		http_reply_give(reply, 503, NULL, NULL, 0);
	}
	return room;
}
