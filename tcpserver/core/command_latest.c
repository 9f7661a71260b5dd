#include "tcpserver/core/command.h"

#include "tcpserver/core/member.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/session.h"

void command_latest(struct session *session, const char *arguments)
{
	struct member *place = command_take_place(session, "latest", &arguments);
	unsigned long long missed;

	if (place == NULL || !command_ends(session, "latest", arguments))
		return;
	missed = room_jump(place->room, place);
	session_tell_room(session, place, "%llu messages skipped; /history shows them", missed);
}
