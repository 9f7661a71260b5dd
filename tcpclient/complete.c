#include "tcpclient/complete.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/verbs.h"

/* What the argument of a command is, as far as it can be completed. */
enum argument { ARGUMENT_NONE, ARGUMENT_ROOM, ARGUMENT_PERSON, ARGUMENT_COMMAND };

/* A command, and its arguments as /help writes them. */
struct verb {
	const char *name;
	const char *arguments;
};

#define VERB_OF(function, name, arguments, help) {name, arguments},

/* The server's, and those of the client itself. */
static const struct verb verbs[] = {
	CHAT_VERBS(VERB_OF) /* each brings its comma */
	{"find", "WORDS"},
	{"save", "FILE"},
	{"w", "USER TEXT"},
};

enum { VERBS = sizeof verbs / sizeof verbs[0] };

/* The word that is completed, and the possibilities seen so far. */
struct search {
	const char *word;
	size_t size;
	size_t wanted; /* which of them is wanted */
	size_t found;
	const char *choice;
};

static bool begins(const char *name, const char *word, size_t size)
{
	char key[NAME_KEY_SIZE];
	char word_key[NAME_KEY_SIZE];
	char text[NAME_SIZE];

	if (strncmp(name, word, size) == 0)
		return true;
	if (size >= sizeof text)
		return false;
	memcpy(text, word, size);
	text[size] = '\0';
	(void)name_key(name, key);
	return strncmp(key, word_key, name_key(text, word_key)) == 0;
}

static void offer(struct search *search, const char *name)
{
	if (begins(name, search->word, search->size) && search->found++ == search->wanted)
		search->choice = name;
}

static void offer_all(struct search *search, const struct people *names)
{
	for (size_t i = 0; i < names->count; i++)
		offer(search, names->names[i]);
}

static void offer_commands(struct search *search)
{
	for (size_t i = 0; i < VERBS; i++)
		offer(search, verbs[i].name);
}

static void offer_for(struct search *search, enum argument argument, const struct people *people, const struct people *rooms)
{
	switch (argument) {
	case ARGUMENT_COMMAND:
		offer_commands(search);
		break;
	case ARGUMENT_ROOM:
		offer_all(search, rooms);
		break;
	case ARGUMENT_PERSON:
	case ARGUMENT_NONE:
		offer_all(search, people);
		break;
	}
}

static enum argument argument_meant(const char *arguments)
{
	const char *word = arguments + (arguments[0] == '[');

	if (strncmp(word, "ROOM", 4) == 0)
		return ARGUMENT_ROOM;
	if (strncmp(word, "USER", 4) == 0)
		return ARGUMENT_PERSON;
	return strncmp(word, "COMMAND", 7) == 0 ? ARGUMENT_COMMAND : ARGUMENT_NONE;
}

/* What the first word of the line, a command, takes. */
static enum argument argument_of(const char *line, size_t size)
{
	for (size_t i = 0; i < VERBS; i++) {
		if (strlen(verbs[i].name) == size && memcmp(verbs[i].name, line, size) == 0)
			return argument_meant(verbs[i].arguments);
	}
	return ARGUMENT_NONE;
}

static size_t word_start(const char *line, size_t point)
{
	while (point > 0 && line[point - 1] != ' ' && line[point - 1] != '\t')
		point--;
	return point;
}

static void add_choice(struct buffer *out, enum argument argument, size_t start, const char *choice)
{
	bool quoted = (argument == ARGUMENT_ROOM || argument == ARGUMENT_PERSON) && strchr(choice, ' ') != NULL;

	buffer_add_text(out, quoted ? "\"" : "");
	buffer_add_text(out, choice);
	buffer_add_text(out, quoted ? "\" " : start == 0 ? ": " : " ");
}

size_t complete(const char *line, size_t point, size_t turn, const struct people *people, const struct people *rooms,
	struct buffer *out)
{
	size_t first_end = strcspn(line, " \t");
	bool is_command = line[0] == '/' && line[1] != '/';
	bool names_command = is_command && point <= first_end;
	enum argument argument = is_command && !names_command ? argument_of(line + 1, first_end - 1) : ARGUMENT_NONE;
	size_t start = word_start(line, point);
	struct search search = {.wanted = turn};

	if (argument != ARGUMENT_NONE) /* it is the rest of the line, which may have spaces */
		start = first_end + strspn(line + first_end, " \t");
	if (start > point)
		return point;
	search.word = line + start;
	search.size = point - start;
	if (names_command || (argument != ARGUMENT_NONE && search.size > 0 && search.word[0] == '"')) {
		search.word++; /* '/' or '"' */
		search.size--;
	}
	for (int pass = 0; pass < 2 && search.choice == NULL; pass++) {
		if (pass == 1 && search.found == 0)
			return point;
		if (pass == 1)
			search.wanted = turn % search.found;
		search.found = 0;
		if (names_command)
			offer_commands(&search);
		else
			offer_for(&search, argument, people, rooms);
	}
	if (names_command)
		buffer_add_format(out, "/%s ", search.choice);
	else
		add_choice(out, argument, start, search.choice);
	return start;
}
