#include "tcpserver/doors/grpc_talk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tcpchat/v1/chat.pb-c.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/core/visit.h"
#include "tcpserver/doors/credentials.h"
#include "tcpserver/doors/event.h"
#include "tcpserver/doors/grpc_call.h"
#include "tcpserver/doors/grpc_event.h"
#include "tcpserver/doors/grpc_transcode.h"

enum { ID_SIZE = 24 }; /* of a request, as text */

#define SERVICE "/tcpchat.v1.Chat/"

const struct grpc_method grpc_tcpchat_methods[] = {
	{SERVICE "Talk", grpc_talk_talk},
	{SERVICE "Subscribe", grpc_talk_subscribe},
	{SERVICE "Send", grpc_talk_send},
	{SERVICE "ListRooms", grpc_talk_list_rooms},
	{SERVICE "GetRoom", grpc_talk_get_room},
	{SERVICE "CreateRoom", grpc_talk_create_room},
	{SERVICE "DeleteRoom", grpc_talk_delete_room},
	{SERVICE "ListMessages", grpc_talk_list_messages},
	{NULL, NULL},
};

bool grpc_reading(const struct session *session, const struct grpc_start *start, struct reading *reading)
{
	size_t size = strlen(start->room_id);

	if (size != 0 && size != ROOM_ID_SIZE - 1)
		return false;
	*reading = session_reading(session);
	reading->resumes = start->resumes;
	reading->after = start->after;
	if (start->has_past)
		reading->count = start->past;
	memcpy(reading->of, start->room_id, size + 1);
	return true;
}

/* ---- The first request. ---- */

/* Lets a client in that has no session id. */
static void come_without_id(struct session *session, const Tcpchat__V1__Session *wanted)
{
	struct grpc_start start = GRPC_START(wanted, TCPCHAT__V1__SESSION);
	struct reading reading;

	if (!grpc_reading(session, &start, &reading)) {
		session_error(session, "usage", "room_id has to be the id of a room, %d hex digits", ROOM_ID_SIZE - 1);
		session_finish(session, SESSION_REFUSED);
	} else if (!visit_come(session, wanted->name, wanted->room, &reading)) {
		session_error(session, "bad-name",
			"a name has 1 to 50 letters, digits, _ - . # and single spaces inside; choose another");
		session_finish(session, SESSION_REFUSED);
	}
}

static const char no_session[] = "bad-request: the first request has to be \"session\", with a name";

/* Its answers have the request's id; 'id' has to stay as long. */
static void begin_request(struct session *session, const Tcpchat__V1__Request *request, char id[ID_SIZE])
{
	(void)snprintf(id, ID_SIZE, "%llu", (unsigned long long)request->id);
	session->request_id = request->id == 0 ? NULL : id;
}

static void begin_without_id(struct session *session, const Tcpchat__V1__Request *request)
{
	char id[ID_SIZE];

	begin_request(session, request, id);
	come_without_id(session, request->session);
	session->request_id = NULL;
}

static bool is_name(const char *text)
{
	char name[NAME_SIZE];

	return name_make(text, strlen(text), name);
}

/* The words for a first request that was refused; its error was an event, too. */
static const char *refusal(const Tcpchat__V1__Request *request)
{
	if (request->op_case != TCPCHAT__V1__REQUEST__OP_SESSION)
		return no_session;
	if (!is_name(request->session->name))
		return "bad-name: a name has 1 to 50 letters, digits, _ - . # and single spaces inside; choose another";
	return "usage: session has 32 hex digits, and room_id 20; the event before says what is wrong";
}

/* A client that was given a name and still is nowhere asked for nothing wrong. */
static void refuse(struct session *session, struct grpc_call *call, const Tcpchat__V1__Request *request)
{
	if (session->client.name[0] == '\0')
		grpc_finish(session, call, GRPC_INVALID_ARGUMENT, "%s", refusal(request));
	else
		grpc_finish(session, call, GRPC_UNAVAILABLE,
			"no-memory: the server has no room or memory for this client now; try again later");
}

/* The room where a client wants to come in, made if need be, with a reference that rooms_give_back() takes; NULL: it asks for none, or
 * for nothing else that is right, either. Returns false when there is no way there: the status says why. */
static bool find_first_room(
	struct session *session, struct grpc_call *call, const Tcpchat__V1__Request *request, struct room **room)
{
	struct room_attributes attributes = {.creator = "", .creator_number = session->client.number, .listed = true};
	const Tcpchat__V1__Session *wanted = request->session;
	enum rooms_result result;

	*room = NULL;
	if (request->op_case != TCPCHAT__V1__REQUEST__OP_SESSION || wanted->room[0] == '\0' || !is_name(wanted->name))
		return true;
	if (wanted->session[0] != '\0' && !credentials_session_id(wanted->session, attributes.creator_id))
		return true;
	result = talk_find_room(session->talk, wanted->room, &attributes, room);
	if (result != ROOMS_DONE)
		grpc_refuse_room(session, call, wanted->room, result == ROOMS_CLOSED ? ROOMS_GONE : result);
	return result == ROOMS_DONE;
}

/* ---- Requests. ---- */

static void run_request(struct session *session, const Tcpchat__V1__Request *request)
{
	size_t size;
	char *json = grpc_transcode(request, &size);

	if (json == NULL)
		session_error(session, "no-memory",
			"the server has no memory for this request now; it was dropped, send it again");
	else
		event_request(session, json, size);
	free(json);
}

/* What the line door would do with it. */
static void run_line(struct session *session, const char *text)
{
	session_line(session, text, strlen(text));
}

static bool is_session_without_id(const Tcpchat__V1__Request *request)
{
	return request->op_case == TCPCHAT__V1__REQUEST__OP_SESSION && request->session->session[0] == '\0';
}

/* Fields without which a request says nothing; what is left out cannot be told from what is empty. */
static const struct need {
	Tcpchat__V1__Request__OpCase op;
	const char *fields[2];
} needs[] = {
	{TCPCHAT__V1__REQUEST__OP_SEND, {"text"}},
	{TCPCHAT__V1__REQUEST__OP_DM, {"to", "text"}},
	{TCPCHAT__V1__REQUEST__OP_SWITCH, {"room"}},
	{TCPCHAT__V1__REQUEST__OP_DELETE_ROOM, {"room"}},
	{TCPCHAT__V1__REQUEST__OP_INVITE, {"user"}},
	{TCPCHAT__V1__REQUEST__OP_SEARCH, {"words"}},
	{TCPCHAT__V1__REQUEST__OP_NICK, {"name"}},
	{TCPCHAT__V1__REQUEST__OP_IGNORE, {"user"}},
	{TCPCHAT__V1__REQUEST__OP_ADMIN, {"password"}},
	{TCPCHAT__V1__REQUEST__OP_LINE, {"text"}},
};

/* All of them are strings. */
static bool is_empty(const ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
	const char *text;

	memcpy(&text, (const char *)message + field->offset, sizeof text);
	return text[0] == '\0';
}

/* The first field that a request needs and has not; NULL: none. */
static const char *missing_field(const Tcpchat__V1__Request *request)
{
	for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
		for (size_t field = 0; needs[i].op == request->op_case && field < 2; field++) {
			/* Whichever is set, the union has a pointer to its message. */
			if (needs[i].fields[field] != NULL && is_empty(&request->send->base, needs[i].fields[field]))
				return needs[i].fields[field];
		}
	}
	return NULL;
}

/* Returns whether there is something to be done. */
static bool is_whole(struct session *session, const Tcpchat__V1__Request *request)
{
	const char *missing = missing_field(request);
	char id[ID_SIZE];

	if (missing == NULL)
		return true;
	begin_request(session, request, id);
	session_error(session, "bad-request", "the field \"%s\" of the request is missing or empty; see chat.proto", missing);
	session->request_id = NULL;
	return false;
}

static void hear_first(struct session *session, struct grpc_call *call, const Tcpchat__V1__Request *request)
{
	struct room *room;

	if (!find_first_room(session, call, request, &room))
		return;
	if (is_session_without_id(request))
		begin_without_id(session, request);
	else
		run_request(session, request);
	if (session->end == SESSION_REFUSED)
		refuse(session, call, request);
	if (room != NULL)
		rooms_give_back(&session->talk->rooms, room);
}

static void hear_request(struct session *session, struct grpc_call *call, const Tcpchat__V1__Request *request)
{
	if (!session_has_name(session))
		hear_first(session, call, request);
	else if (!is_whole(session, request))
		return;
	else if (request->op_case == TCPCHAT__V1__REQUEST__OP_LINE)
		run_line(session, request->line->text);
	else
		run_request(session, request);
}

static void hear(struct session *session, struct grpc_call *call, const unsigned char *message, size_t size)
{
	ProtobufCMessage *unpacked = grpc_unpack(session, call, &tcpchat__v1__request__descriptor, message, size);

	if (unpacked == NULL)
		return;
	hear_request(session, call, (const Tcpchat__V1__Request *)unpacked);
	protobuf_c_message_free_unpacked(unpacked, NULL);
}

/* ---- The conversation. ---- */

static void no_name(struct session *session, struct grpc_call *call)
{
	grpc_finish(session, call, GRPC_DEADLINE_EXCEEDED,
		"name-timeout: no session came within %d s; call again and send it at once", session->talk->name_timeout_ms / 1000);
}

static void client_said_all(struct session *session, struct grpc_call *call)
{
	if (!session_has_name(session))
		grpc_finish(session, call, GRPC_INVALID_ARGUMENT, "%s", no_session);
}

static int timeout_ms(const struct session *session)
{
	long long left_ms = session->name_deadline_ms - clock_ms();

	if (session_has_name(session))
		return -1;
	return left_ms < 0 ? 0 : (int)left_ms;
}

static void listen_once(struct session *session, struct grpc_call *call)
{
	const unsigned char *message;
	size_t size;

	switch (grpc_receive(session, call, timeout_ms(session), &message, &size)) {
	case GRPC_GOT_MESSAGE:
		hear(session, call, message, size);
		break;
	case GRPC_GOT_TIMEOUT:
		no_name(session, call);
		break;
	case GRPC_GOT_END:
		client_said_all(session, call);
		break;
	case GRPC_GOT_OVER:
		break;
	}
}

void grpc_talk_talk(struct session *session, struct grpc_call *call)
{
	session_set_door(session, &grpc_talk_door);
	while (!session_ended(session))
		listen_once(session, call);
	/* Unless it was said already: too many wrong passwords, or no way back to the lobby. */
	if (session->end == SESSION_REFUSED && session->password_tries > 0)
		grpc_finish(session, call, GRPC_PERMISSION_DENIED, "wrong-password: too many wrong passwords");
	else if (session->end == SESSION_REFUSED)
		grpc_finish(session, call, GRPC_UNAVAILABLE, "no-memory: there is no way back to the lobby now; try again later");
}

/* ---- Reading unseen. ---- */

static void read_room(struct session *session, struct grpc_call *call, struct room *room, const struct reading *reading)
{
	const unsigned char *ignored;
	size_t size;

	session_set_door(session, &grpc_subscribe_door);
	if (!session_observe(session, room, reading))
		grpc_finish(session, call, GRPC_UNAVAILABLE, "no-memory: the room cannot be read now; try again");
	while (!session_ended(session)) /* nothing that the client sends has a meaning any more */
		(void)!grpc_receive(session, call, -1, &ignored, &size);
}

/* The room that is to be read, with a reference; NULL: the call has ended, and says why. */
static struct room *choose_room(struct session *session, struct grpc_call *call,
	const Tcpchat__V1__SubscribeRequest *request, struct reading *reading)
{
	struct grpc_start start = GRPC_START(request, TCPCHAT__V1__SUBSCRIBE_REQUEST);

	if (grpc_reading(session, &start, reading))
		return grpc_find_room(session, call, request->room);
	grpc_finish(session, call, GRPC_INVALID_ARGUMENT, "usage: room_id has to be the id of a room, %d hex digits",
		ROOM_ID_SIZE - 1);
	return NULL;
}

void grpc_talk_subscribe(struct session *session, struct grpc_call *call)
{
	ProtobufCMessage *request = grpc_receive_request(session, call, &tcpchat__v1__subscribe_request__descriptor);

	struct reading reading;
	struct room *room;

	if (request == NULL)
		return;
	room = choose_room(session, call, (const Tcpchat__V1__SubscribeRequest *)request, &reading);
	protobuf_c_message_free_unpacked(request, NULL); /* the call may go on for days */
	if (room != NULL)
		read_room(session, call, room, &reading);
}
