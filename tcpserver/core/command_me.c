#include "tcpserver/core/command.h"

#include <string.h>

#include "tcpserver/core/session.h"

void command_me(struct session *session, const char *arguments)
{
	if (command_needs_text(session, "me", arguments))
		session_say(session, session->place, MESSAGE_ACTION, arguments, strlen(arguments), 0);
}
