#include "tcpserver/journals/postgres_engine.h"

int postgres_set_mark(struct link *link, const char *id, const char *key, uint64_t seq)
{
	struct postgres_parameters parameters = {.count = 0};

	postgres_add_text(&parameters, id);
	postgres_add_text(&parameters, key);
	postgres_add_number(&parameters, (int64_t)seq);
	return postgres_do(link,
		"INSERT INTO chat_marks(room, key, seq) SELECT r.number, $2, $3 FROM chat_rooms r WHERE r.id = $1 AND r.forgotten IS NULL"
		" ON CONFLICT (room, key) DO UPDATE SET seq = excluded.seq WHERE chat_marks.seq < excluded.seq",
		&parameters);
}

int postgres_mark(struct link *link, const char *id, const char *key, uint64_t *seq)
{
	struct postgres_parameters parameters = {.count = 0};
	PGresult *result;
	int error;

	postgres_add_text(&parameters, id);
	postgres_add_text(&parameters, key);
	error = postgres_run(link,
		"SELECT m.seq FROM chat_marks m JOIN chat_rooms r ON r.number = m.room WHERE r.id = $1 AND r.forgotten IS NULL AND m.key = $2",
		&parameters, &result);
	if (error == 0)
		*seq = PQntuples(result) == 0 ? 0 : (uint64_t)postgres_number(result, 0, 0);
	PQclear(result);
	return error;
}
