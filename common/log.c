#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE 1024

const char *const log_level_names[] = {"error", "warning", "info", "debug", NULL};
const char *const log_format_names[] = {"text", "json", NULL};

static struct {
	enum log_level level;
	enum log_format format;
} settings = {LOG_INFO, LOG_TEXT}; /* constant once log_start() was called */

struct line {
	char bytes[LINE_SIZE];
	size_t size;
};

/* Room is kept for what ends a line: quote, brace, LF. */
static void line_add(struct line *line, const char *text)
{
	while (*text != '\0' && line->size < LINE_SIZE - 4)
		line->bytes[line->size++] = *text++;
}

/* An escape is added whole or not at all. */
static void line_add_escaped(struct line *line, const char *text)
{
	for (; *text != '\0' && line->size < LINE_SIZE - 10; text++) {
		unsigned char byte = (unsigned char)*text;
		char escape[8] = {(char)byte, '\0'};

		if (byte == '"' || byte == '\\')
			(void)snprintf(escape, sizeof escape, "\\%c", byte);
		else if (byte < 0x20 || byte == 0x7F)
			(void)snprintf(escape, sizeof escape, "\\u%04x", byte);
		line_add(line, escape);
	}
}

static void line_add_time(struct line *line)
{
	struct timespec now;
	struct tm utc;
	char text[40];
	size_t size;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
	(void)gmtime_r(&now.tv_sec, &utc);         /* nor this for any time near now */
	size = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
	(void)snprintf(text + size, sizeof text - size, ".%03ldZ", now.tv_nsec / 1000000);
	line_add(line, text);
}

static void line_add_field(struct line *line, const char *name, const char *value)
{
	bool json = settings.format == LOG_JSON;

	line_add(line, json ? ",\"" : " ");
	line_add(line, name);
	line_add(line, json ? "\":\"" : "=\"");
	line_add_escaped(line, value);
	line_add(line, "\"");
}

static void line_start(struct line *line, enum log_level level, const char *event)
{
	bool json = settings.format == LOG_JSON;

	line_add(line, json ? "{\"at\":\"" : "");
	line_add_time(line);
	line_add(line, json ? "\",\"level\":\"" : " ");
	line_add(line, log_level_names[level]);
	line_add(line, json ? "\",\"event\":\"" : " ");
	line_add(line, event);
	line_add(line, json ? "\"" : "");
}

void log_start(enum log_level level, enum log_format format)
{
	settings.level = level;
	settings.format = format;
}

bool log_wants(enum log_level level)
{
	return level <= settings.level;
}

void log_event(enum log_level level, const char *event, ...)
{
	struct line line = {.size = 0};
	va_list fields;
	const char *name;

	if (!log_wants(level))
		return;
	line_start(&line, level, event);
	va_start(fields, event);
	while ((name = va_arg(fields, const char *)) != NULL)
		line_add_field(&line, name, va_arg(fields, const char *));
	va_end(fields);
	if (settings.format == LOG_JSON)
		line.bytes[line.size++] = '}';
	line.bytes[line.size++] = '\n';
	(void)!write(STDERR_FILENO, line.bytes, line.size); /* there is nobody to tell that the log is gone */
}
