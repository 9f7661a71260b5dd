/*
 * The line splitter, fed in random chunks, against the plainest way to split the whole text.
 *
 * Input: the limit (a byte), a seed for the chunks (two bytes), the text.
 */
#include "common/lines.h"

#include "tests/fuzz/fuzz.h"

/* What is left of the text, and what its next line is. */
struct plain {
	const char *text;
	size_t size;
};

static enum lines_state plain_next(struct plain *plain, size_t limit, const char **line, size_t *size)
{
	const char *end = memchr(plain->text, '\n', plain->size);
	size_t whole = end == NULL ? plain->size : (size_t)(end - plain->text);

	*line = plain->text;
	*size = whole > 0 && plain->text[whole - 1] == '\r' ? whole - 1 : whole;
	whole += end != NULL;
	plain->text += whole;
	plain->size -= whole;
	return *size > limit ? LINES_TOO_LONG : LINES_LINE;
}

static void compare(struct plain *plain, size_t limit, enum lines_state state, const char *line, size_t size)
{
	const char *expected;
	size_t expected_size;

	MUST(plain->size > 0);
	MUST(state == plain_next(plain, limit, &expected, &expected_size));
	MUST(state == LINES_TOO_LONG || (size == expected_size && memcmp(line, expected, size) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = {bytes, size};
	size_t limit = fuzz_byte(&input);
	uint32_t seed = 1U + fuzz_byte(&input) + 256U * fuzz_byte(&input);
	char *text = fuzz_copy(input.bytes, input.size);
	struct plain plain = {text, input.size};
	struct lines lines;
	const char *line = NULL;
	size_t line_size = 0;
	enum lines_state state;

	lines_init(&lines, limit);
	while (input.size > 0) {
		size_t chunk_size = 1 + fuzz_random(&seed) % (seed % 2 == 0 ? 4 : 600);
		char *chunk;

		if (chunk_size > input.size)
			chunk_size = input.size;
		chunk = fuzz_copy(input.bytes, chunk_size);
		lines_feed(&lines, chunk, chunk_size);
		while ((state = lines_next(&lines, &line, &line_size)) != LINES_MORE)
			compare(&plain, limit, state, line, line_size);
		MUST(lines.kept_size <= limit + 1);
		free(chunk);
		input.bytes += chunk_size;
		input.size -= chunk_size;
	}
	if ((state = lines_last(&lines, &line, &line_size)) != LINES_MORE)
		compare(&plain, limit, state, line, line_size);
	MUST(plain.size == 0);
	MUST(lines_last(&lines, &line, &line_size) == LINES_MORE);
	lines_fini(&lines);
	free(text);
	return 0;
}
