/*
 * The words of a text: whatever the bytes, they are what the index takes for words, and a text is found by its own words.
 *
 * Input: the text.
 */
#include "tcpserver/journals/words.h"

#include <unistr.h>

#include "tests/fuzz/fuzz.h"

static void check_words(const char *words)
{
	size_t word = 0;

	MUST(u8_check((const uint8_t *)words, strlen(words)) == NULL);
	for (const char *place = words; *place != '\0'; place++) {
		bool space = *place == ' ';

		MUST(space || (unsigned char)*place >= 0x80 || (*place >= 'a' && *place <= 'z') ||
			(*place >= '0' && *place <= '9'));
		MUST(!space || word > 0);
		word = space ? 0 : word + 1;
		MUST(word <= WORD_SIZE_MAX);
	}
	MUST(words[0] == '\0' || word > 0);
}

/* Quotation marks around words, and nothing else but AND between them. */
static void check_query(const char *query)
{
	size_t marks = 0;

	for (const char *place = query; *place != '\0'; place++)
		marks += *place == '"';
	MUST(marks % 2 == 0 && (marks == 0) == (query[0] == '\0'));
	MUST(query[0] == '\0' || (query[0] == '"' && query[strlen(query) - 1] == '"'));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *text = fuzz_copy(bytes, size);
	char *typed = fuzz_room(size + 1);
	char *words = words_split(text, size);
	char *query;

	MUST(words != NULL);
	check_words(words);
	memcpy(typed, text, size);
	typed[size] = '\0';
	query = words_query(typed);
	MUST(query != NULL);
	check_query(query);
	MUST(words_match(text, size, typed) >= 0);
	free(query);
	free(typed);
	free(words);
	free(text);
	return 0;
}
