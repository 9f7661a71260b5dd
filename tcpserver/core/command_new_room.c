#include "tcpserver/core/command.h"

#include "tcpserver/core/session.h"
#include "tcpserver/core/visit.h"

void command_new_room(struct session *session, const char *arguments)
{
	char name[NAME_SIZE];

	if (arguments[0] == '\0')
		visit_wait(session);
	else if (command_take_name(session, "new-room", &arguments, name) && command_ends(session, "new-room", arguments))
		visit_new_room(session, name);
}
