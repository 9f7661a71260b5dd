#include "tcpserver/core/command.h"

#include "tcpserver/core/session.h"
#include "tcpserver/core/visit.h"

void command_join(struct session *session, const char *arguments)
{
	struct reading reading = session_reading(session);
	bool asked;
	char name[NAME_SIZE];

	if (arguments[0] == '\0')
		visit_stranger(session);
	else if (command_take_name(session, "join", &arguments, name) &&
		command_take_reading(session, "join", &arguments, &reading, &asked) &&
		command_ends(session, "join", arguments))
		visit_room(session, name, asked ? &reading : NULL);
}
