#include "tcpserver/core/command.h"
#include "tcpserver/core/session.h"

void command_help(struct session *session, const char *arguments)
{
	(void)arguments;
	for (const struct command *command = commands; command->name != NULL; command++)
		session_notice(session, "/%s%s%s - %s", command->name, command->arguments[0] == '\0' ? "" : " ",
			command->arguments, command->help);
	session_notice(session, "//text - says /text");
}
