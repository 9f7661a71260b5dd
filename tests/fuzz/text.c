/*
 * The text cleaner and the names: what must be true of whatever they make of any bytes.
 *
 * Input: the bytes.
 */
#include "common/text.h"

#include "tests/fuzz/fuzz.h"

static void check_prefixes(const char *text, size_t size)
{
	for (size_t most = 0; most <= size && most < 40; most++) {
		size_t prefix = text_prefix(text, size, most);

		MUST(prefix <= most && prefix + 4 > most);
		MUST(text_is_clean(text, prefix));
	}
	MUST(text_prefix(text, size, size) == size);
}

static void check_clean(const char *text, size_t size)
{
	char *clean = fuzz_room(TEXT_CLEAN_SIZE(size));
	size_t clean_size = text_clean(text, size, clean);
	char *again = fuzz_room(TEXT_CLEAN_SIZE(clean_size));

	MUST(clean_size <= TEXT_CLEAN_SIZE(size));
	MUST(text_is_clean(clean, clean_size));
	MUST(text_clean(clean, clean_size, again) == clean_size && memcmp(clean, again, clean_size) == 0);
	MUST(text_is_clean(text, size) == (clean_size == size && memcmp(clean, text, size) == 0));
	check_prefixes(clean, clean_size);
	free(again);
	free(clean);
}

/* A name is the name of itself. */
static void check_name(const char *name)
{
	size_t size = strlen(name);
	char *copy = fuzz_copy(name, size);
	char again[NAME_SIZE];

	MUST(size > 0 && size < NAME_SIZE && text_is_clean(name, size));
	MUST(name_make(copy, size, again) && strcmp(name, again) == 0);
	free(copy);
}

static void check_names(const char *text, size_t size)
{
	char name[NAME_SIZE];
	char tagged[NAME_SIZE];
	char key[NAME_KEY_SIZE];

	if (!name_make(text, size, name))
		return;
	check_name(name);
	name_tagged(name, (unsigned)size * 2654435761U, tagged);
	check_name(tagged);
	MUST(name_key(name, key) == strlen(key) && key[0] != '\0');
	MUST(name_key(tagged, key) == strlen(key) && strlen(key) > NAME_TAG_LENGTH);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *text = fuzz_copy(bytes, size);

	check_clean(text, size);
	check_names(text, size);
	free(text);
	return 0;
}
