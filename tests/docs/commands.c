/*
 * Prints the commands of common/verbs.h as they stand in the manual page of the server, for manual.py.
 *
 * What is in brackets may be left out; capitals stand for what people choose, small letters are typed as they are.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/verbs.h"

static void print_word(const char *word, size_t size)
{
	if (size > 2 && strncmp(word, "--", 2) == 0)
		(void)printf(" Fl -%.*s", (int)size - 2, word + 2);
	else
		(void)printf(" %s %.*s", isupper((unsigned char)word[0]) ? "Ar" : "Cm", (int)size, word);
}

static void print_arguments(const char *arguments)
{
	while (*arguments != '\0') {
		size_t size = strcspn(arguments, "[] ");

		if (size > 0)
			print_word(arguments, size);
		else if (*arguments != ' ')
			(void)fputs(*arguments == '[' ? " Oo" : " Oc", stdout);
		arguments += size > 0 ? size : 1;
	}
}

static void print_command(const char *name, const char *arguments, const char *help)
{
	(void)printf(".It Ic /%s", name);
	print_arguments(arguments);
	(void)printf("\n%c%s.\n", toupper((unsigned char)help[0]), help + 1);
}

#define PRINT_COMMAND(function, name, arguments, help) print_command(name, arguments, help);

int main(void)
{
	CHAT_VERBS(PRINT_COMMAND)
	return fflush(stdout) == 0 ? 0 : 1;
}
