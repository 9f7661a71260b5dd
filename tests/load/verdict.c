#include "tests/load/verdict.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { VERDICT_SAID_MAX = 5 };

/* Read in every loop and needs no order with anything: it only says "stop soon". */
static atomic_int verdict_faults;

static void verdict_say(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

static void verdict_say(const char *format, va_list arguments)
{
	char text[512];

	vsnprintf(text, sizeof text, format, arguments);
	fprintf(stderr, "chatload: %s\n", text);
}

void verdict_fault(const char *format, ...)
{
	va_list arguments;

	if (atomic_fetch_add(&verdict_faults, 1) >= VERDICT_SAID_MAX)
		return;
	va_start(arguments, format);
	verdict_say(format, arguments);
	va_end(arguments);
}

bool verdict_failed(void)
{
	return atomic_load_explicit(&verdict_faults, memory_order_relaxed) != 0;
}

void verdict_abort(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	verdict_say(format, arguments);
	va_end(arguments);
	/* Other threads may be at work; nothing of ours needs an orderly end. */
	fflush(NULL);
	_Exit(EXIT_FAILURE);
}
