#include "tcpserver/core/command.h"

#include "tcpserver/core/session.h"

static void help_one(struct session *session, const struct command *command)
{
	session_notice(session, "/%s%s%s - %s", command->name, command->arguments[0] == '\0' ? "" : " ", command->arguments,
		command->help);
}

void command_help(struct session *session, const char *arguments)
{
	const char *name = arguments + (arguments[0] == '/');
	const struct command *command = command_find(name);

	if (command != NULL) {
		help_one(session, command);
		return;
	}
	if (name[0] != '\0') {
		session_error(session, "unknown-command", "there is no command of that name; /help lists them");
		return;
	}
	for (command = commands; command->name != NULL; command++)
		help_one(session, command);
	session_notice(session, "//text - says /text");
}
