#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/sync.h"
#include "common/text.h"
#include "tcpserver/core/message.h"
#include "tcpserver/journals/postgres_engine.h"

enum { LOCK_MS = 500, LOCK_PATIENCE_MS = 2000, LET_GO_MS = 20 };

/* A group on its way. */
struct group {
	struct entry *entries;
	size_t count;
	size_t *order;  /* indices, by client and number; those of the same stand in their order */
	size_t *first;  /* of each entry: the first of the same client and number                */
	const char **ids; /* of the rooms, sorted, each once */
	size_t id_count;
};

/* What is sent of each entry, and of each room. */
enum { IDS, PLACES, KINDS, USERNAMES, MESSAGES, WORDS, CLIENTS, NUMBERS, SEQS, LEASTS, ATS, SERVERS, KEYS, NEW_KEYS, ARRAYS };

static const Oid elements[ARRAYS] = {
	[IDS] = POSTGRES_TEXT, [PLACES] = POSTGRES_NUMBER, [KINDS] = POSTGRES_NUMBER, [USERNAMES] = POSTGRES_TEXT,
	[MESSAGES] = POSTGRES_TEXT, [WORDS] = POSTGRES_TEXT, [CLIENTS] = POSTGRES_BYTES, [NUMBERS] = POSTGRES_NUMBER,
	[SEQS] = POSTGRES_NUMBER, [LEASTS] = POSTGRES_NUMBER, [ATS] = POSTGRES_NUMBER, [SERVERS] = POSTGRES_TEXT, [KEYS] = POSTGRES_TEXT,
	[NEW_KEYS] = POSTGRES_TEXT,
};

/* ---- Which are the same. ---- */

static int compare_sent(const struct entry *left, const struct entry *right)
{
	int order = memcmp(left->client, right->client, CLIENT_ID_SIZE);

	return order != 0 ? order : (left->number > right->number) - (left->number < right->number);
}

static int compare_indices(const void *left, const void *right, void *context)
{
	const struct entry *entries = context;
	size_t one = *(const size_t *)left;
	size_t other = *(const size_t *)right;
	int order = compare_sent(&entries[one], &entries[other]);

	return order != 0 ? order : (one > other) - (one < other);
}

static void group_find_repeats(struct group *group)
{
	for (size_t i = 0; i < group->count; i++)
		group->order[i] = i;
	qsort_r(group->order, group->count, sizeof *group->order, compare_indices, group->entries);
	for (size_t i = 0; i < group->count; i++) {
		size_t at = group->order[i];
		size_t before = i == 0 ? at : group->order[i - 1];

		group->first[at] = i > 0 && compare_sent(&group->entries[before], &group->entries[at]) == 0 ? group->first[before] : at;
	}
}

static int compare_ids(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static void group_find_rooms(struct group *group)
{
	size_t count = 0;

	for (size_t i = 0; i < group->count; i++)
		group->ids[i] = group->entries[i].room;
	qsort(group->ids, group->count, sizeof *group->ids, compare_ids);
	for (size_t i = 0; i < group->count; i++) {
		if (count == 0 || strcmp(group->ids[count - 1], group->ids[i]) != 0)
			group->ids[count++] = group->ids[i];
	}
	group->id_count = count;
}

static int group_init(struct group *group, struct entry *entries, size_t count)
{
	*group = (struct group){.entries = entries, .count = count};
	group->order = calloc(count, sizeof *group->order);
	group->first = calloc(count, sizeof *group->first);
	group->ids = calloc(count, sizeof *group->ids);
	if (group->order == NULL || group->first == NULL || group->ids == NULL)
		return -ENOMEM;
	group_find_repeats(group);
	group_find_rooms(group);
	return 0;
}

static void group_fini(struct group *group)
{
	free(group->order);
	free(group->first);
	free(group->ids);
}

/* ---- What is sent. ---- */

/* The place of a room in PostgreSQL's array, which counts from 1. */
static int64_t group_place(const struct group *group, const char *id)
{
	const char **found = bsearch(&id, group->ids, group->id_count, sizeof *group->ids, compare_ids);

	return found - group->ids + 1;
}

/* Those by whom the room's people change are known by their keys. */
static void send_keys(struct postgres_array *arrays, const struct message *message)
{
	char key[NAME_KEY_SIZE] = "";
	char new_key[NAME_KEY_SIZE] = "";
	char name[NAME_SIZE];

	if (message->kind == MESSAGE_JOINED || message->kind == MESSAGE_LEFT || message->kind == MESSAGE_NICK)
		(void)name_key(message->participant, key);
	if (message->kind == MESSAGE_NICK) {
		(void)snprintf(name, sizeof name, "%.*s", (int)message->text_size, message->text);
		(void)name_key(name, new_key);
	}
	postgres_array_text(&arrays[KEYS], key);
	postgres_array_text(&arrays[NEW_KEYS], new_key);
}

/* What is in a mailbox is for one, and found by nobody. */
static int send_words(struct postgres_array *array, const struct entry *entry)
{
	char *words;

	if (entry->room[0] == '@' || !message_is_said(entry->message)) {
		postgres_array_text(array, "");
		return 0;
	}
	words = postgres_words(entry->message);
	if (words == NULL)
		return -ENOMEM;
	postgres_array_text(array, words);
	free(words);
	return 0;
}

static int send_entry(struct postgres_array *arrays, const struct group *group, const struct entry *entry)
{
	const struct message *message = entry->message;

	postgres_array_number(&arrays[PLACES], group_place(group, entry->room));
	postgres_array_number(&arrays[KINDS], message->kind);
	postgres_array_text(&arrays[USERNAMES], message->participant);
	postgres_array_bytes(&arrays[MESSAGES], message->text, message->text_size);
	postgres_array_bytes(&arrays[CLIENTS], entry->client, CLIENT_ID_SIZE);
	postgres_array_number(&arrays[NUMBERS], (int64_t)entry->number);
	postgres_array_number(&arrays[SEQS], (int64_t)entry->seq);
	postgres_array_number(&arrays[LEASTS], (int64_t)entry->at_least);
	postgres_array_number(&arrays[ATS], entry->at_ns);
	postgres_array_text(&arrays[SERVERS], entry->server);
	send_keys(arrays, message);
	return send_words(&arrays[WORDS], entry);
}

/*
 * Who waits for one room holds the others, and who waits for those holds more: so a group of several does not wait for long, but lets go
 * of all and tries again. After a while it waits in the queue as before, since others may always be quicker. 0: without an end.
 */
static int group_lock_ms(const struct group *group, const struct link *link)
{
	bool is_patient = link->waits_since_ms != 0 && clock_ms() >= link->waits_since_ms + LOCK_PATIENCE_MS;

	return group->id_count == 1 || is_patient ? 0 : LOCK_MS;
}

static int group_send(const struct group *group, struct link *link, struct postgres_array *arrays, PGresult **result)
{
	/* The function needs what the setting gives, so that this comes first; it ends with the transaction. */
	static const char sql[] =
		"SELECT a.* FROM set_config('lock_timeout', $17, true) s(given), chat_append($1 || left(s.given, 0), $2, $3, $4, $5, $6, $7, $8,"
		" $9, $10, $11, $12, $13, $14, $15, $16) a";
	char lock_ms[16];
	struct postgres_parameters parameters = {.count = 0};
	int error = 0;

	for (size_t i = 0; i < group->id_count; i++)
		postgres_array_text(&arrays[IDS], group->ids[i]);
	for (size_t i = 0; error == 0 && i < group->count; i++) {
		if (group->first[i] == i)
			error = send_entry(arrays, group, &group->entries[i]);
	}
	postgres_add_text(&parameters, link->engine->origin);
	postgres_add_bool(&parameters, link->careful > 0);
	for (size_t i = 0; error == 0 && i < ARRAYS; i++)
		error = postgres_add_array(&parameters, &arrays[i]);
	(void)snprintf(lock_ms, sizeof lock_ms, "%d", group_lock_ms(group, link));
	postgres_add_text(&parameters, lock_ms);
	return error != 0 ? error : postgres_run(link, sql, &parameters, result);
}

/* ---- What comes back. ---- */

static int read_entry(struct link *link, const PGresult *result, int row, struct entry *entry)
{
	int64_t error = postgres_number(result, row, 0);

	entry->outcome = error == 0 ? ENTRY_KEPT : error == 1 ? ENTRY_REPEATED : ENTRY_REFUSED;
	entry->error = error > 1 ? (int)error : 0;
	if (entry->outcome == ENTRY_REFUSED)
		return 0;
	entry->seq = (uint64_t)postgres_number(result, row, 1);
	entry->at_ns = postgres_number(result, row, 2);
	if (entry->seq == 0 || !postgres_copy(result, row, 3, entry->kept_in, sizeof entry->kept_in) ||
		!postgres_copy(result, row, 4, entry->label, sizeof entry->label))
		return postgres_wrong(link, "a message");
	return 0;
}

/* The same client and number, later in the group. */
static void repeat_entry(struct entry *entry, const struct entry *first)
{
	entry->outcome = first->outcome == ENTRY_REFUSED ? ENTRY_REFUSED : ENTRY_REPEATED;
	entry->error = first->error;
	entry->seq = first->seq;
	entry->at_ns = first->at_ns;
	(void)snprintf(entry->kept_in, sizeof entry->kept_in, "%s", first->kept_in[0] == '\0' ? first->room : first->kept_in);
	(void)snprintf(entry->label, sizeof entry->label, "%s", first->label[0] == '\0' ? first->message->room : first->label);
}

static int group_read(const struct group *group, struct link *link, const PGresult *result)
{
	int rows = PQntuples(result);
	int row = 0;
	int error = 0;

	for (size_t i = 0; error == 0 && i < group->count; i++) {
		if (group->first[i] != i)
			repeat_entry(&group->entries[i], &group->entries[group->first[i]]);
		else if (row < rows)
			error = read_entry(link, result, row++, &group->entries[i]);
		else
			error = postgres_wrong(link, "an answer");
	}
	if (error != 0)
		link->broken = true; /* it was written */
	return error;
}

static int group_keep(const struct group *group, struct link *link)
{
	struct postgres_array arrays[ARRAYS];
	PGresult *result = NULL;
	int error;

	for (size_t i = 0; i < ARRAYS; i++)
		postgres_array_init(&arrays[i], elements[i]);
	error = group_send(group, link, arrays, &result);
	if (error == 0)
		error = group_read(group, link, result);
	PQclear(result);
	for (size_t i = 0; i < ARRAYS; i++)
		postgres_array_fini(&arrays[i]);
	return error;
}

/* Those who wait for what was let go need a moment to take it: who tries again at once would be quicker. */
static void group_note_wait(struct link *link, int error)
{
	bool waits = error == -EAGAIN && link->lock_was_held;

	if (!waits)
		link->waits_since_ms = 0;
	else if (link->waits_since_ms == 0)
		link->waits_since_ms = clock_ms();
	if (waits)
		(void)poll(NULL, 0, LET_GO_MS);
}

int postgres_append(struct link *link, struct entry *entries, size_t count)
{
	struct group group;
	bool hoped = link->careful == 0;
	int error = group_init(&group, entries, count);

	if (error == 0)
		error = group_keep(&group, link);
	if (error == -EAGAIN && hoped && !link->lock_was_held) { /* something was kept before */
		link->careful = POSTGRES_CAREFUL;
		error = group_keep(&group, link);
	}
	group_note_wait(link, error);
	if (error == 0 && link->careful > 0)
		link->careful--;
	group_fini(&group);
	return error;
}
