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
	if (missed == 0)
		session_tell_room(session, place, "you have been sent everything");
	else
		session_tell_room(session, place, "%llu message%s skipped; /history shows what was said", missed, missed == 1 ? "" : "s");
}
