#include "tcpclient/secret.h"

#include <stdio.h>
#include <string.h>

#include "common/nearest.h"
#include "common/verbs.h"

struct verb {
	const char *name;
	const char *arguments;
};

#define VERB_OF(function, name, arguments, help) {name, arguments},

static const struct verb verbs[] = {CHAT_VERBS(VERB_OF){NULL, NULL}};

static bool takes_password(const char *command)
{
	struct nearest nearest = {.typed = command};
	const struct verb *verb = verbs;

	for (; verb->name != NULL; verb++)
		nearest_offer(&nearest, verb->name);
	if (nearest.word == NULL)
		return false;
	for (verb = verbs; strcmp(verb->name, nearest.word) != 0;)
		verb++;
	return strstr(verb->arguments, "PASSWORD") != NULL;
}

static size_t blanks(const char *text, size_t size)
{
	size_t count = 0;

	while (count < size && (text[count] == ' ' || text[count] == '\t'))
		count++;
	return count;
}

/* White space before a command makes a message of it; but who typed that meant the command. */
static bool is_secret(const char *line, size_t size)
{
	size_t start = blanks(line, size);
	char command[NEAREST_SIZE_MAX + 2];
	size_t command_size = 0;

	if (start == size || line[start] != '/' || (start + 1 < size && line[start + 1] == '/'))
		return false;
	line += start + 1;
	size -= start + 1;
	while (command_size < size && blanks(line + command_size, 1) == 0)
		command_size++;
	if (command_size >= sizeof command)
		return false;
	(void)snprintf(command, sizeof command, "%.*s", (int)command_size, line);
	return takes_password(command);
}

bool secret_is_in(const char *text, size_t size)
{
	const char *end = text + size;

	while (text < end) {
		const char *line_end = memchr(text, '\n', (size_t)(end - text));

		if (line_end == NULL)
			line_end = end;
		if (is_secret(text, (size_t)(line_end - text)))
			return true;
		text = line_end + 1;
	}
	return false;
}
