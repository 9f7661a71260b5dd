#include "tcpserver/core/command.h"

#include <string.h>

#include "common/text.h"
#include "tcpserver/core/session.h"

static void help_one(struct session *session, const struct command *command)
{
	session_notice(session, "/%s%s%s - %s", command->name, command->arguments[0] == '\0' ? "" : " ", command->arguments,
		command->help);
}

/* Clients have commands of their own, of which the server knows nothing. */
static void help_none(struct session *session, const char *name)
{
	size_t size = strcspn(name, " \t");

	if (command_ends(session, "help", name + size))
		session_error(session, "unknown-command",
			"the server has no command /%.*s; if it is one of your client, look there; /help lists those of the server",
			(int)text_prefix(name, size, COMMAND_SHOWN_MAX), name);
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
		help_none(session, name);
		return;
	}
	for (command = commands; command->name != NULL; command++)
		help_one(session, command);
	session_notice(session, "//text - says /text");
}
