#include "tcpserver/core/command.h"

#include <string.h>

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

void command_topic(struct session *session, const char *arguments)
{
	struct room *room = session->place->room;

	if (arguments[0] == '\0')
		tell_topic(session, room);
	else if (strlen(arguments) >= ROOM_TOPIC_SIZE)
		session_error(session, "topic-too-long", "a topic may have %d bytes; shorten it", ROOM_TOPIC_SIZE - 1);
	else
		session_set_topic(session, session->place, arguments);
}
