#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/sync.h"
#include "common/text.h"
#include "tcpserver/journals/postgres_engine.h"

enum { LISTED = 1, PERSISTENT = 2, ENDS_WITH_MEMBER = 4, WAITS = 8 };

static int64_t room_flags(const struct room_attributes *attributes)
{
	return (attributes->listed ? LISTED : 0) | (attributes->persistent ? PERSISTENT : 0) |
		(attributes->ends_with_member ? ENDS_WITH_MEMBER : 0) | (attributes->waits ? WAITS : 0);
}

int postgres_record(struct link *link, const PGresult *result, int row, struct room_record *record)
{
	int64_t flags = postgres_number(result, row, 7);
	int64_t capacity = postgres_number(result, row, 6);
	int64_t last = postgres_number(result, row, 8);
	size_t size;
	const char *client = postgres_bytes(result, row, 3, &size);
	bool named = !postgres_is_null(result, row, 1);

	if (!postgres_copy(result, row, 0, record->id, sizeof record->id) ||
		!postgres_copy(result, row, 1, record->name, sizeof record->name) ||
		!postgres_copy(result, row, 2, record->creator, sizeof record->creator) ||
		!postgres_copy(result, row, 4, record->topic, sizeof record->topic) || size != CLIENT_ID_SIZE || capacity < 0 || last < 0)
		return postgres_wrong(link, "a room");
	record->attributes = (struct room_attributes){
		.id = record->id,
		.name = named ? record->name : NULL,
		.creator = record->creator,
		.topic = record->topic,
		.created_ns = postgres_number(result, row, 5),
		.capacity = (size_t)capacity,
		.listed = (flags & LISTED) != 0,
		.persistent = (flags & PERSISTENT) != 0,
		.ends_with_member = (flags & ENDS_WITH_MEMBER) != 0,
		.waits = (flags & WAITS) != 0,
	};
	(void)memcpy(record->attributes.creator_id, client, CLIENT_ID_SIZE);
	record->last = (uint64_t)last;
	record->people = (size_t)postgres_number(result, row, 9);
	return 0;
}

/* Runs a statement that gives one room, or none: -ENOENT. */
static int room_one(struct link *link, const char *sql, const struct postgres_parameters *parameters, struct room_record *record)
{
	PGresult *result;
	int error = postgres_run(link, sql, parameters, &result);

	if (error == 0)
		error = PQntuples(result) == 0 ? -ENOENT : postgres_record(link, result, 0, record);
	PQclear(result);
	return error;
}

/* If somebody else has made the room meanwhile, it is the same one; if one of that name, it is another. */
int postgres_open_room(struct link *link, const struct room_attributes *attributes, struct room_record *record)
{
	static const char find[] = "SELECT " POSTGRES_RECORD " FROM chat_rooms r WHERE r.id = $1 AND r.forgotten IS NULL";
	static const char make[] = "INSERT INTO chat_rooms(id, name, key, creator, creator_id, topic, created, capacity, flags)"
				   " VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
	char key[NAME_KEY_SIZE];
	struct postgres_parameters id = {.count = 0};
	struct postgres_parameters all = {.count = 0};
	int error;

	postgres_add_text(&id, attributes->id);
	error = room_one(link, find, &id, record);
	if (error != -ENOENT)
		return error;
	if (attributes->name != NULL)
		(void)name_key(attributes->name, key);
	postgres_add_text(&all, attributes->id);
	postgres_add_text(&all, attributes->name);
	postgres_add_text(&all, attributes->name == NULL ? NULL : key);
	postgres_add_text(&all, attributes->creator == NULL ? "" : attributes->creator);
	postgres_add_bytes(&all, attributes->creator_id, CLIENT_ID_SIZE);
	postgres_add_text(&all, attributes->topic == NULL ? "" : attributes->topic);
	postgres_add_number(&all, attributes->created_ns == 0 ? clock_wall_ns() : attributes->created_ns);
	postgres_add_number(&all, (int64_t)attributes->capacity);
	postgres_add_number(&all, room_flags(attributes));
	error = postgres_do(link, make, &all);
	if (error != 0)
		return error;
	error = room_one(link, find, &id, record);
	return error == -ENOENT ? -EEXIST : error;
}

int postgres_forget_room(struct link *link, const char *id)
{
	struct postgres_parameters parameters = {.count = 0};

	postgres_add_text(&parameters, id);
	return postgres_do(link,
		"WITH gone AS (UPDATE chat_rooms SET forgotten = now() WHERE id = $1 AND forgotten IS NULL RETURNING id)"
		" DELETE FROM chat_offers o USING gone WHERE o.room = gone.id",
		&parameters);
}

int postgres_forget_unused(struct link *link, const char *id)
{
	struct postgres_parameters parameters = {.count = 0};

	postgres_add_text(&parameters, id);
	return postgres_do(link, "SELECT chat_forget_unused($1)", &parameters);
}

int postgres_find_room(struct link *link, const char *key, const char *id, struct room_record *record)
{
	struct postgres_parameters parameters = {.count = 0};

	postgres_add_text(&parameters, key == NULL ? "" : key);
	postgres_add_text(&parameters, id == NULL ? "" : id);
	return room_one(link,
		"SELECT " POSTGRES_RECORD " FROM chat_rooms r WHERE (r.key = $1 OR r.id = $2) AND r.forgotten IS NULL"
		" ORDER BY (r.key = $1) DESC NULLS LAST LIMIT 1",
		&parameters, record);
}

ssize_t postgres_list_rooms(struct link *link, const char *after, bool listed, struct room_record *records, size_t capacity)
{
	struct postgres_parameters parameters = {.count = 0};
	PGresult *result;
	int error;
	int count = 0;

	postgres_add_text(&parameters, after);
	postgres_add_bool(&parameters, listed);
	postgres_add_number(&parameters, (int64_t)capacity);
	error = postgres_run(link,
		"SELECT " POSTGRES_RECORD " FROM chat_rooms r WHERE r.id > $1 AND (NOT $2 OR r.flags & 1 = 1) AND r.forgotten IS NULL"
		" ORDER BY r.id LIMIT $3",
		&parameters, &result);
	while (error == 0 && count < PQntuples(result)) {
		error = postgres_record(link, result, count, &records[count]);
		count++;
	}
	PQclear(result);
	return error == 0 ? count : error;
}

int postgres_set_waits(struct link *link, const char *id, bool waits)
{
	struct postgres_parameters parameters = {.count = 0};

	postgres_add_text(&parameters, id);
	postgres_add_bool(&parameters, waits);
	return postgres_do(link,
		"WITH gone AS (DELETE FROM chat_offers WHERE room = $1 AND NOT $2)"
		" UPDATE chat_rooms SET flags = CASE WHEN $2 THEN flags | 8 ELSE flags & ~8::int8 END WHERE id = $1 AND forgotten IS NULL",
		&parameters);
}
