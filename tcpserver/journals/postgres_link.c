#include "tcpserver/journals/postgres_link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/journals/postgres_schema.h"

enum {
	/* The database gives a statement up first, so that the connection is still good. */
	STATEMENT_MS = ENGINE_TIMEOUT_S * 1000,
	ANSWER_MS = STATEMENT_MS + 1000,
};

/* ---- Faults. ---- */

/* Writes stars over a password, wherever the text has it. */
static void hide(char *text, const char *secret)
{
	size_t size = secret == NULL ? 0 : strlen(secret);

	if (size == 0)
		return;
	for (char *at = strstr(text, secret); at != NULL; at = strstr(at + size, secret))
		(void)memset(at, '*', size);
}

/* What libpq says, in one line. */
static void fault_of(const struct postgres_engine *engine, const char *said, char fault[ENGINE_FAULT_SIZE])
{
	char *whole = strdup(said);
	size_t length;

	if (whole == NULL) {
		(void)snprintf(fault, ENGINE_FAULT_SIZE, "%s", strerror(ENOMEM));
		return;
	}
	hide(whole, engine->password); /* before it is cut */
	hide(whole, engine->secret);
	for (char *at = whole; (at = strpbrk(at, "\n\t")) != NULL; at++)
		*at = at[1] == '\0' ? '\0' : ' ';
	(void)snprintf(fault, ENGINE_FAULT_SIZE, "%s", whole);
	free(whole);
	length = strlen(fault);
	while (length > 0 && (fault[length - 1] == ' ' || (fault[length - 1] & 0xC0) == 0x80 || (unsigned char)fault[length - 1] >= 0xC0))
		fault[--length] = '\0'; /* no half of a character */
}

static void link_note(struct link *link, const char *said)
{
	fault_of(link->engine, said, link->fault);
}

static int link_break(struct link *link, const char *said, int error)
{
	link->broken = true;
	link_note(link, said);
	return error;
}

const char *postgres_fault(const struct link *link)
{
	return link->fault;
}

bool postgres_works(const struct link *link)
{
	return !link->broken;
}

int postgres_wrong(struct link *link, const char *what)
{
	(void)snprintf(link->fault, sizeof link->fault, "the database has %s that cannot be; was it changed by hand?", what);
	return -EUCLEAN;
}

/* ---- Waiting. ---- */

/* Sends what waits to be sent, and waits until a result is there, or 'end_ms'. Returns 0 or -errno. */
static int link_wait(struct link *link, long long end_ms)
{
	PGconn *connection = link->connection;

	for (;;) {
		int unsent = PQflush(connection);
		struct pollfd descriptor = {.fd = PQsocket(connection), .events = POLLIN};
		long long left_ms = end_ms - clock_ms();
		int ready;

		if (unsent < 0)
			return link_break(link, PQerrorMessage(connection), -ENOTCONN);
		if (unsent == 0 && !PQisBusy(connection))
			return 0;
		if (left_ms <= 0)
			return link_break(link, "the database does not answer", -ETIMEDOUT);
		if (unsent > 0)
			descriptor.events |= POLLOUT;
		ready = poll(&descriptor, 1, (int)left_ms);
		if (ready < 0 && errno != EINTR)
			return link_break(link, strerror(errno), -errno);
		if (ready > 0 && !PQconsumeInput(connection))
			return link_break(link, PQerrorMessage(connection), -ENOTCONN);
	}
}

/* ---- What went wrong. ---- */

/*
 * Errors by their code, whose first two letters are a class (PostgreSQL, appendix A). Those that 'breaks' have to do with this server
 * of the database and not with the statement: it stops, or it is one that may not be written to since another took over.
 */
static const struct {
	const char *code;
	int error;
	bool breaks;
} codes[] = {
	{"40", EAGAIN, false},     /* a deadlock, or somebody else was faster */
	{"55P03", EAGAIN, false},  /* somebody else has a lock */
	{"23505", EAGAIN, false},  /* somebody else was faster */
	{"57014", ETIMEDOUT, false},
	{"53100", ENOSPC, false},
	{"53200", ENOMEM, false},
	{"53", EBUSY, false},
	{"08", ENOTCONN, true},
	{"57P", ENOTCONN, true},
	{"25006", EROFS, true},
	{"42P01", EUCLEAN, true},  /* a table is gone: the next link looks after the schema */
	{"42883", EUCLEAN, true},  /* as is a function */
	{"XX", EUCLEAN, false},
};

static int link_refused(struct link *link, const PGresult *result)
{
	const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	int error = EIO;

	link_note(link, words != NULL ? words : PQresultErrorMessage(result));
	link->lock_was_held = code != NULL && strcmp(code, "55P03") == 0;
	if (PQstatus(link->connection) != CONNECTION_OK)
		return link_break(link, PQresultErrorMessage(result), -ENOTCONN);
	for (size_t i = 0; code != NULL && i < sizeof codes / sizeof *codes; i++) {
		if (strncmp(code, codes[i].code, strlen(codes[i].code)) != 0)
			continue;
		error = codes[i].error;
		link->broken = codes[i].breaks;
		break;
	}
	return -error;
}

/* Takes all results of what was sent; '*result' is the last good one. */
static int link_take(struct link *link, long long end_ms, PGresult **result)
{
	int error = 0;
	PGresult *next;

	*result = NULL;
	for (;;) {
		int waited = link_wait(link, end_ms);
		ExecStatusType status;

		if (waited != 0) {
			PQclear(*result);
			*result = NULL;
			return waited;
		}
		next = PQgetResult(link->connection);
		if (next == NULL)
			break;
		status = PQresultStatus(next);
		PQclear(*result);
		*result = next;
		if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && error == 0)
			error = link_refused(link, next);
	}
	if (error == 0 && *result == NULL)
		error = link_break(link, PQerrorMessage(link->connection), -ENOTCONN);
	if (error != 0) {
		PQclear(*result);
		*result = NULL;
	}
	return error;
}

/* ---- Statements. ---- */

int postgres_run(struct link *link, const char *sql, const struct postgres_parameters *parameters, PGresult **result)
{
	static const struct postgres_parameters none;
	const struct postgres_parameters *with = parameters == NULL ? &none : parameters;

	*result = NULL;
	if (link->broken)
		return -ENOTCONN;
	if (!PQsendQueryParams(link->connection, sql, with->count, with->types, with->values, with->sizes, with->formats, 1))
		return link_break(link, PQerrorMessage(link->connection), -ENOTCONN);
	return link_take(link, clock_ms() + ANSWER_MS, result);
}

int postgres_do(struct link *link, const char *sql, const struct postgres_parameters *parameters)
{
	PGresult *result;
	int error = postgres_run(link, sql, parameters, &result);

	PQclear(result);
	return error;
}

int postgres_script(struct link *link, const char *sql, int patience_ms)
{
	PGresult *result;
	int error;

	if (link->broken)
		return -ENOTCONN;
	if (!PQsendQuery(link->connection, sql))
		return link_break(link, PQerrorMessage(link->connection), -ENOTCONN);
	error = link_take(link, clock_ms() + patience_ms, &result);
	PQclear(result);
	return error;
}

/* ---- Connecting. ---- */

static void ignore_notice(void *context, const PGresult *result)
{
	(void)context;
	(void)result;
}

/* What stands behind the URL stands above it. A peer that is silent is given up by the system, too, and not by us alone. */
static PGconn *link_dial(const struct postgres_engine *engine)
{
	static const char seconds[] = {'0' + ENGINE_TIMEOUT_S, '\0'};
	const char *keywords[] = {"fallback_application_name", "connect_timeout", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "tcp_user_timeout", "dbname", "client_encoding", "target_session_attrs",
		engine->password == NULL ? NULL : "password", NULL};
	const char *values[] = {"tcpserver", seconds, seconds, "2", "2", "10000", engine->url, "UTF8", "read-write",
		engine->password, NULL};

	return PQconnectdbParams(keywords, values, 1);
}

static int link_check_encoding(struct link *link)
{
	const char *encoding = PQparameterStatus(link->connection, "server_encoding");

	if (encoding != NULL && strcmp(encoding, "UTF8") == 0)
		return 0;
	(void)snprintf(link->fault, sizeof link->fault,
		"the encoding of the database is %s, and has to be UTF8; make one with CREATE DATABASE chat ENCODING 'UTF8' "
		"TEMPLATE template0",
		encoding == NULL ? "not known" : encoding);
	return -EINVAL;
}

/* What was said is not to be lost, whatever the settings of the database and the role say; stricter ones stay. */
static int link_prepare(struct link *link)
{
	char sql[512];
	int error;

	(void)snprintf(sql, sizeof sql,
		"SET statement_timeout = %d; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = %d; "
		"SET standard_conforming_strings = on; SET default_transaction_isolation = 'read committed'; SET jit = off; "
		"SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')",
		STATEMENT_MS, STATEMENT_MS);
	error = postgres_script(link, sql, ANSWER_MS);
	if (error == 0 && link->use == LINK_WRITES)
		error = postgres_schema_bring(link);
	if (error == 0 && link->use == LINK_NEWS)
		error = postgres_script(link, "LISTEN chat_news", ANSWER_MS);
	return error;
}

struct link *postgres_connect(struct engine *base, enum link_use use, char fault[ENGINE_FAULT_SIZE])
{
	const struct postgres_engine *engine = (const struct postgres_engine *)base;
	struct link *link = calloc(1, sizeof *link);

	if (link == NULL) {
		(void)snprintf(fault, ENGINE_FAULT_SIZE, "%s", strerror(ENOMEM));
		return NULL;
	}
	link->engine = engine;
	link->use = use;
	link->careful = POSTGRES_CAREFUL; /* who comes back may have written before */
	link->connection = link_dial(engine);
	if (PQstatus(link->connection) != CONNECTION_OK) {
		fault_of(engine, link->connection == NULL ? strerror(ENOMEM) : PQerrorMessage(link->connection), fault);
		postgres_disconnect(link);
		return NULL;
	}
	(void)PQsetNoticeReceiver(link->connection, ignore_notice, NULL);
	if (PQsetnonblocking(link->connection, 1) == 0 && link_check_encoding(link) == 0 && link_prepare(link) == 0)
		return link;
	(void)snprintf(fault, ENGINE_FAULT_SIZE, "%s", link->fault);
	postgres_disconnect(link);
	return NULL;
}

void postgres_disconnect(struct link *link)
{
	if (link == NULL)
		return;
	PQfreemem(link->notice);
	PQfinish(link->connection);
	free(link);
}

void postgres_describe(struct link *link, char *words, size_t size)
{
	static const char sql[] =
		"SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'), "
		"current_setting('synchronous_standby_names'), current_setting('server_version')";
	PGresult *result;
	bool safe;

	if (postgres_run(link, sql, NULL, &result) != 0 || PQntuples(result) != 1) {
		(void)snprintf(words, size, "%s", link->fault);
		PQclear(result);
		return;
	}
	safe = strcmp(PQgetvalue(result, 0, 1), "on") == 0 && strcmp(PQgetvalue(result, 0, 2), "on") == 0;
	(void)snprintf(words, size, "PostgreSQL %s, synchronous_commit %s, %s%s", PQgetvalue(result, 0, 4), PQgetvalue(result, 0, 0),
		PQgetvalue(result, 0, 3)[0] == '\0' ? "no standby that has it as well" : "a standby has it as well",
		safe ? "" : "; what was kept may be lost when its machine stops: set fsync and full_page_writes on");
	PQclear(result);
}
