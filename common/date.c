#include "common/date.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { NS_PER_S = 1000000000 };

/* Reads the digits of a fraction. Returns what follows them. */
static const char *parse_fraction(const char *text, int64_t *ns)
{
	int64_t unit = NS_PER_S / 10;

	for (*ns = 0; *text >= '0' && *text <= '9'; text++) {
		*ns += unit * (*text - '0');
		unit /= 10;
	}
	return text;
}

/* The seconds since 1970 of the parts, in '*seconds'. Returns whether there is such a day: strptime() takes any up to 31. */
static bool date_seconds(struct tm parts, int64_t *seconds)
{
	int day = parts.tm_mday;

	*seconds = timegm(&parts);
	return parts.tm_mday == day;
}

bool date_parse(const char *text, int64_t *at_ns)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
	struct tm parts;
	const char *rest = NULL;
	int64_t fraction = 0;
	int64_t seconds;

	if (text[strspn(text, "0123456789-T:.Z")] != '\0') /* strptime() takes white space and signs */
		return false;
	for (size_t i = 0; rest == NULL && i < sizeof forms / sizeof *forms; i++) {
		memset(&parts, 0, sizeof parts);
		rest = strptime(text, forms[i], &parts);
		if (i == 0 && rest != NULL && rest[0] == '.' && rest[1] >= '0' && rest[1] <= '9')
			rest = parse_fraction(rest + 1, &fraction);
	}
	if (rest == NULL || strcmp(rest + (rest[0] == 'Z'), "") != 0)
		return false;
	if (parts.tm_year < 70 || parts.tm_year > 300 || !date_seconds(parts, &seconds))
		return false;
	*at_ns = seconds * NS_PER_S + fraction;
	return true;
}

void date_format(int64_t at_ns, char text[DATE_SIZE])
{
	time_t seconds = (time_t)(at_ns / NS_PER_S);
	struct tm parts;

	(void)gmtime_r(&seconds, &parts); /* fails for years beyond an int only */
	(void)snprintf(text, DATE_SIZE, "%04d-%02d-%02d %02d:%02d:%02dZ", (parts.tm_year + 1900) % 10000,
		(parts.tm_mon + 1) % 100, parts.tm_mday % 100, parts.tm_hour % 100, parts.tm_min % 100, parts.tm_sec % 100);
}
