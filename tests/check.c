#include "tests/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_SKIPPED = 77, SHOWN_BYTES_MAX = 200 };

static struct check_test *first;

void check_register(struct check_test *test)
{
	struct check_test **place = &first;

	while (*place != NULL)
		place = &(*place)->next;
	*place = test;
}

/* Other threads may still run: nothing is torn down under them. */
static _Noreturn void leave(int status)
{
	(void)fflush(stdout); /* there is nobody to tell */
	(void)fflush(stderr);
	_exit(status);
}

void check_fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;

	flockfile(stderr);
	(void)fprintf(stderr, "%s:%d: ", file, line);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
	funlockfile(stderr);
	leave(EXIT_FAILURE);
}

void check_skip(const char *why)
{
	(void)printf("%s\n", why);
	leave(EXIT_SKIPPED);
}

void check_equal(const char *file, int line, const char *expression, long long actual, long long expected)
{
	if (actual != expected)
		check_fail(file, line, "%s is %lld, not %lld", expression, actual, expected);
}

/* Writes bytes so that a person can tell them apart, cut to what fits. */
static void show(const void *bytes, size_t size, char text[4 * SHOWN_BYTES_MAX + 4])
{
	const unsigned char *byte = bytes;
	size_t length = 0;

	for (size_t i = 0; i < size && i < SHOWN_BYTES_MAX; i++) {
		if (byte[i] >= 0x20 && byte[i] < 0x7F && byte[i] != '\\')
			text[length++] = (char)byte[i];
		else
			length += (size_t)sprintf(text + length, "\\x%02x", byte[i]);
	}
	(void)strcpy(text + length, size > SHOWN_BYTES_MAX ? "..." : "");
}

void check_bytes(const char *file, int line, const char *expression, const void *actual, size_t actual_size,
	const void *expected, size_t expected_size)
{
	char shown_actual[4 * SHOWN_BYTES_MAX + 4];
	char shown_expected[4 * SHOWN_BYTES_MAX + 4];

	if (actual_size == expected_size && (actual_size == 0 || memcmp(actual, expected, actual_size) == 0))
		return;
	show(actual, actual_size, shown_actual);
	show(expected, expected_size, shown_expected);
	check_fail(file, line, "%s is (%zu bytes)\n  \"%s\"\nnot (%zu bytes)\n  \"%s\"", expression, actual_size, shown_actual,
		expected_size, shown_expected);
}

void check_text(const char *file, int line, const char *expression, const char *actual, const char *expected)
{
	if (actual == NULL && expected == NULL)
		return;
	if (actual == NULL || expected == NULL)
		check_fail(file, line, "%s is \"%s\", not \"%s\"", expression, actual == NULL ? "(null)" : actual,
			expected == NULL ? "(null)" : expected);
	check_bytes(file, line, expression, actual, strlen(actual), expected, strlen(expected));
}

void check_contains(const char *file, int line, const char *expression, const char *actual, const char *part)
{
	if (strstr(actual, part) == NULL)
		check_fail(file, line, "%s is\n  \"%s\"\nwithout\n  \"%s\"", expression, actual, part);
}

/* Runs a test in a process of its own and says how it went. Returns whether that was well. */
static bool run_apart(const struct check_test *test)
{
	int status = 0;
	pid_t child;

	(void)fflush(stdout);
	child = fork();
	if (child == 0) {
		test->run();
		exit(EXIT_SUCCESS);
	}
	if (child < 0 || waitpid(child, &status, 0) != child) {
		perror("cannot run a process");
		exit(EXIT_FAILURE);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED)
		(void)printf("skipped  %s\n", test->name);
	else if (status == 0)
		(void)printf("true     %s\n", test->name);
	else
		(void)printf("FALSE    %s (wait status %#x)\n", test->name, (unsigned)status);
	return status == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED);
}

static int run_all(void)
{
	int status = EXIT_SUCCESS;

	for (const struct check_test *test = first; test != NULL; test = test->next) {
		if (!run_apart(test))
			status = EXIT_FAILURE;
	}
	return status;
}

static int list_all(void)
{
	for (const struct check_test *test = first; test != NULL; test = test->next)
		(void)printf("%s\n", test->name);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return run_all();
	if (strcmp(argv[1], "--list") == 0)
		return list_all();
	for (const struct check_test *test = first; test != NULL; test = test->next) {
		if (strcmp(test->name, argv[1]) == 0) {
			test->run();
			return EXIT_SUCCESS;
		}
	}
	(void)fprintf(stderr, "%s: there is no test \"%s\"; --list names them\n", argv[0], argv[1]);
	return EXIT_FAILURE;
}
