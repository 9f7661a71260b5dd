#include "tcpserver/core/command.h"

#include "tcpserver/core/door.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/session.h"

void command_events(struct session *session, const char *arguments)
{
	struct telling welcome = {
		.kind = TELL_WELCOME,
		.participant = session->client.name,
		.room = room_label(session->place->room),
		.request_id = session->request_id,
	};

	if (!command_ends(session, "events", arguments))
		return;
	if (session_begin_events(session))
		session_tell(session, &welcome);
	else
		session_notice(session, "you get events already");
}
