#include "tcpserver/core/command.h"

#include <string.h>

#include "tcpserver/core/session.h"

void command_msg(struct session *session, const char *arguments)
{
	if (command_needs_text(session, "msg", arguments))
		session_say(session, session->place, MESSAGE_TEXT, arguments, strlen(arguments), 0);
}
