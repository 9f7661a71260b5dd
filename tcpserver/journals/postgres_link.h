/*
 * A connection to PostgreSQL that never waits for longer than it should, and what is sent and received by it.
 *
 * All values travel in PostgreSQL's binary form, as parameters: nothing that people typed is ever part of a statement.
 *
 * Threads: one at a time uses a link; the engine is constant.
 */
#ifndef TCPSERVER_JOURNALS_POSTGRES_LINK_H
#define TCPSERVER_JOURNALS_POSTGRES_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/sync.h"
#include "tcpserver/journals/engine.h"

enum {
	POSTGRES_ORIGIN_SIZE = 17,  /* 16 hex digits and a NUL */
	POSTGRES_PARAMETERS = 17,   /* of a statement, at most */
	POSTGRES_SEARCH_MS = 2000,  /* that a search may take  */
	POSTGRES_CAREFUL = 50,      /* groups, after somebody has sent something again */
};

struct postgres_engine {
	struct engine engine;
	char *url;
	char *password; /* or NULL                                              */
	char *secret;   /* the password of the URL, so that no fault has it; or NULL */
	char origin[POSTGRES_ORIGIN_SIZE]; /* by which it knows its own notices    */
};

struct link {
	const struct postgres_engine *engine;
	PGconn *connection;
	enum link_use use;
	bool broken;
	char fault[ENGINE_FAULT_SIZE];
	int careful; /* of a LINK_WRITES: groups that are looked through for what was kept before; the others are hoped to be new */
	bool lock_was_held;        /* the last error was that somebody else had a lock for too long             */
	long long waits_since_ms;  /* groups are tried again since then because of that; 0: they are not       */
	/* Of a LINK_NEWS: the notice that is being read; NULL: none. */
	PGnotify *notice;
	const char *notice_rest;
};

struct link *postgres_connect(struct engine *engine, enum link_use use, char fault[ENGINE_FAULT_SIZE]);
void postgres_disconnect(struct link *link);
bool postgres_works(const struct link *link);
const char *postgres_fault(const struct link *link);
void postgres_describe(struct link *link, char *words, size_t size);

/* ---- Parameters. ---- */

struct postgres_parameters {
	int count;
	Oid types[POSTGRES_PARAMETERS];
	const char *values[POSTGRES_PARAMETERS]; /* borrowed, or in 'numbers'; NULL: NULL */
	int sizes[POSTGRES_PARAMETERS];
	int formats[POSTGRES_PARAMETERS];
	unsigned char numbers[POSTGRES_PARAMETERS][8];
};

void postgres_add_text(struct postgres_parameters *parameters, const char *text); /* NULL: NULL */
void postgres_add_number(struct postgres_parameters *parameters, int64_t number);
void postgres_add_bool(struct postgres_parameters *parameters, bool value);
void postgres_add_bytes(struct postgres_parameters *parameters, const void *bytes, size_t size);

/* An array that grows; an error is kept until it is added. */
struct postgres_array {
	Oid element;
	unsigned char *bytes;
	size_t size;
	size_t capacity;
	uint32_t count;
	bool failed; /* no memory */
};

/* 'element': one of the types below. */
void postgres_array_init(struct postgres_array *array, Oid element);
void postgres_array_fini(struct postgres_array *array);
void postgres_array_bytes(struct postgres_array *array, const void *bytes, size_t size);
void postgres_array_text(struct postgres_array *array, const char *text);
void postgres_array_number(struct postgres_array *array, int64_t number);
/* The array is borrowed and does not change any more. Returns 0, or -ENOMEM if there was no memory for it. */
int postgres_add_array(struct postgres_parameters *parameters, struct postgres_array *array) MUST_CHECK;

#define POSTGRES_BOOL ((Oid)16)
#define POSTGRES_BYTES ((Oid)17)
#define POSTGRES_NUMBER ((Oid)20)
#define POSTGRES_TEXT ((Oid)25)

/* ---- Statements. ---- */

/*
 * Runs one statement. '*result' is the caller's, to be cleared; NULL after an error. Returns 0; -EAGAIN when somebody else was in
 * the way; -ETIMEDOUT when the database gave it up; another -errno. After an error postgres_fault() has words on it. 'parameters'
 * may be NULL.
 */
int postgres_run(struct link *link, const char *sql, const struct postgres_parameters *parameters, PGresult **result) MUST_CHECK;
/* The same, without a result that matters. */
int postgres_do(struct link *link, const char *sql, const struct postgres_parameters *parameters) MUST_CHECK;
/* Several statements without parameters, one after the other; 'patience_ms' for all. */
int postgres_script(struct link *link, const char *sql, int patience_ms) MUST_CHECK;

/* What the database sent is not what it should be. Returns -EUCLEAN. */
int postgres_wrong(struct link *link, const char *what);

/* ---- Results: row and column as libpq counts. What has not the size that it should have is 0. ---- */

bool postgres_is_null(const PGresult *result, int row, int column);
int64_t postgres_number(const PGresult *result, int row, int column);
bool postgres_bool(const PGresult *result, int row, int column);
/* The bytes of a value; ended by NUL besides. */
const char *postgres_bytes(const PGresult *result, int row, int column, size_t *size);
/* Copies a text of less than 'size' bytes. Returns whether it is one, and clean. */
bool postgres_copy(const PGresult *result, int row, int column, char *text, size_t size) MUST_CHECK;

#endif
