#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tcpchat/v1/chat.pb-c.h"
#include "tcpserver/core/rooms.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/credentials.h"
#include "tcpserver/doors/grpc_call.h"
#include "tcpserver/doors/grpc_talk.h"
#include "tcpserver/doors/room_desk.h"

/* ---- Finding one. ---- */

void grpc_refuse_room(struct session *session, struct grpc_call *call, const char *text, enum rooms_result result)
{
	char name[NAME_SIZE];
	bool is_name = name_make(text, strlen(text), name); /* what is no name is not sent back */

	switch (result) {
	case ROOMS_GONE:
		grpc_finish(session, call, GRPC_NOT_FOUND, "no-such-room: there is no room %s; see ListRooms",
			is_name ? name : "of that name");
		break;
	case ROOMS_BAD_NAME:
		grpc_finish(session, call, GRPC_INVALID_ARGUMENT,
			"bad-room-name: a room's name has 1 to 50 letters, digits, _ - . # and single"
			" spaces inside, and is not like an id; choose another");
		break;
	case ROOMS_CLOSED:
		grpc_finish(session, call, GRPC_PERMISSION_DENIED,
			"not-allowed: nobody may make rooms here; see ListRooms");
		break;
	case ROOMS_EXISTS:
		grpc_finish(session, call, GRPC_ALREADY_EXISTS, "room-exists: there is a room %s already",
			is_name ? name : "of that name");
		break;
	case ROOMS_TOO_MANY:
		grpc_finish(session, call, GRPC_RESOURCE_EXHAUSTED,
			"too-many-rooms: there are %zu rooms, which is the most", session->talk->rooms.most);
		break;
	default:
		grpc_finish(session, call, GRPC_UNAVAILABLE,
			"no-memory: the server has no memory for this now, or cannot read its journal");
	}
}

/* The room, unless it is one of two strangers, which is nobody else's business. */
struct room *grpc_unless_pair(struct session *session, struct grpc_call *call, const char *name, struct room *room)
{
	if (!room_attributes(room)->ends_with_member)
		return room;
	rooms_give_back(&session->talk->rooms, room);
	grpc_refuse_room(session, call, name, ROOMS_GONE);
	return NULL;
}

struct room *grpc_find_room(struct session *session, struct grpc_call *call, const char *name)
{
	struct room *room;
	enum rooms_result result;

	if (name[0] == '\0')
		return room_acquire(session->talk->lobby);
	result = rooms_find(&session->talk->rooms, name, &room);
	if (result == ROOMS_DONE)
		return grpc_unless_pair(session, call, name, room);
	grpc_refuse_room(session, call, name, result);
	return NULL;
}

/* ---- Showing. ---- */

static Tcpchat__V1__Room shown(struct room_view *view)
{
	Tcpchat__V1__Room room;

	tcpchat__v1__room__init(&room);
	room.id = view->id;
	room.name = view->name;
	room.topic = view->topic;
	room.people = view->people;
	room.created_at_ns = view->created_ns;
	room.last = view->last;
	return room;
}

static void show(struct session *session, struct room *room)
{
	struct room_view view = {.id = ""};
	Tcpchat__V1__Room answer;

	room_desk_view(room, rooms_people_count(&session->talk->rooms, room), &view);
	answer = shown(&view);
	grpc_reply(session, &answer.base);
}

void grpc_talk_get_room(struct session *session, struct grpc_call *call)
{
	ProtobufCMessage *request = grpc_receive_request(session, call, &tcpchat__v1__get_room_request__descriptor);
	struct room *room;

	if (request == NULL)
		return;
	room = grpc_find_room(session, call, ((Tcpchat__V1__GetRoomRequest *)request)->room);
	if (room != NULL) {
		show(session, room);
		rooms_give_back(&session->talk->rooms, room);
	}
	protobuf_c_message_free_unpacked(request, NULL);
}

/* ---- The list. ---- */

/* Returns whether there was memory. */
static bool reply_list(struct session *session, const struct room_list *list)
{
	Tcpchat__V1__ListRoomsResponse answer;
	Tcpchat__V1__Room *rooms = calloc(list->count + 1, sizeof *rooms); /* one more: there may be none */
	Tcpchat__V1__Room **places = calloc(list->count + 1, sizeof(Tcpchat__V1__Room *));
	bool had_memory = rooms != NULL && places != NULL;

	tcpchat__v1__list_rooms_response__init(&answer);
	for (size_t i = 0; had_memory && i < list->count; i++) {
		rooms[i] = shown(&list->views[i]);
		places[i] = &rooms[i];
	}
	answer.rooms = places;
	answer.n_rooms = list->count;
	answer.more = list->more;
	if (had_memory)
		grpc_reply(session, &answer.base);
	free(places);
	free(rooms);
	return had_memory;
}

static void list_rooms(struct session *session, struct grpc_call *call)
{
	struct room_list list;
	int error = room_desk_list(&session->talk->rooms, &list);

	if (error == -EIO)
		grpc_finish(session, call, GRPC_UNAVAILABLE,
			"journal-unreadable: the journal cannot be read now; try again later");
	else if (error != 0 || !reply_list(session, &list))
		grpc_finish(session, call, GRPC_UNAVAILABLE,
			"no-memory: the server has no memory for this now; try again later");
	room_desk_free(&list);
}

void grpc_talk_list_rooms(struct session *session, struct grpc_call *call)
{
	ProtobufCMessage *request = grpc_receive_request(session, call, &tcpchat__v1__list_rooms_request__descriptor);

	if (request == NULL)
		return;
	protobuf_c_message_free_unpacked(request, NULL);
	list_rooms(session, call);
}

/* ---- Making one. ---- */

/* The session id of the request, or else that of the metadata; NULL: neither is there. */
static const char *session_of(const struct grpc_call *call, const char *asked)
{
	if (asked[0] != '\0')
		return asked;
	return call->chat_session[0] == '\0' ? NULL : call->chat_session;
}

/* A room without a name; it has only its id. */
static enum rooms_result make_nameless(
	struct session *session, const struct room_attributes *attributes, struct room **room)
{
	if (!session->talk->rooms_are_open)
		return ROOMS_CLOSED;
	return rooms_create(&session->talk->rooms, attributes, room);
}

static void create_room(struct session *session, struct grpc_call *call, const Tcpchat__V1__CreateRoomRequest *request)
{
	struct room_attributes attributes = {
		.creator = "", .creator_number = session->client.number, .listed = !request->private_};
	const char *id = session_of(call, request->session);
	struct room *room = NULL;
	enum rooms_result result;

	if (!credentials_session_id(id, attributes.creator_id) && id != NULL) {
		grpc_finish(
			session, call, GRPC_INVALID_ARGUMENT, "usage: a session has 32 hex digits that are not all 0");
		return;
	}
	if (request->name[0] == '\0' && request->private_) /* a list shows names */
		result = make_nameless(session, &attributes, &room);
	else
		result = talk_make_room(session->talk, request->name, &attributes, &room);
	if (result != ROOMS_DONE) {
		grpc_refuse_room(session, call, request->name, result);
		return;
	}
	show(session, room);
	rooms_give_back(&session->talk->rooms, room);
}

void grpc_talk_create_room(struct session *session, struct grpc_call *call)
{
	ProtobufCMessage *request = grpc_receive_request(session, call, &tcpchat__v1__create_room_request__descriptor);

	if (request == NULL)
		return;
	create_room(session, call, (const Tcpchat__V1__CreateRoomRequest *)request);
	protobuf_c_message_free_unpacked(request, NULL);
}

/* ---- Closing one. ---- */

static bool may_delete(struct session *session, struct grpc_call *call, const struct room *room, const char *id)
{
	const char *authorization = call->authorization[0] == '\0' ? NULL : call->authorization;

	switch (room_desk_may_close(session, room, id, authorization)) {
	case ROOM_MAY_CLOSE:
		return true;
	case ROOM_STAYS:
		grpc_finish(session, call, GRPC_PERMISSION_DENIED, "not-allowed: %s always stays; nobody may close it",
			room_label(room));
		break;
	case ROOM_IS_OF_ANOTHER:
		grpc_finish(session, call, GRPC_PERMISSION_DENIED,
			"not-allowed: only who made %s, or an administrator, may close it", room_label(room));
		break;
	case ROOM_NEEDS_PROOF:
		grpc_finish(session, call, GRPC_UNAUTHENTICATED,
			"%s: only who made %s, or an administrator, may close it; tell the session with which it was made,"
			" or the administrators' password (authorization: Bearer PASSWORD)",
			authorization == NULL ? "not-allowed" : "wrong-password", room_label(room));
		break;
	}
	return false;
}

static void delete_room(struct session *session, struct grpc_call *call, struct room *room)
{
	Tcpchat__V1__DeleteRoomResponse answer;
	int error = room_desk_close(session, room, call->authorization);

	tcpchat__v1__delete_room_response__init(&answer);
	if (error == 0)
		grpc_reply(session, &answer.base);
	else
		grpc_finish(session, call, GRPC_UNAVAILABLE,
			"not-stored: this could not be kept, and nothing was closed; try again later");
}

void grpc_talk_delete_room(struct session *session, struct grpc_call *call)
{
	ProtobufCMessage *message = grpc_receive_request(session, call, &tcpchat__v1__delete_room_request__descriptor);
	const Tcpchat__V1__DeleteRoomRequest *request = (const Tcpchat__V1__DeleteRoomRequest *)message;
	struct room *room;

	if (request == NULL)
		return;
	room = grpc_find_room(session, call, request->room);
	if (room != NULL) {
		if (may_delete(session, call, room, session_of(call, request->session)))
			delete_room(session, call, room);
		rooms_give_back(&session->talk->rooms, room);
	}
	protobuf_c_message_free_unpacked(message, NULL);
}
