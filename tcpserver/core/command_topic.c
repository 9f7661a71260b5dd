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
		session_notice(session, "%s has no topic; /topic TEXT sets one", room_label(room));
	else
		session_notice(session, "the topic of %s is: %s", room_label(room), topic);
}

/* When the room was made, and by whom: to the minute, in UTC. */
static void tell_creation(struct session *session, struct room *room)
{
	const struct room_attributes *attributes = room_attributes(room);
	time_t seconds = (time_t)(attributes->created_ns / 1000000000);
	bool by_server = attributes->creator[0] == '\0';
	char text[32];
	struct tm utc;

	(void)gmtime_r(&seconds, &utc);
	(void)strftime(text, sizeof text, "%Y-%m-%d at %H:%M", &utc);
	session_notice_about(session, room_label(room), attributes->created_ns, "%s was made%s%s on %s UTC", room_label(room),
		by_server ? "" : " by ", attributes->creator, text);
}

void command_topic(struct session *session, const char *arguments)
{
	struct room *room = session->place->room;

	if (arguments[0] == '\0') {
		tell_topic(session, room);
		tell_creation(session, room);
	} else if (strlen(arguments) >= ROOM_TOPIC_SIZE) {
		session_error(session, "topic-too-long", "a topic may have %d bytes; shorten it", ROOM_TOPIC_SIZE - 1);
	} else {
		session_set_topic(session, session->place, arguments);
	}
}
