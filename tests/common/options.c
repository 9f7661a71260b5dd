#include "common/options.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"

enum { WORDS_MAX = 64, COPIES_MAX = 256 };

/* Each test runs in a process of its own, so each begins with these defaults. */
static int verbose;
static int secret;
static const char *name = "nobody";
static struct option_list places = {.items = {"[::]:7777"}, .count = 1};
static long long count = 5;
static long long size = 65535;
static int colour = 0;
static const char *journal = "memory";
static const char *env_file;
static const char *config;
static const char *nick = "none";
static bool nick_was_given;
static int help;

static const char *const secrets[] = {"off", "self", "files", NULL};
static const char *const colours[] = {"auto", "always", "never", NULL};

static const char *check_place(const char *value)
{
	return strchr(value, ':') == NULL ? "ADDR:PORT" : NULL;
}

static const struct option table[] = {
	{.name = "verbose", .help = "Says more.", .kind = OPTION_FLAG, .value = &verbose},
	{.name = "secret", .kind = OPTION_FLAG, .value = &secret, .choices = secrets},
	{.name = "username", .argument = "NAME", .help = "Your name.", .kind = OPTION_STRING, .value = &name, .aliases = OPTION_ALIASES({"USER", NULL})},
	{.name = "listen", .argument = "ADDR:PORT", .help = "Where.", .kind = OPTION_LIST, .value = &places,
		.check = check_place, .aliases = OPTION_ALIASES({"PORT", "[::]:%s"})},
	{.name = "max-clients", .argument = "N", .help = "How many.", .kind = OPTION_NUMBER, .value = &count, .least = 1,
		.most = 1000},
	{.name = "max-line", .argument = "SIZE", .help = "How long.", .kind = OPTION_SIZE, .value = &size, .least = 10,
		.most = 4LL << 30},
	{.name = "color", .argument = "WHEN", .help = "Colours.", .kind = OPTION_CHOICE, .value = &colour,
		.choices = colours},
	{.name = "journal", .argument = "URL", .help = "Where messages are kept.", .kind = OPTION_STRING, .value = &journal,
		.aliases = OPTION_ALIASES({"DB_HOST", "postgres://%s/chat"})},
	{.name = "env-file", .argument = "FILE", .help = "More variables.", .kind = OPTION_STRING, .value = &env_file},
	{.name = "config", .argument = "FILE", .help = "Options.", .kind = OPTION_STRING, .value = &config,
		.place = "chat/test.conf"},
	{.name = "nick", .argument = "NICK", .help = "Short.", .kind = OPTION_STRING, .value = &nick, .default_from = "LOGNAME",
		.was_given = &nick_was_given},
	{.name = "help", .kind = OPTION_FLAG, .value = &help, .answers = true},
	{.name = NULL},
};

static struct options_result result;

/* A copy that stays, as argv and the environment do, and is no leak. */
static char *copy_of(const char *text)
{
	static char *copies[COPIES_MAX];
	static size_t copy_count;

	CHECK(copy_count < COPIES_MAX);
	copies[copy_count] = strdup(text);
	CHECK(copies[copy_count] != NULL);
	return copies[copy_count++];
}

/* Splits at '|'. */
static int split(const char *text, char *words[WORDS_MAX])
{
	char *rest = NULL;
	int word_count = 0;

	for (char *word = strtok_r(copy_of(text), "|", &rest); word != NULL; word = strtok_r(NULL, "|", &rest)) {
		CHECK(word_count < WORDS_MAX - 1);
		words[word_count++] = word;
	}
	words[word_count] = NULL;
	return word_count;
}

/* Parses "program|argument|..." and the environment "NAME=value|...". */
static int parse(const char *arguments, const char *environment)
{
	static char *argv[WORDS_MAX];
	static char *variables[WORDS_MAX];
	int argc = split(arguments, argv);

	(void)split(environment, variables);
	return options_parse(table, argc, argv, variables, &result);
}

static int parse_file(const char *text)
{
	return options_parse_file(table, copy_of(text), &result);
}

/* Writes 'text' to a file; returns its name, which stays. */
static const char *file_with(const char *text, size_t text_size)
{
	char *path = copy_of("/tmp/tcpchat-test-XXXXXX");
	int file = mkstemp(path);

	CHECK(file >= 0);
	CHECK(write(file, text, text_size) == (ssize_t)text_size);
	(void)close(file);
	return path;
}

/* Parses with '--env-file' of that text. */
static int parse_with_file(const char *arguments, const char *environment, const char *text, size_t text_size)
{
	const char *path = file_with(text, text_size);
	char whole[1024];
	int error;

	(void)snprintf(whole, sizeof whole, "program|--env-file|%s%s", path, arguments);
	error = parse(whole, environment);
	(void)unlink(path);
	return error;
}

static void refuses(const char *arguments, const char *environment, const char *message)
{
	CHECK_EQUAL(parse(arguments, environment), -EINVAL);
	CHECK_TEXT(result.message, message);
}

TEST(without_anything_the_defaults_stay)
{
	CHECK_EQUAL(parse("program", ""), 0);
	CHECK_EQUAL(verbose, 0);
	CHECK_TEXT(name, "nobody");
	CHECK_EQUAL(places.count, 1);
	CHECK_TEXT(places.items[0], "[::]:7777");
	CHECK_EQUAL(count, 5);
	CHECK_EQUAL(result.first_argument, 1);
}

TEST(an_option_is_written_in_four_ways)
{
	CHECK_EQUAL(parse("program|--username|bob", ""), 0);
	CHECK_TEXT(name, "bob");
	CHECK_EQUAL(parse("program|--username=rob", ""), 0);
	CHECK_TEXT(name, "rob");
	CHECK_EQUAL(parse("program|-username|tom", ""), 0);
	CHECK_TEXT(name, "tom");
	CHECK_EQUAL(parse("program|-username=jim", ""), 0);
	CHECK_TEXT(name, "jim");
	CHECK_EQUAL(parse("program|-username=a=b", ""), 0);
	CHECK_TEXT(name, "a=b");
}

TEST(each_kind_takes_its_values)
{
	CHECK_EQUAL(parse("program|--verbose|--max-clients|7|--max-line|64K|--color|never|--journal|x|--listen|a:1", ""), 0);
	CHECK_EQUAL(verbose, 1);
	CHECK_EQUAL(count, 7);
	CHECK_EQUAL(size, 65536);
	CHECK_EQUAL(colour, 2);
	CHECK_TEXT(journal, "x");
	CHECK_TEXT(places.items[0], "a:1");
}

TEST(a_flag_may_share_a_variable_with_a_program_that_has_more_to_choose)
{
	CHECK_EQUAL(parse("program", "CHAT_SECRET=files"), 0);
	CHECK_EQUAL(secret, 1);
	CHECK_EQUAL(parse("program", "CHAT_SECRET=off"), 0);
	CHECK_EQUAL(secret, 0);
	CHECK_EQUAL(parse("program", "CHAT_SECRET=true"), 0);
	CHECK_EQUAL(secret, 1);
	refuses("program", "CHAT_SECRET=yes", "CHAT_SECRET: \"yes\" is not allowed; it takes 1, 0, true or false");
}

TEST(a_flag_may_be_taken_back)
{
	CHECK_EQUAL(parse("program|--verbose", ""), 0);
	CHECK_EQUAL(verbose, 1);
	CHECK_EQUAL(parse("program|--verbose=false", ""), 0);
	CHECK_EQUAL(verbose, 0);
	CHECK_EQUAL(parse("program", "CHAT_VERBOSE=true"), 0);
	CHECK_EQUAL(verbose, 1);
	CHECK_EQUAL(parse("program|--verbose=0", "CHAT_VERBOSE=1"), 0);
	CHECK_EQUAL(verbose, 0);
	refuses("program|--verbose=yes", "", "--verbose: \"yes\" is not allowed; it takes 1, 0, true or false");
}

TEST(a_number_has_its_bounds)
{
	static const char *const wrong[] = {
		"0", "1001", "-1", "x", "7x", "", " 7", "7 ", "0x7", "+7", "7.0", "99999999999999999999"};

	CHECK_EQUAL(parse("program|--max-clients=1", ""), 0);
	CHECK_EQUAL(count, 1);
	CHECK_EQUAL(parse("program|--max-clients=1000", ""), 0);
	CHECK_EQUAL(count, 1000);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char arguments[64];
		char message[128];

		(void)snprintf(arguments, sizeof arguments, "program|--max-clients=%s", wrong[i]);
		(void)snprintf(message, sizeof message,
			"--max-clients: \"%s\" is not allowed; it takes a whole number from 1 to 1000", wrong[i]);
		refuses(arguments, "", message);
		CHECK_EQUAL(count, 1000);
	}
}

TEST(a_size_may_have_a_unit)
{
	static const struct {
		const char *text;
		long long bytes;
	} sizes[] = {{"65535", 65535}, {"64K", 65536}, {"64k", 65536}, {"64KiB", 65536}, {"1M", 1 << 20}, {"1MiB", 1 << 20},
		{"2G", 2LL << 30}, {"4G", 4LL << 30}, {"10", 10}};
	static const char *const wrong[] = {"9", "5G", "1T", "1KB", "1Ki", "1 K", "K", "", "-1K", "9223372036854775807K",
		"1KiBx", "8796093022208M"};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		char arguments[64];

		(void)snprintf(arguments, sizeof arguments, "program|--max-line=%s", sizes[i].text);
		CHECK_EQUAL(parse(arguments, ""), 0);
		CHECK_EQUAL(size, sizes[i].bytes);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char arguments[64];
		char message[160];

		(void)snprintf(arguments, sizeof arguments, "program|--max-line=%s", wrong[i]);
		(void)snprintf(message, sizeof message, "--max-line: \"%s\" is not allowed; it takes a size from 10 to 4294967296"
			" bytes, as in 65535, 64K, 1M or 2G", wrong[i]);
		refuses(arguments, "", message);
	}
}

TEST(a_choice_is_one_of_its_words)
{
	CHECK_EQUAL(parse("program|--color=auto", ""), 0);
	CHECK_EQUAL(colour, 0);
	refuses("program|--color|purple", "", "--color: \"purple\" is not allowed; it takes one of: auto, always, never");
	refuses("program|--color=", "", "--color: \"\" is not allowed; it takes one of: auto, always, never");
}

TEST(a_list_replaces_what_an_earlier_source_gave)
{
	CHECK_EQUAL(parse("program", "CHAT_LISTEN=a:1 b:2\tc:3"), 0);
	CHECK_EQUAL(places.count, 3);
	CHECK_TEXT(places.items[0], "a:1");
	CHECK_TEXT(places.items[1], "b:2");
	CHECK_TEXT(places.items[2], "c:3");
	CHECK_EQUAL(parse("program|--listen|d:4|-listen=e:5", "CHAT_LISTEN=a:1 b:2"), 0);
	CHECK_EQUAL(places.count, 2);
	CHECK_TEXT(places.items[0], "d:4");
	CHECK_TEXT(places.items[1], "e:5");
}

TEST(each_value_of_a_list_is_looked_at)
{
	refuses("program|--listen|a:1|--listen|b", "", "--listen: \"b\" is not allowed; it takes ADDR:PORT");
	refuses("program", "CHAT_LISTEN=a:1 b", "CHAT_LISTEN: \"b\" is not allowed; it takes ADDR:PORT");
}

TEST(a_list_has_an_end)
{
	CHECK_EQUAL(parse("program", "CHAT_LISTEN=:1 :2 :3 :4 :5 :6 :7 :8 :9 :10 :11 :12 :13 :14 :15 :16"), 0);
	CHECK_EQUAL(places.count, OPTION_LIST_MAX);
	refuses("program", "CHAT_LISTEN=:1 :2 :3 :4 :5 :6 :7 :8 :9 :10 :11 :12 :13 :14 :15 :16 :17",
		"CHAT_LISTEN: \":17\" is not allowed; it takes at most 16 values");
}

TEST(later_sources_win)
{
	static const char file[] = "CHAT_USERNAME=file\nCHAT_MAX_CLIENTS=1\nCHAT_COLOR=always\n";

	CHECK_EQUAL(parse_with_file("|--username|line", "CHAT_USERNAME=environment|CHAT_MAX_CLIENTS=2", file, sizeof file - 1),
		0);
	CHECK_TEXT(name, "line");
	CHECK_EQUAL(count, 2);
	CHECK_EQUAL(colour, 1);
}

TEST(the_environment_may_name_the_file)
{
	const char *path = file_with("CHAT_MAX_CLIENTS=3\n", 19);
	char environment[128];

	(void)snprintf(environment, sizeof environment, "CHAT_ENV_FILE=%s", path);
	CHECK_EQUAL(parse("program", environment), 0);
	CHECK_EQUAL(count, 3);
	(void)unlink(path);
}

TEST(a_message_names_the_variable)
{
	refuses("program", "CHAT_MAX_CLIENTS=many",
		"CHAT_MAX_CLIENTS: \"many\" is not allowed; it takes a whole number from 1 to 1000");
	CHECK_EQUAL(parse_file("CHAT_COLOR=purple"), -EINVAL);
	CHECK_TEXT(result.message, "CHAT_COLOR: \"purple\" is not allowed; it takes one of: auto, always, never");
}

TEST(an_unknown_option_is_told)
{
	refuses("program|--nonsense", "", "--nonsense: there is no such option; --help lists them");
	refuses("program|--usernam=x", "", "--usernam=x: there is no such option; --help lists them");
	refuses("program|---username", "", "---username: there is no such option; --help lists them");
	refuses("program|--=x", "", "--=x: there is no such option; --help lists them");
}

TEST(a_missing_value_is_told)
{
	refuses("program|--username", "", "--username: a value is missing; it takes NAME");
	refuses("program|--verbose|-listen", "", "--listen: a value is missing; it takes ADDR:PORT");
}

/* A long value took the whole message, so that what is allowed was cut off. */
TEST(a_long_value_leaves_room_for_what_is_allowed)
{
	static char arguments[2000];
	int start = snprintf(arguments, sizeof arguments, "program|--color=");

	memset(arguments + start, 'x', sizeof arguments - (size_t)start - 1);
	CHECK_EQUAL(parse(arguments, ""), -EINVAL);
	CHECK_CONTAINS(result.message, "--color: \"xxx");
	CHECK_CONTAINS(result.message, "is not allowed; it takes one of: auto, always, never");
}

TEST(an_unknown_variable_is_left_alone)
{
	CHECK_EQUAL(parse("program", "CHAT_NONSENSE=1|CHAT_=2|CHAT_MAX_CLIENTSX=x|OTHER=3"), 0);
	CHECK_EQUAL(parse_file("CHAT_NONSENSE=1\nno variable\n=\n"), 0);
}

TEST(an_empty_variable_counts_as_not_set)
{
	CHECK_EQUAL(parse("program", "CHAT_MAX_CLIENTS=|CHAT_USERNAME=|CHAT_LISTEN=|CHAT_COLOR=|USER=|CHAT_ENV_FILE="), 0);
	CHECK_TEXT(name, "nobody");
	CHECK_EQUAL(places.count, 1);
	CHECK_EQUAL(parse("program", "CHAT_LISTEN=  "), 0);
	CHECK_EQUAL(places.count, 1);
}

/* CHAT_USERNAME= hid USER=ann, though an empty variable counts as not set. */
TEST(an_empty_variable_does_not_hide_the_alias)
{
	CHECK_EQUAL(parse("program", "CHAT_USERNAME=|USER=ann"), 0);
	CHECK_TEXT(name, "ann");
}

TEST(an_alias_is_understood_and_our_own_name_wins)
{
	CHECK_EQUAL(parse("program", "USER=ann"), 0);
	CHECK_TEXT(name, "ann");
	CHECK_EQUAL(parse("program", "USER=ann|CHAT_USERNAME=bob"), 0);
	CHECK_TEXT(name, "bob");
	CHECK_EQUAL(parse("program", "PORT=8080"), 0);
	CHECK_TEXT(places.items[0], "[::]:8080");
}

/* The value made of an alias lay on the stack of a function that had returned. */
TEST(the_value_of_an_alias_stays)
{
	CHECK_EQUAL(parse("program", "DB_HOST=db.example"), 0);
	CHECK_TEXT(journal, "postgres://db.example/chat");
}

/* It was cut to 512 bytes without a word. */
TEST(the_value_of_an_alias_may_be_long)
{
	static char environment[2000] = "DB_HOST=";

	memset(environment + 8, 'x', sizeof environment - 9);
	CHECK_EQUAL(parse("program", environment), 0);
	CHECK_EQUAL(strlen(journal), strlen("postgres:///chat") + sizeof environment - 9);
}

TEST(what_follows_two_dashes_is_no_option)
{
	CHECK_EQUAL(parse("program|--verbose|--|--username|x", ""), 0);
	CHECK_EQUAL(result.first_argument, 3);
	CHECK_TEXT(name, "nobody");
}

TEST(what_is_no_option_is_an_argument)
{
	CHECK_EQUAL(parse("program|--verbose|localhost:7777", ""), 0);
	CHECK_EQUAL(result.first_argument, 2);
	CHECK_EQUAL(parse("program|-", ""), 0);
	CHECK_EQUAL(result.first_argument, 1);
}

/* Parses and tells the arguments that are no options. */
static const char *arguments_of(const char *arguments)
{
	static char *argv[WORDS_MAX];
	static char *variables[] = {NULL};
	static char words[1024];
	int argc = split(arguments, argv);

	words[0] = '\0';
	CHECK_EQUAL(options_parse(table, argc, argv, variables, &result), 0);
	for (int i = result.first_argument; i < argc; i++) {
		(void)strcat(words, argv[i]);
		(void)strcat(words, i + 1 < argc ? " " : "");
	}
	return words;
}

TEST(options_may_follow_arguments)
{
	CHECK_TEXT(arguments_of("program|host|--verbose"), "host");
	CHECK_EQUAL(verbose, 1);
	CHECK_TEXT(arguments_of("program|a|--username|bob|b|-nick=rob|c"), "a b c");
	CHECK_TEXT(name, "bob");
	CHECK_TEXT(nick, "rob");
	CHECK_TEXT(arguments_of("program|--username|tom|a|b"), "a b");
	CHECK_TEXT(arguments_of("program|a|--nick|tim|--|--username|b"), "a --username b");
	CHECK_TEXT(name, "tom");
	CHECK_TEXT(nick, "tim");
	CHECK_TEXT(arguments_of("program|a|--"), "a");
	CHECK_TEXT(arguments_of("program|a|-|b"), "a - b");
	refuses("program|host|--bogus", "", "--bogus: there is no such option; --help lists them");
	refuses("program|host|--username", "", "--username: a value is missing; it takes NAME");
}

TEST(an_answer_may_be_asked_for_after_arguments)
{
	CHECK_EQUAL(parse("program|host|--help|--config|/nowhere", ""), 0);
	CHECK_EQUAL(help, 1);
	CHECK_EQUAL(parse("program|host|--|--help", ""), 0);
	CHECK_TEXT(arguments_of("program|host|--|--help"), "host --help");
}

/* '--env-file' was looked for in every word, also in what is no option or the value of one. */
TEST(only_an_option_names_the_file)
{
	CHECK_EQUAL(parse("program|host|--env-file=/nowhere", ""), -EINVAL);
	CHECK_EQUAL(parse("program|host|--|--env-file=/nowhere", ""), 0);
	CHECK_EQUAL(result.first_argument, 2);
	CHECK_EQUAL(parse("program|--username|--env-file=/nowhere", ""), 0);
	CHECK_TEXT(name, "--env-file=/nowhere");
	CHECK_EQUAL(parse("program|--|--env-file=/nowhere", ""), 0);
}

TEST(a_file_that_cannot_be_read_is_told)
{
	CHECK_EQUAL(parse("program|--env-file|/nowhere/at-all", ""), -EINVAL);
	CHECK_TEXT(result.message, "--env-file: cannot read \"/nowhere/at-all\": No such file or directory; it takes a readable"
				   " file of NAME=VALUE lines");
	CHECK_EQUAL(parse("program|--env-file|/tmp", ""), -EINVAL);
	CHECK_CONTAINS(result.message, "Is a directory");
}

TEST(a_file_has_comments_quotes_and_exports)
{
	CHECK_EQUAL(parse_file("# a comment\n"
			       "\n"
			       "  # another = one\n"
			       "export CHAT_USERNAME=\"Johnny Boi\"\n"
			       "  CHAT_MAX_CLIENTS = 8 \r\n"
			       "CHAT_JOURNAL='sqlite:it''s'\n"
			       "#CHAT_COLOR=purple\n"
			       "CHAT_LISTEN=\"a:1 b:2\""),
		0);
	CHECK_TEXT(name, "Johnny Boi");
	CHECK_EQUAL(count, 8);
	CHECK_TEXT(journal, "sqlite:it''s");
	CHECK_EQUAL(places.count, 2);
}

TEST(the_last_line_of_a_file_wins)
{
	CHECK_EQUAL(parse_file("CHAT_MAX_CLIENTS=1\nCHAT_MAX_CLIENTS=2\n"), 0);
	CHECK_EQUAL(count, 2);
}

TEST(quotes_are_taken_off_in_pairs)
{
	CHECK_EQUAL(parse_file("CHAT_USERNAME=\"\"x\"\"\nCHAT_JOURNAL=\""), 0);
	CHECK_TEXT(name, "\"x\"");
	CHECK_TEXT(journal, "\"");
	CHECK_EQUAL(parse_file("CHAT_USERNAME='bob\"\nCHAT_JOURNAL=''"), 0);
	CHECK_TEXT(name, "'bob\"");
}

/* Editors on Windows begin a file with a byte order mark; its first variable was overlooked in silence. */
TEST(a_file_may_begin_with_a_byte_order_mark)
{
	CHECK_EQUAL(parse_file("\xEF\xBB\xBF" "CHAT_MAX_CLIENTS=9\n"), 0);
	CHECK_EQUAL(count, 9);
}

/* Everything after a NUL was overlooked in silence, as in a file that was written as UTF-16. */
TEST(a_file_with_a_nul_is_refused)
{
	static const char file[] = "CHAT_VERBOSE=1\n\0CHAT_MAX_CLIENTS=9\n";

	CHECK_EQUAL(parse_with_file("", "", file, sizeof file - 1), -EINVAL);
	CHECK_CONTAINS(result.message, "--env-file: cannot read ");
	CHECK_CONTAINS(result.message, "NAME=VALUE");
}

/* What a later source replaced was lost, and a leak to the sanitizer's eye. */
TEST(values_that_were_replaced_are_no_leak)
{
	static const char file[] = "CHAT_LISTEN=a:1 b:2\nCHAT_MAX_CLIENTS=4\n";

	CHECK_EQUAL(parse_with_file("|--listen|d:4", "CHAT_LISTEN=c:3|DB_HOST=x|CHAT_JOURNAL=y", file, sizeof file - 1), 0);
	CHECK_EQUAL(parse("program|--journal|z", "DB_HOST=x|PORT=8"), 0);
	CHECK_EQUAL(count, 4);
}

/* ---- Configuration files. ---- */

static int parse_config(const char *text)
{
	return options_parse_config(table, "a.conf", copy_of(text), &result);
}

static void refuses_config(const char *text, const char *message)
{
	CHECK_EQUAL(parse_config(text), -EINVAL);
	CHECK_TEXT(result.message, message);
}

/* The options of 'parse', and a configuration file 'chat/test.conf' of that text below the folder 'variable' names. */
static int parse_with_place(const char *arguments, const char *variable, const char *below, const char *text)
{
	char folder[] = "/tmp/tcpchat-test-XXXXXX";
	char path[200];
	char environment[200];
	FILE *file;
	int error;

	CHECK(mkdtemp(folder) != NULL);
	(void)snprintf(path, sizeof path, "%s%s", folder, below);
	CHECK(below[0] == '\0' || mkdir(path, 0700) == 0);
	(void)snprintf(path, sizeof path, "%s%s/chat", folder, below);
	CHECK_EQUAL(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof path, "%s%s/chat/test.conf", folder, below);
	file = fopen(path, "w");
	CHECK(file != NULL);
	CHECK(fputs(text, file) >= 0 && fclose(file) == 0);
	(void)snprintf(environment, sizeof environment, "%s=%s", variable, folder);
	error = parse(arguments, environment);
	CHECK_EQUAL(unlink(path), 0);
	*strrchr(path, '/') = '\0';
	CHECK_EQUAL(rmdir(path), 0);
	*strrchr(path, '/') = '\0';
	CHECK(rmdir(path) == 0 && (below[0] == '\0' || rmdir(folder) == 0));
	return error;
}

TEST(a_configuration_file_has_the_names_of_the_options)
{
	CHECK_EQUAL(parse_config("# all kinds\n"
				 "\n"
				 "  username = ann#1\r\n"
				 "max-clients=7\n"
				 "\tmax-line =\t64K\n"
				 "color = always\n"
				 "verbose = true\n"
				 "journal = \" with = blanks \"\n"
				 "  # listen = x\n"
				 "listen = a:1\n"
				 "listen = b:2 c:3"),
		0);
	CHECK_TEXT(name, "ann#1");
	CHECK_EQUAL(count, 7);
	CHECK_EQUAL(size, 65536);
	CHECK_EQUAL(colour, 1);
	CHECK_EQUAL(verbose, 1);
	CHECK_TEXT(journal, " with = blanks ");
	CHECK_EQUAL(places.count, 2);
	CHECK_TEXT(places.items[0], "a:1");
	CHECK_TEXT(places.items[1], "b:2 c:3");
	CHECK_EQUAL(parse_config("\xEF\xBB\xBFmax-clients = 9"), 0);
	CHECK_EQUAL(count, 9);
	CHECK_EQUAL(parse_config(""), 0);
}

TEST(what_is_wrong_in_a_configuration_file_is_told_with_its_place)
{
	refuses_config("\n# x\ncolor = purple\n",
		"a.conf:3: color: \"purple\" is not allowed; it takes one of: auto, always, never");
	refuses_config("max-clients =", "a.conf:1: max-clients: \"\" is not allowed; it takes a whole number from 1 to 1000");
	refuses_config("username = ann\ncolour = auto",
		"a.conf:2: \"colour\" is not allowed; it takes one of: verbose secret username listen max-clients max-line color "
		"journal nick");
	refuses_config("verbose\n", "a.conf:1: \"verbose\" is not allowed; it takes NAME = VALUE, or a comment that begins"
				    " with #");
	refuses_config("listen = a:1\nlisten = b\n", "a.conf:2: listen: \"b\" is not allowed; it takes ADDR:PORT");
}

TEST(a_configuration_file_names_no_other_and_asks_for_no_help)
{
	static const char *const wrong[] = {"config = x", "env-file = x", "help = true", "--username = x", "= x", "USER = x",
		"CHAT_USERNAME = x", "Username = x"};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		CHECK_EQUAL(parse_config(wrong[i]), -EINVAL);
		CHECK_CONTAINS(result.message, "a.conf:1: \"");
		CHECK_CONTAINS(result.message, "one of: verbose secret username");
	}
}

TEST(the_configuration_file_is_weaker_than_everything_but_the_defaults)
{
	static const char text[] = "username = file\nmax-clients = 1\ncolor = never\nnick = file\nlisten = f:1\n";
	const char *path = file_with(text, sizeof text - 1);
	char arguments[200];

	(void)snprintf(arguments, sizeof arguments, "program|--config|%s|--username|line", path);
	CHECK_EQUAL(parse(arguments, "CHAT_USERNAME=environment|CHAT_MAX_CLIENTS=2|LOGNAME=ann|CHAT_LISTEN=e:1"), 0);
	(void)unlink(path);
	CHECK_TEXT(name, "line");
	CHECK_EQUAL(count, 2);
	CHECK_EQUAL(colour, 2);
	CHECK_TEXT(nick, "file");
	CHECK_EQUAL(places.count, 1);
	CHECK_TEXT(places.items[0], "e:1");
}

TEST(the_variable_of_a_default_is_weaker_than_every_other_source)
{
	static const char text[] = "CHAT_NICK=file\n";

	CHECK_EQUAL(parse("program", "LOGNAME=ann"), 0);
	CHECK_TEXT(nick, "ann");
	CHECK_EQUAL(parse_with_file("", "LOGNAME=ann", text, sizeof text - 1), 0);
	CHECK_TEXT(nick, "file");
	CHECK_EQUAL(parse("program", "LOGNAME=ann|CHAT_NICK=bob"), 0);
	CHECK_TEXT(nick, "bob");
}

TEST(a_string_tells_whether_it_was_given_or_is_a_default)
{
	static const char text[] = "CHAT_NICK=ann\n";

	CHECK_EQUAL(parse("program", ""), 0);
	CHECK(!nick_was_given);
	CHECK_EQUAL(parse("program", "LOGNAME=ann"), 0);
	CHECK(!nick_was_given);
	CHECK_EQUAL(parse("program|--nick|ann", "LOGNAME=ann"), 0);
	CHECK(nick_was_given);
	CHECK_EQUAL(parse("program", "LOGNAME=ann|CHAT_NICK=ann"), 0);
	CHECK(nick_was_given);
	CHECK_EQUAL(parse_with_file("", "LOGNAME=ann", text, sizeof text - 1), 0);
	CHECK(nick_was_given);
}

TEST(the_environment_or_its_file_may_name_the_configuration_file)
{
	static const char text[] = "max-clients = 3\n";
	const char *path = file_with(text, sizeof text - 1);
	char variable[128];

	(void)snprintf(variable, sizeof variable, "CHAT_CONFIG=%s", path);
	CHECK_EQUAL(parse_with_file("", "", variable, strlen(variable)), 0);
	CHECK_EQUAL(count, 3);
	CHECK_EQUAL(parse("program|--max-clients|4", variable), 0);
	CHECK_EQUAL(count, 4);
	CHECK_EQUAL(parse("program|--config=", variable), 0);
	CHECK_EQUAL(count, 4);
	CHECK_EQUAL(parse("program", variable), 0);
	CHECK_EQUAL(count, 3);
	(void)unlink(path);
}

TEST(the_configuration_file_is_found_in_its_place)
{
	CHECK_EQUAL(parse_with_place("program", "XDG_CONFIG_HOME", "", "max-clients = 11\n"), 0);
	CHECK_EQUAL(count, 11);
	CHECK_EQUAL(parse_with_place("program", "HOME", "/.config", "max-clients = 12\n"), 0);
	CHECK_EQUAL(count, 12);
	CHECK_EQUAL(parse_with_place("program|--config=", "XDG_CONFIG_HOME", "", "nonsense\n"), 0);
	CHECK_EQUAL(parse_with_place("program|--config=/dev/null", "XDG_CONFIG_HOME", "", "nonsense\n"), 0);
	CHECK_EQUAL(parse_with_place("program", "XDG_CONFIG_HOME", "", "nonsense\n"), -EINVAL);
	CHECK_CONTAINS(result.message, "/chat/test.conf:1: \"nonsense\" is not allowed");
}

TEST(only_a_configuration_file_that_was_named_has_to_exist)
{
	CHECK_EQUAL(parse("program", "HOME=/nowhere|XDG_CONFIG_HOME=/dev/null"), 0);
	CHECK_EQUAL(parse("program", "XDG_CONFIG_HOME=relative"), 0);
	refuses("program|--config|/nowhere/at-all", "",
		"--config: cannot read \"/nowhere/at-all\": No such file or directory; it takes a readable file of NAME = VALUE"
		" lines, or '' for none");
	CHECK_EQUAL(parse("program", "CHAT_CONFIG=/nowhere/at-all"), -EINVAL);
	CHECK_EQUAL(parse("program|--config|/tmp", ""), -EINVAL);
	CHECK_CONTAINS(result.message, "Is a directory");
}

TEST(a_long_line_leaves_room_for_what_is_allowed)
{
	static char text[4000];
	char path[2000];

	memset(path, 'p', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	memset(text, 'x', sizeof text - 1);
	memcpy(text, "color=", 6);
	CHECK_EQUAL(options_parse_config(table, path, text, &result), -EINVAL);
	CHECK_CONTAINS(result.message, "ppp:1: color: \"xxx");
	CHECK_CONTAINS(result.message, "is not allowed; it takes one of: auto, always, never");
}

/* Who asks for help because of a broken file gets it. */
TEST(an_option_that_answers_reads_no_other_source)
{
	CHECK_EQUAL(parse("program|--help|--config|/nowhere", "CHAT_MAX_CLIENTS=many|CHAT_ENV_FILE=/nowhere"), 0);
	CHECK_EQUAL(help, 1);
	CHECK_EQUAL(parse("program|host|--help", "CHAT_MAX_CLIENTS=many"), 0);
	CHECK_EQUAL(parse("program|host|--|--help", "CHAT_MAX_CLIENTS=many"), -EINVAL);
	refuses("program|--help|--color=x", "", "--color: \"x\" is not allowed; it takes one of: auto, always, never");
}

TEST(help_has_a_line_for_each_option)
{
	char *text = NULL;
	size_t text_size = 0;
	FILE *out = open_memstream(&text, &text_size);

	CHECK(out != NULL);
	options_print_help(table, out);
	CHECK(fclose(out) == 0);
	CHECK_CONTAINS(text, "  --verbose                   Says more.\n");
	CHECK_CONTAINS(text, "  --listen ADDR:PORT          Where.\n");
	CHECK(strstr(text, "--help") == NULL); /* it has no text */
	free(text);
}
