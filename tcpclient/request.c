#include "tcpclient/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tcpclient/heard.h"

/* What follows a command: at most a name, then at most a text. */
struct verb {
	const char *command;
	const char *op;
	const char *name; /* its field; NULL: none */
	const char *text; /* its field; NULL: none */
	bool name_is_needed;
};

static const struct verb verbs[] = {
	{"delete-room", "delete_room", "room", NULL, true},
	{"dm", "dm", "to", "text", true},
	{"w", "dm", "to", "text", true},
	{"admin", "admin", NULL, "password", false},
	{"help", "help", NULL, "command", false},
	{"invite", "invite", "user", NULL, true},
	{"latest", "latest", "room", NULL, false},
	{"leave", "leave", "room", NULL, false},
	{"new-room", "new_room", "room", NULL, false},
	{"nick", "nick", NULL, "name", false},
	{"ping", "ping", NULL, "text", false},
	{"rooms", "rooms", NULL, NULL, false},
	{"search", "search", NULL, "words", false},
	{"switch", "switch", "room", NULL, true},
	{"topic", "topic", NULL, "text", false},
	{"who", "who", "room", NULL, false},
	{NULL, NULL, NULL, NULL, false},
};

static const char *skip_white(const char *text)
{
	return text + strspn(text, " \t");
}

bool request_is(const char *line, const char *name, const char **arguments)
{
	size_t size = strlen(name);

	if (line[0] != '/' || strncmp(line + 1, name, size) != 0 || strchr(" \t", line[size + 1]) == NULL)
		return false;
	*arguments = skip_white(line + 1 + size);
	return true;
}

bool request_take_name(const char **arguments, char name[NAME_SIZE])
{
	bool quoted = **arguments == '"';
	const char *start = *arguments + quoted;
	size_t size = strcspn(start, quoted ? "\"" : " \t");

	if (size == 0 || size >= NAME_SIZE || (quoted && start[size] != '"'))
		return false;
	(void)snprintf(name, NAME_SIZE, "%.*s", (int)size, start);
	*arguments = skip_white(start + size + quoted);
	return true;
}

static void add(json_t *object, const char *name, json_t *value)
{
	if (object == NULL || value == NULL || json_object_set_new(object, name, value) != 0)
		abort(); /* no memory: see buffer.h */
}

/* A name that a server gave may have been cut within a character. */
static json_t *string(const char *text)
{
	struct buffer clean = {0};
	json_t *value;

	buffer_add_clean(&clean, text, strlen(text));
	value = json_stringn(clean.size > 0 ? clean.bytes : "", clean.size);
	buffer_fini(&clean);
	return value;
}

static void finish(struct buffer *out, json_t *object, long long id)
{
	char *text;

	if (id != 0)
		add(object, "id", json_integer(id));
	text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (text == NULL)
		abort();
	buffer_add_text(out, text);
	buffer_add_text(out, "\n");
	free(text);
}

void request_write_op(struct buffer *out, const char *op, const char *field, const char *value, long long id)
{
	json_t *object = json_object();

	add(object, "op", string(op));
	if (field != NULL)
		add(object, field, string(value));
	finish(out, object, id);
}

static bool is_number(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits <= 18 && text[digits] == '\0';
}

/* A number where it is one, else a word. */
static json_t *either(const char *text)
{
	return is_number(text) ? json_integer(atoll(text)) : string(text);
}

void request_write_session(struct buffer *out, const char *session, const char *name)
{
	json_t *object = json_object();

	add(object, "op", string("session"));
	add(object, "session", string(session));
	if (name != NULL) {
		add(object, "name", string(name));
		add(object, "history", string("none"));
	}
	finish(out, object, REQUEST_ID_SESSION);
}

void request_write_join(struct buffer *out, const char *room, const struct request_reading *reading, long long id)
{
	json_t *object = json_object();

	add(object, "op", string("join"));
	add(object, "room", string(room));
	if (reading->room_id != NULL) {
		add(object, "after", json_integer(reading->after));
		add(object, "room_id", string(reading->room_id));
	}
	if (reading->history != NULL)
		add(object, "history", either(reading->history));
	finish(out, object, id);
}

static void write_send(struct buffer *out, const char *room, bool action, const char *text, long long id)
{
	json_t *object = json_object();

	add(object, "op", string("send"));
	if (room[0] != '\0')
		add(object, "room", string(room));
	if (action)
		add(object, "action", json_true());
	add(object, "text", string(text));
	finish(out, object, id);
}

/* Returns false when the arguments are not as they should be: the server explains that best. */
static bool write_verb(struct buffer *out, const struct verb *verb, const char *arguments, long long id)
{
	char name[NAME_SIZE] = "";
	bool named = verb->name != NULL && arguments[0] != '\0';
	json_t *object;

	if (named && !request_take_name(&arguments, name))
		return false;
	if (named && verb->text == NULL && arguments[0] != '\0')
		return false; /* more than we know of */
	if (verb->name_is_needed && (!named || (verb->text != NULL && arguments[0] == '\0')))
		return false;
	object = json_object();
	add(object, "op", string(verb->op));
	if (named)
		add(object, verb->name, string(name));
	if (verb->text != NULL && arguments[0] != '\0')
		add(object, verb->text, string(arguments));
	finish(out, object, id);
	return true;
}

/* A word that may follow a command, and the field for what comes after it. */
struct keyword {
	const char *word;
	const char *field;
	bool number; /* it has to be one */
};

static const struct keyword join_keywords[] = {
	{"--history", "history", false},
	{"after", "after", true},
	{"of", "room_id", false},
	{NULL, NULL, false},
};

static const struct keyword history_keywords[] = {
	{"before", "before", false},
	{"in", "room", false},
	{NULL, NULL, false},
};

static bool add_keyword(json_t *object, const struct keyword *keywords, const char *word, const char **arguments)
{
	char value[NAME_SIZE];

	while (keywords->word != NULL && strcmp(keywords->word, word) != 0)
		keywords++;
	if (keywords->word == NULL || !request_take_name(arguments, value) || (keywords->number && !is_number(value)))
		return false;
	add(object, keywords->field, strcmp(keywords->field, "room") == 0 ? string(value) : either(value));
	return true;
}

/* Adds the rest of a command to its request, and writes it; or drops it, and returns false. */
static bool write_keywords(
	struct buffer *out, json_t *object, const struct keyword *keywords, const char *arguments, long long id)
{
	char word[NAME_SIZE];

	while (arguments[0] != '\0') {
		if (!request_take_name(&arguments, word) || !add_keyword(object, keywords, word, &arguments)) {
			json_decref(object);
			return false;
		}
	}
	finish(out, object, id);
	return true;
}

static bool write_join(struct buffer *out, const char *arguments, long long id)
{
	bool named = arguments[0] != '\0';
	char name[NAME_SIZE];
	json_t *object;

	if (named && !request_take_name(&arguments, name))
		return false;
	object = json_object();
	add(object, "op", string("join"));
	if (named)
		add(object, "room", string(name));
	return write_keywords(out, object, join_keywords, arguments, id);
}

static bool write_history(struct buffer *out, const char *room, const char *arguments, long long id)
{
	const char *rest = arguments;
	char word[NAME_SIZE];
	json_t *object = json_object();

	add(object, "op", string("history"));
	if (room[0] != '\0')
		add(object, "room", string(room));
	if (request_take_name(&rest, word) && is_number(word)) {
		add(object, "count", either(word));
		arguments = rest;
	}
	return write_keywords(out, object, history_keywords, arguments, id);
}

/* "/mark 17 tea" */
static bool write_mark(struct buffer *out, const char *arguments, long long id)
{
	char seq[NAME_SIZE];
	char room[NAME_SIZE];
	json_t *object;

	if (!request_take_name(&arguments, seq) || !is_number(seq) || !request_take_name(&arguments, room))
		return false;
	object = json_object();
	add(object, "op", string("mark"));
	add(object, "seq", either(seq));
	add(object, "room", string(room));
	finish(out, object, id);
	return true;
}

/* "/ignore ann --on" */
static bool write_ignore(struct buffer *out, const char *arguments, long long id)
{
	char name[NAME_SIZE];
	bool on;
	json_t *object;

	if (!request_take_name(&arguments, name))
		return false;
	on = strcmp(arguments, "--on") == 0;
	if (arguments[0] != '\0' && !on && strcmp(arguments, "--off") != 0)
		return false;
	object = json_object();
	add(object, "op", string("ignore"));
	add(object, "user", string(name));
	if (arguments[0] != '\0')
		add(object, "on", on ? json_true() : json_false());
	finish(out, object, id);
	return true;
}

static bool write_command(struct buffer *out, const char *room, const char *line, long long id)
{
	const char *arguments;

	if (request_is(line, "me", &arguments) || request_is(line, "msg", &arguments)) {
		if (arguments[0] == '\0')
			return false;
		write_send(out, room, line[2] == 'e', arguments, id);
		return true;
	}
	if (request_is(line, "nick", &arguments) && arguments[0] == '\0')
		return false;
	if (request_is(line, "join", &arguments))
		return write_join(out, arguments, id);
	if (request_is(line, "ignore", &arguments))
		return write_ignore(out, arguments, id);
	if (request_is(line, "history", &arguments))
		return write_history(out, room, arguments, id);
	if (request_is(line, "mark", &arguments))
		return write_mark(out, arguments, id);
	if ((request_is(line, "search", &arguments) || request_is(line, "admin", &arguments)) && arguments[0] == '\0')
		return false;
	if (request_is(line, "topic", &arguments) && strncmp(arguments, "--", 2) == 0)
		return false; /* an option, and no text */
	for (const struct verb *verb = verbs; verb->command != NULL; verb++) {
		if (request_is(line, verb->command, &arguments))
			return write_verb(out, verb, arguments, id);
	}
	return false;
}

bool request_write(struct buffer *out, const char *room, const char *line, size_t size, long long id)
{
	struct buffer text = {0};
	bool written = true;

	buffer_add(&text, line, size);
	buffer_add(&text, "", 1);
	if (heard_is_exit(line, size))
		written = false;
	else if (heard_is_echoed(line, size))
		write_send(out, room, false, text.bytes + (text.bytes[0] == '/'), id);
	else
		written = write_command(out, room, text.bytes, id);
	buffer_fini(&text);
	return written;
}

static bool starts_with(const char *line, size_t size, const char *start)
{
	size_t start_size = strlen(start);

	return size >= start_size && memcmp(line, start, start_size) == 0;
}

bool request_is_message(const char *line, size_t size)
{
	if (heard_is_exit(line, size))
		return false;
	return heard_is_echoed(line, size) || starts_with(line, size, "/me ") || starts_with(line, size, "/msg ");
}

bool request_is_lasting(const char *line, size_t size)
{
	return heard_is_echoed(line, size) || request_is_message(line, size) || starts_with(line, size, "/join ") || starts_with(line, size, "/dm ") || starts_with(line, size, "/w ");
}
