#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tcpserver/journals/postgres_engine.h"

#define SECONDS(number) SECONDS_OF(number)
#define SECONDS_OF(number) "interval '" #number " seconds'"
/* As engine.h has them. */
#define DEAD SECONDS(12)
#define FORGET SECONDS(120)
_Static_assert(ENGINE_DEAD_S == 12 && ENGINE_FORGET_S == 120 && ENGINE_PAIR_S == 86400, "the intervals of the statements");

int postgres_beat(struct link *link, const char *server)
{
	struct postgres_parameters parameters = {.count = 0};
	PGresult *result;
	int error;

	postgres_add_text(&parameters, server);
	error = postgres_run(link,
		"WITH alive AS (UPDATE chat_servers SET beat = now() WHERE id = $1 AND NOT dead RETURNING id),"
		" revived AS (INSERT INTO chat_servers(id, beat) SELECT $1, now() WHERE NOT EXISTS (SELECT FROM alive)"
		"  ON CONFLICT (id) DO UPDATE SET beat = now(), dead = false RETURNING id),"
		" freed AS (DELETE FROM chat_names n USING revived WHERE n.server = revived.id),"
		" withdrawn AS (DELETE FROM chat_offers o USING revived WHERE o.server = revived.id)"
		" SELECT EXISTS (SELECT FROM alive)",
		&parameters, &result);
	if (error == 0 && !postgres_bool(result, 0, 0))
		error = -ESTALE;
	PQclear(result);
	return error;
}

int postgres_succeed(struct link *link, const char *server, const char *place)
{
	struct postgres_parameters parameters = {.count = 0};

	postgres_add_text(&parameters, server);
	postgres_add_text(&parameters, place);
	return postgres_do(link,
		"WITH before AS (SELECT server FROM chat_places WHERE place = $2 AND server <> $1),"
		" buried AS (UPDATE chat_servers s SET dead = true FROM before b WHERE s.id = b.server)"
		" INSERT INTO chat_places(place, server) VALUES($2, $1) ON CONFLICT (place) DO UPDATE SET server = $1",
		&parameters);
}

int postgres_retire(struct link *link, const char *server)
{
	struct postgres_parameters parameters = {.count = 0};

	postgres_add_text(&parameters, server);
	return postgres_do(link, "SELECT chat_retire($1)", &parameters);
}

/* From now on the dead are dead, even if they beat again: they are told. Those with nobody left go. */
static int servers_clear(struct link *link)
{
	int error = postgres_do(link, "UPDATE chat_servers SET dead = true WHERE NOT dead AND beat <= now() - " DEAD, NULL);

	if (error == 0)
		error = postgres_do(link,
			"SELECT chat_retire(s.id) FROM chat_servers s WHERE s.dead AND NOT EXISTS (SELECT FROM chat_people h"
			" JOIN chat_rooms r ON r.number = h.room AND r.forgotten IS NULL WHERE h.server = s.id)",
			NULL);
	return error != 0 ? error
			  : postgres_do(link, "SELECT chat_forget_left(50), chat_clear(" FORGET ", 2000), chat_clear_trimmed(" FORGET ", 2000)", NULL);
}

static int ghost_read(struct link *link, const PGresult *result, int row, struct ghost *ghost)
{
	ghost->joined = (uint64_t)postgres_number(result, row, 4);
	if (postgres_copy(result, row, 0, ghost->server, sizeof ghost->server) &&
		postgres_copy(result, row, 1, ghost->room, sizeof ghost->room) &&
		postgres_copy(result, row, 2, ghost->label, sizeof ghost->label) &&
		postgres_copy(result, row, 3, ghost->name, sizeof ghost->name))
		return 0;
	return postgres_wrong(link, "somebody in a room");
}

ssize_t postgres_ghosts(struct link *link, struct ghost *ghosts, size_t capacity)
{
	struct postgres_parameters parameters = {.count = 0};
	PGresult *result;
	int count = 0;
	int error = servers_clear(link);

	if (error != 0)
		return error;
	postgres_add_number(&parameters, (int64_t)capacity);
	error = postgres_run(link,
		"WITH ghosts AS MATERIALIZED (SELECT h.server, r.id, coalesce(r.name, r.id) AS label, h.name, h.joined, h.room, h.key, r.flags"
		"  FROM chat_people h JOIN chat_rooms r ON r.number = h.room LEFT JOIN chat_servers s ON s.id = h.server"
		"  WHERE r.forgotten IS NULL AND coalesce(s.dead, true) ORDER BY h.room, h.key LIMIT $1),"
		" noted AS (INSERT INTO chat_left(room, due) SELECT DISTINCT room,"
		"  CASE WHEN flags & 4 <> 0 THEN now() + interval '1 day' ELSE now() END FROM ghosts WHERE flags & 2 = 0 ORDER BY room"
		"  ON CONFLICT (room) DO UPDATE SET due = excluded.due)"
		" SELECT server, id, label, name, joined FROM ghosts ORDER BY room, key",
		&parameters, &result);
	while (error == 0 && count < PQntuples(result)) {
		error = ghost_read(link, result, count, &ghosts[count]);
		count++;
	}
	PQclear(result);
	return error == 0 ? count : error;
}

/* ---- Names. ---- */

/* Reads who has a name, from columns 0 to 2. */
static int holder_read(struct link *link, const PGresult *result, struct name_holder *holder)
{
	size_t size;
	const char *client = postgres_bytes(result, 0, 2, &size);

	if (!postgres_copy(result, 0, 0, holder->server, sizeof holder->server) ||
		!postgres_copy(result, 0, 1, holder->name, sizeof holder->name) || size != CLIENT_ID_SIZE)
		return postgres_wrong(link, "a name");
	(void)memcpy(holder->client, client, CLIENT_ID_SIZE);
	return 0;
}

int postgres_claim_name(struct link *link, const char *server, const struct name_claim *claim, struct name_holder *holder)
{
	struct postgres_parameters parameters = {.count = 0};
	PGresult *result;
	int error;

	postgres_add_text(&parameters, server);
	postgres_add_text(&parameters, claim->key);
	postgres_add_text(&parameters, claim->name);
	postgres_add_bytes(&parameters, claim->client, CLIENT_ID_SIZE);
	postgres_add_number(&parameters, (int64_t)claim->number);
	error = postgres_run(link, "SELECT server, name, client, taken FROM chat_claim($1, $2, $3, $4, $5, " DEAD ")", &parameters, &result);
	if (error == 0)
		error = holder_read(link, result, holder);
	if (error == 0 && postgres_bool(result, 0, 3))
		error = -EEXIST;
	PQclear(result);
	return error;
}

int postgres_release_name(struct link *link, const char *server, const char *key, uint64_t number)
{
	struct postgres_parameters parameters = {.count = 0};

	postgres_add_text(&parameters, server);
	postgres_add_text(&parameters, key);
	postgres_add_number(&parameters, (int64_t)number);
	return postgres_do(link, "DELETE FROM chat_names WHERE key = $2 AND server = $1 AND claim = $3", &parameters);
}

int postgres_find_name(struct link *link, const char *key, struct name_holder *holder)
{
	struct postgres_parameters parameters = {.count = 0};
	PGresult *result;
	int error;

	postgres_add_text(&parameters, key);
	error = postgres_run(link,
		"SELECT n.server, n.name, n.client FROM chat_names n JOIN chat_servers s ON s.id = n.server AND NOT s.dead"
		" AND s.beat > now() - " DEAD " WHERE n.key = $1",
		&parameters, &result);
	if (error == 0)
		error = PQntuples(result) == 0 ? -ENOENT : holder_read(link, result, holder);
	PQclear(result);
	return error;
}
