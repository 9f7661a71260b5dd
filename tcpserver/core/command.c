#include "tcpserver/core/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/nearest.h"
#include "common/verbs.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

#define COMMAND_OF(function, name, arguments, help) {name, arguments, help, command_##function},

const struct command commands[] = {CHAT_VERBS(COMMAND_OF){NULL, NULL, NULL, NULL}};

const struct command *command_find(const char *name)
{
	if (strcmp(name, "w") == 0)
		name = "dm";
	for (const struct command *command = commands; command->name != NULL; command++) {
		if (strcmp(command->name, name) == 0)
			return command;
	}
	return NULL;
}

/* ---- Suggestions. ---- */

/* The known command that is most like 'name', or NULL when none is. */
static const char *command_nearest(const char *name)
{
	struct nearest nearest = {.typed = name};

	for (const struct command *command = commands; command->name != NULL; command++)
		nearest_offer(&nearest, command->name);
	return nearest.word;
}

static void command_unknown(struct session *session, const char *name)
{
	int shown = (int)text_prefix(name, strlen(name), COMMAND_SHOWN_MAX);
	const char *nearest = command_nearest(name);

	if (nearest != NULL)
		session_error(session, "unknown-command",
			"there is no command /%.*s; did you mean /%s? /help lists the commands, //%.*s says it as text", shown,
			name, nearest, shown, name);
	else
		session_error(session, "unknown-command",
			"there is no command /%.*s; /help lists the commands, //%.*s says it as text", shown, name, shown, name);
}

/* ---- Running. ---- */

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
	char *text = malloc(size);
	const struct command *command;
	const char *arguments;

	if (text == NULL) {
		session_error(session, "no-memory", "the server has no memory for this command now; try again later");
		return;
	}
	memcpy(text, line + 1, size - 1);
	text[size - 1] = '\0';
	arguments = split_word(text);
	command = command_find(text);
	if (command == NULL)
		command_unknown(session, text);
	else
		command->run(session, arguments);
	free(text);
}

/* ---- Arguments. ---- */

static void command_usage(struct session *session, const char *name)
{
	const struct command *command = command_find(name);

	session_error(session, "usage", "/%s takes %s; type /%s %s", name, command->arguments, name, command->arguments);
}

bool command_take_name(struct session *session, const char *command, const char **arguments, char name[NAME_SIZE])
{
	bool quoted = **arguments == '"';
	const char *start = *arguments + quoted;
	size_t size = strcspn(start, quoted ? "\"" : " \t");

	if (quoted && start[size] != '"')
		session_error(session, "usage", "the name after the \" has no \" at its end; type it in \"double quotes\"");
	else if (quoted && size == 0)
		session_error(session, "usage", "there is no name between the \"\"; type one, or leave them out");
	else if (size >= NAME_SIZE)
		session_error(session, "usage", "no name is as long as that; one has at most %d letters", NAME_LENGTH_MAX);
	else if (size == 0)
		command_usage(session, command);
	if (size == 0 || size >= NAME_SIZE || (quoted && start[size] != '"'))
		return false;
	(void)snprintf(name, NAME_SIZE, "%.*s", (int)size, start);
	*arguments = start + size + quoted;
	*arguments += strspn(*arguments, " \t");
	return true;
}

static const char *skip_white(const char *text)
{
	return text + strspn(text, " \t");
}

bool command_take_word(const char **arguments, char word[COMMAND_WORD_SIZE])
{
	const char *text = *arguments;
	bool quoted = false;
	size_t size = 0;

	for (; *text != '\0' && (quoted || strchr(" \t", *text) == NULL); text++) {
		if (*text == '"')
			quoted = !quoted;
		else if (size + 1 < COMMAND_WORD_SIZE)
			word[size++] = *text;
		else
			return false;
	}
	word[size] = '\0';
	if (text == *arguments)
		return false;
	*arguments = skip_white(text);
	return true;
}

bool command_take_number(const char **arguments, uint64_t *number)
{
	const char *text = *arguments;
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 18 || strchr(" \t", text[digits]) == NULL) /* the NUL is found as well */
		return false;
	*number = strtoull(text, NULL, 10);
	*arguments = skip_white(text + digits);
	return true;
}

bool command_take_keyword(const char **arguments, const char *keyword)
{
	size_t size = strlen(keyword);

	if (strncmp(*arguments, keyword, size) != 0 || strchr(" \t", (*arguments)[size]) == NULL)
		return false;
	*arguments = skip_white(*arguments + size);
	return true;
}

struct member *command_take_place(struct session *session, const char *command, const char **arguments)
{
	char name[NAME_SIZE] = "";
	struct member *place;

	if (**arguments != '\0' && !command_take_name(session, command, arguments, name))
		return NULL;
	place = session_place(session, name);
	if (place == NULL)
		session_error(session, "not-in-room", "you are not in %s; /join %s goes there", name, command_type_name(name).text);
	return place;
}

static bool take_history_count(const char **arguments, size_t *count)
{
	uint64_t number;

	if (command_take_keyword(arguments, "all"))
		*count = SIZE_MAX;
	else if (command_take_keyword(arguments, "none"))
		*count = 0;
	else if (command_take_number(arguments, &number) && number <= SIZE_MAX)
		*count = (size_t)number;
	else
		return false;
	return true;
}

/* "after NUMBER", from 0 on. */
static bool take_after(const char **arguments, struct reading *reading)
{
	reading->resumes = true;
	return command_take_number(arguments, &reading->after);
}

static bool take_room_id(const char **arguments, struct reading *reading)
{
	char word[COMMAND_WORD_SIZE];

	if (!command_take_word(arguments, word) || strlen(word) != ROOM_ID_SIZE - 1)
		return false;
	(void)snprintf(reading->of, sizeof reading->of, "%s", word);
	return true;
}

bool command_take_reading(
	struct session *session, const char *command, const char **arguments, struct reading *reading, bool *asked)
{
	bool right = true;

	*asked = false;
	while (right) {
		if (command_take_keyword(arguments, "--history"))
			right = take_history_count(arguments, &reading->count);
		else if (command_take_keyword(arguments, "after"))
			right = take_after(arguments, reading);
		else if (command_take_keyword(arguments, "of"))
			right = take_room_id(arguments, reading);
		else
			return true;
		*asked = true;
	}
	command_usage(session, command);
	return false;
}

bool command_ends(struct session *session, const char *name, const char *arguments)
{
	const struct command *command = command_find(name);
	const char *takes = command->arguments;
	bool nothing = takes[0] == '\0';

	if (arguments[0] == '\0')
		return true;
	session_error(session, "usage", "/%s takes %s%s; type /%s%s%s%s", name, nothing ? "" : "only ", nothing ? "nothing" : takes,
		name, nothing ? "" : " ", takes, nothing ? "" : ", with a name of several words in \"double quotes\"");
	return false;
}

bool command_needs_text(struct session *session, const char *command, const char *text)
{
	if (text[0] != '\0')
		return true;
	command_usage(session, command);
	return false;
}

struct typed_name command_type_name(const char *name)
{
	const char *quote = strchr(name, ' ') == NULL ? "" : "\"";
	struct typed_name typed;

	(void)snprintf(typed.text, sizeof typed.text, "%s%s%s", quote, name, quote);
	return typed;
}

void command_no_such_room(struct session *session, const char *name, enum rooms_result result)
{
	if (result == ROOMS_TOO_MANY)
		session_error(session, "too-many-rooms", "there are %zu rooms open, which is the most, so %s cannot be opened; try again"
			" later", session->talk->rooms.most, name);
	else if (result == ROOMS_NO_MEMORY)
		session_error(session, "no-memory", "the server has no memory to open %s now; try again later", name);
	else
		session_error(session, "no-such-room", "there is no room %s; /rooms lists those there are", name);
}

void command_no_such_user(struct session *session, const char *name)
{
	session_error(session, "no-such-user", "nobody here is named %s; /who lists who is in the room", name);
}
