#include "tests/load/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/load/wire.h"

enum { OPTION_FIRST = 256 };

/* A number on the command line, where it goes, and what it may be. */
struct option_number {
	const char *name;
	size_t offset;
	long standard;
	long min;
	long max;
	const char *help;
};

#define NUMBER(option, field, standard, min, max, help)                                                                \
	{                                                                                                              \
		option, offsetof(struct options, field), standard, min, max, help                                      \
	}

static const struct option_number option_numbers[] = {
	NUMBER("members", members, 1000, 2, 19000, "how many are in the room"),
	NUMBER("senders", senders, 10, 1, WIRE_SENDERS_MAX, "how many of them send; fewer than members"),
	NUMBER("readers", readers, 1, 1, 16, "threads that receive"),
	NUMBER("size", line_size, 64, WIRE_LINE_MIN, WIRE_LINE_MAX, "bytes of a line as it is sent, with its LF"),
	NUMBER("window", window_bytes, 262144, 4096, 16777216, "bytes on their way to the slowest member, at most"),
	NUMBER("seconds", seconds, 3, 1, 600, "how long to measure"),
	NUMBER("warmup", warmup_ms, 500, 0, 60000, "milliseconds before that"),
	NUMBER("rate", rate, 100, 1, 100000, "lines a second of each sender (latency)"),
	NUMBER("churners", churners, 100, 1, 999, "how many come and go at a time (churn)"),
	NUMBER("lines", churner_lines, 5, 1, 1000, "how many lines each of them says (churn)"),
	NUMBER("rooms", rooms, 10000, 2, 100000, "how many rooms (manyrooms)"),
	NUMBER("sleepers", sleepers, 0, 0, 19000, "how many more join and never read (asleep)"),
	NUMBER("streams", streams, 1, 1, 100, "streams that share a connection (grpc, grpcidle)"),
	NUMBER("timeout", timeout_s, 30, 1, 600, "seconds to wait for anything, at most"),
	NUMBER("server-pid", server_pid, 0, 1, 4194304, "process of the server, to measure it"),
};

enum { OPTION_NUMBERS = sizeof option_numbers / sizeof *option_numbers };

struct option_flag {
	const char *name;
	const char *help;
};

enum {
	FLAG_MODE,
	FLAG_NO_SENDERS,
	FLAG_ANY_ORDER,
	FLAG_REMOTE,
	FLAG_TSV,
	FLAG_JSON,
	FLAG_HELP,
	OPTION_FLAGS,
};

static const struct option_flag option_flags[OPTION_FLAGS] = {
	[FLAG_MODE] = {"mode", "what to do, see above"},
	[FLAG_NO_SENDERS] = {"no-senders", "the server makes the lines itself; see limit (fanout)"},
	[FLAG_ANY_ORDER] = {"any-order", "only the lines of one sender have an order, not the room"},
	[FLAG_REMOTE] = {"remote", "allow an address that is not of this machine"},
	[FLAG_TSV] = {"tsv", "print a line for programs too: mode, then name=value, tabs between"},
	[FLAG_JSON] = {"json", "print a line for programs too: a JSON object"},
	[FLAG_HELP] = {"help", "print this"},
};

static _Noreturn void options_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void options_refuse(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "chatload: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "; chatload --help tells more\n");
	exit(2);
}

static _Noreturn void options_help(const struct mode *modes)
{
	printf("Usage: chatload --mode MODE [OPTION...] HOST:PORT\n\n"
	       "Loads a chat server with members of one room and checks that each of them gets every line\n"
	       "exactly once and in order. Exit code 0: all was well; 1: it was not, or time ran out; 2: usage.\n\n"
	       "Modes:\n");
	for (const struct mode *mode = modes; mode->name != NULL; mode++)
		printf("  %-12s %s\n", mode->name, mode->help);
	printf("\nOptions:\n");
	for (int i = 0; i < OPTION_NUMBERS; i++) {
		const struct option_number *number = &option_numbers[i];

		printf("  --%-10s N  %s (%ld to %ld; %ld)\n", number->name, number->help, number->min, number->max,
			number->standard);
	}
	for (int i = 0; i < OPTION_FLAGS; i++)
		printf("  --%-10s    %s\n", option_flags[i].name, option_flags[i].help);
	exit(0);
}

static const struct mode *options_find_mode(const struct mode *modes, const char *name)
{
	for (const struct mode *mode = modes; mode->name != NULL; mode++) {
		if (strcmp(mode->name, name) == 0)
			return mode;
	}
	options_refuse("there is no mode '%s'", name);
}

static void options_set_number(struct options *options, const struct option_number *number, const char *text)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || value < number->min || value > number->max)
		options_refuse(
			"--%s is a number from %ld to %ld, not '%s'", number->name, number->min, number->max, text);
	memcpy((char *)options + number->offset, &value, sizeof value);
}

static void options_set_flag(struct options *options, const struct mode *modes, int flag)
{
	switch (flag) {
	case FLAG_MODE:
		options->mode = options_find_mode(modes, optarg);
		break;
	case FLAG_NO_SENDERS:
		options->no_senders = true;
		break;
	case FLAG_ANY_ORDER:
		options->any_order = true;
		break;
	case FLAG_REMOTE:
		options->remote = true;
		break;
	case FLAG_TSV:
		options->format = REPORT_TSV;
		break;
	case FLAG_JSON:
		options->format = REPORT_JSON;
		break;
	default:
		options_help(modes);
	}
}

static void options_set_standards(struct options *options)
{
	*options = (struct options){0};
	for (int i = 0; i < OPTION_NUMBERS; i++)
		memcpy((char *)options + option_numbers[i].offset, &option_numbers[i].standard, sizeof(long));
}

/* What no single option can say. */
static void options_check(const struct options *options)
{
	if (options->mode == NULL)
		options_refuse("--mode is missing");
	if (options->senders >= options->members)
		options_refuse("--senders %ld must be fewer than --members %ld", options->senders, options->members);
	if (options->window_bytes < 8 * options->senders * options->line_size)
		options_refuse("--window %ld holds fewer than 8 lines of each sender", options->window_bytes);
	if (!options->remote && !net_is_loopback(&options->address))
		options_refuse("the address is not of this machine; if you may load the other one, say --remote");
}

void options_read(struct options *options, const struct mode *modes, int argument_count, char **arguments)
{
	struct option long_options[OPTION_NUMBERS + OPTION_FLAGS + 1] = {0};
	int option;

	for (int i = 0; i < OPTION_NUMBERS; i++)
		long_options[i] = (struct option){option_numbers[i].name, required_argument, NULL, OPTION_FIRST + i};
	for (int i = 0; i < OPTION_FLAGS; i++)
		long_options[OPTION_NUMBERS + i] = (struct option){option_flags[i].name,
			i == FLAG_MODE ? required_argument : no_argument, NULL, OPTION_FIRST + OPTION_NUMBERS + i};

	options_set_standards(options);
	opterr = 0;
	while ((option = getopt_long(argument_count, arguments, "", long_options, NULL)) != -1) {
		if (option < OPTION_FIRST)
			options_refuse("'%s' is no option, or its value is missing", arguments[optind - 1]);
		if (option - OPTION_FIRST < OPTION_NUMBERS)
			options_set_number(options, &option_numbers[option - OPTION_FIRST], optarg);
		else
			options_set_flag(options, modes, option - OPTION_FIRST - OPTION_NUMBERS);
	}
	if (optind + 1 != argument_count)
		options_refuse("give one address, as 127.0.0.1:7777");
	if (!net_parse_address(arguments[optind], &options->address))
		options_refuse("'%s' is no address, as 127.0.0.1:7777", arguments[optind]);
	options_check(options);
}
