#include "tcpserver/core/command.h"

#include <string.h>

#include "common/text.h"
#include "tcpserver/core/session.h"

enum {
	COMMAND_SIZE_MAX = 1024, /* bytes of a line with a command; there are no long ones */
	COMMAND_SHOWN_MAX = 40,  /* bytes of an unknown command that are shown again  */
};

const struct command commands[] = {
	{"help", "", "lists the commands", command_help},
	{"quit", "", "leaves; so does !exit", command_quit},
	{"who", "", "tells who is here", command_who},
	{NULL, NULL, NULL, NULL},
};

static const struct command *command_find(const char *name)
{
	for (const struct command *command = commands; command->name != NULL; command++) {
		if (strcmp(command->name, name) == 0)
			return command;
	}
	return NULL;
}

/* Ends the first word of 'text' with a NUL and returns what follows it, without white space at its ends. */
static char *split_word(char *text)
{
	char *rest = text + strcspn(text, " \t");
	size_t size;

	if (*rest != '\0')
		*rest++ = '\0';
	rest += strspn(rest, " \t");
	size = strlen(rest);
	while (size > 0 && strchr(" \t", rest[size - 1]) != NULL)
		rest[--size] = '\0';
	return rest;
}

void command_run(struct session *session, const char *line, size_t size)
{
	char text[COMMAND_SIZE_MAX];
	const struct command *command;
	const char *arguments;
	int shown;

	if (size > sizeof text) {
		session_error(session, "command-too-long", "a command may have %d bytes; shorten it, or begin the line with //"
			" to say it as text", COMMAND_SIZE_MAX);
		return;
	}
	memcpy(text, line + 1, size - 1);
	text[size - 1] = '\0';
	arguments = split_word(text);
	command = command_find(text);
	if (command == NULL) {
		shown = (int)text_prefix(text, strlen(text), COMMAND_SHOWN_MAX);
		session_error(session, "unknown-command",
			"there is no command /%.*s; /help lists the commands, //%.*s says it as text", shown, text, shown, text);
		return;
	}
	command->run(session, arguments);
}
