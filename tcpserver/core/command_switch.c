#include "tcpserver/core/command.h"

#include "tcpserver/core/member.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/session.h"

void command_switch(struct session *session, const char *arguments)
{
	char name[NAME_SIZE];
	struct member *place;

	if (!command_take_name(session, "switch", &arguments, name) || !command_ends(session, "switch", arguments))
		return;
	place = session_place(session, name);
	if (place == NULL) {
		session_error(session, "not-in-room", "you are not in %s; /join %s goes there", name,
			command_type_name(name).text);
		return;
	}
	session->place = place;
	session_notice_in(session, place->room, "plain text goes to %s now", room_label(place->room));
}
