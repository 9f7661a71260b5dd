#include "tcpserver/doors/grpc_chatroom.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/text.h"
#include "rpc/chat.pb-c.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/room_log.h"
#include "tcpserver/core/rooms.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/credentials.h"
#include "tcpserver/doors/grpc_call.h"
#include "tcpserver/doors/grpc_speech.h"
#include "tcpserver/doors/line.h"
#include "tcpserver/doors/request.h"
#include "tcpserver/doors/room_desk.h"

enum {
	HISTORY_COUNT = 9,   /* of what was said before; with one's own coming these are ten */
	MAKE_TRIES = 100,    /* of a name that nobody has                                    */
	SECRET_DIGITS = 20,  /* of the name of a private room                                */
};

static const char server_name[] = "chat server";
static const char no_such_room[] = "room ID does not exist";
static const char stopping[] = "the server is stopping";

/* ---- How messages look. ---- */

static struct grpc_speech speech_with(const char *name, size_t name_size, const char *text)
{
	return (struct grpc_speech){.name = name, .name_size = name_size, .mark = "", .text = text, .text_size = strlen(text)};
}

static struct grpc_speech speech_of_server(const char *text, size_t size)
{
	return (struct grpc_speech){
		.name = server_name, .name_size = strlen(server_name), .mark = "", .text = text, .text_size = size};
}

/* What has no place on this wire is told by the server, in the words of the line door. */
static size_t write_line(const struct message *message, char *out, size_t size)
{
	size_t line_size = line_write(message, false, NULL, 0);
	struct grpc_speech speech = speech_of_server(NULL, line_size);
	size_t needed = grpc_speech_write_whole(&speech, out, size);

	if (needed <= size)
		(void)line_write(message, false, out + needed - line_size, line_size);
	return needed;
}

static struct grpc_speech speech_of(const struct message *message)
{
	switch (message->kind) {
	case MESSAGE_JOINED:
		return speech_with(message->participant, message->participant_size, "Has entered the chat");
	case MESSAGE_LEFT:
		return speech_with(message->participant, message->participant_size, "Has left the chat");
	case MESSAGE_ROOM_CLOSED:
		return speech_with(server_name, strlen(server_name), "chat room is closing");
	default:
		return grpc_speech_of(message);
	}
}

static size_t chatroom_encode(const struct message *message, char *out, size_t size)
{
	struct grpc_speech speech;

	if (message->kind == MESSAGE_NICK || message->kind == MESSAGE_TOPIC)
		return write_line(message, out, size);
	speech = speech_of(message);
	return grpc_speech_write_whole(&speech, out, size);
}

static const struct format chatroom_format = {
	.name = "chatroom", .encode = chatroom_encode, .recall = chatroom_encode, .hides_own = true};

/* ---- Words to one client. ---- */

/* Chatroom has no words for the rest; nor can its clients do what "behind" advises. Why one is not let in, the status tells. */
static bool is_told(const struct telling *telling)
{
	if (telling->kind == TELL_NOTICE)
		return telling->code == NULL || strcmp(telling->code, "behind") != 0;
	if (telling->kind == TELL_ERROR)
		return strcmp(telling->code, "no-such-room") != 0;
	return telling->kind == TELL_DIRECT || telling->kind == TELL_FAREWELL;
}

static struct grpc_speech speech_of_telling(
	const struct telling *telling, char name[2 * NAME_SIZE + 4], char mark[100])
{
	const char *text = telling->kind == TELL_FAREWELL ? stopping : telling->text;
	struct grpc_speech speech = speech_of_server(text, strlen(text));

	mark[0] = '\0';
	if (telling->kind == TELL_ERROR)
		(void)snprintf(mark, 100, "%s: ", telling->code);
	speech.mark = mark;
	if (telling->kind != TELL_DIRECT)
		return speech;
	speech.name_size = (size_t)snprintf(name, 2 * NAME_SIZE + 4, "%s -> %s", telling->participant, telling->to);
	speech.name = name;
	return speech;
}

static char *chatroom_words(const struct telling *telling, size_t *size)
{
	char name[2 * NAME_SIZE + 4];
	char mark[100];
	struct grpc_speech speech;
	char *words;

	*size = 0;
	if (!is_told(telling))
		return NULL;
	speech = speech_of_telling(telling, name, mark);
	words = malloc(grpc_speech_write_whole(&speech, NULL, 0));
	if (words != NULL)
		*size = grpc_speech_write_whole(&speech, words, SIZE_MAX);
	return words;
}

const struct door grpc_chatroom_door = {
	.name = "chatroom", .format = &chatroom_format, .one_room = true, .shows_coming = true, .words = chatroom_words};

/* ---- Rooms by their id, or name. ---- */

static void refuse_for_now(struct session *session, struct grpc_call *call, enum rooms_result result)
{
	if (result == ROOMS_TOO_MANY)
		grpc_finish(session, call, GRPC_RESOURCE_EXHAUSTED, "there are %zu rooms, which is the most; try again later",
			session->talk->rooms.most);
	else
		grpc_finish(session, call, GRPC_UNAVAILABLE, "the server has no memory for this, or cannot read its journal, now; try"
			" again later");
}

/* The room, with a reference that rooms_give_back() takes; NULL: the status says why not, that there is none in 'missing'. One of
 * two strangers is nobody else's business. */
static struct room *find_room(struct session *session, struct grpc_call *call, const char *id, const char *missing)
{
	struct rooms *rooms = &session->talk->rooms;
	struct room *room = NULL;
	enum rooms_result result = id[0] == '\0' ? ROOMS_GONE : rooms_find(rooms, id, &room);

	if (result == ROOMS_DONE && room_attributes(room)->ends_with_member) {
		rooms_give_back(rooms, room);
		result = ROOMS_GONE;
	}
	if (result == ROOMS_DONE)
		return room;
	if (result == ROOMS_GONE)
		grpc_finish(session, call, GRPC_NOT_FOUND, "%s", missing);
	else
		refuse_for_now(session, call, result);
	return NULL;
}

static void reply_room(struct session *session, const struct room *room)
{
	char id[ROOM_ID_SIZE];
	Rpc__ChatRoom answer;

	rpc__chat_room__init(&answer); /* the macro for it drops a const, which clang does not pass over */
	(void)snprintf(id, sizeof id, "%s", room_id(room));
	answer.room_id = id;
	grpc_reply(session, &answer.base);
}

/* ---- Chat: coming in. ---- */

/* Waits for the message that says where the client goes; NULL: the status says why there is none. */
static Rpc__ChatMessage *receive_first(struct session *session, struct grpc_call *call)
{
	const unsigned char *message;
	size_t size;

	switch (grpc_receive(session, call, session->talk->name_timeout_ms, &message, &size)) {
	case GRPC_GOT_MESSAGE:
		return (Rpc__ChatMessage *)grpc_unpack(session, call, &rpc__chat_message__descriptor, message, size);
	case GRPC_GOT_END:
		grpc_finish(session, call, GRPC_INTERNAL, "Failed to read initial join request");
		break;
	case GRPC_GOT_TIMEOUT:
		grpc_finish(session, call, GRPC_DEADLINE_EXCEEDED, "no join came within %d s", session->talk->name_timeout_ms / 1000);
		break;
	case GRPC_GOT_OVER:
		break;
	}
	return NULL;
}

/* The name that the client shall have; an empty one makes a guest. Returns false when it is none. */
static bool choose_name(struct session *session, struct grpc_call *call, const char *text, char name[NAME_SIZE])
{
	if (text[0] == '\0')
		name_guest(name);
	else if (!name_make(text, strlen(text), name)) {
		grpc_finish(session, call, GRPC_INVALID_ARGUMENT,
			"a name has 1 to 50 letters, digits, _ - . # and single spaces inside; choose another");
		return false;
	}
	return true;
}

/* Takes the reference to the room, in which the client is afterwards, or the status says why not. */
static void come(struct session *session, struct grpc_call *call, const char *name, struct room *room)
{
	static const struct reading reading = {.count = HISTORY_COUNT};
	bool gone;

	session_set_door(session, &grpc_chatroom_door);
	(void)room_acquire(room);
	if (!session_come(session, name, room, &reading))
		grpc_finish(session, call, GRPC_INVALID_ARGUMENT, "this is no name");
	gone = room_is_shut(room); /* who came when it was closed may have missed the words that say so */
	room_release(room);
	if (gone)
		grpc_finish(session, call, GRPC_NOT_FOUND, "%s", no_such_room);
	else if (!session_has_name(session))
		grpc_finish(session, call, GRPC_UNAVAILABLE, "nobody can be let in now; try again later");
	else
		grpc_tell_name(session, call);
}

static void join(struct session *session, struct grpc_call *call, const Rpc__JoinChat *wanted)
{
	struct room *room = find_room(session, call, wanted == NULL ? "" : wanted->room_id, no_such_room);
	char name[NAME_SIZE];

	if (room == NULL)
		return;
	if (choose_name(session, call, wanted->name, name))
		come(session, call, name, room);
	else
		rooms_give_back(&session->talk->rooms, room);
}

/* ---- Chat: talking. ---- */

static void say(struct session *session, const char *text, size_t size)
{
	char *clean = malloc(TEXT_CLEAN_SIZE(size));

	if (clean == NULL) {
		session_error(session, "no-memory",
			"the server has no memory for this message now; it was dropped, send it again");
		return;
	}
	size = request_clean(text, size, clean);
	if (size > 0 && session_takes(session, size))
		session_say(session, session_place(session, ""), MESSAGE_TEXT, clean, size, 0);
	free(clean);
}

/* Who has come may say something in the same message. A second join has no meaning. */
static void hear(struct session *session, const Rpc__ChatMessage *heard)
{
	if (heard->message != NULL && heard->message->message[0] != '\0')
		say(session, heard->message->message, strlen(heard->message->message));
}

static void hear_next(struct session *session, struct grpc_call *call)
{
	const unsigned char *message;
	size_t size;
	Rpc__ChatMessage *heard;

	if (grpc_receive(session, call, -1, &message, &size) != GRPC_GOT_MESSAGE)
		return; /* the client reads on after it has said all */
	heard = (Rpc__ChatMessage *)grpc_unpack(session, call, &rpc__chat_message__descriptor, message, size);
	if (heard == NULL)
		return;
	hear(session, heard);
	rpc__chat_message__free_unpacked(heard, NULL);
}

static void chat(struct session *session, struct grpc_call *call)
{
	Rpc__ChatMessage *first = receive_first(session, call);

	if (first == NULL)
		return;
	join(session, call, first->join);
	if (!session_ended(session))
		hear(session, first);
	rpc__chat_message__free_unpacked(first, NULL);
	while (!session_ended(session))
		hear_next(session, call);
}

/* ---- CreateChatRoom. ---- */

/* Cannot be guessed: the room's id leads there, and nothing else. */
static void make_private_name(char name[NAME_SIZE])
{
	unsigned char bytes[SECRET_DIGITS / 2];
	int size = snprintf(name, NAME_SIZE, "private-");

	while (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		continue; /* a signal, early at boot */
	for (size_t i = 0; i < sizeof bytes; i++)
		(void)snprintf(name + size + 2 * i, 3, "%02x", bytes[i]);
}

/* What people in line clients, for example, find the room by. */
static void make_public_name(char name[NAME_SIZE])
{
	unsigned number = 0;

	(void)!getrandom(&number, sizeof number, GRND_NONBLOCK); /* one that a room has already is not taken */
	name_tagged("room", number, name);
}

/* What the room is like; 'creator' is where the name stays of who asks, as far as that is told. */
static struct room_attributes attributes_of(
	const struct session *session, const struct grpc_call *call, bool private, char creator[NAME_SIZE])
{
	struct room_attributes attributes = {
		.creator = creator, .creator_number = session->client.number, .listed = !private};
	char user[CREDENTIALS_SIZE];
	char password[CREDENTIALS_SIZE];
	bool has_id = credentials_session_id(call->chat_session, attributes.creator_id);

	(void)snprintf(creator, NAME_SIZE, "%s", has_id ? "" : ROOM_OF_EVERYBODY);
	if (credentials_read(call->authorization, user, password))
		(void)!name_make(user, strlen(user), creator); /* or it stays what it is */
	return attributes;
}

/* NULL: the status says why not. */
static struct room *make_room(struct session *session, struct grpc_call *call, bool private)
{
	char creator[NAME_SIZE];
	struct room_attributes attributes = attributes_of(session, call, private, creator);
	enum rooms_result result = ROOMS_EXISTS;
	struct room *room = NULL;

	for (int tries = 0; result == ROOMS_EXISTS && tries < MAKE_TRIES; tries++) {
		char name[NAME_SIZE];

		(private ? make_private_name : make_public_name)(name);
		result = talk_make_room(session->talk, name, &attributes, &room);
	}
	if (result == ROOMS_DONE)
		return room;
	if (result == ROOMS_CLOSED)
		grpc_finish(session, call, GRPC_PERMISSION_DENIED, "nobody may make rooms here");
	else
		refuse_for_now(session, call, result);
	return NULL;
}

static void create_chat_room(struct session *session, struct grpc_call *call)
{
	Rpc__CreateChatRoomRequest *request =
		(Rpc__CreateChatRoomRequest *)grpc_receive_request(session, call, &rpc__create_chat_room_request__descriptor);
	struct room *room;

	if (request == NULL)
		return;
	room = make_room(session, call, request->private_);
	rpc__create_chat_room_request__free_unpacked(request, NULL);
	if (room == NULL)
		return;
	reply_room(session, room);
	rooms_give_back(&session->talk->rooms, room);
}

/* ---- ListChatRooms. ---- */

static bool reply_list(struct session *session, const struct room_list *list)
{
	Rpc__ListChatRoomsResponse answer;
	Rpc__ChatRoom *rooms = calloc(list->count + 1, sizeof *rooms); /* one more: there may be none */
	Rpc__ChatRoom **places = calloc(list->count + 1, sizeof *places);
	bool made = rooms != NULL && places != NULL;

	rpc__list_chat_rooms_response__init(&answer);
	for (size_t i = 0; made && i < list->count; i++) {
		rpc__chat_room__init(&rooms[i]);
		rooms[i].room_id = list->views[i].id;
		places[i] = &rooms[i];
	}
	answer.n_chat_rooms = list->count;
	answer.chat_rooms = places;
	if (made)
		grpc_reply(session, &answer.base);
	free(places);
	free(rooms);
	return made;
}

static void list_chat_rooms(struct session *session, struct grpc_call *call)
{
	ProtobufCMessage *request = grpc_receive_request(session, call, &rpc__list_chat_rooms_request__descriptor);
	struct room_list list;

	if (request == NULL)
		return;
	protobuf_c_message_free_unpacked(request, NULL);
	if (room_desk_list(&session->talk->rooms, &list) != 0 || !reply_list(session, &list))
		refuse_for_now(session, call, ROOMS_NO_MEMORY);
	room_desk_free(&list);
}

/* ---- DeleteChatRoom. ---- */

static bool is_everybodys(const struct room *room)
{
	return strcmp(room_attributes(room)->creator, ROOM_OF_EVERYBODY) == 0 && !room_attributes(room)->persistent;
}

static const char *metadata(const char *value)
{
	return value[0] == '\0' ? NULL : value;
}

/* If not, the status says why. */
static bool may_delete(struct session *session, struct grpc_call *call, const struct room *room)
{
	if (is_everybodys(room))
		return true;
	switch (room_desk_may_close(session, room, metadata(call->chat_session), metadata(call->authorization))) {
	case ROOM_MAY_CLOSE:
		return true;
	case ROOM_STAYS:
		grpc_finish(session, call, GRPC_PERMISSION_DENIED, "%s always stays; nobody may close it", room_label(room));
		return false;
	case ROOM_IS_OF_ANOTHER:
		grpc_finish(session, call, GRPC_PERMISSION_DENIED, "only who made %s, or an administrator, may close it",
			room_label(room));
		return false;
	case ROOM_NEEDS_PROOF:
		grpc_finish(session, call, GRPC_UNAUTHENTICATED,
			"only who made %s (chat-session), or an administrator (authorization), may close it", room_label(room));
		return false;
	}
	return false;
}

static void delete_room(struct session *session, struct grpc_call *call, struct room *room)
{
	int error = room_desk_close(session, room, metadata(call->authorization));

	if (error == 0)
		reply_room(session, room);
	else if (error == -ENOMEM)
		refuse_for_now(session, call, ROOMS_NO_MEMORY);
	else
		grpc_finish(session, call, GRPC_UNAVAILABLE, "this could not be kept, and nothing was closed; try again later");
}

static void delete_chat_room(struct session *session, struct grpc_call *call)
{
	Rpc__DeleteChatRoomRequest *request =
		(Rpc__DeleteChatRoomRequest *)grpc_receive_request(session, call, &rpc__delete_chat_room_request__descriptor);
	struct room *room;

	if (request == NULL)
		return;
	room = find_room(session, call, request->room_id, "chat room ID does not exist");
	rpc__delete_chat_room_request__free_unpacked(request, NULL);
	if (room == NULL)
		return;
	if (may_delete(session, call, room))
		delete_room(session, call, room);
	rooms_give_back(&session->talk->rooms, room);
}

const struct grpc_method grpc_chatroom_methods[] = {
	{"/rpc.ChatService/Chat", chat},
	{"/rpc.ChatService/CreateChatRoom", create_chat_room},
	{"/rpc.ChatService/ListChatRooms", list_chat_rooms},
	{"/rpc.ChatService/DeleteChatRoom", delete_chat_room},
	{NULL, NULL},
};
