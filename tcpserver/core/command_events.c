#include "tcpserver/core/command.h"

#include "tcpserver/core/door.h"
#include "tcpserver/core/session.h"

void command_events(struct session *session, const char *arguments)
{
	struct telling welcome = {.kind = TELL_WELCOME, .participant = session->client.name, .room = "lobby"};

	(void)arguments;
	if (session_begin_events(session))
		session_tell(session, &welcome);
	else
		session_notice(session, "you get events already");
}
