#include "common/options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret.h"
#include "common/text.h"

enum { VARIABLE_SIZE = 64, FILE_SIZE_MAX = 1 << 20, SHOWN_SIZE_MAX = 200, WHERE_SIZE = 320, PATH_SIZE = 4096 };

/* One reading of one source (file, environment, command line). */
struct reading {
	const struct option *table;
	struct options_result *result;
	bool gives_defaults;  /* it is what 'default_from' names                               */
	uint64_t lists_begun; /* a list from this source replaces one from an earlier source */
};

/* Of a long value the beginning is shown, so that the message has room for what is allowed; of a URL all but its password. */
static int refuse(struct reading *reading, const char *where, const char *given, const char *allowed)
{
	char *copy = strdup(given);
	const char *value = copy == NULL ? "" : copy;
	size_t shown;

	if (copy != NULL)
		secret_cross_out(copy);
	shown = text_prefix(value, strlen(value), SHOWN_SIZE_MAX);
	(void)snprintf(reading->result->message, OPTION_MESSAGE_SIZE, "%s: \"%.*s%s\" is not allowed; it takes %s",
		where, (int)shown, value, value[shown] == '\0' ? "" : "...", allowed);
	free(copy);
	return -EINVAL;
}

static bool parse_whole_number(const char *text, char **end, long long *number)
{
	errno = 0;
	*number = strtoll(text, end, 10);
	return errno == 0 && *end != text && isdigit((unsigned char)text[0]);
}

static int set_number(struct reading *reading, const struct option *option, const char *where, const char *value)
{
	char allowed[80];
	char *end;
	long long number;

	(void)snprintf(allowed, sizeof allowed, "a whole number from %lld to %lld", option->least, option->most);
	if (!parse_whole_number(value, &end, &number) || *end != '\0' || number < option->least ||
		number > option->most)
		return refuse(reading, where, value, allowed);
	*(long long *)option->value = number;
	return 0;
}

/* "", "K", "KiB", "M", ...: the power of two, or -1. */
static int size_shift(const char *suffix)
{
	static const char letters[] = "KMG";
	const char *letter;

	if (suffix[0] == '\0')
		return 0;
	letter = strchr(letters, toupper((unsigned char)suffix[0]));
	if (letter == NULL || (suffix[1] != '\0' && strcmp(suffix + 1, "iB") != 0))
		return -1;
	return 10 * (int)(letter - letters + 1);
}

static int set_size(struct reading *reading, const struct option *option, const char *where, const char *value)
{
	char allowed[120];
	char *end;
	long long number;
	int shift;

	(void)snprintf(allowed, sizeof allowed, "a size from %lld to %lld bytes, as in 65535, 64K, 1M or 2G",
		option->least, option->most);
	if (!parse_whole_number(value, &end, &number))
		return refuse(reading, where, value, allowed);
	shift = size_shift(end);
	if (shift < 0 || number > (option->most >> shift) || number << shift < option->least)
		return refuse(reading, where, value, allowed);
	*(long long *)option->value = number << shift;
	return 0;
}

static void list_words(const char *const *words, char *text, size_t size)
{
	size_t length = 0;

	text[0] = '\0';
	for (; *words != NULL && length < size; words++)
		length += (size_t)snprintf(text + length, size - length, "%s%s", *words, words[1] == NULL ? "" : ", ");
}

static int set_choice(struct reading *reading, const struct option *option, const char *where, const char *value)
{
	char words[160];
	char allowed[180];

	for (int i = 0; option->choices[i] != NULL; i++) {
		if (strcmp(option->choices[i], value) == 0) {
			*(int *)option->value = i;
			return 0;
		}
	}
	list_words(option->choices, words, sizeof words);
	(void)snprintf(allowed, sizeof allowed, "one of: %s", words);
	return refuse(reading, where, value, allowed);
}

static int set_flag(struct reading *reading, const struct option *option, const char *where, const char *value)
{
	bool on = strcmp(value, "1") == 0 || strcmp(value, "true") == 0;

	for (int i = 0; option->choices != NULL && option->choices[i] != NULL; i++) {
		if (strcmp(option->choices[i], value) == 0) {
			*(int *)option->value = i > 0;
			return 0;
		}
	}
	if (!on && strcmp(value, "0") != 0 && strcmp(value, "false") != 0)
		return refuse(reading, where, value, "1, 0, true or false");
	*(int *)option->value = on;
	return 0;
}

static int set_string(struct reading *reading, const struct option *option, const char *where, const char *value)
{
	const char *allowed = option->check == NULL ? NULL : option->check(value);

	if (allowed != NULL)
		return refuse(reading, where, value, allowed);
	*(const char **)option->value = value;
	if (option->was_given != NULL)
		*option->was_given = !reading->gives_defaults;
	return 0;
}

static int set_list(struct reading *reading, const struct option *option, const char *where, const char *value)
{
	struct option_list *list = option->value;
	uint64_t bit = UINT64_C(1) << (option - reading->table);
	const char *allowed = option->check == NULL ? NULL : option->check(value);

	if (allowed != NULL)
		return refuse(reading, where, value, allowed);
	if ((reading->lists_begun & bit) == 0)
		list->count = 0;
	reading->lists_begun |= bit;
	if (list->count == OPTION_LIST_MAX)
		return refuse(reading, where, value, "at most 16 values");
	list->items[list->count++] = value;
	return 0;
}

static int set_value(struct reading *reading, const struct option *option, const char *where, const char *value)
{
	switch (option->kind) {
	case OPTION_FLAG:
		return set_flag(reading, option, where, value);
	case OPTION_STRING:
		return set_string(reading, option, where, value);
	case OPTION_LIST:
		return set_list(reading, option, where, value);
	case OPTION_NUMBER:
		return set_number(reading, option, where, value);
	case OPTION_SIZE:
		return set_size(reading, option, where, value);
	case OPTION_CHOICE:
		return set_choice(reading, option, where, value);
	}
	return -EINVAL;
}

/* Not toupper(), which knows another I in Turkish. */
static char upper(char letter)
{
	return letter >= 'a' && letter <= 'z' ? (char)(letter - 'a' + 'A') : letter;
}

static void variable_name(const struct option *option, char name[VARIABLE_SIZE])
{
	const char *prefix = option->prefix == NULL ? "CHAT" : option->prefix;
	size_t size = (size_t)snprintf(name, VARIABLE_SIZE, "%s_%s", prefix, option->name);

	for (size_t i = 0; i < size && i < VARIABLE_SIZE; i++)
		name[i] = name[i] == '-' ? '_' : upper(name[i]);
}

/*
 * Memory for strings of a file or of an alias, which stay as long as the options: for the program's life. The chain
 * keeps those reachable that a later value has replaced.
 */
struct kept {
	struct kept *next;
	char text[];
};

static struct kept *kept_strings;

static char *keep_room(size_t size)
{
	struct kept *kept = malloc(sizeof *kept + size);

	if (kept == NULL)
		abort(); /* without memory at the start there is nothing to do */
	kept->next = kept_strings;
	kept_strings = kept;
	return kept->text;
}

static char *keep(const char *text)
{
	return strcpy(keep_room(strlen(text) + 1), text);
}

static int set_words(struct reading *reading, const struct option *option, const char *where, const char *value)
{
	char *rest = NULL;
	int error = 0;

	for (char *word = strtok_r(keep(value), " \t", &rest); word != NULL && error == 0;
		word = strtok_r(NULL, " \t", &rest))
		error = set_list(reading, option, where, word);
	return error;
}

static int set_variable(struct reading *reading, const struct option *option, const char *name, const char *value)
{
	if (option->kind == OPTION_LIST)
		return set_words(reading, option, name, value);
	return set_value(reading, option, name, value);
}

static int set_alias(
	struct reading *reading, const struct option *option, const struct option_alias *alias, const char *value)
{
	const char *mark = alias->format == NULL ? NULL : strstr(alias->format, "%s");
	size_t size;
	char *text;

	if (mark == NULL)
		return set_variable(reading, option, alias->name, value);
	size = strlen(alias->format) + strlen(value); /* the two bytes of "%s" are room enough for the NUL */
	text = keep_room(size);
	(void)snprintf(
		text, size, "%.*s%s%s", (int)(mark - alias->format), alias->format, value, mark + 2);
	return set_variable(reading, option, alias->name, text);
}

/* Looks 'name' up in "NAME=VALUE" strings; the last one wins. Returns NULL when it is not set, or empty. */
static const char *look_up(char *const *variables, const char *name)
{
	size_t size = strlen(name);
	const char *value = NULL;

	for (; *variables != NULL; variables++) {
		if (strncmp(*variables, name, size) == 0 && (*variables)[size] == '=')
			value = *variables + size + 1;
	}
	return value != NULL && value[0] != '\0' ? value : NULL;
}

/* Defaults that the environment gives, as $USER does. */
static int read_default_variables(struct reading *reading, char *const *environment)
{
	int error = 0;

	for (const struct option *option = reading->table; option->name != NULL && error == 0; option++) {
		const char *value = option->default_from == NULL ? NULL : look_up(environment, option->default_from);

		if (value != NULL)
			error = set_variable(reading, option, option->default_from, value);
	}
	return error;
}

static int read_aliases(struct reading *reading, const struct option *option, char *const *variables)
{
	for (const struct option_alias *alias = option->aliases; alias != NULL && alias->name != NULL; alias++) {
		const char *value = look_up(variables, alias->name);

		if (value != NULL)
			return set_alias(reading, option, alias, value);
	}
	return 0;
}

static int read_variables(struct reading *reading, char *const *variables)
{
	int error = 0;

	for (const struct option *option = reading->table; option->name != NULL && error == 0; option++) {
		char name[VARIABLE_SIZE];
		const char *value;

		variable_name(option, name);
		value = look_up(variables, name);
		error = value != NULL ? set_variable(reading, option, name, value) : read_aliases(reading, option, variables);
	}
	return error;
}

static const struct option *find(const struct option *table, const char *name, size_t size)
{
	for (; table->name != NULL; table++) {
		if (strlen(table->name) == size && memcmp(table->name, name, size) == 0)
			return table;
	}
	return NULL;
}

/* It may be an option with a letter too few, and a URL behind it. */
static void refuse_unknown(char *message, const char *argument)
{
	char *copy = strdup(argument);

	if (copy != NULL)
		secret_cross_out(copy);
	(void)snprintf(message, OPTION_MESSAGE_SIZE, "%s: there is no such option; --help lists them", copy == NULL ? "" : copy);
	free(copy);
}

/*
 * Takes the option at '*place' of argv, and its value; steps past them. Returns NULL with a message when it is unknown
 * or lacks its value.
 */
static const struct option *take_option(struct reading *reading, int argc, char **argv, int *place, const char **value)
{
	const char *name = argv[*place] + (argv[*place][1] == '-' ? 2 : 1);
	const char *equals = strchr(name, '=');
	size_t size = equals == NULL ? strlen(name) : (size_t)(equals - name);
	const struct option *option = find(reading->table, name, size);
	char *message = reading->result->message;

	*value = equals == NULL ? NULL : equals + 1;
	if (option == NULL) {
		refuse_unknown(message, argv[*place]);
		return NULL;
	}
	(*place)++;
	if (option->kind == OPTION_FLAG)
		*value = *value == NULL ? "1" : *value;
	else if (*value == NULL && *place < argc)
		*value = argv[(*place)++];
	if (*value == NULL) {
		(void)snprintf(message, OPTION_MESSAGE_SIZE, "--%s: a value is missing; it takes %s", option->name,
			option->argument);
		return NULL;
	}
	return option;
}

static bool is_option(const char *argument)
{
	return argument[0] == '-' && argument[1] != '\0';
}

/* Moves the arguments from 'from' to 'to' in front of those from 'first' to 'from'. */
static void move_forward(char **argv, int first, int from, int to)
{
	for (; from < to; first++, from++) {
		char *argument = argv[from];

		memmove(&argv[first + 1], &argv[first], (size_t)(from - first) * sizeof *argv);
		argv[first] = argument;
	}
}

static int read_argument(struct reading *reading, int argc, char **argv, int *place)
{
	const char *value;
	const struct option *option = take_option(reading, argc, argv, place, &value);
	char where[VARIABLE_SIZE];

	if (option == NULL)
		return -EINVAL;
	(void)snprintf(where, sizeof where, "--%s", option->name);
	return set_value(reading, option, where, value);
}

/* The arguments that are no options lie between 'first' and 'place'; options that follow are moved in front of them. */
static int read_arguments(struct reading *reading, int argc, char **argv)
{
	bool options_end = false;
	int first = 1;
	int place = 1;

	while (place < argc && !options_end) {
		int from = place;
		int error = 0;

		if (!is_option(argv[place])) {
			place++;
			continue;
		}
		options_end = strcmp(argv[place], "--") == 0;
		if (options_end)
			place++;
		else
			error = read_argument(reading, argc, argv, &place);
		if (error != 0)
			return error;
		move_forward(argv, first, from, place);
		first += place - from;
	}
	reading->result->first_argument = first;
	return 0;
}

static char *strip_blanks(char *text)
{
	size_t size;

	while (isspace((unsigned char)*text))
		text++;
	size = strlen(text);
	while (size > 0 && isspace((unsigned char)text[size - 1]))
		text[--size] = '\0';
	return text;
}

/* Cuts white space and one pair of quotes off. */
static char *strip(char *text)
{
	size_t size;

	text = strip_blanks(text);
	size = strlen(text);
	if (size >= 2 && (text[0] == '"' || text[0] == '\'') && text[size - 1] == text[0]) {
		text[size - 1] = '\0';
		text++;
	}
	return text;
}

/* Makes "NAME=VALUE" of a line of a file, or NULL of one that holds no variable. */
static char *variable_of_line(char *line)
{
	char *equals;
	char *value;
	char *name = line;
	size_t name_size;

	while (isspace((unsigned char)*name))
		name++;
	if (strncmp(name, "export ", 7) == 0)
		name += 7;
	while (isspace((unsigned char)*name))
		name++;
	equals = strchr(name, '=');
	if (name[0] == '#' || equals == NULL)
		return NULL;
	value = strip(equals + 1);
	name_size = (size_t)(equals - name);
	while (name_size > 0 && isspace((unsigned char)name[name_size - 1]))
		name_size--;
	memmove(name + name_size + 1, value, strlen(value) + 1);
	name[name_size] = '=';
	return name;
}

/* Some editors begin a file with a byte order mark. */
static char *skip_byte_order_mark(char *text)
{
	static const char mark[] = "\xEF\xBB\xBF";

	return strncmp(text, mark, strlen(mark)) == 0 ? text + strlen(mark) : text;
}

/* Makes variables, ended by NULL, of the lines of an environment file. free() the array; its strings lie in 'text'. */
static char **split_variables(char *text)
{
	char *rest = NULL;
	char **variables = calloc(1, sizeof *variables);
	size_t count = 0;

	if (variables == NULL)
		abort(); /* as in keep() */
	text = skip_byte_order_mark(text);
	for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		char *variable = variable_of_line(line);
		char **grown;

		if (variable == NULL)
			continue;
		grown = realloc(variables, (count + 2) * sizeof *variables);
		if (grown == NULL)
			abort();
		variables = grown;
		variables[count++] = variable;
		variables[count] = NULL;
	}
	return variables;
}

int options_parse_file(const struct option *table, char *text, struct options_result *result)
{
	struct reading reading = {.table = table, .result = result};
	char **variables = split_variables(text);
	int error = read_variables(&reading, variables);

	free(variables);
	return error;
}

/* ---- Configuration files. ---- */

/* What names a source, or says how to get an answer, has no place in a file that is read because of it. */
static bool is_configurable(const struct option *option)
{
	return !option->answers && strcmp(option->name, "config") != 0 && strcmp(option->name, "env-file") != 0;
}

static int refuse_name(struct reading *reading, const char *where, const char *name)
{
	char allowed[OPTION_MESSAGE_SIZE / 2] = "one of:";
	size_t size = strlen(allowed);

	for (const struct option *option = reading->table; option->name != NULL && size < sizeof allowed; option++) {
		if (is_configurable(option))
			size += (size_t)snprintf(allowed + size, sizeof allowed - size, " %s", option->name);
	}
	return refuse(reading, where, name, allowed);
}

/* 'place' is "FILE:LINE". */
static int read_config_line(struct reading *reading, const char *place, char *line)
{
	char where[WHERE_SIZE];
	char *name = strip_blanks(line);
	char *equals = strchr(name, '=');
	const struct option *option;

	if (name[0] == '\0' || name[0] == '#')
		return 0;
	if (equals == NULL)
		return refuse(reading, place, name, "NAME = VALUE, or a comment that begins with #");
	*equals = '\0';
	name = strip_blanks(name);
	option = find(reading->table, name, strlen(name));
	if (option == NULL || !is_configurable(option))
		return refuse_name(reading, place, name);
	(void)snprintf(where, sizeof where, "%s: %s", place, option->name);
	return set_value(reading, option, where, strip(equals + 1));
}

int options_parse_config(const struct option *table, const char *path, char *text, struct options_result *result)
{
	struct reading reading = {.table = table, .result = result};
	size_t shown = text_prefix(path, strlen(path), SHOWN_SIZE_MAX);
	char *next = skip_byte_order_mark(text);
	int error = 0;

	for (int number = 1; next != NULL && error == 0; number++) {
		char place[WHERE_SIZE - VARIABLE_SIZE];
		char *line = next;

		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		(void)snprintf(place, sizeof place, "%.*s:%d", (int)shown, path, number);
		error = read_config_line(&reading, place, line);
	}
	return error;
}

/* ---- Which files there are. ---- */

/* Reads a whole file of at most FILE_SIZE_MAX bytes, which stays; NULL with errno set when that fails. */
static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text;
	size_t size;
	int error = 0;

	if (file == NULL)
		return NULL;
	text = keep_room(FILE_SIZE_MAX + 1);
	size = fread(text, 1, FILE_SIZE_MAX + 1, file);
	if (ferror(file))
		error = errno;
	else if (size > FILE_SIZE_MAX)
		error = EFBIG;
	else if (memchr(text, '\0', size) != NULL)
		error = EILSEQ; /* no text, or not one of bytes */
	else
		text[size] = '\0';
	(void)fclose(file); /* only read */
	errno = error;
	return error == 0 ? text : NULL;
}

/* The options of a command line one by one; what is wrong with them read_arguments() will say. */
struct walk {
	const struct option *table;
	int argc;
	char **argv;
	int place;
	const char *value; /* of the option that was returned last */
};

static const struct option *walk_next(struct walk *walk)
{
	struct options_result unused;
	struct reading reading = {.table = walk->table, .result = &unused};

	while (walk->place < walk->argc && !is_option(walk->argv[walk->place]))
		walk->place++;
	if (walk->place >= walk->argc || strcmp(walk->argv[walk->place], "--") == 0)
		return NULL;
	return take_option(&reading, walk->argc, walk->argv, &walk->place, &walk->value);
}

/* Is there an option that is all that counts? */
static bool asks_for_answer(struct walk walk)
{
	const struct option *option;

	while ((option = walk_next(&walk)) != NULL) {
		if (option->answers)
			return true;
	}
	return false;
}

/* The last value that the command line gives to 'name', or NULL. */
static const char *find_argument(struct walk walk, const char *name)
{
	const struct option *option;
	const char *value = NULL;

	while ((option = walk_next(&walk)) != NULL) {
		if (strcmp(option->name, name) == 0)
			value = walk.value;
	}
	return value;
}

/* Says that the file of an option could not be read, as errno has it. */
static int refuse_file(struct options_result *result, const char *option, const char *path, const char *allowed)
{
	(void)snprintf(result->message, OPTION_MESSAGE_SIZE, "--%s: cannot read \"%.*s\": %s; it takes %s", option,
		SHOWN_SIZE_MAX, path, strerror(errno), allowed);
	return -EINVAL;
}

/* Gives the variables of the file of --env-file, or NULL when there is none; free() them. */
static int load_env_file(const struct walk *walk, char **environment, char ***variables, struct options_result *result)
{
	const struct option *option = find(walk->table, "env-file", strlen("env-file"));
	const char *path = find_argument(*walk, "env-file");
	char variable[VARIABLE_SIZE] = "CHAT_ENV_FILE";
	char *text;

	if (option != NULL)
		variable_name(option, variable);
	if (path == NULL)
		path = look_up(environment, variable);
	if (path == NULL || path[0] == '\0')
		return 0;
	text = read_file(path);
	if (text == NULL)
		return refuse_file(result, "env-file", path, "a readable file of NAME=VALUE lines");
	*variables = split_variables(text); /* the values live in 'text' */
	return 0;
}

/* The XDG Base Directory Specification says where, and to overlook a relative path. Returns whether there is a place.
 */
static bool find_config_place(const struct option *option, char **environment, char path[PATH_SIZE])
{
	const char *base = look_up(environment, "XDG_CONFIG_HOME");
	const char *home = look_up(environment, "HOME");
	int size = -1;

	if (base != NULL && base[0] == '/')
		size = snprintf(path, PATH_SIZE, "%s/%s", base, option->place);
	else if (home != NULL)
		size = snprintf(path, PATH_SIZE, "%s/.config/%s", home, option->place);
	return size >= 0 && size < PATH_SIZE;
}

static int read_config(
	const struct walk *walk, char **environment, char *const *variables, struct options_result *result)
{
	const struct option *option = find(walk->table, "config", strlen("config"));
	const char *path = find_argument(*walk, "config");
	char variable[VARIABLE_SIZE];
	char place[PATH_SIZE];
	bool named;
	char *text;

	if (option == NULL)
		return 0;
	variable_name(option, variable);
	if (path == NULL)
		path = look_up(environment, variable);
	if (path == NULL && variables != NULL)
		path = look_up(variables, variable);
	named = path != NULL;
	if (!named && option->place != NULL && find_config_place(option, environment, place))
		path = place;
	if (path == NULL || path[0] == '\0')
		return 0;
	text = read_file(path);
	if (text == NULL && !named && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (text == NULL)
		return refuse_file(result, "config", path, "a readable file of NAME = VALUE lines, or '' for none");
	return options_parse_config(walk->table, path, text, result); /* the values live in 'text' */
}

int options_parse(const struct option *table, int argc, char **argv, char **environment, struct options_result *result)
{
	const struct walk walk = {.table = table, .argc = argc, .argv = argv, .place = 1};
	struct reading defaults = {.table = table, .result = result, .gives_defaults = true};
	struct reading from_file = {.table = table, .result = result};
	struct reading from_environment = {.table = table, .result = result};
	struct reading from_arguments = {.table = table, .result = result};
	char **variables = NULL;
	int error;

	*result = (struct options_result){.first_argument = argc};
	if (asks_for_answer(walk))
		return read_arguments(&from_arguments, argc, argv);
	error = read_default_variables(&defaults, environment);
	if (error == 0)
		error = load_env_file(&walk, environment, &variables, result);
	if (error == 0)
		error = read_config(&walk, environment, variables, result);
	if (error == 0 && variables != NULL)
		error = read_variables(&from_file, variables);
	if (error == 0)
		error = read_variables(&from_environment, environment);
	if (error == 0)
		error = read_arguments(&from_arguments, argc, argv);
	free(variables);
	return error;
}

const char *options_dashes(const struct option *option)
{
	return option->name[1] == '\0' ? "-" : "--";
}

void options_print_help(const struct option *table, FILE *out)
{
	for (; table->name != NULL; table++) {
		char head[80];

		if (table->help == NULL || table->unlisted)
			continue;
		(void)snprintf(head, sizeof head, "%s%s%s%s", options_dashes(table), table->name,
			table->argument == NULL ? "" : " ", table->argument == NULL ? "" : table->argument);
		(void)fprintf(out, "  %-27s %s\n", head, table->help);
	}
}
