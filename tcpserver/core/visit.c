#include "tcpserver/core/visit.h"

#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "tcpserver/core/command.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/rooms.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

/* ---- Rooms with a name. ---- */

static void visit_tell_where(struct session *session, const struct room *room)
{
	size_t people = rooms_people_count(&session->talk->rooms, session->place->room);
	char topic[ROOM_TOPIC_SIZE];

	room_topic(session->place->room, topic);
	session_tell_room(session, session->place, "You are in %s, %zu here.%s%s", room_label(room), people,
		topic[0] == '\0' ? "" : " The topic is: ", topic);
}

static bool visit_meet(struct session *session, struct room *room);

/* Whether the client, which found nobody, can be met; if not, it is told. */
static bool visit_may_wait(struct session *session)
{
	if (session->stranger.error == 0)
		return true;
	session_error(session, "not-stored", "nobody can be told that you wait for a stranger (%s); try again later",
		strerror(session->stranger.error));
	return false;
}

/* Who comes back, after a restart of the server, to a room where it waited for a stranger, waits on, since then; or meets the
 * one who waits now. */
static void visit_wait_again(struct session *session)
{
	struct room *room = session->place->room;
	const struct room_attributes *attributes = room_attributes(room);

	if (!attributes->ends_with_member || !attributes->waits || rooms_people_count(&session->talk->rooms, room) != 1)
		return;
	room = strangers_match_or_wait(&session->talk->strangers, &session->stranger, room);
	if (room == NULL) {
		(void)visit_may_wait(session);
		return;
	}
	session_leave(session, session->place, NULL);
	if (!visit_meet(session, room))
		visit_stranger(session);
}

/* Goes into the room, whose reference it takes, and says so. Returns false when the room is gone. */
static bool visit_enter(struct session *session, struct room *room, const struct reading *reading)
{
	struct reading usual = session_reading(session);
	struct member *place = session_place(session, room_id(room));
	enum session_step step = SESSION_WENT;

	if (place != NULL) {
		session->place = place;
		if (reading != NULL)
			session_reread(session, place, reading);
		room_release(room);
	} else {
		step = session_go(session, room, reading != NULL ? reading : &usual);
		if (step == SESSION_WENT)
			visit_wait_again(session);
	}
	if (step == SESSION_WENT && session->place != NULL)
		visit_tell_where(session, session->place->room);
	else if (step == SESSION_FULL)
		session_error(session, "room-full", "the room has as many members as it may; try another one");
	return step != SESSION_GONE;
}

/* Tells why there is no way to the room of that name, or none can be made; NULL: none for strangers. */
static void visit_refuse(struct session *session, enum rooms_result result, const char *text)
{
	char name[NAME_SIZE];

	if (text != NULL && name_make(text, strlen(text), name))
		text = name;
	switch (result) {
	case ROOMS_TOO_MANY:
		if (text == NULL)
			session_error(session, "too-many-rooms", "there are %zu rooms, which is the most, so you have none to wait for a"
				" stranger in; try again later", session->talk->rooms.most);
		else
			session_error(session, "too-many-rooms", "there are %zu rooms, which is the most; join one of them, see /rooms",
				session->talk->rooms.most);
		break;
	case ROOMS_EXISTS:
		session_error(session, "room-exists", "there is a room %s already; /join %s goes there", text,
			command_type_name(text).text);
		break;
	case ROOMS_GONE:
		session_error(session, "no-such-room", "there is no room %s any more; ask for another invitation, or see /rooms", text);
		break;
	case ROOMS_CLOSED:
		session_error(session, "no-such-room", "there is no room %s, and nobody may make one here; /rooms lists those"
			" there are", text);
		break;
	case ROOMS_BAD_NAME:
		session_error(session, "bad-room-name", "a room's name has 1 to 50 letters, digits, _ - . # and single spaces inside,"
			" and is not like an id; choose another");
		break;
	default:
		session_error(session, "no-memory", "the room cannot be opened now: the server has no memory for it, or its journal does not answer; try again later");
	}
}

/* What a room is like that the client makes. */
static struct room_attributes visit_attributes(const struct session *session)
{
	struct room_attributes attributes = {
		.creator = session->client.name,
		.creator_number = session->client.number,
		.listed = true,
	};

	memcpy(attributes.creator_id, session->client_id, CLIENT_ID_SIZE);
	return attributes;
}

struct room *visit_find(struct session *session, const char *text)
{
	struct room_attributes attributes = visit_attributes(session);
	struct room *room = NULL;
	enum rooms_result result = talk_find_room(session->talk, text, &attributes, &room);

	if (result != ROOMS_DONE)
		visit_refuse(session, result, text);
	return result == ROOMS_DONE ? room : NULL;
}

void visit_room(struct session *session, const char *text, const struct reading *reading)
{
	struct room *room;

	do /* it may have been closed in the meantime */
		room = visit_find(session, text);
	while (room != NULL && !visit_enter(session, room, reading));
}

bool visit_come(struct session *session, const char *name, const char *room_name, const struct reading *reading)
{
	struct room *room = room_name[0] == '\0' ? NULL : visit_find(session, room_name);
	bool to_pair = room != NULL && room_attributes(room)->ends_with_member;
	struct reading usual = session_reading(session);

	if (to_pair) { /* there may be a stranger to wait for */
		room_release(room);
		room = NULL;
	}
	if (!session_come(session, name, room, room == NULL && room_name[0] != '\0' ? &usual : reading))
		return false;
	if (to_pair && !session_ended(session))
		visit_room(session, room_name, reading);
	return true;
}

void visit_new_room(struct session *session, const char *text)
{
	struct room_attributes attributes = visit_attributes(session);
	struct room *room;
	enum rooms_result result = talk_make_room(session->talk, text, &attributes, &room);

	if (result != ROOMS_DONE)
		visit_refuse(session, result, text);
	else if (!visit_enter(session, room, NULL)) /* somebody went in and out before us */
		visit_room(session, text, NULL);
}

/* ---- Strangers. ---- */

static const struct reading nothing_said = {.count = 0}; /* in a room for two, before they met */

static bool is_pair(const struct member *place)
{
	return room_attributes(place->room)->ends_with_member;
}

/* Nobody is in two pairs at a time. */
static bool visit_is_paired(struct session *session)
{
	for (size_t i = 0; i < session->place_count; i++) {
		if (!is_pair(session->places[i]))
			continue;
		session_error(session, "already-in-room", "you are in room %s with a stranger, or waiting for one; /leave it first",
			room_label(session->places[i]->room));
		return true;
	}
	return false;
}

/* Goes to the room of a stranger, whose reference it takes. Returns false when the stranger has gone, or has company. */
static bool visit_meet(struct session *session, struct room *room)
{
	enum session_step step;

	room_set_waits(room, false); /* kept with the joining, or before it */
	step = session_go(session, room_acquire(room), &nothing_said);
	if (step == SESSION_WENT) {
		session_tell_room(session, session->place, "You met a stranger in room %s. Say hello; /leave ends it.",
			room_label(room));
	} else if (step == SESSION_STAYED) { /* or the stranger, who is on no list now, would wait in vain */
		room_forget(room);
		rooms_remove(&session->talk->rooms, room);
		room_shut(room);
	}
	room_release(room);
	return step != SESSION_GONE && step != SESSION_FULL;
}

/* Goes to a new pair room. Returns whether the client is in it. */
static bool visit_pair_room(struct session *session)
{
	struct room_attributes attributes = {
		.creator = session->client.name,
		.creator_number = session->client.number,
		.capacity = 2,
		.ends_with_member = true,
		.waits = true,
	};
	struct room *room;
	enum rooms_result result = rooms_create(&session->talk->rooms, &attributes, &room);

	if (result == ROOMS_DONE)
		return session_go(session, room, &nothing_said) == SESSION_WENT;
	visit_refuse(session, result, NULL);
	return false;
}

static void visit_tell_waiting(struct session *session)
{
	session_tell_room(session, session->place, "You wait for a stranger in room %s; /leave gives up.",
		room_label(session->place->room));
}

void visit_wait(struct session *session)
{
	if (visit_is_paired(session) || !visit_pair_room(session))
		return;
	visit_tell_waiting(session);
	strangers_wait(&session->talk->strangers, &session->stranger, session->place->room);
	if (visit_may_wait(session))
		return;
	session_leave(session, session->place, NULL); /* nobody would ever come */
	session_go_home(session);
}

void visit_stranger(struct session *session)
{
	struct strangers *strangers = &session->talk->strangers;
	struct room *room;

	if (visit_is_paired(session))
		return;
	if (!session_may_go(session))
		return;
	do {
		room = strangers_match(strangers, &session->stranger);
		if (room != NULL)
			continue;
		if (!visit_may_wait(session))
			break;
		if (!visit_pair_room(session))
			break;
		room = strangers_match_or_wait(strangers, &session->stranger, session->place->room);
		if (room == NULL && visit_may_wait(session)) {
			visit_tell_waiting(session);
			return;
		}
		session_leave(session, session->place, NULL); /* somebody began to wait in the meantime */
	} while (room != NULL && !visit_meet(session, room));
	session_go_home(session);
}
