#include "tcpclient/commands.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/nearest.h"
#include "common/text.h"
#include "common/verbs.h"
#include "tcpclient/request.h"

enum {
	FOUND_MOST = 50, /* lines that /find shows */
	WORD_SIZE = 64,  /* of a command, with NUL */
	COMMAND_SHOWN_MAX = 50,
};

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

static const char *home(void)
{
	const char *path = getenv("HOME");
	const struct passwd *account;

	if (path != NULL && path[0] != '\0')
		return path;
	account = getpwuid(geteuid());
	return account == NULL ? "~" : account->pw_dir;
}

/* The name of a file, as one types it: in quotes or not, "~/x" for one at home. Adds it with a NUL. */
static void read_path(const char *text, struct buffer *path)
{
	size_t size = strlen(text);

	while (size > 0 && strchr(" \t", text[size - 1]) != NULL)
		size--;
	if (size >= 2 && (text[0] == '"' || text[0] == '\'') && text[size - 1] == text[0]) {
		text++;
		size -= 2;
	}
	if (size >= 2 && text[0] == '~' && text[1] == '/') {
		buffer_add_text(path, home());
		text++;
		size--;
	}
	buffer_add(path, text, size);
	buffer_add(path, "", 1);
}

static void tell_saved(struct work *work, const char *path, int error)
{
	if (error == -EEXIST)
		say(work, RENDER_WARNING, "! not-saved: there is a file of that name already; choose another: %s", path);
	else if (error != 0)
		say(work, RENDER_WARNING, "! not-saved: the file cannot be written (%s); choose another: %s",
			strerrordesc_np(-error), path);
	else
		say(work, RENDER_CALM, "* Saved what was received: %s", path);
}

static void run_save(struct work *work, const char *arguments)
{
	struct buffer path = {0};

	read_path(arguments, &path);
	if (path.bytes[0] == '\0')
		usage(work, "save", "FILE");
	else
		tell_saved(work, path.bytes, scene_save(work->scene, path.bytes));
	buffer_fini(&path);
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

static const struct command *find(const char *name)
{
	const struct command *command = commands;

	while (command->name != NULL && strcmp(command->name, name) != 0)
		command++;
	return command->name == NULL ? NULL : command;
}

#define OFFER(function, name, arguments, help) nearest_offer(&nearest, name);

/* Which command was meant by one that there is not; NULL: none, or no other than it, which the server may know. */
static const char *meant_by(const char *typed)
{
	struct nearest nearest = {.typed = typed};

	CHAT_VERBS(OFFER)
	CLIENT_VERBS(OFFER)
	nearest_offer(&nearest, "w");
	if (nearest.word == NULL || strcmp(nearest.word, typed) == 0)
		return NULL;
	return nearest.word;
}

/* Returns false when there is nothing to be suggested: that the server knows best. */
static bool suggest(struct work *work, const char *typed, const char *meant, bool as_text)
{
	int shown = (int)text_prefix(typed, strlen(typed), COMMAND_SHOWN_MAX);

	if (meant == NULL)
		return false;
	if (as_text)
		say(work, RENDER_WARNING,
			"! unknown-command: there is no command /%.*s; did you mean /%s? //%.*s says it as text", shown, typed,
			meant, shown, typed);
	else
		say(work, RENDER_WARNING, "! unknown-command: there is no command /%.*s; did you mean /%s?", shown, typed, meant);
	return true;
}

/* The first word of 'text'; "" when it is too long for a command. */
static void first_word(const char *text, char word[WORD_SIZE])
{
	size_t size = strcspn(text, " \t");

	(void)snprintf(word, WORD_SIZE, "%.*s", size < WORD_SIZE ? (int)size : 0, text);
}

/* "/help search" and "/help /search". Returns whether it is answered. */
static bool help(struct work *work, const char *name)
{
	const struct command *command;
	char word[WORD_SIZE];

	if (name[0] == '\0') {
		help_all(work);
		return false;
	}
	first_word(name + (name[0] == '/'), word);
	command = find(word);
	if (command == NULL)
		return suggest(work, word, meant_by(word), false);
	help_one(work, command);
	return true;
}

/* "/serach": of all others than ours the server knows best what was meant. */
static bool suggest_own(struct work *work, const char *typed)
{
	const char *meant = meant_by(typed);

	return meant != NULL && find(meant) != NULL && suggest(work, typed, meant, true);
}

static bool work_on(struct work *work, const char *line)
{
	const char *arguments = "";
	const struct command *command;
	char word[WORD_SIZE];

	if (line[0] != '/' || line[1] == '/')
		return false;
	if (request_is(line, "help", &arguments))
		return help(work, arguments);
	if (request_is(line, "search", &arguments) && !scene_is_in_events(work->scene)) {
		run_find(work, arguments); /* such a server cannot search */
		return true;
	}
	first_word(line + 1, word);
	command = find(word);
	if (command == NULL)
		return suggest_own(work, word);
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

void commands_unquote(const char **line, size_t *size)
{
	bool is_quoted = *size >= 2 && (*line)[0] == '/' && (*line)[1] == '/';

	*line += is_quoted;
	*size -= is_quoted;
}

bool commands_refuse(struct scene *scene, const char *line, size_t size, struct buffer *out)
{
	struct work work = {.scene = scene, .out = out};
	bool is_help = size >= 5 && memcmp(line, "/help", 5) == 0 && (size == 5 || line[5] == ' ');

	if (size == 0 || line[0] != '/' || (size >= 2 && line[1] == '/'))
		return false;
	if (scene != NULL && is_help)
		say(&work, RENDER_CALM, "* /quit - leaves the chat; so does !exit. This server has no commands of its own; //x says /x");
	else if (scene != NULL)
		say(&work, RENDER_WARNING, "! unknown-command: this server has no commands, and this was not sent; /%.*s says it as text",
			(int)text_prefix(line, size, COMMAND_SHOWN_MAX), line);
	return true;
}
