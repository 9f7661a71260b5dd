/*
 * One connection to a Redis: commands go there, answers come back; scripts, which Redis knows by a number or is told.
 *
 * An answer that takes longer than ENGINE_TIMEOUT_S, or makes no sense, breaks the link. That Redis refuses a command does not, where it is
 * sure that nothing was done; see link_refused().
 *
 * Threads: one at a time; the engine's fields are constant.
 */
#ifndef TCPSERVER_JOURNALS_REDIS_LINK_H
#define TCPSERVER_JOURNALS_REDIS_LINK_H

#include <hiredis/read.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>

#include "common/sync.h"
#include "tcpserver/journals/engine.h"
#include "tcpserver/journals/redis_command.h"
#include "tcpserver/journals/redis_scripts.h"
#include "tcpserver/journals/redis_url.h"
#include "tcpserver/journals/redis_wire.h"

struct redis_engine {
	struct engine engine;
	struct redis_url url;
	SSL_CTX *context; /* NULL without TLS */
};

enum { REDIS_HASH_SIZE = 41 };

struct link {
	const struct redis_engine *engine;
	enum link_use use;
	struct redis_wire wire;
	redisReader *reader;
	redisReplyObjectFunctions functions; /* its own, but for what limits them */
	const redisReplyObjectFunctions *usual;
	size_t unread; /* bytes that the reader got since it gave the last answer */
	bool broken;
	bool runs_script; /* and so, when Redis refuses, it is not known what was done */
	int error;     /* -errno of the last command; 0: it went well */
	char fault[ENGINE_FAULT_SIZE];
	char hashes[REDIS_SCRIPTS][REDIS_HASH_SIZE]; /* by which Redis knows the scripts; "": not asked yet */

	/* Of a LINK_NEWS. */
	redisReply *heard; /* what was not given out yet of the last message that came; or NULL */
	size_t heard_at;   /* where it goes on */
};

struct link *redis_link_open(struct engine *engine, enum link_use use, char fault[ENGINE_FAULT_SIZE]);
void redis_link_close(struct link *link);
/* Makes what reads answers; for a link that somebody else has made. */
bool redis_link_start_reader(struct link *link) MUST_CHECK;
bool redis_link_works(const struct link *link);
const char *redis_link_fault(const struct link *link);

/* Begins a script's command; its own arguments follow. */
struct redis_command redis_link_script(const struct link *link);

/* Sends the command and waits for the answer, which is the caller's (freeReplyObject()). NULL: link->error says why; the link may be broken.
 * The command is freed. */
redisReply *redis_link_ask(struct link *link, struct redis_command *command) MUST_CHECK;
/* The same with a script. */
redisReply *redis_link_run(struct link *link, enum redis_script script, struct redis_command *arguments) MUST_CHECK;
/* The same for scripts that answer with a number. Returns it, or -errno. */
long long redis_link_run_number(struct link *link, enum redis_script script, struct redis_command *arguments) MUST_CHECK;

/* The next answer that came without being asked for, if there is one, without waiting. NULL: there is none, or the link is broken. */
redisReply *redis_link_hear(struct link *link) MUST_CHECK;

/* The answer makes no sense: it is freed, the link is broken. Returns -EBADMSG. */
int redis_link_distrust(struct link *link, redisReply *reply);
/* It is not known what was done. Returns link->error. */
int redis_link_break(struct link *link, int error, const char *why);

#endif
