/*
 * PostgreSQL as an engine (engine.h): the truth for several servers. What is kept is kept as its settings promise; with
 * synchronous_commit on, on its disk.
 *
 * The tables begin with "chat_" and are in the first schema of the search path; the server makes them, and brings them up to
 * date. What was said is in "chat_room", with the names of columns that Go-Chat's message-api uses.
 */
#ifndef TCPSERVER_JOURNALS_POSTGRES_H
#define TCPSERVER_JOURNALS_POSTGRES_H

#include "common/sync.h"
#include "tcpserver/journals/engine.h"

/*
 * The URL is libpq's: postgres://user@host,host/database?sslmode=verify-full. A password is that of the options, else that of the URL,
 * else what libpq finds itself (PGPASSWORD, PGPASSFILE). Does not connect. Returns 0, or -errno, and 'fault' says why.
 */
int postgres_engine_create(
	const struct engine_options *options, struct engine **engine, char fault[ENGINE_FAULT_SIZE]) MUST_CHECK;

#endif
