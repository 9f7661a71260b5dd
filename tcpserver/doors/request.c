#include "tcpserver/doors/request.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/nesting.h"
#include "common/text.h"

enum { FIELDS_MAX = 7 };

/* How a field becomes an argument of the command. */
enum field_kind {
	FIELD_TEXT,   /* a string, as it is                                                 */
	FIELD_NAME,   /* a string; in quotes, because names of people and rooms hold spaces */
	FIELD_NUMBER, /* a whole number, not negative                                       */
	FIELD_EITHER, /* a number, or a string without white space                          */
	FIELD_SWITCH, /* true or false, as --on or --off                                  */
};

struct field {
	const char *name; /* that of one that may be left out ends with '?' */
	enum field_kind kind;
	const char *before; /* what stands before the argument; NULL: nothing */
};

/* A request that is a command with its arguments in fields. */
struct op {
	const char *name;
	const char *command;
	struct field fields[FIELDS_MAX]; /* ended by a NULL name */
};

static const struct op ops[] = {
	{"admin", "admin", {{"password", FIELD_TEXT, NULL}}},
	{"delete_room", "delete-room", {{"room", FIELD_NAME, NULL}}},
	{"dm", "dm", {{"to", FIELD_NAME, NULL}, {"text", FIELD_TEXT, NULL}}},
	{"help", "help", {{"command?", FIELD_TEXT, NULL}}},
	{"history", "history",
		{{"count?", FIELD_NUMBER, NULL}, {"before?", FIELD_EITHER, "before "}, {"room?", FIELD_NAME, "in "}}},
	{"ignore", "ignore", {{"user", FIELD_NAME, NULL}, {"on?", FIELD_SWITCH, NULL}}},
	{"invite", "invite", {{"user", FIELD_NAME, NULL}, {"room?", FIELD_NAME, NULL}}},
	{"join", "join",
		{{"room?", FIELD_NAME, NULL}, {"after?", FIELD_NUMBER, "after "}, {"room_id?", FIELD_EITHER, "of "},
			{"history?", FIELD_EITHER, "--history "}}},
	{"latest", "latest", {{"room?", FIELD_NAME, NULL}}},
	{"leave", "leave", {{"room?", FIELD_NAME, NULL}}},
	{"mark", "mark", {{"seq", FIELD_NUMBER, NULL}, {"room?", FIELD_NAME, NULL}}},
	{"new_room", "new-room", {{"room?", FIELD_NAME, NULL}}},
	{"nick", "nick", {{"name", FIELD_TEXT, NULL}}},
	{"ping", "ping", {{"text?", FIELD_TEXT, NULL}}},
	{"quit", "quit", {{NULL, FIELD_TEXT, NULL}}},
	{"rooms", "rooms", {{NULL, FIELD_TEXT, NULL}}},
	{"search", "search",
		{{"words", FIELD_TEXT, NULL}, {"from?", FIELD_NAME, "from:"}, {"room?", FIELD_NAME, "in:"}, {"before?", FIELD_EITHER, "before:"},
			{"after?", FIELD_EITHER, "after:"}, {"page?", FIELD_NUMBER, "page:"}}},
	{"session", "session",
		{{"session", FIELD_EITHER, NULL}, {"name?", FIELD_NAME, NULL}, {"after?", FIELD_NUMBER, "after "},
			{"room_id?", FIELD_EITHER, "of "}, {"history?", FIELD_EITHER, "--history "}, {"room?", FIELD_NAME, "in "}}},
	{"switch", "switch", {{"room", FIELD_NAME, NULL}}},
	{"topic", "topic", {{"room?", FIELD_NAME, "--room "}, {"text?", FIELD_TEXT, "-- "}}},
	{"who", "who", {{"room?", FIELD_NAME, NULL}}},
	{NULL, NULL, {{NULL, FIELD_TEXT, NULL}}},
};

static const char out_of_memory[] = "the server has no memory for it now";

static const char new_line_sign[] = "\xE2\x90\xA4"; /* U+2424 */

/* The bytes before the first LF or CR. */
static size_t line_size(const char *text, size_t size)
{
	size_t length = 0;

	while (length < size && text[length] != '\n' && text[length] != '\r')
		length++;
	return length;
}

size_t request_clean(const char *text, size_t size, char *out)
{
	size_t length = line_size(text, size);
	size_t written = text_clean(text, length, out);

	while (length < size) {
		const char *rest = text + length + (text[length] == '\r' && length + 1 < size && text[length + 1] == '\n') + 1;

		size -= (size_t)(rest - text);
		text = rest;
		memcpy(out + written, new_line_sign, 3);
		written += 3;
		length = line_size(text, size);
		written += text_clean(text, length, out + written);
	}
	return written;
}

/* A string of the JSON object, made safe, in new memory; NULL without one, or without memory. */
static char *request_field(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	const char *text = json_string_value(value);
	size_t size = json_string_length(value);
	char *clean;

	if (text == NULL)
		return NULL;
	clean = malloc(TEXT_CLEAN_SIZE(size) + 1);
	if (clean != NULL)
		clean[request_clean(text, size, clean)] = '\0';
	return clean;
}

/* The number as text, in new memory; NULL if it is none, or without memory. */
static char *request_number(const json_t *value)
{
	char *text;

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return NULL;
	return asprintf(&text, "%lld", (long long)json_integer_value(value)) < 0 ? NULL : text;
}

/* The value of a field as an argument, in new memory; NULL when it is none. */
static char *request_value(const json_t *object, const char *name, enum field_kind kind)
{
	const json_t *value = json_object_get(object, name);

	if (kind == FIELD_SWITCH)
		return json_is_boolean(value) ? strdup(json_is_true(value) ? "--on" : "--off") : NULL;
	if (kind == FIELD_NUMBER || (kind == FIELD_EITHER && json_is_integer(value)))
		return request_number(value);
	return request_field(object, name);
}

static const char *request_fault(const char *value, enum field_kind kind)
{
	if (value == NULL && kind == FIELD_NUMBER)
		return "a field of the request is no whole number from 0 on";
	if (value == NULL && kind == FIELD_EITHER)
		return "a field of the request is neither a whole number from 0 on nor a string";
	if (value == NULL && kind == FIELD_SWITCH)
		return "a field of the request is neither true nor false";
	if (value == NULL)
		return "a field of the request is no string";
	if (kind == FIELD_NAME && strchr(value, '"') != NULL)
		return "a name in the request has a quotation mark in it";
	if (kind == FIELD_EITHER && (value[0] == '\0' || strpbrk(value, " \t\"") != NULL))
		return "a field of the request is no single word";
	return NULL;
}

static const char *request_append(struct request *request, const struct field *field, const char *value)
{
	const char *quote = field->kind == FIELD_NAME ? "\"" : "";
	char *longer;
	int size = asprintf(&longer, "%s%s%s%s%s%s", request->arguments, request->arguments[0] == '\0' ? "" : " ",
		field->before == NULL ? "" : field->before, quote, value, quote);

	if (size < 0)
		return out_of_memory;
	free(request->arguments);
	request->arguments = longer;
	return NULL;
}

/* Adds the field to the arguments; returns what is wrong with it, or NULL. */
static const char *request_add(struct request *request, const json_t *object, const struct field *field)
{
	size_t length = strcspn(field->name, "?");
	char name[16];
	char *value;
	const char *wrong;

	(void)snprintf(name, sizeof name, "%.*s", (int)length, field->name);
	if (json_object_get(object, name) == NULL)
		return field->name[length] == '?' ? NULL : "a field that the request needs is missing";
	value = request_value(object, name, field->kind);
	wrong = request_fault(value, field->kind);
	if (wrong == NULL)
		wrong = request_append(request, field, value);
	free(value);
	return wrong;
}

/* Whether the request may have a field of that name. */
static bool op_takes(const struct op *op, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < FIELDS_MAX && op->fields[i].name != NULL; i++) {
		if (strncmp(op->fields[i].name, name, length) == 0 && strchr("?", op->fields[i].name[length]) != NULL)
			return true;
	}
	return false;
}

static const char *request_read_command(struct request *request, const json_t *object, const struct op *op)
{
	const char *wrong = NULL;

	/* Other fields may be left alone; but who names a room wants nothing done elsewhere. */
	if (json_object_get(object, "room") != NULL && !op_takes(op, "room"))
		return "this request takes no \"room\"";
	request->command = op->command;
	request->arguments = strdup("");
	if (request->arguments == NULL)
		return out_of_memory;
	for (size_t i = 0; wrong == NULL && i < FIELDS_MAX && op->fields[i].name != NULL; i++)
		wrong = request_add(request, object, &op->fields[i]);
	/* Its other fields are about a room. */
	if (wrong == NULL && strcmp(op->name, "join") == 0 && request->arguments[0] != '\0' &&
		json_object_get(object, "room") == NULL)
		wrong = "a field that the request needs is missing";
	return wrong;
}

/* {"op":"send","room":"lobby","text":"...","action":false} */
static const char *request_read_send(struct request *request, const json_t *object)
{
	const json_t *room = json_object_get(object, "room");
	const json_t *action = json_object_get(object, "action");

	if (room != NULL && !json_is_string(room))
		return "\"room\" is no string";
	if (action != NULL && !json_is_boolean(action))
		return "\"action\" is neither true nor false";
	request->action = json_is_true(action);
	if (json_integer_value(json_object_get(object, "id")) > 0)
		request->number = (unsigned long long)json_integer_value(json_object_get(object, "id"));
	request->room = request_field(object, "room");
	request->text = request_field(object, "text");
	if (request->text == NULL)
		return "the request has no string \"text\"";
	return room != NULL && request->room == NULL ? out_of_memory : NULL;
}

static const char *request_read_object(struct request *request, const json_t *object)
{
	const char *name = json_string_value(json_object_get(object, "op"));

	if (name == NULL)
		return "the request has no string \"op\"";
	if (strcmp(name, "send") == 0)
		return request_read_send(request, object);
	for (const struct op *op = ops; op->name != NULL; op++) {
		if (strcmp(op->name, name) == 0)
			return request_read_command(request, object, op);
	}
	return "there is no such \"op\"";
}

/* ---- The id. ---- */

/* The id as JSON, in new memory. Returns what is wrong with it, or NULL. */
static const char *request_take_id(struct request *request, const json_t *id)
{
	char *text;

	if (!json_is_string(id) && !json_is_integer(id))
		return "the \"id\" of the request is neither a string nor a whole number";
	text = json_dumps(id, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
	if (text == NULL)
		return out_of_memory;
	if (strlen(text) > REQUEST_ID_SIZE_MAX || strchr(text, '\x7F') != NULL) { /* DEL alone is not escaped */
		free(text);
		return "the \"id\" of the request is too long, or has a DEL in it";
	}
	request->id = text;
	return NULL;
}

static const char *request_read_id(struct request *request, const json_t *object)
{
	const json_t *id = json_object_get(object, "id");

	return id == NULL ? NULL : request_take_id(request, id);
}

static bool is_one_of(char byte, const char *set)
{
	return byte != '\0' && strchr(set, byte) != NULL;
}

static size_t white_size(const char *json, size_t size)
{
	size_t length = 0;

	while (length < size && is_one_of(json[length], " \t\r\n"))
		length++;
	return length;
}

/* The bytes of the string at the start of 'json'; 0 if it has no end. */
static size_t string_size(const char *json, size_t size)
{
	size_t length = 1;

	while (length < size && json[length] != '"')
		length += json[length] == '\\' ? 2 : 1;
	return length < size ? length + 1 : 0;
}

/* The bytes of the string, number or word at the start of 'json'; 0 if there is none. */
static size_t value_size(const char *json, size_t size)
{
	size_t length = 0;

	if (size > 0 && json[0] == '"')
		return string_size(json, size);
	while (length < size && !is_one_of(json[length], " \t\r\n,:\"[]{}"))
		length++;
	return length;
}

/* Where the value begins of which the name ends at 'place'; NULL if no value follows. */
static const char *value_after(const char *json, size_t size, size_t place)
{
	place += white_size(json + place, size - place);
	if (place == size || json[place] != ':')
		return NULL;
	place++;
	return json + place + white_size(json + place, size - place);
}

/*
 * Finds the value of the one field "id" of the outermost object in a line that is no JSON, or none that the parser takes,
 * so that its sender learns which request was wrong. It does not call itself, however deep the brackets are. NULL when
 * there is no such field, or more than one.
 */
static const char *request_find_id(const char *json, size_t size)
{
	const char *found = NULL;
	size_t depth = 0;
	size_t length;

	for (size_t place = 0; place < size; place += length) {
		length = json[place] == '"' ? string_size(json + place, size - place) : 1;
		if (is_one_of(json[place], "{["))
			depth++;
		else if (depth > 0 && is_one_of(json[place], "}]"))
			depth--;
		if (depth == 0 || length == 0) /* the end of the object, or of what can be read */
			break;
		if (depth == 1 && length == 4 && memcmp(json + place, "\"id\"", 4) == 0) {
			const char *value = value_after(json, size, place + length);

			if (value != NULL && found != NULL)
				return NULL;
			found = value != NULL ? value : found;
		}
	}
	return found;
}

/* The id of a line that cannot be read, if it has one that can. */
static void request_save_id(struct request *request, const char *line, size_t size)
{
	const char *value = request_find_id(line, size);
	json_t *id = NULL;
	json_error_t error = {.text = ""};

	if (value != NULL)
		id = json_loadb(value, value_size(value, size - (size_t)(value - line)), JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	if (id != NULL)
		(void)request_take_id(request, id); /* the line is wrong in any case */
	else if (value != NULL && json_error_code(&error) == json_error_numeric_overflow)
		request->wrong = "the id is a number that is too large";
	json_decref(id);
}

/* ---- The whole. ---- */

/* A text ends with a NUL for the rest of the server, so there is none in it. */
static bool has_nul(json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value) {
		const char *text = json_string_value(value);

		if (text != NULL && strlen(text) != json_string_length(value))
			return true;
	}
	return false;
}

/* Parses the line. If it is no object, '*wrong' says why. */
static json_t *request_parse(const char *line, size_t size, const char **wrong)
{
	json_error_t error;
	json_t *object;

	*wrong = "the request has brackets too deep in brackets";
	if (!nesting_is_within(line, size, REQUEST_DEPTH_MAX))
		return NULL;
	*wrong = "the line begins with { but is no JSON object in valid UTF-8";
	object = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (object == NULL && json_error_code(&error) == json_error_duplicate_key)
		*wrong = "a field of the request comes twice";
	if (object == NULL && json_error_code(&error) == json_error_numeric_overflow)
		*wrong = "a number in the request is too large";
	return object;
}

void request_read(struct request *request, const char *line, size_t size)
{
	const char *wrong;
	json_t *object = request_parse(line, size, &wrong);

	*request = (struct request){.wrong = NULL};
	if (!json_is_object(object)) {
		request->wrong = wrong;
		request_save_id(request, line, size);
	} else {
		request->wrong = request_read_id(request, object);
	}
	if (request->wrong == NULL && has_nul(object))
		request->wrong = "a text in the request has a \\u0000 in it";
	if (request->wrong == NULL)
		request->wrong = request_read_object(request, object);
	json_decref(object);
}

void request_fini(struct request *request)
{
	free(request->arguments);
	free(request->room);
	free(request->text);
	free(request->id);
	*request = (struct request){.wrong = NULL};
}
