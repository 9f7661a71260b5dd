#include "tcpserver/core/command.h"

#include "tcpserver/core/session.h"
#include "tcpserver/core/visit.h"

void command_join(struct session *session, const char *arguments)
{
	char name[NAME_SIZE];

	if (arguments[0] == '\0')
		visit_stranger(session);
	else if (command_take_name(session, "join", &arguments, name) && command_ends(session, "join", arguments))
		visit_room(session, name);
}
