#include "tcpserver/journals/redis_url.h"

#include <stdio.h>
#include <string.h>

#include "common/hex.h"

#define REDIS_PORT "6379"

/* Copies 'size' bytes of a URL, with what is written as %XX. Returns whether they fit, and make sense. */
static bool url_decode(const char *text, size_t size, char *out, size_t capacity)
{
	const char *end = text + size;
	size_t length = 0;

	while (text < end) {
		int byte = (unsigned char)*text++;

		if (byte == '%') {
			if (end - text < 2 || hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0)
				return false;
			byte = 16 * hex_digit(text[0]) + hex_digit(text[1]);
			text += 2;
		}
		if (byte < ' ' || byte == 0x7F || length + 1 >= capacity)
			return false;
		out[length++] = (char)byte;
	}
	out[length] = '\0';
	return true;
}

static bool url_number(const char *text, uint64_t most, uint64_t *number)
{
	*number = 0;
	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9' || *number > most / 10)
			return false;
		*number = 10 * *number + (uint64_t)(*text - '0');
	}
	return *number <= most;
}

static bool url_refuse(char fault[ENGINE_FAULT_SIZE], const char *why)
{
	(void)snprintf(fault, ENGINE_FAULT_SIZE, "%s", why);
	return false;
}

/* "prefix=x"; the value ends at 'size'. */
static bool url_take_parameter(struct redis_url *url, const char *text, size_t size, char fault[ENGINE_FAULT_SIZE])
{
	const char *equals = memchr(text, '=', size);
	size_t length = equals == NULL ? size : (size_t)(equals - text);
	char value[REDIS_PATH_SIZE];

	if (equals == NULL || !url_decode(equals + 1, size - length - 1, value, sizeof value))
		return url_refuse(fault, "what follows the ? of the URL has to be NAME=VALUE, with & between two");
	if (length == 6 && memcmp(text, "prefix", 6) == 0 && strlen(value) < sizeof url->prefix && strchr(value, ' ') == NULL)
		(void)strcpy(url->prefix, value);
	else if (length == 6 && memcmp(text, "maxlen", 6) == 0 && url_number(value, INT64_MAX, &url->messages_most))
		return true;
	else if (length == 8 && memcmp(text, "replicas", 8) == 0 && url_number(value, 1000, &url->replicas))
		return true;
	else if (length == 6 && memcmp(text, "cacert", 6) == 0 && url->is_tls)
		(void)strcpy(url->authorities, value);
	else
		return url_refuse(fault, "the URL takes prefix=TEXT (up to 63 bytes without spaces), maxlen=NUMBER, replicas=NUMBER (up to 1000), and "
					 "with rediss: cacert=FILE");
	return true;
}

static bool url_take_parameters(struct redis_url *url, const char *text, char fault[ENGINE_FAULT_SIZE])
{
	while (*text != '\0') {
		size_t size = strcspn(text, "&");

		if (size > 0 && !url_take_parameter(url, text, size, fault))
			return false;
		text += size + (text[size] == '&');
	}
	return true;
}

/* "user:password"; one without a colon is the password, as older tools write it, if it ends so: ":password" */
static bool url_take_credentials(struct redis_url *url, const char *text, size_t size)
{
	const char *colon = memchr(text, ':', size);
	size_t user_size = colon == NULL ? size : (size_t)(colon - text);

	return url_decode(text, user_size, url->user, sizeof url->user) &&
	       (colon == NULL || url_decode(colon + 1, size - user_size - 1, url->password, sizeof url->password));
}

static bool url_take_place(struct redis_url *url, const char *text, size_t size)
{
	char place[NET_HOST_SIZE + NET_PORT_SIZE + 4];

	return url_decode(text, size, place, sizeof place) &&
	       net_place_parse(place, "localhost", REDIS_PORT, &url->place) && url->place.host[0] != '\0';
}

bool redis_url_read(const char *text, struct redis_url *url, char fault[ENGINE_FAULT_SIZE])
{
	const char *at = strstr(text, "://");
	const char *authority_end;
	const char *credentials_end = NULL;

	*url = (struct redis_url){.is_tls = strncmp(text, "rediss:", 7) == 0, .prefix = "tcpchat:"};
	if (at == NULL || (!url->is_tls && strncmp(text, "redis:", 6) != 0))
		return url_refuse(fault, "the URL has to be redis://HOST:PORT or rediss://HOST:PORT");
	text = at + 3;
	authority_end = text + strcspn(text, "/?");
	for (const char *c = text; c < authority_end; c++)
		credentials_end = *c == '@' ? c : credentials_end;
	if (credentials_end != NULL && !url_take_credentials(url, text, (size_t)(credentials_end - text)))
		return url_refuse(fault, "user and password of the URL: write special characters as %XX");
	text = credentials_end == NULL ? text : credentials_end + 1;
	if (!url_take_place(url, text, (size_t)(authority_end - text)))
		return url_refuse(fault, "host and port of the URL have to be HOST, HOST:PORT or [IPV6]:PORT");
	text = authority_end;
	if (*text == '/') {
		size_t size = strcspn(++text, "?");

		if (!url_decode(text, size, url->database, sizeof url->database))
			return url_refuse(fault, "the path of the URL has to be the number of a database, as in redis://localhost/0");
		text += size;
	}
	return *text == '\0' || url_take_parameters(url, text + 1, fault);
}
