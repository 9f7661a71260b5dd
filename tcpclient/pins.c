#include "tcpclient/pins.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tcpclient/buffer.h"

enum { FILE_SIZE_MAX = 1024 * 1024, WORD_SIZE = 512 };
_Static_assert((int)WORD_SIZE > (int)PINS_SERVER_SIZE && (int)WORD_SIZE > (int)TLS_FINGERPRINT_SIZE, "whole words fit");

static const char authority[] = "authority"; /* in place of a fingerprint */

void pins_server(const struct net_place *place, char server[PINS_SERVER_SIZE])
{
	(void)snprintf(server, PINS_SERVER_SIZE, strchr(place->host, ':') == NULL ? "%s:%s" : "[%s]:%s", place->host, place->port);
	for (; *server != '\0'; server++)
		*server = *server >= 'A' && *server <= 'Z' ? (char)(*server - 'A' + 'a') : *server;
}

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

/* Copies the next word of a line, and steps past it. Returns its size; one that does not fit is cut. */
static size_t take_word(const char **line, const char *end, char word[WORD_SIZE])
{
	size_t size = 0;

	while (*line < end && is_blank(**line))
		(*line)++;
	for (; *line < end && !is_blank(**line); (*line)++) {
		if (size < WORD_SIZE - 1)
			word[size++] = **line;
	}
	word[size] = '\0';
	return size;
}

static enum pin read_line(const char *line, const char *end, const char *server, unsigned char hash[TLS_HASH_SIZE])
{
	enum pin result = PIN_DAMAGED;
	char word[WORD_SIZE];

	if (take_word(&line, end, word) == 0 || word[0] == '#' || strcasecmp(word, server) != 0)
		return PIN_NONE;
	if (take_word(&line, end, word) == 0)
		return PIN_DAMAGED;
	if (strcmp(word, authority) == 0)
		result = PIN_AUTHORITY;
	else if (tls_fingerprint_read(word, hash))
		result = PIN_FOUND;
	return take_word(&line, end, word) == 0 ? result : PIN_DAMAGED;
}

enum pin pins_look_up(const char *text, size_t size, const char *server, unsigned char hash[TLS_HASH_SIZE])
{
	const char *end = text + size;
	enum pin result = PIN_NONE;

	while (text < end) {
		const char *line_end = memchr(text, '\n', (size_t)(end - text));
		enum pin found;

		if (line_end == NULL)
			line_end = end;
		found = read_line(text, line_end, server, hash);
		if (found != PIN_NONE)
			result = found;
		text = line_end < end ? line_end + 1 : end;
	}
	return result;
}

enum pin pins_find(const char *path, const char *server, unsigned char hash[TLS_HASH_SIZE])
{
	FILE *file = path == NULL ? NULL : fopen(path, "re");
	enum pin result = PIN_DAMAGED;
	char *text;
	size_t size;

	if (file == NULL)
		return path == NULL || errno == ENOENT || errno == ENOTDIR ? PIN_NONE : PIN_DAMAGED;
	text = memory_get(FILE_SIZE_MAX + 1);
	size = fread(text, 1, FILE_SIZE_MAX + 1, file);
	if (!ferror(file) && size <= FILE_SIZE_MAX)
		result = pins_look_up(text, size, server, hash);
	free(text);
	(void)fclose(file); /* only read */
	return result;
}

/* Whether the last line has no end. */
static bool is_torn(int file)
{
	char last;
	off_t size = lseek(file, 0, SEEK_END);

	return size > 0 && pread(file, &last, 1, size - 1) == 1 && last != '\n';
}

int pins_add(const char *path, const char *server, const unsigned char *hash)
{
	char fingerprint[TLS_FINGERPRINT_SIZE] = "";
	char line[PINS_SERVER_SIZE + TLS_FINGERPRINT_SIZE + 8];
	int file = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
	ssize_t size;
	int error = 0;

	if (file < 0)
		return -errno;
	if (hash != NULL)
		tls_fingerprint_write(hash, fingerprint);
	size = snprintf(line, sizeof line, "%s%s %s\n", is_torn(file) ? "\n" : "", server,
		hash == NULL ? authority : fingerprint);
	errno = ENOSPC; /* for a write that is too short */
	if (write(file, line, (size_t)size) != size || fsync(file) != 0)
		error = -errno;
	if (close(file) != 0 && error == 0)
		error = -errno;
	return error;
}
