#include "tcpserver/core/letter.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/nesting.h"

enum { NESTED_MOST = 4 };

static const char *const kinds[LETTER_KINDS] = {
	[LETTER_DIRECT] = "direct", [LETTER_INVITE] = "invite", [LETTER_REPLACED] = "replaced", [LETTER_ANSWER] = "answer"};

static const char *const results[LETTER_RESULTS] = {
	[LETTER_TOLD] = "told", [LETTER_IGNORED] = "ignored", [LETTER_BEHIND] = "behind", [LETTER_NOBODY] = "nobody"};

bool letter_is_server_id(const char *id)
{
	return strlen(id) == ROOM_ID_SIZE - 1 && id[0] == '@' && strspn(id + 1, "0123456789abcdef") == ROOM_ID_SIZE - 2;
}

/* ---- Writing. ---- */

static void put_text(json_t *object, const char *name, const char *text)
{
	if (text[0] != '\0')
		(void)json_object_set_new(object, name, json_string(text)); /* without memory the letter is not whole: nobody reads it */
}

static void put_client(json_t *object, const unsigned char client[CLIENT_ID_SIZE])
{
	char text[2 * CLIENT_ID_SIZE + 1];

	for (size_t i = 0; i < CLIENT_ID_SIZE; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", client[i]);
	put_text(object, "client", text);
}

char *letter_write(const struct letter *letter, size_t *size)
{
	json_t *object = json_object();
	char *json;

	if (object == NULL)
		return NULL;
	put_text(object, "letter", kinds[letter->kind]);
	put_text(object, "server", letter->server);
	(void)json_object_set_new(object, "number", json_integer((json_int_t)letter->number));
	put_text(object, "from", letter->from);
	put_text(object, "to", letter->to);
	put_text(object, "room", letter->room);
	put_text(object, "room_id", letter->room_id);
	put_text(object, "text", letter->text == NULL ? "" : letter->text);
	if (letter->kind == LETTER_REPLACED)
		put_client(object, letter->client);
	if (letter->kind == LETTER_ANSWER)
		put_text(object, "result", results[letter->result]);
	json = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	*size = json == NULL ? 0 : strlen(json);
	return json;
}

/* ---- Reading. ---- */

/* Copies a string that is there, and fits. */
static bool take_text(const json_t *object, const char *name, char *text, size_t size)
{
	const json_t *value = json_object_get(object, name);
	size_t length = json_string_length(value);

	if (!json_is_string(value) || length >= size || strlen(json_string_value(value)) != length)
		return false;
	memcpy(text, json_string_value(value), length + 1);
	return true;
}

/* A person's name, in the form that it has everywhere. */
static bool take_name(const json_t *object, const char *name, char text[NAME_SIZE])
{
	char made[NAME_SIZE];

	return take_text(object, name, text, NAME_SIZE) && name_make(text, strlen(text), made) && strcmp(text, made) == 0;
}

/* What people call a room: its name, or its id, which looks like a name. */
static bool take_room(const json_t *object, struct letter *letter)
{
	return take_name(object, "room", letter->room) && take_text(object, "room_id", letter->room_id, ROOM_ID_SIZE) &&
	       room_is_id(letter->room_id);
}

static bool take_client(const json_t *object, struct letter *letter)
{
	static const unsigned char no_id[CLIENT_ID_SIZE];
	char text[2 * CLIENT_ID_SIZE + 1];

	return take_text(object, "client", text, sizeof text) && hex_read(text, letter->client, CLIENT_ID_SIZE) &&
	       memcmp(letter->client, no_id, CLIENT_ID_SIZE) != 0;
}

/* The words of a person, in new memory. */
static bool take_words(const json_t *object, struct letter *letter)
{
	const json_t *value = json_object_get(object, "text");
	const char *text = json_string_value(value);
	size_t size = json_string_length(value);

	if (!json_is_string(value) || size == 0 || strlen(text) != size || !text_is_clean(text, size))
		return false;
	letter->text = strdup(text);
	return letter->text != NULL;
}

/* The place of the word in the list; 'count' if it is not there. */
static size_t find_word(const char *const *words, size_t count, const char *word)
{
	size_t i = 0;

	while (i < count && (words[i] == NULL || strcmp(words[i], word) != 0))
		i++;
	return i;
}

static bool take_answer(const json_t *object, struct letter *letter)
{
	char word[16];
	size_t found;

	if (!take_text(object, "result", word, sizeof word))
		return false;
	found = find_word(results, LETTER_RESULTS, word);
	letter->result = (enum letter_result)found;
	return found < LETTER_RESULTS && (json_object_get(object, "to") == NULL || take_name(object, "to", letter->to));
}

/* What a letter of its kind has. Words come last: they are in new memory. */
static bool take_rest(const json_t *object, struct letter *letter)
{
	switch (letter->kind) {
	case LETTER_DIRECT:
		return take_name(object, "from", letter->from) && take_name(object, "to", letter->to) && take_words(object, letter);
	case LETTER_INVITE:
		return take_name(object, "from", letter->from) && take_name(object, "to", letter->to) && take_room(object, letter);
	case LETTER_REPLACED:
		return take_client(object, letter);
	case LETTER_ANSWER:
		return take_answer(object, letter);
	default:
		return false;
	}
}

static bool take_letter(const json_t *object, struct letter *letter)
{
	json_int_t number = json_integer_value(json_object_get(object, "number"));
	char word[16];

	if (!take_text(object, "letter", word, sizeof word) || number <= 0)
		return false;
	letter->kind = (enum letter_kind)find_word(kinds, LETTER_KINDS, word);
	letter->number = (uint64_t)number;
	return take_text(object, "server", letter->server, sizeof letter->server) && letter_is_server_id(letter->server) &&
	       take_rest(object, letter);
}

bool letter_read(const char *json, size_t size, struct letter *letter)
{
	struct letter read = {.number = 0};
	json_t *object;
	bool right;

	if (size > LETTER_SIZE_MAX || !nesting_is_within(json, size, NESTED_MOST))
		return false;
	object = json_loadb(json, size, JSON_REJECT_DUPLICATES, NULL);
	right = json_is_object(object) && take_letter(object, &read);
	json_decref(object);
	if (right)
		*letter = read;
	return right;
}
