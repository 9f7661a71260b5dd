#include "tcpserver/core/command.h"

#include <stdio.h>
#include <string.h>

#include "tcpserver/core/session.h"

void command_nick(struct session *session, const char *arguments)
{
	char quoted[NAME_SIZE];
	char name[NAME_SIZE];

	if (!command_needs_text(session, "nick", arguments))
		return;
	if (arguments[0] == '"') {
		if (!command_take_name(session, "nick", &arguments, quoted) || !command_ends(session, "nick", arguments))
			return;
		arguments = quoted;
	}
	if (name_make(arguments, strlen(arguments), name))
		session_rename(session, name);
	else
		session_error(session, "bad-name",
			"a name has 1 to 50 letters, digits, _ - . # and single spaces inside; choose another");
}
