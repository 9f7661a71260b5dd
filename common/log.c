#include "common/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <unistr.h>

#include "common/sync.h"

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
enum { LINE_FULL = LINE_SIZE - 4, ESCAPE_SIZE = 8, GATE_MS = 1000 };

static void line_add(struct line *line, const char *text)
{
	while (*text != '\0' && line->size < LINE_FULL)
		line->bytes[line->size++] = *text++;
}

/*
 * Writes the first character of 'text' as it may stand in a line, with a NUL. Returns the bytes that it had in 'text'.
 * Escaped are quote, backslash, control characters (those of two bytes too: a terminal obeys them) and what is no UTF-8.
 */
static size_t escape_first(const char *text, size_t size, char escaped[ESCAPE_SIZE])
{
	ucs4_t character;
	int length = u8_mbtoucr(&character, (const uint8_t *)text, size);

	if (length <= 0) {
		character = 0xFFFD;
		length = 1;
	} else if (character == '"' || character == '\\') {
		(void)snprintf(escaped, ESCAPE_SIZE, "\\%c", (char)character);
		return 1;
	} else if (character >= 0x20 && (character < 0x7F || character >= 0xA0)) {
		(void)snprintf(escaped, ESCAPE_SIZE, "%.*s", length, text);
		return (size_t)length;
	}
	(void)snprintf(escaped, ESCAPE_SIZE, "\\u%04x", (unsigned)character);
	return (size_t)length;
}

/* A character is added whole or not at all. */
static void line_add_escaped(struct line *line, const char *text)
{
	size_t size = strlen(text);

	while (size > 0) {
		char escaped[ESCAPE_SIZE];
		size_t length = escape_first(text, size, escaped);

		if (line->size + strlen(escaped) > LINE_FULL)
			break;
		line_add(line, escaped);
		text += length;
		size -= length;
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

	if (line->size + strlen(name) + strlen(",\"\":\"") > LINE_FULL)
		return; /* the value may be cut, the rest not */
	line_add(line, json ? ",\"" : " ");
	line_add(line, name);
	line_add(line, json ? "\":\"" : "=\"");
	line_add_escaped(line, value);
	line->bytes[line->size++] = '"';
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

bool log_passes(struct log_gate *gate, char left_out[LOG_COUNT_SIZE])
{
	long long now = clock_ms();
	long long next_ms = atomic_load_explicit(&gate->next_ms, memory_order_relaxed); /* it guards no other memory */
	unsigned count;

	if (now < next_ms || !atomic_compare_exchange_strong(&gate->next_ms, &next_ms, now + GATE_MS)) {
		(void)atomic_fetch_add_explicit(&gate->left_out, 1, memory_order_relaxed);
		return false;
	}
	left_out[0] = '\0';
	count = atomic_exchange_explicit(&gate->left_out, 0, memory_order_relaxed);
	if (count > 0)
		(void)snprintf(left_out, LOG_COUNT_SIZE, "%u", count);
	return true;
}
