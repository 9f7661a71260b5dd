/*
 * Options of a program: one const table says what there is; values come, later ones winning, from the defaults, the
 * configuration file (--config), the file of --env-file, the environment, and the command line.
 *
 *         --name VALUE   --name=VALUE   -name VALUE   -name=VALUE   --   (what follows is no option)
 *
 * Options and other arguments may stand in any order: the latter are moved to the end of argv, in the order that they have.
 *
 * An option "lag-memory" has the variable CHAT_LAG_MEMORY. Variables that no option has are left alone, because the
 * server, the client and other programs share an environment. An empty variable counts as not set.
 *
 * A configuration file holds "name = value", one a line, and comments, lines that begin with '#'. A list repeats its line.
 * The file is the program's own, so a name that it does not have is an error.
 *
 * Threads: one at a time. Nothing here prints or ends the program, except options_print_help().
 */
#ifndef COMMON_OPTIONS_H
#define COMMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/sync.h"

enum option_kind {
	OPTION_FLAG,   /* int: 1 when given; in the environment 1, 0, true, false                  */
	OPTION_STRING, /* const char *                                                              */
	OPTION_LIST,   /* struct option_list; may be repeated; separated by white space in a variable */
	OPTION_NUMBER, /* long long from 'least' to 'most'                                          */
	OPTION_SIZE,   /* long long, bytes: 65535, 64K, 1M, 2G (also KiB, MiB, GiB)                  */
	OPTION_CHOICE, /* int: the place of the word in 'choices'                                    */
};

enum { OPTION_LIST_MAX = 16, OPTION_MESSAGE_SIZE = 1024 };

struct option_list {
	const char *items[OPTION_LIST_MAX];
	size_t count;
};

/* Another variable (a predecessor's name). */
struct option_alias {
	const char *name;   /* NULL: the end of them                                 */
	const char *format; /* what makes our value of its value: one %s; NULL: "%s" */
};

/* In a table: OPTION_ALIASES({"PORT", "[::]:%s"}, {"OLD_PORT", "[::]:%s"}) */
#define OPTION_ALIASES(...) (const struct option_alias[]){__VA_ARGS__, {NULL, NULL}}

struct option {
	const char *name;
	const char *argument; /* shown in help; NULL for a flag   */
	const char *help;     /* may hold several lines; NULL: not shown */
	enum option_kind kind;
	void *value; /* holds the default until then      */
	long long least;
	long long most;
	/* Ended by NULL. Of a flag, what else it may be in a variable that programs share, which have more to choose: the first
	 * means 0, the others 1. */
	const char *const *choices;
	/* Looks closer at a string. Returns NULL, or what is allowed, as in "ADDR:PORT with a port of 0 to 65535". */
	const char *(*check)(const char *value);
	const char *prefix; /* of its variable; NULL: "CHAT" */
	const struct option_alias *aliases; /* other variables that are understood; the first that is set counts; or NULL */
	const char *default_from; /* a variable that gives the default, weaker than any file, or NULL    */
	bool *was_given;          /* of a string: set to whether its value came from elsewhere; or NULL    */
	bool names_file;          /* the value is the name of a file                                     */
	bool unlisted;            /* completed like the others, but not in the list of --help            */
	/* As --help: where the command line has it, no other source is read, so that nothing can stand in its way. */
	bool answers;
	/* Of "config" alone: the file below the user's configuration that is read when it exists and none is named, or NULL. */
	const char *place;
};

/* How the reading ended; the message says what is wrong, with flag or variable, value and what is allowed. */
struct options_result {
	int first_argument; /* the place in argv of the first that is no option; only such follow */
	char message[OPTION_MESSAGE_SIZE];
};

/*
 * Reads the options of 'table', which ends with a NULL name, from the places above, and sorts 'argv'; 'environment' is ended by NULL, as
 * environ is. Strings live as long as 'argv' and the environment do; those of a file for the rest of the program.
 * Returns 0, or -EINVAL with a message; values may have been changed then.
 */
int options_parse(const struct option *table, int argc, char **argv, char **environment, struct options_result *result)
	MUST_CHECK;

/* Sets options from the text of an environment file; as part of options_parse(), and for tests. 'text' is changed and
 * has to stay. Comments (#), quotes around a value and "export " are understood. */
int options_parse_file(const struct option *table, char *text, struct options_result *result) MUST_CHECK;

/* Sets options from the text of the configuration file 'path'; as part of options_parse(), and for tests. 'text' is
 * changed and has to stay. */
int options_parse_config(const struct option *table, const char *path, char *text, struct options_result *result)
	MUST_CHECK;

/* "--" of a name, or "-" of a single letter. */
const char *options_dashes(const struct option *option);

/* Prints the table: a line or more an option. */
void options_print_help(const struct option *table, FILE *out);

#endif
