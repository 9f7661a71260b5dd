#include "tcpclient/heard.h"

#include <string.h>
#include <strings.h>

/* No name is longer, not even a goTCP one that we would like to colour. */
enum { SPEAKER_SIZE_MAX = 512 };

static bool starts_with(const char *line, size_t size, const char *start)
{
	size_t start_size = strlen(start);

	return size >= start_size && memcmp(line, start, start_size) == 0;
}

static bool ends_with(const char *line, size_t size, const char *end)
{
	size_t end_size = strlen(end);

	return size >= end_size && memcmp(line + size - end_size, end, end_size) == 0;
}

static struct heard whole(enum heard_kind kind, const char *line, size_t size)
{
	return (struct heard){.kind = kind, .name = line, .text = line, .text_size = size};
}

/* "NAME: TEXT": the name ends at the first ": ". */
static bool read_message(const char *line, size_t size, struct heard *heard)
{
	size_t most = size < SPEAKER_SIZE_MAX ? size : SPEAKER_SIZE_MAX;
	const char *end = memmem(line, most, ": ", 2);

	if (end == NULL || end == line)
		return false;
	heard->kind = HEARD_MESSAGE;
	heard->name = line;
	heard->name_size = (size_t)(end - line);
	heard->text = end + 2;
	heard->text_size = size - heard->name_size - 2;
	return true;
}

/* "* Welcome NAME - tcpchat/1. ..."; a name holds no '/'. */
static bool read_welcome(const char *line, size_t size, struct heard *heard)
{
	static const char start[] = "* Welcome ";
	static const char mark[] = " - tcpchat/";
	const char *name = line + sizeof start - 1;
	const char *end;

	if (!starts_with(line, size, start))
		return false;
	end = memmem(name, size - (sizeof start - 1), mark, sizeof mark - 1);
	if (end == NULL || end == name)
		return false;
	*heard = whole(HEARD_WELCOME, line, size);
	heard->name = name;
	heard->name_size = (size_t)(end - name);
	return true;
}

/* "! CODE: TEXT", where a code word is small letters and '-'. */
static bool read_error(const char *line, size_t size, struct heard *heard)
{
	size_t end = 2;

	if (!starts_with(line, size, "! "))
		return false;
	while (end < size && ((line[end] >= 'a' && line[end] <= 'z') || line[end] == '-'))
		end++;
	if (end == 2 || end == size || line[end] != ':')
		return false;
	*heard = whole(HEARD_ERROR, line, size);
	heard->name = line + 2;
	heard->name_size = end - 2;
	return true;
}

static bool is_notice(const char *line, size_t size)
{
	if (starts_with(line, size, "== The server(") && ends_with(line, size, " =="))
		return true;
	return starts_with(line, size, "User \"") &&
	       (ends_with(line, size, "\" just joined the chat!") ||
		       ends_with(line, size, "\" just left the chat (normally)") ||
		       ends_with(line, size, "\" just left the chat (connection lost)"));
}

struct heard heard_read(const char *line, size_t size, enum dialect dialect)
{
	struct heard heard;

	if (dialect != DIALECT_PLAIN) {
		if (read_welcome(line, size, &heard) || read_error(line, size, &heard))
			return heard;
		if (starts_with(line, size, "* ") || starts_with(line, size, "! "))
			return whole(HEARD_NOTICE, line, size);
	}
	if (is_notice(line, size))
		return whole(HEARD_NOTICE, line, size);
	if (read_message(line, size, &heard))
		return heard;
	return whole(HEARD_OTHER, line, size);
}

bool heard_tells_tcpchat(const struct heard *heard, const char *line, size_t size)
{
	return heard->kind == HEARD_WELCOME || heard->kind == HEARD_ERROR ||
	       starts_with(line, size, "* Welcome to tcpchat");
}

bool heard_is_echoed(const char *line, size_t size)
{
	return !heard_is_exit(line, size) && (size == 0 || line[0] != '/' || (size > 1 && line[1] == '/'));
}

static bool is_white(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

bool heard_is_exit(const char *line, size_t size)
{
	while (size > 0 && is_white(line[0])) {
		line++;
		size--;
	}
	while (size > 0 && is_white(line[size - 1]))
		size--;
	return size == 5 && strncasecmp(line, "!exit", 5) == 0;
}
