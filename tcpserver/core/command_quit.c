#include "tcpserver/core/command.h"

#include "tcpserver/core/session.h"

void command_quit(struct session *session, const char *arguments)
{
	(void)arguments;
	session_notice(session, "Goodbye %s.", session->client.name);
	session_finish(session, SESSION_LEFT);
}
