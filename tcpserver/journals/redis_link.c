#include "tcpserver/journals/redis_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	READ_SIZE = 16 * 1024,
	ANSWER_MOST = 256 * 1024 * 1024, /* bytes of one answer: more than that is no answer to us */
	ELEMENTS_MOST = 1024 * 1024,     /* of one array; memory is taken for them before they come   */
	KNOWN_S = 24 * 60 * 60,          /* for which it is known that a room was forgotten */
	SCHEMA = 1,
};

#if HIREDIS_MAJOR >= 1
typedef size_t array_count;
#else
typedef int array_count;
#endif

/* ---- What goes wrong. ---- */

int redis_link_break(struct link *link, int error, const char *why)
{
	link->broken = true;
	link->error = error;
	(void)snprintf(link->fault, sizeof link->fault, "Redis: %s", why);
	return error;
}

int redis_link_distrust(struct link *link, redisReply *reply)
{
	freeReplyObject(reply);
	return redis_link_break(link, -EBADMSG, "its answer makes no sense");
}

/* Redis refuses to run a script before that does anything, for these reasons; with all others, it may have begun. */
static int link_refusal(const char *words)
{
	static const struct {
		const char *words; /* which older ones put after where in the script it was */
		int error;
	} refusals[] = {
		{"OOM command not allowed", -ENOSPC}, /* maxmemory, and nothing may be thrown away */
		{"MISCONF ", -EIO},                   /* it cannot write to its disk               */
		{"NOREPLICAS ", -EIO},                /* min-replicas-to-write                     */
		{"NOSCRIPT ", -ENOEXEC},
	};

	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		if (strstr(words, refusals[i].words) != NULL)
			return refusals[i].error;
	}
	return 0;
}

/* The words are Redis's: they may hold anything. */
static void link_note(struct link *link, const char *words)
{
	size_t length;

	(void)snprintf(link->fault, sizeof link->fault, "Redis: %.300s", words);
	length = strlen(link->fault);
	for (size_t i = 0; i < length; i++) {
		if (link->fault[i] < ' ' || link->fault[i] > '~')
			link->fault[i] = '?';
	}
}

static redisReply *link_refused(struct link *link, redisReply *reply)
{
	link_note(link, reply->str == NULL ? "" : reply->str);
	link->error = link_refusal(reply->str == NULL ? "" : reply->str);
	freeReplyObject(reply);
	link->broken = link->error == 0 && link->runs_script;
	if (link->error == 0)
		link->error = -EIO;
	return NULL;
}

bool redis_link_works(const struct link *link)
{
	return !link->broken;
}

const char *redis_link_fault(const struct link *link)
{
	return link->fault;
}

/* ---- Answers. ---- */

static void *link_create_array(const redisReadTask *task, array_count count)
{
	const struct link *link = task->privdata;

	return count > ELEMENTS_MOST ? NULL : link->usual->createArray(task, count);
}

bool redis_link_start_reader(struct link *link)
{
	link->reader = redisReaderCreate();
	if (link->reader == NULL)
		return false;
	link->usual = link->reader->fn;
	link->functions = *link->usual;
	link->functions.createArray = link_create_array;
	link->reader->fn = &link->functions;
	link->reader->privdata = link;
	return true;
}

static redisReply *link_read(struct link *link)
{
	void *reply = NULL;

	if (redisReaderGetReply(link->reader, &reply) != REDIS_OK)
		(void)redis_link_break(link, -EBADMSG, "it does not speak as Redis does");
	if (reply != NULL)
		link->unread = 0;
	return reply;
}

/* Gives the reader what came until then. Returns whether something did. */
static bool link_feed(struct link *link, long long deadline_ms)
{
	char bytes[READ_SIZE];
	ssize_t received = redis_wire_receive(&link->wire, bytes, sizeof bytes, deadline_ms);

	if (received == -EAGAIN)
		return false;
	if (received < 0) {
		(void)redis_link_break(link, (int)received, received == -ECONNRESET ? "the connection has ended" : strerrordesc_np((int)-received));
		return false;
	}
	link->unread += (size_t)received;
	if (link->unread > ANSWER_MOST || redisReaderFeed(link->reader, bytes, (size_t)received) != REDIS_OK)
		(void)redis_link_break(link, -EBADMSG, "an answer is too long");
	return !link->broken;
}

static redisReply *link_wait(struct link *link)
{
	long long deadline_ms = clock_ms() + ENGINE_TIMEOUT_S * 1000LL;
	redisReply *reply;

	while ((reply = link_read(link)) == NULL && !link->broken) {
		if (!link_feed(link, deadline_ms) && !link->broken)
			(void)redis_link_break(link, -ETIMEDOUT, "it does not answer");
	}
	return reply;
}

redisReply *redis_link_hear(struct link *link)
{
	redisReply *reply = NULL;

	while (!link->broken && (reply = link_read(link)) == NULL && !link->broken && link_feed(link, 0))
		;
	return reply;
}

/* ---- Commands. ---- */

static int link_send(struct link *link, const struct redis_command *command)
{
	long long deadline_ms = clock_ms() + ENGINE_TIMEOUT_S * 1000LL;
	char head[24];
	int head_size = snprintf(head, sizeof head, "*%zu\r\n", command->words);
	int error = redis_wire_send(&link->wire, head, (size_t)head_size, deadline_ms);

	if (error == 0)
		error = redis_wire_send(&link->wire, command->bytes, command->size, deadline_ms);
	return error == 0 ? 0 : redis_link_break(link, error, strerrordesc_np(-error));
}

/* Leaves the command as it is. */
static redisReply *link_ask(struct link *link, const struct redis_command *command)
{
	redisReply *reply;

	if (link->broken)
		return NULL; /* with the error that broke it */
	link->error = 0;
	if (command->lacks_memory) {
		link->error = -ENOMEM;
		return NULL;
	}
	if (link_send(link, command) != 0)
		return NULL;
	reply = link_wait(link);
	return reply != NULL && reply->type == REDIS_REPLY_ERROR ? link_refused(link, reply) : reply;
}

redisReply *redis_link_ask(struct link *link, struct redis_command *command)
{
	redisReply *reply = link_ask(link, command);

	redis_command_free(command);
	return reply;
}

/* ---- Scripts. ---- */

struct redis_command redis_link_script(const struct link *link)
{
	struct redis_command command = {0};

	redis_command_text(&command, "0");
	redis_command_text(&command, link->engine->url.prefix);
	redis_command_number(&command, ENGINE_DEAD_S * UINT64_C(1000000));
	redis_command_number(&command, ENGINE_FORGET_S);
	redis_command_number(&command, KNOWN_S);
	return command;
}

/* Redis is told the script, and says how it is called. */
static bool link_load(struct link *link, enum redis_script script)
{
	const struct redis_source *source = &redis_sources[script];
	struct redis_command command = {0};
	redisReply *reply;
	bool loaded;

	redis_command_text(&command, "SCRIPT");
	redis_command_text(&command, "LOAD");
	redis_command_both(&command, (const char *)redis_lua_prelude, redis_lua_prelude_size, (const char *)source->bytes, *source->size);
	reply = redis_link_ask(link, &command);
	if (reply == NULL)
		return false;
	loaded = reply->type == REDIS_REPLY_STRING && reply->len == REDIS_HASH_SIZE - 1;
	if (!loaded) {
		(void)redis_link_distrust(link, reply);
		return false;
	}
	memcpy(link->hashes[script], reply->str, REDIS_HASH_SIZE);
	freeReplyObject(reply);
	return true;
}

static redisReply *link_run_once(struct link *link, enum redis_script script, const struct redis_command *arguments)
{
	struct redis_command command = {.words = arguments->words};
	redisReply *reply;

	if (link->broken || (link->hashes[script][0] == '\0' && !link_load(link, script)))
		return NULL;
	redis_command_text(&command, "EVALSHA");
	redis_command_text(&command, link->hashes[script]);
	/* The rest follows as it is. */
	command.lacks_memory = command.lacks_memory || arguments->lacks_memory;
	if (!command.lacks_memory) {
		char *bytes = realloc(command.bytes, command.size + arguments->size);

		command.lacks_memory = bytes == NULL;
		if (bytes != NULL) {
			memcpy(bytes + command.size, arguments->bytes, arguments->size);
			command.bytes = bytes;
			command.size += arguments->size;
		}
	}
	link->runs_script = true;
	reply = link_ask(link, &command);
	link->runs_script = false;
	redis_command_free(&command);
	return reply;
}

redisReply *redis_link_run(struct link *link, enum redis_script script, struct redis_command *arguments)
{
	redisReply *reply = link_run_once(link, script, arguments);

	if (reply == NULL && !link->broken && link->error == -ENOEXEC) { /* it was restarted, or told to forget */
		link->hashes[script][0] = '\0';
		reply = link_run_once(link, script, arguments);
	}
	redis_command_free(arguments);
	return reply;
}

long long redis_link_run_number(struct link *link, enum redis_script script, struct redis_command *arguments)
{
	redisReply *reply = redis_link_run(link, script, arguments);
	long long number;

	if (reply == NULL)
		return link->error;
	if (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0)
		return redis_link_distrust(link, reply);
	number = reply->integer;
	freeReplyObject(reply);
	return number;
}

/* ---- The beginning. ---- */

static bool link_do(struct link *link, const char *verb, const char *first, const char *second)
{
	struct redis_command command = {0};
	redisReply *reply;

	redis_command_text(&command, verb);
	if (first != NULL)
		redis_command_text(&command, first);
	if (second != NULL)
		redis_command_text(&command, second);
	reply = redis_link_ask(link, &command);
	freeReplyObject(reply);
	return reply != NULL;
}

static bool link_authenticate(struct link *link)
{
	const struct redis_url *url = &link->engine->url;

	if (url->password[0] == '\0' && url->user[0] == '\0')
		return true;
	if (url->user[0] == '\0' ? link_do(link, "AUTH", url->password, NULL) : link_do(link, "AUTH", url->user, url->password))
		return true;
	/* Some say what they do not understand, in full. */
	(void)snprintf(link->fault, sizeof link->fault, "Redis: it does not accept the user and the password");
	return false;
}

/* What was put there by a later version of this program is not for this one. A replica takes nothing. */
static bool link_prepare(struct link *link)
{
	char name[REDIS_PREFIX_SIZE + 8];
	struct redis_command command = {0};
	redisReply *reply;
	bool fits;

	(void)snprintf(name, sizeof name, "%sschema", link->engine->url.prefix);
	redis_command_text(&command, "SETNX");
	redis_command_text(&command, name);
	redis_command_number(&command, SCHEMA);
	reply = redis_link_ask(link, &command);
	freeReplyObject(reply);
	if (reply == NULL)
		return false;
	redis_command_text(&command, "GET");
	redis_command_text(&command, name);
	reply = redis_link_ask(link, &command);
	fits = reply != NULL && reply->type == REDIS_REPLY_STRING && reply->len == 1 && reply->str[0] == '0' + SCHEMA;
	if (reply != NULL && !fits)
		(void)redis_link_break(link, -EPROTONOSUPPORT, "what is kept there is of another version of this server; use a newer one, or another ?prefix=");
	freeReplyObject(reply);
	return fits;
}

static bool link_subscribe(struct link *link)
{
	char name[REDIS_PREFIX_SIZE + 8];

	(void)snprintf(name, sizeof name, "%schannel", link->engine->url.prefix);
	return link_do(link, "SUBSCRIBE", name, NULL);
}

static bool link_begin(struct link *link)
{
	const char *database = link->engine->url.database;

	if (!link_authenticate(link) || (database[0] != '\0' && !link_do(link, "SELECT", database, NULL)))
		return false;
	if (link->use == LINK_NEWS)
		return link_subscribe(link);
	return link->use == LINK_WRITES ? link_prepare(link) : link_do(link, "PING", NULL, NULL);
}

struct link *redis_link_open(struct engine *engine, enum link_use use, char fault[ENGINE_FAULT_SIZE])
{
	const struct redis_engine *redis = (const struct redis_engine *)engine;
	struct link *link = calloc(1, sizeof *link);

	if (link == NULL) {
		(void)snprintf(fault, ENGINE_FAULT_SIZE, "no memory");
		return NULL;
	}
	link->engine = redis;
	link->use = use;
	if (redis_wire_open(&link->wire, &redis->url, redis->context, fault) != 0) {
		redis_link_close(link);
		return NULL;
	}
	if (redis_link_start_reader(link) && link_begin(link))
		return link;
	(void)snprintf(fault, ENGINE_FAULT_SIZE, "%s", link->reader == NULL ? "no memory" : link->fault);
	redis_link_close(link);
	return NULL;
}

void redis_link_close(struct link *link)
{
	if (link == NULL)
		return;
	freeReplyObject(link->heard);
	if (link->reader != NULL)
		redisReaderFree(link->reader);
	redis_wire_close(&link->wire);
	free(link);
}
