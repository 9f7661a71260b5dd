#include "tcpserver/core/command.h"

#include <stdio.h>
#include <string.h>

#include "tcpserver/core/session.h"

void command_nick(struct session *session, const char *arguments)
{
	char name[NAME_SIZE];

	if (!command_needs_text(session, "nick", arguments))
		return;
	if (name_make(arguments, strlen(arguments), name))
		session_rename(session, name);
	else
		session_error(session, "bad-name",
			"a name has 1 to 50 letters, digits, _ - . # and single spaces inside; choose another");
}
