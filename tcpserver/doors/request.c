#include "tcpserver/doors/request.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/nesting.h"
#include "common/text.h"

enum { FIELDS_MAX = 2, FIELD_NAME_SIZE = 16 };

/* A request that is a command with its arguments in fields; a field that ends with '?' may be left out. */
struct op {
	const char *name;
	const char *command;
	const char *fields[FIELDS_MAX];
};

static const struct op ops[] = {
	{"admin", "admin", {"password"}},
	{"delete_room", "delete-room", {"room"}},
	{"dm", "dm", {"to", "text"}},
	{"help", "help", {"command?"}},
	{"ignore", "ignore", {"user"}},
	{"invite", "invite", {"user"}},
	{"join", "join", {"room?"}},
	{"leave", "leave", {"room?"}},
	{"new_room", "new-room", {"room?"}},
	{"nick", "nick", {"name"}},
	{"ping", "ping", {"text?"}},
	{"quit", "quit", {NULL}},
	{"rooms", "rooms", {NULL}},
	{"switch", "switch", {"room"}},
	{"topic", "topic", {"text?"}},
	{"who", "who", {"room?"}},
	{NULL, NULL, {NULL}},
};

static const char out_of_memory[] = "the server has no memory for it now";

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
		clean[text_clean(text, size, clean)] = '\0';
	return clean;
}

/* Names of people and rooms, which may hold spaces, are put in quotes for commands. */
static bool is_quoted(const char *field)
{
	return strcmp(field, "room") == 0 || strcmp(field, "to") == 0 || strcmp(field, "user") == 0;
}

/* Adds the field to the arguments; returns what is wrong with it, or NULL. */
static const char *request_add(struct request *request, const json_t *object, const char *field)
{
	char name[FIELD_NAME_SIZE];
	size_t length = strcspn(field, "?");
	const char *quote;
	char *value;
	char *longer;
	int size;

	(void)snprintf(name, sizeof name, "%.*s", (int)length, field);
	if (json_object_get(object, name) == NULL)
		return field[length] == '?' ? NULL : "a field that the request needs is missing";
	quote = is_quoted(name) ? "\"" : "";
	value = request_field(object, name);
	if (value == NULL)
		return "a field of the request is no string";
	if (quote[0] != '\0' && strchr(value, '"') != NULL) {
		free(value);
		return "a name in the request has a quotation mark in it";
	}
	size = asprintf(&longer, "%s%s%s%s%s", request->arguments, request->arguments[0] == '\0' ? "" : " ", quote, value,
		quote);
	free(value);
	if (size < 0)
		return out_of_memory;
	free(request->arguments);
	request->arguments = longer;
	return NULL;
}

static const char *request_read_command(struct request *request, const json_t *object, const struct op *op)
{
	const char *wrong = NULL;

	request->command = op->command;
	request->arguments = strdup("");
	if (request->arguments == NULL)
		return out_of_memory;
	for (size_t i = 0; wrong == NULL && i < FIELDS_MAX && op->fields[i] != NULL; i++)
		wrong = request_add(request, object, op->fields[i]);
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

/* The id as JSON, in new memory. Returns what is wrong with it, or NULL. */
static const char *request_read_id(struct request *request, const json_t *object)
{
	const json_t *id = json_object_get(object, "id");
	char *text;

	if (id == NULL)
		return NULL;
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

void request_read(struct request *request, const char *line, size_t size)
{
	json_t *object = nesting_is_within(line, size, REQUEST_DEPTH_MAX) ? json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL) : NULL;

	*request = (struct request){.wrong = NULL};
	if (!json_is_object(object))
		request->wrong = "the line begins with { but is no JSON object";
	else
		request->wrong = request_read_id(request, object);
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
