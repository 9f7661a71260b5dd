#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tcpserver/core/message.h"
#include "tcpserver/journals/postgres_engine.h"
#include "tcpserver/journals/words.h"

enum {
	DEPTH = 100000, /* 'skip' and page together; there is nothing beyond */
	PAGE = 500,     /* messages that are looked at in one go */
	AUTHOR_SIZE = NAME_KEY_SIZE + 1,
};

/*
 * Which words. PostgreSQL's index holds the words of a message as words.h cuts them, and one more for who wrote it, which begins with '@',
 * as no word does. It finds what has all words; whether those of a phrase follow each other is looked at here. So what is found is what
 * every journal finds.
 */

static void author_word(const char *key, char word[AUTHOR_SIZE])
{
	char *end = word;

	*end++ = '@';
	for (const char *byte = key; *byte != '\0' && end < word + AUTHOR_SIZE - 1; byte++) {
		bool plain = (*byte >= 'a' && *byte <= 'z') || (*byte >= '0' && *byte <= '9') || (unsigned char)*byte >= 0x80 ||
			(*byte != '\0' && strchr("_-.#", *byte) != NULL);

		*end++ = plain ? *byte : '@';
	}
	*end = '\0';
}

char *postgres_words(const struct message *message)
{
	char key[NAME_KEY_SIZE];
	char author[AUTHOR_SIZE];
	char *words = words_split(message->text, message->text_size);
	char *all;

	if (words == NULL)
		return NULL;
	(void)name_key(message->participant, key);
	author_word(key, author);
	if (asprintf(&all, "%s%s%s", author, words[0] == '\0' ? "" : " ", words) < 0)
		all = NULL;
	free(words);
	return all;
}

/* Cuts what was typed to the words that count. Returns how many there are. */
static size_t words_cut(char *words)
{
	size_t count = words[0] != '\0';

	for (char *at = words; (at = strchr(at, ' ')) != NULL; at++, count++) {
		if (count == WORDS_TYPED_MAX) {
			*at = '\0';
			break;
		}
	}
	return count;
}

/* Puts the words into an array. */
static void words_add(struct postgres_array *array, const char *words)
{
	while (*words != '\0') {
		size_t length = strcspn(words, " ");

		postgres_array_bytes(array, words, length);
		words += length + (words[length] == ' ');
	}
}

/* What a message has to have, all of it, to be found; without anything, all are. '*possible': there may be something to find. */
static int search_words(const struct search *search, struct postgres_array *array, bool *possible)
{
	char author[AUTHOR_SIZE];
	char *words = words_split(search->words, strlen(search->words));

	if (words == NULL)
		return -ENOMEM;
	*possible = words_cut(words) > 0 || words_is_blank(search->words);
	words_add(array, words);
	free(words);
	if (search->from[0] != '\0') {
		author_word(search->from, author);
		postgres_array_text(array, author);
	}
	return array->failed ? -ENOMEM : 0;
}

/* ---- The walk through what the index finds, newest first. ---- */

struct walk {
	struct link *link;
	const struct search *search;
	long long end_ms;
	struct found *found;
	size_t capacity;
	size_t skipped;
	size_t count;
};

#define FOUND \
	"DECLARE search NO SCROLL CURSOR FOR SELECT m.seq, m.at, m.kind::int8, m.username, m.message, r.id, coalesce(r.name, r.id)" \
	" FROM chat_room m JOIN chat_rooms r ON r.number = m.room" \
	" WHERE r.forgotten IS NULL AND (r.id = ANY($1) OR ($2 AND r.flags & 1 = 1)) AND m.words IS NOT NULL" \
	" AND m.at >= $3 AND m.at < $4"
#define ORDER " ORDER BY m.at DESC, m.room DESC, m.seq DESC"

static int walk_declare(struct walk *walk, struct postgres_array *words)
{
	struct postgres_parameters parameters = {.count = 0};
	struct postgres_array rooms;
	int error;

	postgres_array_init(&rooms, POSTGRES_TEXT);
	for (size_t i = 0; i < walk->search->room_count; i++)
		postgres_array_text(&rooms, walk->search->rooms[i]);
	error = postgres_add_array(&parameters, &rooms);
	postgres_add_bool(&parameters, walk->search->listed);
	postgres_add_number(&parameters, walk->search->after_ns);
	postgres_add_number(&parameters, walk->search->before_ns);
	if (error == 0 && words->count > 0)
		error = postgres_add_array(&parameters, words);
	if (error == 0)
		error = postgres_do(walk->link, words->count == 0 ? FOUND ORDER : FOUND " AND m.words @> $5" ORDER, &parameters);
	postgres_array_fini(&rooms);
	return error;
}

/* Whether the message has what was typed, and is not to be skipped: 1, 0, or -errno. */
static int walk_wants(struct walk *walk, const struct message *message)
{
	int matches = words_is_blank(walk->search->words) ? 1 : words_match(message->text, message->text_size, walk->search->words);

	if (matches > 0 && walk->skipped < walk->search->skip) {
		walk->skipped++;
		return 0;
	}
	return matches;
}

static int walk_row(struct walk *walk, const PGresult *result, int row)
{
	struct found *found = &walk->found[walk->count];
	char label[NAME_SIZE];
	int error;
	int wanted;

	if (!postgres_copy(result, row, 5, found->room, sizeof found->room) || !postgres_copy(result, row, 6, label, sizeof label))
		return postgres_wrong(walk->link, "a room");
	found->message = postgres_message(walk->link, result, row, 0, label, &error);
	if (found->message == NULL)
		return error;
	wanted = walk_wants(walk, found->message);
	if (wanted > 0)
		walk->count++;
	else
		message_release(found->message);
	return wanted < 0 ? wanted : 0;
}

/* Looks at the next page. Returns 1 when there may be more, 0, or -errno. */
static int walk_page(struct walk *walk)
{
	char sql[80];
	long long left_ms = walk->end_ms - clock_ms();
	PGresult *result;
	int error;
	int row = 0;

	if (left_ms <= 0)
		return -ETIMEDOUT;
	(void)snprintf(sql, sizeof sql, "SET LOCAL statement_timeout = %lld", left_ms);
	error = postgres_script(walk->link, sql, POSTGRES_SEARCH_MS);
	if (error != 0)
		return error;
	(void)snprintf(sql, sizeof sql, "FETCH %d FROM search", PAGE);
	error = postgres_run(walk->link, sql, NULL, &result);
	while (error == 0 && row < PQntuples(result) && walk->count < walk->capacity)
		error = walk_row(walk, result, row++);
	row = error == 0 ? PQntuples(result) : 0;
	PQclear(result);
	return error != 0 ? error : row == PAGE && walk->count < walk->capacity;
}

static int walk_all(struct walk *walk, struct postgres_array *words)
{
	char sql[80];
	int more;

	(void)snprintf(sql, sizeof sql, "BEGIN READ ONLY; SET LOCAL statement_timeout = %d", (int)POSTGRES_SEARCH_MS);
	more = postgres_script(walk->link, sql, POSTGRES_SEARCH_MS);
	if (more == 0)
		more = walk_declare(walk, words);
	if (more == 0)
		more = 1;
	while (more > 0)
		more = walk_page(walk);
	if (postgres_works(walk->link)) {
		int ended = postgres_script(walk->link, "ROLLBACK", POSTGRES_SEARCH_MS);

		more = more == 0 ? ended : more;
	}
	return more;
}

ssize_t postgres_search(struct link *link, const struct search *search, struct found *found, size_t capacity, uint64_t *behind)
{
	struct walk walk = {
		.link = link, .search = search, .found = found, .capacity = capacity, .end_ms = clock_ms() + POSTGRES_SEARCH_MS};
	bool possible = false;
	struct postgres_array words;
	int error;

	*behind = 0; /* what is kept is in the index */
	if (capacity == 0 || capacity > DEPTH || search->skip > DEPTH - capacity)
		return 0;
	postgres_array_init(&words, POSTGRES_TEXT);
	error = search_words(search, &words, &possible);
	if (error == 0 && possible)
		error = walk_all(&walk, &words);
	postgres_array_fini(&words);
	if (error == 0)
		return (ssize_t)walk.count;
	while (walk.count > 0)
		message_release(found[--walk.count].message);
	return error;
}
