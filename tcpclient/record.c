#include "tcpclient/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <unicase.h>
#include <unictype.h>
#include <unistr.h>

void record_fini(struct record *record)
{
	buffer_fini(&record->lines);
}

void record_add(struct record *record, const char *lines, size_t size)
{
	buffer_add(&record->lines, lines, size);
	while (record->lines.size - record->start > RECORD_SIZE_MAX) {
		const char *start = record->lines.bytes + record->start;
		const char *end = memchr(start, '\n', record->lines.size - record->start);

		record->start += end == NULL ? record->lines.size - record->start : (size_t)(end - start) + 1;
	}
	if (record->start < RECORD_SIZE_MAX)
		return;
	record->lines.size -= record->start; /* seldom: once in RECORD_SIZE_MAX bytes */
	memmove(record->lines.bytes, record->lines.bytes + record->start, record->lines.size);
	record->start = 0;
}

/* ---- Words. ---- */

/* Folded, in new memory with a NUL; NULL when the text is not UTF-8. */
static char *fold(const char *text, size_t size, size_t *folded_size)
{
	char *folded = (char *)u8_casefold((const uint8_t *)text, size, NULL, NULL, NULL, folded_size);

	if (folded == NULL && size == 0)
		folded = calloc(1, 1);
	return folded;
}

static bool is_letter_at(const char *text, size_t size)
{
	ucs4_t character;

	return size > 0 && u8_mbtoucr(&character, (const uint8_t *)text, size) > 0 &&
	       (uc_is_alnum(character) || character == '_');
}

static bool is_letter_before(const char *text, const char *start)
{
	ucs4_t character;
	const uint8_t *before = u8_prev(&character, (const uint8_t *)text, (const uint8_t *)start);

	return before != NULL && (uc_is_alnum(character) || character == '_');
}

static bool has_folded(const char *text, size_t size, const char *word, size_t word_size, bool whole)
{
	const char *end = text + size;
	const char *from = text;

	while (word_size > 0 && (from = memmem(from, (size_t)(end - from), word, word_size)) != NULL) {
		if (!whole || (!is_letter_before(from, text) &&
				      !is_letter_at(from + word_size, (size_t)(end - from) - word_size)))
			return true;
		from++;
	}
	return false;
}

bool text_has_word(const char *text, size_t size, const char *word, bool whole)
{
	size_t folded_size = 0;
	size_t word_size = 0;
	char *folded = fold(text, size, &folded_size);
	char *folded_word = fold(word, strlen(word), &word_size);
	bool found = folded != NULL && folded_word != NULL && has_folded(folded, folded_size, folded_word, word_size, whole);

	free(folded);
	free(folded_word);
	return found;
}

static bool has_all(const char *line, size_t size, const char *words)
{
	struct buffer word = {0};
	bool found = true;

	while (found && *(words += strspn(words, " \t")) != '\0') {
		size_t word_size = strcspn(words, " \t");

		buffer_clear(&word);
		buffer_add(&word, words, word_size);
		buffer_add(&word, "", 1);
		found = text_has_word(line, size, word.bytes, false);
		words += word_size;
	}
	buffer_fini(&word);
	return found;
}

/* The start of the line that ends with the LF at 'end' - 1. */
static const char *line_before(const struct record *record, const char *end)
{
	const char *oldest = record->lines.bytes + record->start;
	const char *lf = memrchr(oldest, '\n', (size_t)(end - oldest) - 1);

	return lf == NULL ? oldest : lf + 1;
}

size_t record_search(const struct record *record, const char *words, size_t most, struct buffer *out)
{
	size_t size = record->lines.size - record->start;
	const char *oldest = size == 0 ? NULL : record->lines.bytes + record->start;
	const char *end = size == 0 ? NULL : oldest + size;
	const char **found = memory_get((most + 1) * sizeof *found);
	size_t count = 0;

	while (end != oldest && count < most) {
		const char *line = line_before(record, end);

		if (has_all(line, (size_t)(end - line) - 1, words))
			found[count++] = line;
		end = line;
	}
	for (size_t i = count; i > 0; i--) {
		const char *line_end = rawmemchr(found[i - 1], '\n'); /* each line has one */

		buffer_add(out, found[i - 1], (size_t)(line_end - found[i - 1]) + 1);
	}
	free(found);
	return count;
}

/* ---- Saving. ---- */

static int write_all(int file, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t written = write(file, bytes, size);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			bytes += written;
			size -= (size_t)written;
		}
	}
	return 0;
}

int record_save(const struct record *record, const char *path)
{
	int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int error;

	if (file < 0)
		return -errno;
	error = write_all(file, record->lines.bytes + record->start, record->lines.size - record->start);
	if (close(file) != 0 && error == 0)
		error = -errno;
	if (error != 0)
		(void)unlink(path); /* half of it is worse than nothing */
	return error;
}
