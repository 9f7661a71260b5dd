#include "common/secret.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/hex.h"

/* ---- URLs. ---- */

static void cross_out(char *at, const char *end)
{
	while (at < end)
		*at++ = '*';
}

/* The next character of a text, of which %XX is one; steps past it. */
static char next_character(const char **at, const char *end)
{
	char character = *(*at)++;

	if (character == '%' && end - *at >= 2 && hex_digit((*at)[0]) >= 0 && hex_digit((*at)[1]) >= 0) {
		character = (char)(16 * hex_digit((*at)[0]) + hex_digit((*at)[1]));
		*at += 2;
	}
	return (char)tolower((unsigned char)character);
}

/* The word has only one 'p', so that a try that fails can begin anew only with the character at which it does. */
static bool ends_with_password(const char *at, const char *end)
{
	static const char word[] = "password";
	size_t matched = 0;

	while (at < end) {
		char character = next_character(&at, end);

		matched = matched < sizeof word - 1 && character == word[matched] ? matched + 1 : character == word[0];
	}
	return matched == sizeof word - 1;
}

/* ...?password=PASSWORD&... */
static void cross_out_parameters(char *url)
{
	char *at = strchr(url, '?');

	while (at != NULL && *at != '\0') {
		char *name = at + 1;
		char *name_end = name + strcspn(name, "=?&");

		at = name_end;
		if (*name_end == '=') {
			at = name_end + strcspn(name_end, "&");
			if (ends_with_password(name, name_end))
				cross_out(name_end + 1, at);
		}
	}
}

void secret_cross_out(char *url)
{
	char *begin = strstr(url, "://");
	char *at = begin == NULL ? NULL : strrchr(begin, '@');
	char *colon = at == NULL ? NULL : memchr(begin + 3, ':', (size_t)(at - begin - 3));

	if (begin == NULL)
		return;
	cross_out_parameters(begin);
	if (colon != NULL)
		cross_out(colon + 1, at);
}

/* Where the parameters begin: at the first '?' that has NAME= behind it; or the end. */
static const char *find_parameters(const char *at)
{
	for (at = strchr(at, '?'); at != NULL; at = strchr(at + 1, '?'))
		if (at[1 + strcspn(at + 1, "=?&@/")] == '=')
			return at;
	return NULL;
}

bool secret_is_misread(const char *url)
{
	const char *begin = strstr(url, "://");
	const char *end = begin == NULL ? url : find_parameters(begin);
	const char *at;

	if (begin == NULL)
		return false;
	begin += 3;
	end = end == NULL ? begin + strlen(begin) : end;
	at = memrchr(begin, '@', (size_t)(end - begin));
	return at != NULL && (memchr(begin, '@', (size_t)(at - begin)) != NULL || memchr(begin, '/', (size_t)(at - begin)) != NULL);
}

char *secret_take(const char *url)
{
	char *copy = strdup(url);

	if (copy != NULL)
		secret_cross_out((char *)(uintptr_t)url); /* arguments and variables are the program's own */
	return copy;
}

void secret_free(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

/* ---- Files. ---- */

/*
 * Container engines show secrets to all in the container, which is only us. systemd lets us read credentials by an ACL, whose mask
 * looks like a right of the group. Neither may be writable.
 */
static bool is_handed_over(const char *path, mode_t mode)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	size_t length = credentials == NULL ? 0 : strlen(credentials);
	bool is_credential = length > 0 && strncmp(path, credentials, length) == 0 && path[length] == '/';

	return (is_credential || strncmp(path, "/run/secrets/", 13) == 0) && (mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Reads the line. Returns what is wrong, or NULL. */
static const char *read_line(FILE *file, const char *path, char secret[SECRET_SIZE])
{
	struct stat status;
	size_t length;

	if (file == NULL || fstat(fileno(file), &status) != 0)
		return strerror(errno);
	if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0 && !is_handed_over(path, status.st_mode))
		return "others may read or write it; chmod 600 it";
	length = fgets(secret, SECRET_SIZE, file) == NULL ? 0 : strcspn(secret, "\r\n");
	if (length == 0 || secret[length] == '\0')
		return "its first line has to be the password, of at most 198 bytes";
	secret[length] = '\0';
	return NULL;
}

bool secret_read(const char *program, const char *option, const char *path, char secret[SECRET_SIZE], const char **found)
{
	FILE *file = path == NULL ? NULL : fopen(path, "re");
	const char *fault = path == NULL ? NULL : read_line(file, path, secret);

	*found = path == NULL ? NULL : secret;
	if (file != NULL)
		(void)fclose(file); /* only read */
	if (fault != NULL)
		(void)fprintf(stderr, "%s: %s %s: %s\n", program, option, path, fault);
	return fault == NULL;
}
