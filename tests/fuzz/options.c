/*
 * The option parser, given any files, environment and command line.
 *
 * Input: four parts, each ended by a byte 0x01: the text of an environment file; variables; arguments; the text of a
 * configuration file. Variables and arguments are words that end with a NUL or LF.
 */
#include "common/options.c" /* whole, because what it keeps for the program's life is freed here after each input */

#include "tests/fuzz/fuzz.h"

enum { FUZZ_WORDS_MAX = 64 };

static const char *const fuzz_words[] = {"text", "json", NULL};

static int fuzz_flag;
static int fuzz_help;
static const char *fuzz_string;
static const char *fuzz_config;
static const char *fuzz_nick;
static struct option_list fuzz_list;
static long long fuzz_number;
static long long fuzz_size;
static int fuzz_choice;

static const char *fuzz_check(const char *value)
{
	return strchr(value, ':') == NULL ? "ADDR:PORT" : NULL;
}

static const struct option fuzz_table[] = {
	{.name = "flag", .help = "f", .kind = OPTION_FLAG, .value = &fuzz_flag},
	{.name = "help", .help = "h", .kind = OPTION_FLAG, .value = &fuzz_help, .answers = true},
	{.name = "name", .argument = "N", .help = "n", .kind = OPTION_STRING, .value = &fuzz_string,
		.aliases = OPTION_ALIASES({"USER", "user:%s@host"})},
	{.name = "listen", .argument = "L", .help = "l", .kind = OPTION_LIST, .value = &fuzz_list, .check = fuzz_check,
		.aliases = OPTION_ALIASES({"PORT", "[::]:%s"})},
	{.name = "max-n", .argument = "N", .help = "n", .kind = OPTION_NUMBER, .value = &fuzz_number, .least = 3, .most = 99},
	{.name = "size", .argument = "S", .help = "s", .kind = OPTION_SIZE, .value = &fuzz_size, .least = 10, .most = 1 << 30},
	{.name = "format", .argument = "F", .help = "f", .kind = OPTION_CHOICE, .value = &fuzz_choice,
		.choices = fuzz_words},
	{.name = "config", .argument = "F", .kind = OPTION_STRING, .value = &fuzz_config, .names_file = true},
	{.name = "nick", .argument = "N", .help = "n", .kind = OPTION_STRING, .value = &fuzz_nick, .default_from = "LOGNAME"},
	{.name = NULL},
};

static void check_values(void)
{
	MUST(fuzz_flag == 0 || fuzz_flag == 1);
	MUST(fuzz_help == 0 || fuzz_help == 1);
	MUST(strlen(fuzz_string) < SIZE_MAX);
	MUST(strlen(fuzz_nick) < SIZE_MAX);
	MUST(fuzz_list.count >= 1 && fuzz_list.count <= OPTION_LIST_MAX);
	for (size_t i = 0; i < fuzz_list.count; i++)
		MUST(fuzz_check(fuzz_list.items[i]) == NULL);
	MUST(fuzz_number >= 3 && fuzz_number <= 99);
	MUST(fuzz_size >= 10 && fuzz_size <= 1 << 30);
	MUST(fuzz_choice == 0 || fuzz_choice == 1);
}

static void check_result(int error, const struct options_result *result)
{
	size_t size = strnlen(result->message, OPTION_MESSAGE_SIZE);

	MUST(error == 0 || error == -EINVAL);
	MUST(size < OPTION_MESSAGE_SIZE);
	MUST((error == 0) == (size == 0));
	check_values();
}

/* Takes a part off the input, as a string; free() it. */
static char *take_part(struct fuzz_input *input, size_t *size)
{
	const uint8_t *end = input->size == 0 ? NULL : memchr(input->bytes, 1, input->size);
	char *part;

	*size = end == NULL ? input->size : (size_t)(end - input->bytes);
	part = fuzz_room(*size + 1);
	if (*size > 0)
		memcpy(part, input->bytes, *size);
	part[*size] = '\0';
	input->bytes += *size + (end != NULL);
	input->size -= *size + (end != NULL);
	return part;
}

/* Points 'words' at the words of 'part', but for those that would read a file of this machine. */
static int split_words(char *part, size_t size, char *words[FUZZ_WORDS_MAX], int count)
{
	char *end = part + size;

	while (part < end && count < FUZZ_WORDS_MAX - 1) {
		char *word = part;

		part += strcspn(part, "\n");
		*part++ = '\0';
		if (strncmp(word, "CHAT_ENV_FILE=", 14) != 0 && strncmp(word, "CHAT_CONFIG=", 12) != 0 &&
			strstr(word, "-config") == NULL)
			words[count++] = word;
	}
	words[count] = NULL;
	return count;
}

static void forget_kept(void)
{
	while (kept_strings != NULL) {
		struct kept *next = kept_strings->next;

		free(kept_strings);
		kept_strings = next;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = {bytes, size};
	char *argv[FUZZ_WORDS_MAX] = {(char[]){"program"}};
	char *variables[FUZZ_WORDS_MAX];
	size_t file_size;
	size_t variables_size;
	size_t arguments_size;
	size_t config_size;
	char *file = take_part(&input, &file_size);
	char *environment = take_part(&input, &variables_size);
	char *arguments = take_part(&input, &arguments_size);
	char *config = take_part(&input, &config_size);
	int argc = split_words(arguments, arguments_size, argv, 1);
	struct options_result result = {.first_argument = 0};
	int help_before;
	int error;

	fuzz_flag = 0;
	fuzz_help = 0;
	fuzz_string = "nobody";
	fuzz_nick = "none";
	fuzz_list = (struct option_list){.items = {"[::]:7777"}, .count = 1};
	fuzz_number = 5;
	fuzz_size = 100;
	fuzz_choice = 0;
	(void)split_words(environment, variables_size, variables, 0);

	error = options_parse_file(fuzz_table, file, &result);
	check_result(error, &result);
	help_before = fuzz_help;
	result.message[0] = '\0';
	error = options_parse_config(fuzz_table, "fuzz.conf", config, &result);
	check_result(error, &result);
	MUST(fuzz_help == help_before); /* no configuration file asks for help */
	MUST(error == 0 || strncmp(result.message, "fuzz.conf:", 10) == 0);
	error = options_parse(fuzz_table, argc, argv, variables, &result);
	check_result(error, &result);
	MUST(result.first_argument >= 1 && result.first_argument <= argc);

	forget_kept();
	free(file);
	free(environment);
	free(arguments);
	free(config);
	return 0;
}
