#include "messageapi/numbers.h"

#include "tcpserver/journals/postgres_link.h"

/* A number beyond INT64_MAX is stored as a negative one; the greatest is that of the others. */
static const char sql[] =
	"SELECT m.seq, m.at, r.id, (SELECT max(h.number) FROM chat_room h WHERE h.client = u.client AND h.number > 0)"
	" FROM unnest($1, $2) WITH ORDINALITY u(client, number, i)"
	" LEFT JOIN chat_room m ON m.client = u.client AND m.number = u.number"
	" LEFT JOIN chat_rooms r ON r.number = m.room"
	" ORDER BY u.i";

static int read_number(struct link *link, const PGresult *result, int row, struct number *number)
{
	number->seq = (uint64_t)postgres_number(result, row, 0);
	number->at_ns = postgres_number(result, row, 1);
	number->highest = (uint64_t)postgres_number(result, row, 3);
	number->room[0] = '\0';
	if (number->seq != 0 && !postgres_is_null(result, row, 2) &&
		!postgres_copy(result, row, 2, number->room, sizeof number->room))
		return postgres_wrong(link, "a room's id");
	return 0;
}

static int run(struct link *link, struct number *numbers, size_t count, struct postgres_array *clients,
	struct postgres_array *of_clients)
{
	struct postgres_parameters parameters = {.count = 0};
	PGresult *result = NULL;
	int error;

	for (size_t i = 0; i < count; i++) {
		postgres_array_bytes(clients, numbers[i].client, CLIENT_ID_SIZE);
		postgres_array_number(of_clients, (int64_t)numbers[i].number);
	}
	error = postgres_add_array(&parameters, clients);
	if (error == 0)
		error = postgres_add_array(&parameters, of_clients);
	if (error == 0)
		error = postgres_run(link, sql, &parameters, &result);
	if (error == 0 && PQntuples(result) != (int)count)
		error = postgres_wrong(link, "an answer");
	for (size_t i = 0; error == 0 && i < count; i++)
		error = read_number(link, result, (int)i, &numbers[i]);
	PQclear(result);
	return error;
}

int numbers_find(struct link *link, struct number *numbers, size_t count)
{
	struct postgres_array clients;
	struct postgres_array of_clients;
	int error;

	postgres_array_init(&clients, POSTGRES_BYTES);
	postgres_array_init(&of_clients, POSTGRES_NUMBER);
	error = run(link, numbers, count, &clients, &of_clients);
	postgres_array_fini(&clients);
	postgres_array_fini(&of_clients);
	return error;
}
