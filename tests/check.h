/*
 * Unit tests: a test is a sentence that must be true.
 *
 *         TEST(a_line_ends_with_lf)
 *         {
 *                 CHECK(x < y);
 *                 CHECK_EQUAL(actual, 3);
 *                 CHECK_TEXT(actual, "expected");
 *         }
 *
 * A file of tests is a program. 'program NAME' runs the one test of that name in this process and exits with 0 (true),
 * 1 (false; file, line and expression are on standard error) or 77 (skipped). 'program' alone runs them all, each in a
 * process of its own; 'program --list' names them. CTest knows each TEST by its line, which therefore starts with "TEST(".
 *
 * Threads: any may check, skip or fail; the whole process ends then.
 */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <stdbool.h>
#include <stddef.h>

struct check_test {
	const char *name;
	void (*run)(void);
	struct check_test *next;
};

/* Called before main(), once for each test. */
void check_register(struct check_test *test);

#define TEST(sentence)                                                                                                \
	static void sentence(void);                                                                                    \
	__attribute__((constructor)) static void check_register_##sentence(void)                                      \
	{                                                                                                              \
		static struct check_test test = {.name = #sentence, .run = sentence};                                  \
		check_register(&test);                                                                                 \
	}                                                                                                              \
	static void sentence(void)

/* Ends the process with 1, after a message like printf()'s. */
_Noreturn void check_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Ends the process with 77. */
_Noreturn void check_skip(const char *why);

void check_equal(const char *file, int line, const char *expression, long long actual, long long expected);
void check_text(const char *file, int line, const char *expression, const char *actual, const char *expected);
void check_contains(const char *file, int line, const char *expression, const char *actual, const char *part);
void check_bytes(const char *file, int line, const char *expression, const void *actual, size_t actual_size,
	const void *expected, size_t expected_size);

#define CHECK(expression)                                                                                              \
	do {                                                                                                           \
		if (!(expression))                                                                                     \
			check_fail(__FILE__, __LINE__, "%s", #expression);                                             \
	} while (0)

/* Whole numbers; the ones of 64 bits without a sign compare rightly too. */
#define CHECK_EQUAL(actual, expected)                                                                                  \
	check_equal(__FILE__, __LINE__, #actual, (long long)(actual), (long long)(expected))

/* Strings ended by NUL; NULL equals NULL. */
#define CHECK_TEXT(actual, expected) check_text(__FILE__, __LINE__, #actual, (actual), (expected))

/* 'part' occurs in the string 'actual'. */
#define CHECK_CONTAINS(actual, part) check_contains(__FILE__, __LINE__, #actual, (actual), (part))

#define CHECK_BYTES(actual, actual_size, expected, expected_size)                                                      \
	check_bytes(__FILE__, __LINE__, #actual, (actual), (actual_size), (expected), (expected_size))

/* Fails with a message like printf()'s, for checks in a loop or a table. */
#define FAIL(...) check_fail(__FILE__, __LINE__, __VA_ARGS__)
#define SKIP(why) check_skip(why)

#endif
