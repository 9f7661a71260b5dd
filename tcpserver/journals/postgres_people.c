#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/journals/postgres_engine.h"

/* ---- Who is in a room. ---- */

ssize_t postgres_people(struct link *link, const char *id, char (*names)[NAME_SIZE], size_t capacity, size_t *count)
{
	struct postgres_parameters parameters = {.count = 0};
	PGresult *result;
	size_t given = 0;
	int error;

	postgres_add_text(&parameters, id);
	postgres_add_number(&parameters, (int64_t)capacity);
	error = postgres_run(link,
		"SELECT h.name, count(*) OVER () FROM (SELECT DISTINCT ON (p.key) p.key, p.name FROM chat_people p"
		" JOIN chat_rooms r ON r.number = p.room WHERE r.id = $1 AND r.forgotten IS NULL ORDER BY p.key) h"
		" ORDER BY h.key LIMIT greatest($2, 1)",
		&parameters, &result);
	while (error == 0 && given < capacity && given < (size_t)PQntuples(result)) {
		if (!postgres_copy(result, (int)given, 0, names[given], NAME_SIZE))
			error = postgres_wrong(link, "somebody in a room");
		given++;
	}
	if (error == 0)
		*count = PQntuples(result) == 0 ? 0 : (size_t)postgres_number(result, 0, 1);
	PQclear(result);
	return error == 0 ? (ssize_t)given : error;
}

/* Who is absent from a room for two may come back. */
int postgres_absent(struct link *link, const char *server, const char *id, const char *key)
{
	struct postgres_parameters parameters = {.count = 0};

	postgres_add_text(&parameters, server);
	postgres_add_text(&parameters, id);
	postgres_add_text(&parameters, key);
	return postgres_do(link,
		"WITH gone AS (DELETE FROM chat_people h USING chat_rooms r WHERE r.number = h.room AND r.id = $2 AND r.forgotten IS NULL"
		"  AND h.server = $1 AND h.key = $3 RETURNING h.room, r.flags)"
		" INSERT INTO chat_left(room, due) SELECT room, now() + interval '1 day' FROM gone WHERE flags & 4 <> 0"
		" ON CONFLICT (room) DO UPDATE SET due = excluded.due",
		&parameters);
}

/* ---- Strangers. ---- */

enum { OFFER_MS = 5000 };

static void avoid_init(struct postgres_array *array, const struct stranger_offer *offer)
{
	postgres_array_init(array, POSTGRES_TEXT);
	for (size_t i = 0; i < offer->avoid_count; i++)
		postgres_array_text(array, offer->avoid[i]);
}

static int put_offer(struct link *link, const char *server, const char *id, const struct stranger_offer *offer)
{
	struct postgres_parameters parameters = {.count = 0};
	struct postgres_array avoid;
	PGresult *result = NULL;
	int error;

	avoid_init(&avoid, offer);
	postgres_add_text(&parameters, server);
	postgres_add_text(&parameters, id);
	postgres_add_text(&parameters, offer->key);
	postgres_add_text(&parameters, offer->last == NULL ? "" : offer->last);
	error = postgres_add_array(&parameters, &avoid);
	if (error == 0)
		error = postgres_run(link,
			"WITH waits AS (UPDATE chat_rooms SET flags = flags | 8 WHERE id = $2 AND forgotten IS NULL RETURNING id)"
			" INSERT INTO chat_offers(room, server, key, last, avoid) SELECT id, $1, $3, $4, $5 FROM waits"
			" ON CONFLICT (room) DO UPDATE SET server = excluded.server, key = excluded.key, last = excluded.last,"
			" avoid = excluded.avoid RETURNING true",
			&parameters, &result);
	if (error == 0 && PQntuples(result) == 0)
		error = -ENOENT;
	PQclear(result);
	postgres_array_fini(&avoid);
	return error;
}

#define FITTING                                                                                                        \
	"chat_offers o JOIN chat_servers s ON s.id = o.server AND NOT s.dead AND s.beat > now() - make_interval(secs => $4)" \
	"  JOIN chat_rooms r ON r.id = o.room AND r.forgotten IS NULL"                                                   \
	"  WHERE o.key <> $1 AND $1 <> ALL(o.avoid) AND o.key <> ALL($3)"

/* Whom the seeker is, whom it met last, and whom it avoids: what FITTING and the order look at. */
static int add_seeker(
	struct postgres_parameters *parameters, struct postgres_array *avoid, const struct stranger_offer *seeker)
{
	int error;

	avoid_init(avoid, seeker);
	postgres_add_text(parameters, seeker->key);
	postgres_add_text(parameters, seeker->last == NULL ? "" : seeker->last);
	error = postgres_add_array(parameters, avoid);
	postgres_add_number(parameters, ENGINE_DEAD_S);
	return error;
}

/* Returns 0; or -EEXIST: somebody waits whom it would meet; or another -errno. */
static int look_for_another(struct link *link, const struct stranger_offer *offer)
{
	struct postgres_parameters parameters = {.count = 0};
	struct postgres_array avoid;
	PGresult *result = NULL;
	int error = add_seeker(&parameters, &avoid, offer);

	if (error == 0)
		error = postgres_run(link, "SELECT $2::text FROM " FITTING " LIMIT 1", &parameters, &result);
	if (error == 0 && PQntuples(result) > 0)
		error = -EEXIST;
	PQclear(result);
	postgres_array_fini(&avoid);
	return error;
}

/* Those who offer come one after the other, so that the second sees the first. */
int postgres_offer(struct link *link, const char *server, const char *id, const struct stranger_offer *offer)
{
	int error;

	if (offer->always)
		return put_offer(link, server, id, offer);
	error = postgres_script(link,
		"BEGIN; SELECT pg_advisory_xact_lock(hashtext('tcpchat strangers'), hashtext(current_schema()))", OFFER_MS);
	if (error == 0)
		error = look_for_another(link, offer);
	if (error == 0)
		error = put_offer(link, server, id, offer);
	if (error == 0)
		return postgres_script(link, "COMMIT", OFFER_MS);
	if (postgres_works(link))
		(void)!postgres_script(link, "ROLLBACK", OFFER_MS); /* if that fails the link does not work any more */
	return error;
}

/*
 * The oldest offer that fits goes to one seeker alone: of several that look at the same time, each skips those that another is about to
 * take. Whoever was met last comes after all others.
 */
static int meet(struct link *link, const struct postgres_parameters *parameters, struct room_record *record)
{
	PGresult *result;
	int error = postgres_run(link,
		"WITH met AS (DELETE FROM chat_offers d WHERE d.room = (SELECT o.room FROM " FITTING
		"  ORDER BY (o.key = $2 OR o.last = $1), o.place LIMIT 1 FOR UPDATE OF o SKIP LOCKED) RETURNING d.room)"
		" SELECT " POSTGRES_RECORD " FROM chat_rooms r JOIN met ON met.room = r.id WHERE r.forgotten IS NULL",
		parameters, &result);

	if (error == 0)
		error = PQntuples(result) == 0 ? -ENOENT : postgres_record(link, result, 0, record);
	if (error == 0)
		record->attributes.waits = false;
	PQclear(result);
	return error;
}

int postgres_meet(struct link *link, const struct stranger_offer *seeker, struct room_record *record)
{
	struct postgres_parameters parameters = {.count = 0};
	struct postgres_array avoid;
	int error = add_seeker(&parameters, &avoid, seeker);

	if (error == 0)
		error = meet(link, &parameters, record);
	postgres_array_fini(&avoid);
	return error;
}
