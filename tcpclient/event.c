#include "tcpclient/event.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/nesting.h"

enum { DEPTH_MAX = 8, STRINGS = 9 };

static const char *const kind_names[] = {
	[EVENT_WELCOME] = "welcome",
	[EVENT_MESSAGE] = "message",
	[EVENT_ACTION] = "action",
	[EVENT_DIRECT] = "direct",
	[EVENT_JOINED] = "joined",
	[EVENT_LEFT] = "left",
	[EVENT_NICK] = "nick",
	[EVENT_TOPIC] = "topic",
	[EVENT_ROOM_CLOSED] = "room_closed",
	[EVENT_ERROR] = "error",
	[EVENT_NOTICE] = "notice",
	[EVENT_PONG] = "pong",
};

static enum event_kind kind_of(const char *name)
{
	size_t kind = 0;

	while (kind < EVENT_OTHER && strcmp(kind_names[kind], name) != 0)
		kind++;
	return (enum event_kind)kind;
}

/* "2026-11-21T08:00:00.123Z"; the part of a second is left out. */
static long long seconds_of(const char *text)
{
	struct tm time = {0};

	if (strptime(text, "%Y-%m-%dT%H:%M:%S", &time) == NULL)
		return 0;
	return (long long)timegm(&time);
}

static void read_strings(struct event *event, const json_t *object)
{
	struct {
		const char *name;
		const char **value;
		size_t place;
	} strings[STRINGS] = {
		{"kind", &event->kind_name, 0},
		{"event_type", &event->type, 0},
		{"code", &event->code, 0},
		{"room", &event->room, 0},
		{"room_id", &event->room_id, 0},
		{"participant", &event->participant, 0},
		{"to", &event->to, 0},
		{"text", &event->text, 0},
		{"address", &event->address, 0},
	};

	buffer_clear(&event->strings);
	for (size_t i = 0; i < STRINGS; i++) {
		const json_t *value = json_object_get(object, strings[i].name);

		strings[i].place = event->strings.size;
		if (json_is_string(value))
			buffer_add_clean(&event->strings, json_string_value(value), json_string_length(value));
		buffer_add(&event->strings, "", 1);
	}
	for (size_t i = 0; i < STRINGS; i++) /* now that the buffer moves no more */
		*strings[i].value = event->strings.bytes + strings[i].place;
}

bool event_read(struct event *event, const char *line, size_t size)
{
	json_t *object = NULL;
	const char *at;

	if (size > 0 && line[0] == '{' && nesting_is_within(line, size, DEPTH_MAX))
		object = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(object)) {
		json_decref(object);
		return false;
	}
	read_strings(event, object);
	event->kind = kind_of(event->kind_name);
	event->id = json_integer_value(json_object_get(object, "id"));
	event->seq = json_integer_value(json_object_get(object, "seq"));
	event->last = json_integer_value(json_object_get(object, "last"));
	event->mark = json_integer_value(json_object_get(object, "mark"));
	event->history = json_is_true(json_object_get(object, "history"));
	at = json_string_value(json_object_get(object, "at"));
	event->at = at == NULL ? 0 : seconds_of(at);
	json_decref(object);
	return true;
}

void event_write_without_id(struct buffer *out, const char *line, size_t size)
{
	json_t *object = json_loadb(line, size, 0, NULL);
	char *text;

	if (!json_is_object(object)) {
		json_decref(object);
		return;
	}
	(void)json_object_del(object, "id"); /* it may have none */
	text = json_dumps(object, JSON_COMPACT);
	if (text == NULL)
		abort(); /* no memory: see buffer.h */
	buffer_add_text(out, text);
	buffer_add_text(out, "\n");
	free(text);
	json_decref(object);
}

void event_write_notice(struct buffer *out, const char *text)
{
	long long now_ns = clock_wall_ns();
	time_t now = (time_t)(now_ns / 1000000000);
	struct tm utc;
	char at[64];
	json_t *string = json_string(text);
	char *quoted = string == NULL ? NULL : json_dumps(string, JSON_ENCODE_ANY);

	if (quoted == NULL)
		abort(); /* no memory: see buffer.h */
	if (gmtime_r(&now, &utc) == NULL || strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", &utc) == 0)
		at[0] = '\0'; /* not before the year 2^31 */
	buffer_add_format(out, "{\"kind\":\"notice\",\"at\":\"%s.%03dZ\",\"text\":%s}\n", at,
		(int)(now_ns / 1000000 % 1000), quoted);
	free(quoted);
	json_decref(string);
}

void event_fini(struct event *event)
{
	buffer_fini(&event->strings);
}
