#include "tcpserver/core/command.h"

#include "tcpserver/core/session.h"

void command_quit(struct session *session, const char *arguments)
{
	if (!command_ends(session, "quit", arguments))
		return;
	session_notice(session, "Goodbye %s.", session->client.name);
	session_finish(session, SESSION_LEFT);
}
