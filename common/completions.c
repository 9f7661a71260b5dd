#include "common/completions.h"

#include <string.h>

#include "common/options.h"

enum shell { SHELL_BASH, SHELL_ZSH, SHELL_FISH };

const char *const completions_shells[] = {"bash", "zsh", "fish", NULL};

static bool is_shown(const struct option *option)
{
	return option->help != NULL;
}

static bool is_free_text(const struct option *option)
{
	return option->kind != OPTION_FLAG && option->kind != OPTION_CHOICE && !option->names_file;
}

static void print_words(const char *const *words, FILE *out)
{
	for (; *words != NULL; words++)
		(void)fprintf(out, "%s%s", *words, words[1] == NULL ? "" : " ");
}

/* Prints the first line of a help text, with a backslash before each of 'special'. */
static void print_quoted(const char *text, const char *special, FILE *out)
{
	for (; *text != '\0' && *text != '\n'; text++) {
		if (strchr(special, *text) != NULL)
			(void)fputc('\\', out);
		(void)fputc(*text, out);
	}
}

/* ---- bash: a function that fills COMPREPLY. Words are split at '=', unless the user has changed that. ---- */

static const char bash_start[] =
	"	local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} given= all\n"
	"	if [[ $word == = ]]; then\n"
	"		word=\n"
	"	elif [[ $option == = ]]; then\n"
	"		option=${COMP_WORDS[COMP_CWORD - 2]}\n"
	"	elif [[ $word == -*=* ]]; then\n"
	"		option=${word%%=*} given=$option= word=${word#*=}\n"
	"	fi\n"
	"	COMPREPLY=()\n"
	"	case $option in\n";

/* Prints "-name | --name" of the options that 'wanted' wants, as a pattern. Returns whether there is one. */
static bool print_bash_pattern(const struct option *table, bool (*wanted)(const struct option *), FILE *out)
{
	bool found = false;

	for (; table->name != NULL; table++) {
		if (is_shown(table) && wanted(table)) {
			(void)fprintf(out, "%s--%s | -%s", found ? " | " : "	", table->name, table->name);
			found = true;
		}
	}
	if (found)
		(void)fprintf(out, ")\n");
	return found;
}

static bool names_file(const struct option *option)
{
	return option->names_file;
}

static void print_bash(const char *program, const struct option *table, bool takes_host, FILE *out)
{
	(void)fprintf(out, "# Completions of %s for bash, printed by: %s --completions bash\n_%s()\n{\n%s", program,
		program, program, bash_start);
	for (const struct option *option = table; option->name != NULL; option++) {
		if (!is_shown(option) || option->kind != OPTION_CHOICE)
			continue;
		(void)fprintf(out, "	--%s | -%s)\n		mapfile -t COMPREPLY < <(compgen -W '", option->name,
			option->name);
		print_words(option->choices, out);
		(void)fprintf(out, "' -- \"$word\")\n		;;\n");
	}
	if (print_bash_pattern(table, names_file, out)) {
		(void)fprintf(out, "		compopt -o filenames 2> /dev/null\n"
				   "		mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n		;;\n");
	}
	if (print_bash_pattern(table, is_free_text, out))
		(void)fprintf(out, "		;;\n");
	(void)fprintf(out, "	*)\n		all='");
	for (const struct option *option = table; option->name != NULL; option++) {
		if (is_shown(option))
			(void)fprintf(out, "%s%s%s", option == table ? "" : " ", options_dashes(option), option->name);
	}
	(void)fprintf(out, "'\n		[[ $word == -[!-]* ]] && all=${all//--/-}\n"
			   "		if [[ $word == -* ]]; then\n"
			   "			mapfile -t COMPREPLY < <(compgen -W \"$all\" -- \"$word\")\n");
	if (takes_host) {
		(void)fprintf(out, "		else\n"
				   "			mapfile -t COMPREPLY < <(compgen -A hostname -- \"$word\")\n");
	}
	(void)fprintf(out,
		"		fi\n		;;\n	esac\n"
		"	[[ -z $given ]] || COMPREPLY=(\"${COMPREPLY[@]/#/$given}\")\n}\n"
		"complete -F _%s %s\n",
		program, program);
}

/* ---- zsh: what _arguments takes. The texts stand in single quotes. ---- */

static void print_zsh_text(const char *text, FILE *out)
{
	for (; *text != '\0' && *text != '\n'; text++) {
		if (*text == '\'')
			(void)fprintf(out, "'\\''");
		else
			(void)fprintf(out, "%s%c", strchr("[]:\\", *text) != NULL ? "\\" : "", *text);
	}
}

static void print_zsh_option(const struct option *option, FILE *out)
{
	bool takes_value = option->kind != OPTION_FLAG;
	const char *equals = takes_value && option->name[1] != '\0' ? "=" : "";

	(void)fprintf(out, " \\\n	'%s%s%s%s[",
		option->answers               ? "(- *)"
		: option->kind == OPTION_LIST ? "*"
					      : "",
		options_dashes(option), option->name, equals);
	print_zsh_text(option->help, out);
	(void)fprintf(out, "]");
	if (takes_value) {
		(void)fprintf(out, ":");
		print_zsh_text(option->argument, out);
		(void)fprintf(out, ":");
		if (option->kind == OPTION_CHOICE) {
			(void)fprintf(out, "(");
			print_words(option->choices, out);
			(void)fprintf(out, ")");
		} else {
			(void)fprintf(out, "%s", option->names_file ? "_files" : " ");
		}
	}
	(void)fprintf(out, "'");
}

static void print_zsh(const char *program, const struct option *table, bool takes_host, FILE *out)
{
	(void)fprintf(out, "#compdef %s\n# Completions of %s for zsh, printed by: %s --completions zsh\n_arguments",
		program, program, program);
	for (; table->name != NULL; table++) {
		if (is_shown(table))
			print_zsh_option(table, out);
	}
	(void)fprintf(out, "%s\n", takes_host ? " \\\n	'1:server:_hosts'" : "");
}

/* ---- fish: a line an option. ---- */

static void print_fish(const char *program, const struct option *table, bool takes_host, FILE *out)
{
	(void)fprintf(out, "# Completions of %s for fish, printed by: %s --completions fish\ncomplete -c %s -f%s\n",
		program, program, program, takes_host ? " -a '(__fish_print_hostnames)'" : "");
	for (; table->name != NULL; table++) {
		if (!is_shown(table))
			continue;
		(void)fprintf(out, "complete -c %s -%c %s", program, table->name[1] == '\0' ? 's' : 'l', table->name);
		if (table->kind == OPTION_CHOICE) {
			(void)fprintf(out, " -x -a '");
			print_words(table->choices, out);
			(void)fprintf(out, "'");
		} else if (table->names_file) {
			(void)fprintf(out, " -r -F");
		} else if (table->kind != OPTION_FLAG) {
			(void)fprintf(out, " -x");
		}
		(void)fprintf(out, " -d '");
		print_quoted(table->help, "'\\", out);
		(void)fprintf(out, "'\n");
	}
}

void completions_print(int shell, const char *program, const struct option *table, bool takes_host, FILE *out)
{
	switch ((enum shell)shell) {
	case SHELL_BASH:
		print_bash(program, table, takes_host, out);
		break;
	case SHELL_ZSH:
		print_zsh(program, table, takes_host, out);
		break;
	case SHELL_FISH:
		print_fish(program, table, takes_host, out);
		break;
	}
}
