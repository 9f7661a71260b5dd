#include "tcpclient/commands.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/text.h"
#include "tcpclient/request.h"

enum { FOUND_MOST = 50 }; /* lines that /find shows */

/* What a command writes, and to whom. */
struct work {
	struct scene *scene;
	struct buffer *out;
};

struct command {
	const char *name;
	const char *arguments;
	const char *help;
	void (*run)(struct work *work, const char *arguments);
};

static void say(struct work *work, enum render_tone tone, const char *format, ...) PRINTF_LIKE(3, 4);
static void say(struct work *work, enum render_tone tone, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	text[text_prefix(text, strlen(text), sizeof text - 4)] = '\0';
	scene_say(work->scene, work->out, tone, text);
}

static void usage(struct work *work, const char *name, const char *arguments)
{
	say(work, RENDER_WARNING, "! usage: it is /%s %s", name, arguments);
}

static void run_find(struct work *work, const char *words)
{
	struct buffer found = {0};
	size_t count;

	if (words[0] == '\0') {
		usage(work, "find", "WORDS");
		return;
	}
	count = scene_search(work->scene, words, FOUND_MOST, &found);
	say(work, RENDER_CALM, count == FOUND_MOST ? "(the last %zu lines with these words)" : "(found: %zu)", count);
	buffer_add(work->out, found.bytes, found.size);
	buffer_fini(&found);
}

static void run_save(struct work *work, const char *path)
{
	int error;

	if (path[0] == '\0') {
		usage(work, "save", "FILE");
		return;
	}
	error = scene_save(work->scene, path);
	if (error == -EEXIST)
		say(work, RENDER_WARNING, "Not saved: there is a file of that name already; choose another.");
	else if (error != 0)
		say(work, RENDER_WARNING, "Not saved: %s.", strerrordesc_np(-error));
	else
		say(work, RENDER_CALM, "Saved what was received.");
}

static void run_ignore(struct work *work, const char *arguments)
{
	char name[NAME_SIZE];

	if (arguments[0] == '\0')
		scene_list_ignored(work->scene, work->out);
	else if (!request_take_name(&arguments, name) || arguments[strspn(arguments, " \t")] != '\0')
		usage(work, "ignore", "USER, with the name in \"\" if it has spaces");
	else
		scene_ignore(work->scene, name, work->out);
}

#define COMMAND_OF(function, name, arguments, help) {name, arguments, help, run_##function},

static const struct command commands[] = {
	CLIENT_VERBS(COMMAND_OF) /* each brings its comma */
	{NULL, NULL, NULL, NULL},
};

static void help_one(struct work *work, const struct command *command)
{
	say(work, RENDER_CALM, "* /%s %s - %s", command->name, command->arguments, command->help);
}

/* Ours come before those that the server tells. */
static void help_all(struct work *work)
{
	for (const struct command *command = commands; command->name != NULL; command++)
		help_one(work, command);
	if (scene_has_keys(work->scene))
		say(work, RENDER_CALM, "* Tab completes, Alt-Enter begins a line, Ctrl-X Ctrl-E edits");
}

static const struct command *find(const char *name, size_t size)
{
	const struct command *command = commands;

	while (command->name != NULL && (strncmp(command->name, name, size) != 0 || command->name[size] != '\0'))
		command++;
	return command->name == NULL ? NULL : command;
}

/* "/help search" and "/help /search". Returns whether it is one of ours. */
static bool help(struct work *work, const char *name)
{
	const struct command *command;

	if (name[0] == '\0') {
		help_all(work);
		return false;
	}
	name += name[0] == '/';
	command = find(name, strcspn(name, " \t"));
	if (command != NULL)
		help_one(work, command);
	return command != NULL;
}

/* "/SEARCH": of all others the server knows best what was meant. */
static bool suggest(struct work *work, const char *line)
{
	size_t size = strcspn(line + 1, " \t");

	for (const struct command *command = commands; command->name != NULL; command++) {
		if (strlen(command->name) == size && strncasecmp(command->name, line + 1, size) == 0) {
			say(work, RENDER_WARNING,
				"! unknown-command: there is no command /%.*s; did you mean /%s? //%.*s says it as "
				"text",
				(int)size, line + 1, command->name, (int)size, line + 1);
			return true;
		}
	}
	return false;
}

static bool work_on(struct work *work, const char *line)
{
	const char *arguments = "";
	const struct command *command;

	if (line[0] != '/' || line[1] == '/')
		return false;
	if (request_is(line, "help", &arguments))
		return help(work, arguments);
	if (request_is(line, "search", &arguments) && !scene_is_in_events(work->scene)) {
		run_find(work, arguments); /* such a server cannot search */
		return true;
	}
	command = find(line + 1, strcspn(line + 1, " \t"));
	if (command == NULL)
		return suggest(work, line);
	if (request_is(line, command->name, &arguments))
		command->run(work, arguments);
	return true;
}

bool commands_work(struct scene *scene, const char *line, size_t size, struct buffer *out)
{
	struct work work = {.scene = scene, .out = out};
	struct buffer text = {0};
	bool ours;

	buffer_add(&text, line, size);
	buffer_add(&text, "", 1);
	ours = work_on(&work, text.bytes);
	buffer_fini(&text);
	return ours;
}
