#include "tcpserver/doors/json_writer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_NS INT64_C(1000000000)

void json_write_bytes(struct json_writer *json, const char *bytes, size_t size)
{
	if (json->used + size <= json->size)
		memcpy(json->out + json->used, bytes, size);
	json->used += size;
}

static void json_write_word(struct json_writer *json, const char *word)
{
	json_write_bytes(json, word, strlen(word));
}

void json_write_open(struct json_writer *json)
{
	json_write_word(json, "{");
	json->more = false;
}

void json_write_close(struct json_writer *json)
{
	json_write_word(json, "}");
}

/* What stands for a byte that may not stand in a string; NULL for one that may. */
static const char *json_escape(unsigned char byte, char buffer[8])
{
	if (byte == '"')
		return "\\\"";
	if (byte == '\\')
		return "\\\\";
	if (byte == '\t')
		return "\\t";
	if (byte >= 0x20)
		return NULL;
	(void)snprintf(buffer, 8, "\\u%04x", byte);
	return buffer;
}

static void json_write_escaped(struct json_writer *json, const char *value, size_t size)
{
	size_t start = 0;

	for (size_t i = 0; i < size; i++) {
		char buffer[8];
		const char *escape = json_escape((unsigned char)value[i], buffer);

		if (escape == NULL)
			continue;
		json_write_bytes(json, value + start, i - start);
		json_write_word(json, escape);
		start = i + 1;
	}
	json_write_bytes(json, value + start, size - start);
}

static void json_write_name(struct json_writer *json, const char *name)
{
	json_write_word(json, json->more ? ",\"" : "\"");
	json_write_word(json, name);
	json_write_word(json, "\":");
	json->more = true;
}

void json_write_strings(struct json_writer *json, const char *name, const char *before, const char *value, size_t size)
{
	json_write_name(json, name);
	json_write_word(json, "\"");
	json_write_escaped(json, before, strlen(before));
	json_write_escaped(json, value, size);
	json_write_word(json, "\"");
}

void json_write_string(struct json_writer *json, const char *name, const char *value, size_t size)
{
	json_write_strings(json, name, "", value, size);
}

void json_write_text(struct json_writer *json, const char *name, const char *value)
{
	if (value != NULL)
		json_write_string(json, name, value, strlen(value));
}

void json_write_raw(struct json_writer *json, const char *name, const char *value)
{
	if (value == NULL)
		return;
	json_write_name(json, name);
	json_write_word(json, value);
}

void json_write_number(struct json_writer *json, const char *name, uint64_t value)
{
	char digits[24];

	(void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
	json_write_raw(json, name, digits);
}

void json_write_time(struct json_writer *json, const char *name, int64_t at_ns)
{
	time_t seconds = (time_t)(at_ns / SECOND_NS);
	struct tm utc = {0};
	char text[48];
	size_t size;

	(void)gmtime_r(&seconds, &utc); /* cannot fail for a time near now */
	size = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
	(void)snprintf(text + size, sizeof text - size, ".%03dZ", (int)(at_ns % SECOND_NS / 1000000));
	json_write_text(json, name, text);
}
