#include "common/lines.h"

#include <stdlib.h>
#include <string.h>

void lines_init(struct lines *lines, size_t limit)
{
	*lines = (struct lines){.limit = limit, .dropped = LINES_MORE};
}

static void lines_forget_kept(struct lines *lines)
{
	free(lines->kept);
	lines->kept = NULL;
	lines->kept_size = 0;
	lines->kept_was_read = false;
}

void lines_fini(struct lines *lines)
{
	lines_forget_kept(lines);
}

void lines_feed(struct lines *lines, const char *bytes, size_t size)
{
	lines->next = bytes;
	lines->next_size = size;
}

/* Adds to the unfinished line; room for one CR more than the limit, because the CR may turn out to belong to the end. */
static bool lines_keep(struct lines *lines, const char *bytes, size_t size)
{
	char *grown;

	if (size == 0)
		return true;
	grown = realloc(lines->kept, lines->kept_size + size);
	if (grown == NULL)
		return false;
	memcpy(grown + lines->kept_size, bytes, size);
	lines->kept = grown;
	lines->kept_size += size;
	return true;
}

static size_t without_cr(const char *line, size_t size)
{
	return size > 0 && line[size - 1] == '\r' ? size - 1 : size;
}

/* The fed bytes end within a line. */
static enum lines_state lines_keep_rest(struct lines *lines)
{
	size_t size = lines->next_size;

	lines->next_size = 0;
	if (lines->dropped != LINES_MORE)
		return LINES_MORE;
	if (lines->kept_size + size > lines->limit + 1)
		lines->dropped = LINES_TOO_LONG;
	else if (!lines_keep(lines, lines->next, size))
		lines->dropped = LINES_NO_MEMORY;
	if (lines->dropped != LINES_MORE)
		lines_forget_kept(lines);
	return LINES_MORE;
}

/* The end of a dropped line: says why it was. */
static enum lines_state lines_finish_dropped(struct lines *lines)
{
	enum lines_state reason = lines->dropped;

	lines->dropped = LINES_MORE;
	return reason;
}

static enum lines_state lines_finish(
	struct lines *lines, const char *bytes, size_t bytes_size, const char **line, size_t *size)
{
	size_t line_size = without_cr(bytes, bytes_size);

	if (line_size > lines->limit)
		return LINES_TOO_LONG;
	*line = bytes;
	*size = line_size;
	return LINES_LINE;
}

enum lines_state lines_next(struct lines *lines, const char **line, size_t *size)
{
	const char *end;
	const char *start = lines->next;
	size_t start_size;

	if (lines->kept_was_read)
		lines_forget_kept(lines);
	end = lines->next_size == 0 ? NULL : memchr(start, '\n', lines->next_size);
	if (end == NULL)
		return lines_keep_rest(lines);
	start_size = (size_t)(end - start);
	lines->next = end + 1;
	lines->next_size -= start_size + 1;
	if (lines->dropped != LINES_MORE)
		return lines_finish_dropped(lines);
	if (lines->kept == NULL)
		return lines_finish(lines, start, start_size, line, size);
	lines->kept_was_read = true;
	if (lines->kept_size + start_size > lines->limit + 1)
		return LINES_TOO_LONG;
	if (!lines_keep(lines, start, start_size))
		return LINES_NO_MEMORY;
	return lines_finish(lines, lines->kept, lines->kept_size, line, size);
}

enum lines_state lines_last(struct lines *lines, const char **line, size_t *size)
{
	if (lines->kept_was_read)
		lines_forget_kept(lines);
	if (lines->dropped != LINES_MORE)
		return lines_finish_dropped(lines);
	if (lines->kept == NULL)
		return LINES_MORE;
	lines->kept_was_read = true;
	return lines_finish(lines, lines->kept, lines->kept_size, line, size);
}
