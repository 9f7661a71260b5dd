#include "tcpserver/core/command.h"

#include "tcpserver/core/member.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

void command_leave(struct session *session, const char *arguments)
{
	char name[NAME_SIZE] = "";
	struct member *place;

	if (arguments[0] != '\0' && !command_take_name(session, "leave", &arguments, name))
		return;
	if (!command_ends(session, "leave", arguments))
		return;
	place = session_place(session, name);
	if (place == NULL) {
		session_error(session, "not-in-room", "you are not in %s; /leave without a name leaves where you are", name);
		return;
	}
	if (place->room == session->talk->lobby && session->place_count == 1) {
		session_error(session, "not-in-room", "you are in no room but the lobby; /quit leaves the chat");
		return;
	}
	session_leave(session, place, "for another room");
	session_go_home(session);
}
