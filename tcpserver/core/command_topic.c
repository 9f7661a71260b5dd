#include "tcpserver/core/command.h"

#include <string.h>
#include <time.h>

#include "tcpserver/core/member.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/session.h"

static void tell_topic(struct session *session, struct room *room)
{
	char topic[ROOM_TOPIC_SIZE];

	room_topic(room, topic);
	if (topic[0] == '\0')
		session_notice_in(session, room, "%s has no topic; /topic TEXT sets one", room_label(room));
	else
		session_notice_in(session, room, "the topic of %s is: %s", room_label(room), topic);
}

/* When the room was made, and by whom: to the minute, in UTC. */
static void tell_creation(struct session *session, struct room *room)
{
	const struct room_attributes *attributes = room_attributes(room);
	time_t seconds = (time_t)(attributes->created_ns / 1000000000);
	bool by_server = attributes->creator[0] == '\0';
	char creator[NAME_SIZE];
	char text[32];
	struct tm utc;

	session_find_creator(session, room, creator);
	(void)gmtime_r(&seconds, &utc);
	(void)strftime(text, sizeof text, "%Y-%m-%d at %H:%M", &utc);
	session_notice_about(session, room_label(room), attributes->created_ns, "%s was made%s%s on %s UTC", room_label(room),
		by_server ? "" : " by ", creator, text);
}

static void set_topic(struct session *session, struct member *place, const char *topic)
{
	if (strlen(topic) >= ROOM_TOPIC_SIZE)
		session_error(session, "topic-too-long", "a topic may have %d bytes; shorten it", ROOM_TOPIC_SIZE - 1);
	else
		session_set_topic(session, place, topic);
}

void command_topic(struct session *session, const char *arguments)
{
	struct member *place = session->place;

	if (command_take_keyword(&arguments, "--room")) {
		if (!command_needs_text(session, "topic", arguments))
			return;
		place = command_take_place(session, "topic", &arguments);
	}
	if (place == NULL)
		return;
	if (command_take_keyword(&arguments, "--clear")) {
		if (command_ends(session, "topic", arguments))
			set_topic(session, place, "");
	} else if (command_take_keyword(&arguments, "--") || arguments[0] != '\0') {
		set_topic(session, place, arguments);
	} else {
		tell_topic(session, place->room);
		tell_creation(session, place->room);
	}
}
