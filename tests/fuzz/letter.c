/*
 * The reader of letters: whoever can write to the database can write them. What is read is whole and safe, and written again it is read as
 * the same.
 *
 * Input: the JSON.
 */
#include "tcpserver/core/letter.h"

#include "common/text.h"
#include "tests/fuzz/fuzz.h"

static void check_name(const char *name)
{
	char made[NAME_SIZE];

	MUST(name[0] == '\0' || (name_make(name, strlen(name), made) && strcmp(name, made) == 0));
}

static void check_again(const struct letter *letter)
{
	struct letter again;
	size_t size;
	char *json = letter_write(letter, &size);

	MUST(json != NULL && letter_read(json, size, &again));
	MUST(again.kind == letter->kind && again.number == letter->number && again.result == letter->result);
	MUST(strcmp(again.to, letter->to) == 0 && strcmp(again.from, letter->from) == 0);
	MUST((again.text == NULL) == (letter->text == NULL));
	MUST(again.text == NULL || strcmp(again.text, letter->text) == 0);
	free((void *)(uintptr_t)again.text);
	free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *json = fuzz_copy(bytes, size);
	struct letter letter = {.text = NULL};

	if (letter_read(json, size, &letter)) {
		MUST(letter.number != 0 && letter_is_server_id(letter.server));
		check_name(letter.from);
		check_name(letter.to);
		check_name(letter.room);
		MUST(letter.room_id[0] == '\0' || letter.room_id[0] != '@');
		MUST(letter.text == NULL || (letter.text[0] != '\0' && text_is_clean(letter.text, strlen(letter.text))));
		check_again(&letter);
		free((void *)(uintptr_t)letter.text);
	}
	free(json);
	return 0;
}
