#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tcpserver/core/message.h"
#include "tcpserver/journals/postgres_engine.h"

enum { ID_LENGTH = ROOM_ID_SIZE - 1, LAST_LENGTH = 16, PART_LENGTH = ID_LENGTH + LAST_LENGTH, TEXT_MOST = 1 << 20 };

/* ---- Reading. ---- */

struct message *postgres_message(
	struct link *link, const PGresult *result, int row, int column, const char *label, int *error)
{
	int64_t seq = postgres_number(result, row, column);
	int64_t kind = postgres_number(result, row, column + 2);
	size_t size;
	const char *text = postgres_bytes(result, row, column + 4, &size);
	char name[NAME_SIZE];
	struct message *message;

	*error = 0;
	if (seq <= 0 || kind < 0 || kind >= MESSAGE_KINDS || size > TEXT_MOST || !text_is_clean(text, size) ||
		!postgres_copy(result, row, column + 3, name, sizeof name)) {
		*error = postgres_wrong(link, "a message");
		return NULL;
	}
	message = message_create((enum message_kind)kind, label, name, text, size);
	if (message == NULL) {
		*error = -ENOMEM;
		return NULL;
	}
	message->seq = (uint64_t)seq;
	message->at_ns = postgres_number(result, row, column + 1);
	return message;
}

/* The next message of a page. Numbers only ever grow. */
static int fetch_next(struct link *link, const PGresult *result, int row, const char *label, uint64_t from, struct message **message)
{
	int error;

	*message = postgres_message(link, result, row, 0, label, &error);
	if (*message == NULL || (*message)->seq >= from)
		return error;
	message_release(*message);
	return postgres_wrong(link, "a message");
}

ssize_t postgres_fetch(struct link *link, const char *id, const char *label, uint64_t from, struct message **messages, size_t capacity)
{
	struct postgres_parameters parameters = {.count = 0};
	PGresult *result;
	int count = 0;
	int error;

	if (from > INT64_MAX)
		return 0;
	postgres_add_text(&parameters, id);
	postgres_add_number(&parameters, (int64_t)from);
	postgres_add_number(&parameters, (int64_t)capacity);
	/* A room that was forgotten is read, too, for as long as it is there: so others see how it ended. */
	error = postgres_run(link,
		"SELECT m.seq, m.at, m.kind::int8, m.username, m.message FROM chat_room m WHERE m.seq >= $2 AND m.room ="
		" (SELECT r.number FROM chat_rooms r WHERE r.id = $1 ORDER BY r.number DESC LIMIT 1) ORDER BY m.seq LIMIT $3",
		&parameters, &result);
	while (error == 0 && count < PQntuples(result)) {
		error = fetch_next(link, result, count, label, from, &messages[count]);
		if (error == 0)
			from = messages[count++]->seq + 1;
	}
	PQclear(result);
	while (error != 0 && count > 0)
		message_release(messages[--count]);
	return error == 0 ? count : error;
}

int postgres_trim(struct link *link, const char *id, uint64_t seq)
{
	struct postgres_parameters parameters = {.count = 0};

	postgres_add_text(&parameters, id);
	postgres_add_number(&parameters, seq > INT64_MAX ? INT64_MAX : (int64_t)seq);
	return postgres_do(link,
		"UPDATE chat_room m SET room = -m.room, kind = 3, username = '', message = '', words = NULL FROM chat_rooms r"
		" WHERE r.id = $1 AND r.forgotten IS NULL AND m.room = r.number AND m.seq <= $2",
		&parameters);
}

int postgres_last(struct link *link, const char *const *ids, uint64_t *last, size_t count)
{
	struct postgres_parameters parameters = {.count = 0};
	struct postgres_array array;
	PGresult *result = NULL;
	int error;

	postgres_array_init(&array, POSTGRES_TEXT);
	for (size_t i = 0; i < count; i++)
		postgres_array_text(&array, ids[i]);
	error = postgres_add_array(&parameters, &array);
	if (error == 0)
		error = postgres_run(link,
			"SELECT coalesce(r.last, -1) FROM unnest($1) WITH ORDINALITY u(id, i)"
			" LEFT JOIN chat_rooms r ON r.id = u.id AND r.forgotten IS NULL ORDER BY u.i",
			&parameters, &result);
	if (error == 0 && (size_t)PQntuples(result) != count)
		error = postgres_wrong(link, "two rooms of one id");
	for (size_t i = 0; error == 0 && i < count; i++)
		last[i] = (uint64_t)postgres_number(result, (int)i, 0);
	PQclear(result);
	postgres_array_fini(&array);
	return error;
}

/* ---- News: a notice is the origin of who sent it, and rooms with their last numbers. ---- */

int postgres_descriptor(const struct link *link)
{
	return PQsocket(link->connection);
}

static void notice_end(struct link *link)
{
	PQfreemem(link->notice);
	link->notice = NULL;
}

/* Begins with the next notice that is not our own. Returns false when there is none. */
static bool notice_begin(struct link *link)
{
	const char *origin = link->engine->origin;

	while (link->notice == NULL) {
		link->notice = PQnotifies(link->connection);
		if (link->notice == NULL)
			return false;
		if (strncmp(link->notice->extra, origin, strlen(origin)) == 0)
			notice_end(link);
		else
			link->notice_rest = link->notice->extra + strnlen(link->notice->extra, strlen(origin));
	}
	return true;
}

/*
 * Takes the next room of the notice: its id, and its last number in hex. Anybody may send notices: one that is not understood means that
 * anything may be new.
 */
static int notice_take(struct link *link, struct engine_news *news)
{
	size_t length = strnlen(link->notice_rest, PART_LENGTH);
	char last[LAST_LENGTH + 1];
	char *end;

	if (length < PART_LENGTH) {
		notice_end(link);
		return length == 0 ? 0 : -EOVERFLOW;
	}
	(void)snprintf(news->room, ROOM_ID_SIZE, "%s", link->notice_rest);
	news->room[strcspn(news->room, " ")] = '\0';
	(void)snprintf(last, sizeof last, "%s", link->notice_rest + ID_LENGTH);
	news->last = strtoull(last, &end, 16);
	if (*end != '\0')
		news->last = 0;
	link->notice_rest += PART_LENGTH;
	return 1;
}

ssize_t postgres_news(struct link *link, struct engine_news *news, size_t capacity)
{
	size_t count = 0;

	if (!link->broken && !PQconsumeInput(link->connection)) {
		(void)snprintf(link->fault, sizeof link->fault, "the database is not there any more");
		link->broken = true;
	}
	while (count < capacity && notice_begin(link)) {
		int taken = notice_take(link, &news[count]);

		if (taken < 0)
			return taken;
		count += (size_t)taken;
	}
	return count > 0 || !link->broken ? (ssize_t)count : -ENOTCONN;
}
