#include "tcpserver/journals/postgres_schema.h"

#include <errno.h>
#include <stdio.h>

#include "tcpserver/journals/postgres_link.h"


enum { BRING_MS = 10 * 60 * 1000 }; /* for an upgrade that has to look at all messages */

/*
 * Appending, in one step. Each entry has a room ('places': its index in 'ids'); the rooms' rows are locked in the order of their
 * numbers, until the commit. So numbers are dense whoever writes, and two that name the same rooms in another order do not wait for each
 * other in a circle. Who is careful has entries that were kept before found by their client and number; for who is not, they are a
 * unique violation (index 'chat_room_sent'), after which nothing was written. That costs less, since hardly any are. Two servers that keep
 * the same at the same time, in two rooms, meet in that index as well. That the caller names none twice, it sees to itself.
 *
 * Returns a row for each entry, in their order: 0 kept, 1 repeated, or a positive errno.
 */
#define APPEND \
	"CREATE FUNCTION chat_append(origin text, careful boolean, ids text[], places int8[], kinds int8[], usernames text[], messages text[]," \
	" wordss text[], clients bytea[], numbers int8[], seqs int8[], leasts int8[], ats int8[], servers text[], keys text[], new_keys text[])" \
	" RETURNS TABLE(error int8, seq int8, at int8, room text, label text) LANGUAGE plpgsql AS $$\n" \
	"#variable_conflict use_column\n" \
	"DECLARE\n" \
	"  rooms int8[]; lasts int8[]; last_ats int8[]; topics text[]; kept_rooms int8[]; kept_seqs int8[]; kept_ats int8[];\n" \
	"  errors int8[] := array_fill(0::int8, ARRAY[cardinality(places)]);\n" \
	"  fresh int8[] := errors;\n" /* the number of the room, or 0 */ \
	"  repeats boolean := false;\n" \
	"  clock int8 := 0; came int8; p int; i int;\n" \
	"BEGIN\n" \
	"  WITH locked AS MATERIALIZED (SELECT r.id, r.number, r.last, r.last_at FROM chat_rooms r" \
	"    WHERE r.id = ANY(ids) AND r.forgotten IS NULL ORDER BY r.number FOR NO KEY UPDATE)" \
	"  SELECT array_agg(l.number ORDER BY u.i), array_agg(l.last ORDER BY u.i), array_agg(l.last_at ORDER BY u.i)," \
	"    array_agg(NULL::text) INTO rooms, lasts, last_ats, topics" \
	"    FROM unnest(ids) WITH ORDINALITY u(id, i) LEFT JOIN locked l ON l.id = u.id;\n" \
	"  IF careful THEN\n" \
	"    SELECT array_agg(m.room ORDER BY u.i), array_agg(m.seq ORDER BY u.i), array_agg(m.at ORDER BY u.i)" \
	"      INTO kept_rooms, kept_seqs, kept_ats FROM unnest(clients, numbers) WITH ORDINALITY u(client, number, i)" \
	"      LEFT JOIN chat_room m ON m.client = u.client AND m.number = u.number;\n" \
	"  END IF;\n" \
	"  clock := (extract(epoch FROM clock_timestamp()) * 1000000)::int8 * 1000;\n" \
	"  FOR i IN 1 .. cardinality(places) LOOP\n" \
	"    p := places[i];\n" \
	"    IF kept_seqs[i] IS NOT NULL THEN\n" \
	"      errors[i] := 1; repeats := true; seqs[i] := kept_seqs[i]; ats[i] := kept_ats[i]; CONTINUE;\n" \
	"    ELSIF rooms[p] IS NULL THEN\n" \
	"      errors[i] := 2; CONTINUE;\n" /* ENOENT */ \
	"    ELSIF seqs[i] = 0 THEN\n" \
	"      lasts[p] := greatest(lasts[p], leasts[i]) + 1; seqs[i] := lasts[p];\n" \
	"      ats[i] := greatest(clock, last_ats[p]);\n" \
	"    ELSIF seqs[i] <= lasts[p] THEN\n" \
	"      errors[i] := 17; CONTINUE;\n" /* EEXIST */ \
	"    END IF;\n" \
	"    fresh[i] := rooms[p]; lasts[p] := seqs[i]; last_ats[p] := ats[i];\n" \
	"    CONTINUE WHEN kinds[i] < 2;\n" \
	"    IF kinds[i] = 2 THEN\n" \
	"      INSERT INTO chat_people(room, server, key, name, joined) VALUES(rooms[p], servers[i], keys[i], usernames[i], seqs[i])" \
	"        ON CONFLICT ON CONSTRAINT chat_people_place DO UPDATE SET name = excluded.name, joined = excluded.joined;\n" \
	"    ELSIF kinds[i] = 3 THEN\n" \
	"      DELETE FROM chat_people h WHERE h.room = rooms[p] AND h.server = servers[i] AND h.key = keys[i];\n" \
	"    ELSIF kinds[i] = 4 THEN\n" \
	"      DELETE FROM chat_people h WHERE h.room = rooms[p] AND h.server = servers[i] AND h.key = keys[i] RETURNING h.joined INTO came;\n" \
	"      IF FOUND THEN INSERT INTO chat_people(room, server, key, name, joined)" \
	"        VALUES(rooms[p], servers[i], new_keys[i], messages[i], came)" \
	"        ON CONFLICT ON CONSTRAINT chat_people_place DO UPDATE SET name = excluded.name, joined = excluded.joined; END IF;\n" \
	"    ELSIF kinds[i] = 5 THEN\n" \
	"      topics[p] := messages[i];\n" \
	"    END IF;\n" \
	"  END LOOP;\n" \
	"  INSERT INTO chat_room(room, seq, at, sent_at, kind, username, message, client, number, words)" \
	"    SELECT u.room, u.seq, u.at, to_timestamp(u.at / 1e9), u.kind, u.username, u.message, u.client, u.number," \
	"      CASE WHEN u.kind IN (0, 1, 5) THEN string_to_array(u.words, ' ') END" \
	"    FROM unnest(fresh, seqs, ats, kinds, usernames, messages, clients, numbers, wordss)" \
	"      u(room, seq, at, kind, username, message, client, number, words) WHERE u.room <> 0;\n" \
	"  UPDATE chat_rooms r SET last = u.last, last_at = u.last_at, topic = coalesce(u.topic, r.topic)" \
	"    FROM unnest(rooms, lasts, last_ats, topics) u(number, last, last_at, topic)" \
	"    WHERE r.number = u.number AND r.last <> u.last;\n" \
	"  PERFORM pg_notify('chat_news', origin || string_agg(rpad(u.id, 20) || lpad(to_hex(u.last), 16, '0'), '' ORDER BY u.i))" \
	"    FROM unnest(ids, rooms, lasts) WITH ORDINALITY u(id, number, last, i) WHERE u.number IS NOT NULL GROUP BY (u.i - 1) / 200;\n" \
	"  IF repeats THEN\n" \
	"    RETURN QUERY SELECT u.error, u.seq, u.at, coalesce(r.id, ''), coalesce(r.name, r.id, '')" \
	"      FROM unnest(errors, seqs, ats, kept_rooms) WITH ORDINALITY u(error, seq, at, number, i)" \
	"      LEFT JOIN chat_rooms r ON r.number = u.number ORDER BY u.i;\n" \
	"  ELSE\n" \
	"    RETURN QUERY SELECT u.error, u.seq, u.at, '', '' FROM unnest(errors, seqs, ats) u(error, seq, at);\n" \
	"  END IF;\n" \
	"END $$;"

/*
 * A name is had by one server. Who claims it gets it when nobody has it, when its server is dead, or when the same client has it, which
 * told who it is. Returns who has it now, or had it before: 'taken' says which.
 */
#define CLAIM \
	"CREATE FUNCTION chat_claim(by_server text, wanted text, as_written text, by_client bytea, silence interval)" \
	" RETURNS TABLE(taken boolean, server text, name text, client bytea) LANGUAGE plpgsql AS $$\n" \
	"#variable_conflict use_column\n" \
	"DECLARE had chat_names;\n" \
	"BEGIN\n" \
	"  LOOP\n" \
	"    INSERT INTO chat_names(key, name, server, client) VALUES(wanted, as_written, by_server, by_client) ON CONFLICT DO NOTHING;\n" \
	"    IF FOUND THEN RETURN QUERY SELECT false, '', '', by_client; RETURN; END IF;\n" \
	"    SELECT * INTO had FROM chat_names n WHERE n.key = wanted FOR UPDATE;\n" \
	"    CONTINUE WHEN NOT FOUND;\n" /* it was released meanwhile */ \
	"    IF (had.client = by_client AND by_client <> '\\x00000000000000000000000000000000') OR NOT EXISTS (SELECT FROM chat_servers s" \
	"      WHERE s.id = had.server AND NOT s.dead AND s.beat > now() - silence) THEN\n" \
	"      UPDATE chat_names n SET name = as_written, server = by_server, client = by_client WHERE n.key = wanted;\n" \
	"      UPDATE chat_servers s SET dead = true WHERE s.id = had.server AND s.beat <= now() - silence;\n" \
	"      RETURN QUERY SELECT false, had.server, had.name, had.client; RETURN;\n" \
	"    END IF;\n" \
	"    RETURN QUERY SELECT true, had.server, had.name, had.client; RETURN;\n" \
	"  END LOOP;\n" \
	"END $$;"

/*
 * The same, where each claim has a number that grows with the server: a server knows best who is there, but a claim that was on its way for
 * long does not stand above a newer one, and a release is of one claim. The older function stays for servers that have not been upgraded yet.
 */
#define CLAIM_NUMBERED \
	"ALTER TABLE chat_names ADD claim bigint NOT NULL DEFAULT 0;" \
	"CREATE FUNCTION chat_claim(by_server text, wanted text, as_written text, by_client bytea, by_claim int8, silence interval)" \
	" RETURNS TABLE(taken boolean, server text, name text, client bytea) LANGUAGE plpgsql AS $$\n" \
	"#variable_conflict use_column\n" \
	"DECLARE had chat_names; may boolean;\n" \
	"BEGIN\n" \
	"  LOOP\n" \
	"    INSERT INTO chat_names(key, name, server, client, claim) VALUES(wanted, as_written, by_server, by_client, by_claim)" \
	"      ON CONFLICT DO NOTHING;\n" \
	"    IF FOUND THEN RETURN QUERY SELECT false, '', '', by_client; RETURN; END IF;\n" \
	"    SELECT * INTO had FROM chat_names n WHERE n.key = wanted FOR UPDATE;\n" \
	"    CONTINUE WHEN NOT FOUND;\n" /* it was released meanwhile */ \
	"    IF had.server = by_server THEN\n" \
	"      may := by_claim >= had.claim;\n" \
	"    ELSE\n" \
	"      may := (had.client = by_client AND by_client <> '\\x00000000000000000000000000000000') OR NOT EXISTS (SELECT FROM chat_servers s" \
	"        WHERE s.id = had.server AND NOT s.dead AND s.beat > now() - silence);\n" \
	"    END IF;\n" \
	"    IF may THEN\n" \
	"      UPDATE chat_names n SET name = as_written, server = by_server, client = by_client, claim = by_claim WHERE n.key = wanted;\n" \
	"      UPDATE chat_servers s SET dead = true WHERE s.id = had.server AND s.beat <= now() - silence;\n" \
	"    END IF;\n" \
	"    RETURN QUERY SELECT NOT may, had.server, had.name, had.client; RETURN;\n" \
	"  END LOOP;\n" \
	"END $$;"

/* What was forgotten goes bit by bit, so that nobody waits for it. */
#define CLEAR \
	"CREATE FUNCTION chat_clear(after interval, most int) RETURNS void LANGUAGE plpgsql AS $$\n" \
	"DECLARE old int8; gone int;\n" \
	"BEGIN\n" \
	"  SELECT r.number INTO old FROM chat_rooms r WHERE r.forgotten < now() - after ORDER BY r.forgotten LIMIT 1 FOR UPDATE SKIP LOCKED;\n" \
	"  IF NOT FOUND THEN RETURN; END IF;\n" \
	"  DELETE FROM chat_room WHERE room = old AND seq IN (SELECT m.seq FROM chat_room m WHERE m.room = old ORDER BY m.seq LIMIT most);\n" \
	"  GET DIAGNOSTICS gone = ROW_COUNT;\n" \
	"  IF gone < most THEN\n" \
	"    DELETE FROM chat_people WHERE room = old;\n" \
	"    DELETE FROM chat_marks WHERE room = old;\n" \
	"    DELETE FROM chat_rooms WHERE number = old;\n" \
	"  END IF;\n" \
	"END $$;"

/* A server goes, or was cleared away as dead. */
#define RETIRE \
	"CREATE FUNCTION chat_retire(gone text) RETURNS void LANGUAGE sql AS $$\n" \
	"  DELETE FROM chat_names WHERE server = gone;\n" \
	"  DELETE FROM chat_people WHERE server = gone;\n" \
	"  DELETE FROM chat_offers WHERE server = gone;\n" \
	"  UPDATE chat_rooms SET forgotten = now() WHERE id = gone AND forgotten IS NULL;\n" \
	"  DELETE FROM chat_places WHERE server = gone;\n" \
	"  DELETE FROM chat_servers WHERE id = gone;\n" \
	"$$;"

/*
 * A room that is empty on one server is forgotten if nobody is there on any, and it has no name, or nothing was said there. The row is
 * locked first, as chat_append() does, and then another statement looks, so that it sees who came in while this waited.
 */
#define FORGET_UNUSED \
	"CREATE FUNCTION chat_forget_unused(wanted text) RETURNS void LANGUAGE plpgsql AS $$\n" \
	"DECLARE place int8; called text;\n" \
	"BEGIN\n" \
	"  SELECT r.number, r.key INTO place, called FROM chat_rooms r WHERE r.id = wanted AND r.forgotten IS NULL FOR UPDATE;\n" \
	"  IF NOT FOUND OR EXISTS (SELECT FROM chat_people h WHERE h.room = place)" \
	"    OR (called IS NOT NULL AND EXISTS (SELECT FROM chat_room m WHERE m.room = place AND m.kind IN (0, 1, 5))) THEN RETURN; END IF;\n" \
	"  UPDATE chat_rooms SET forgotten = now() WHERE number = place;\n" \
	"  DELETE FROM chat_offers WHERE chat_offers.room = wanted;\n" \
	"END $$;"

/* Mailboxes are read and trimmed: what was said to somebody goes at once, and its number a while later, as it may be sent once more. */
#define CLEAR_TRIMMED \
	"CREATE FUNCTION chat_clear_trimmed(after interval, most int) RETURNS void LANGUAGE sql AS $$\n" \
	"  DELETE FROM chat_room WHERE (room, seq) IN (SELECT m.room, m.seq FROM chat_room m WHERE m.room < 0 AND m.sent_at < now() - after" \
	"    LIMIT most FOR UPDATE SKIP LOCKED);\n" \
	"$$;"

/*
 * Rooms that people have left because their server ended, so that nobody forgets them when they are empty: from 'due' on they are looked at.
 * Who is in one when that is so will leave it, and is noted again if that happens in the same way. A room that somebody writes to is looked at
 * the next time, so that nobody waits.
 */
#define LEFT \
	"CREATE TABLE chat_left(room bigint PRIMARY KEY, due timestamptz NOT NULL);" \
	"CREATE INDEX chat_left_due ON chat_left(due);" \
	"CREATE FUNCTION chat_forget_left(most int) RETURNS void LANGUAGE plpgsql AS $$\n" \
	"DECLARE place int8; whose text; called text; kinds int8;\n" \
	"BEGIN\n" \
	"  FOR place IN SELECT l.room FROM chat_left l WHERE l.due <= now() ORDER BY l.due LIMIT most FOR UPDATE SKIP LOCKED LOOP\n" \
	"    SELECT r.id, r.key, r.flags INTO whose, called, kinds FROM chat_rooms r WHERE r.number = place AND r.forgotten IS NULL" \
	"      FOR UPDATE SKIP LOCKED;\n" \
	"    CONTINUE WHEN NOT FOUND AND EXISTS (SELECT FROM chat_rooms r WHERE r.number = place AND r.forgotten IS NULL);\n" \
	"    DELETE FROM chat_left l WHERE l.room = place;\n" \
	"    IF kinds & 2 = 0 AND NOT EXISTS (SELECT FROM chat_people h WHERE h.room = place) AND (kinds & 4 <> 0 OR called IS NULL" \
	"      OR NOT EXISTS (SELECT FROM chat_room m WHERE m.room = place AND m.kind IN (0, 1, 5))) THEN\n" \
	"      UPDATE chat_rooms SET forgotten = now() WHERE number = place;\n" \
	"      DELETE FROM chat_offers o WHERE o.room = whose;\n" \
	"    END IF;\n" \
	"  END LOOP;\n" \
	"END $$;" \
	"CREATE OR REPLACE FUNCTION chat_retire(gone text) RETURNS void LANGUAGE sql AS $$\n" \
	"  DELETE FROM chat_names WHERE server = gone;\n" \
	"  INSERT INTO chat_left(room, due) SELECT DISTINCT h.room, now() + interval '1 day' FROM chat_people h JOIN chat_rooms r" \
	"    ON r.number = h.room AND r.forgotten IS NULL AND r.flags & 2 = 0 WHERE h.server = gone ORDER BY h.room" \
	"    ON CONFLICT (room) DO UPDATE SET due = excluded.due;\n" \
	"  DELETE FROM chat_people WHERE server = gone;\n" \
	"  DELETE FROM chat_offers WHERE server = gone;\n" \
	"  UPDATE chat_rooms SET forgotten = now() WHERE id = gone AND forgotten IS NULL;\n" \
	"  DELETE FROM chat_places WHERE server = gone;\n" \
	"  DELETE FROM chat_servers WHERE id = gone;\n" \
	"$$;"

/*
 * What brings the schema from each version to the next; those that were released are never changed. A table chat_room that Go-Chat's
 * message-api has made is kept under another name.
 */
static const char *const steps[] = {
	"DO $$ BEGIN IF to_regclass('chat_room') IS NOT NULL THEN ALTER TABLE chat_room RENAME TO chat_room_before; END IF; END $$;"
	"CREATE TABLE chat_rooms(number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text COLLATE \"C\" NOT NULL,"
	" name text, key text, creator text NOT NULL, creator_id bytea NOT NULL, topic text NOT NULL, created bigint NOT NULL,"
	" capacity bigint NOT NULL, flags bigint NOT NULL, last bigint NOT NULL DEFAULT 0, last_at bigint NOT NULL DEFAULT 0,"
	" forgotten timestamptz) WITH (fillfactor = 50);"
	"CREATE UNIQUE INDEX chat_rooms_id ON chat_rooms(id) WHERE forgotten IS NULL;"
	"CREATE UNIQUE INDEX chat_rooms_key ON chat_rooms(key) WHERE forgotten IS NULL;"
	"CREATE INDEX chat_rooms_number ON chat_rooms(id, number);"
	"CREATE INDEX chat_rooms_forgotten ON chat_rooms(forgotten) WHERE forgotten IS NOT NULL;"
	"CREATE TABLE chat_room(room bigint, seq bigint, at bigint NOT NULL, number bigint NOT NULL, sent_at timestamptz NOT NULL,"
	" kind smallint NOT NULL, client bytea NOT NULL, username text NOT NULL, message text NOT NULL, words text[],"
	" CONSTRAINT chat_room_place PRIMARY KEY(room, seq), CONSTRAINT chat_room_sent UNIQUE(client, number));"
	"CREATE INDEX chat_room_at ON chat_room(at);"
	"CREATE INDEX chat_room_words ON chat_room USING gin(words) WHERE words IS NOT NULL;"
	"CREATE TABLE chat_servers(id text COLLATE \"C\" PRIMARY KEY, beat timestamptz NOT NULL, dead boolean NOT NULL DEFAULT false);"
	"CREATE TABLE chat_places(place text COLLATE \"C\" PRIMARY KEY, server text COLLATE \"C\" NOT NULL);"
	"CREATE TABLE chat_names(key text COLLATE \"C\" PRIMARY KEY, name text NOT NULL, server text NOT NULL, client bytea NOT NULL);"
	"CREATE INDEX chat_names_server ON chat_names(server);"
	"CREATE TABLE chat_people(room bigint, server text COLLATE \"C\", key text COLLATE \"C\", name text NOT NULL,"
	" joined bigint NOT NULL, CONSTRAINT chat_people_place PRIMARY KEY(room, key, server));"
	"CREATE INDEX chat_people_server ON chat_people(server);"
	"CREATE TABLE chat_offers(room text COLLATE \"C\" PRIMARY KEY, place bigint GENERATED ALWAYS AS IDENTITY, server text NOT NULL,"
	" key text COLLATE \"C\" NOT NULL, last text COLLATE \"C\" NOT NULL, avoid text[] NOT NULL);"
	"CREATE TABLE chat_marks(room bigint, key text COLLATE \"C\", seq bigint NOT NULL, PRIMARY KEY(room, key));"
	APPEND CLAIM CLEAR RETIRE,
	CLAIM_NUMBERED FORGET_UNUSED CLEAR_TRIMMED LEFT,
};

enum { VERSION = sizeof steps / sizeof *steps };

/* Reads the version of the schema, 0 if there is none. */
static int schema_version(struct link *link, int64_t *version)
{
	PGresult *result;
	int error = postgres_run(link, "SELECT to_regclass('chat_schema') IS NOT NULL", NULL, &result);
	bool found = error == 0 && postgres_bool(result, 0, 0);

	*version = 0;
	PQclear(result);
	if (!found)
		return error;
	error = postgres_run(link, "SELECT max(version) FROM chat_schema", NULL, &result);
	if (error == 0)
		*version = postgres_number(result, 0, 0);
	PQclear(result);
	if (error != 0 || *version <= VERSION)
		return error;
	(void)snprintf(link->fault, sizeof link->fault,
		"a newer tcpserver has made the tables of this database (version %lld, this server knows %d); use that one, or another "
		"database",
		(long long)*version, (int)VERSION);
	return -EINVAL;
}

static int schema_step(struct link *link, int64_t version)
{
	char sql[120];
	int error = postgres_script(link, steps[version], BRING_MS);

	(void)snprintf(sql, sizeof sql, "INSERT INTO chat_schema(version) VALUES(%lld)", (long long)version + 1);
	return error != 0 ? error : postgres_script(link, sql, BRING_MS);
}

/* Within a transaction. The lock is this database's and schema's: who waits for it finds nothing left to do. */
static int schema_upgrade(struct link *link)
{
	int64_t version = 0;
	int error = postgres_script(link,
		"SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(hashtext('tcpchat'), hashtext(current_schema()));"
		"CREATE TABLE IF NOT EXISTS chat_schema(version bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())",
		BRING_MS);

	if (error == 0)
		error = schema_version(link, &version);
	while (error == 0 && version < VERSION)
		error = schema_step(link, version++);
	return error;
}

int postgres_schema_bring(struct link *link)
{
	int64_t version;
	int error = schema_version(link, &version);

	if (error != 0 || version == VERSION)
		return error;
	error = postgres_script(link, "BEGIN", BRING_MS);
	if (error == 0)
		error = schema_upgrade(link);
	if (error == 0)
		return postgres_script(link, "COMMIT", BRING_MS);
	if (postgres_works(link)) {
		char fault[ENGINE_FAULT_SIZE];

		(void)snprintf(fault, sizeof fault, "%s", link->fault);
		if (postgres_script(link, "ROLLBACK", BRING_MS) == 0)
			(void)snprintf(link->fault, sizeof link->fault, "%s", fault);
	}
	return error;
}
