#include "tcpserver/core/command.h"

#include "tcpserver/core/member.h"
#include "tcpserver/core/session.h"

void command_events(struct session *session, const char *arguments)
{
	if (!command_ends(session, "events", arguments))
		return;
	if (session_begin_events(session))
		session_tell_welcome(session, session->place);
	else
		session_notice(session, "you get events already");
}
