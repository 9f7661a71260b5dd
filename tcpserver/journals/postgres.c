#include "tcpserver/journals/postgres.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tcpserver/journals/postgres_engine.h"

static void postgres_destroy(struct engine *base)
{
	struct postgres_engine *engine = (struct postgres_engine *)base;

	free(engine->url);
	free(engine->password);
	free(engine->secret);
	free(engine);
}

static const struct engine_ops postgres_ops = {
	.name = "postgres",
	.connect = postgres_connect,
	.disconnect = postgres_disconnect,
	.works = postgres_works,
	.fault = postgres_fault,
	.describe = postgres_describe,
	.open_room = postgres_open_room,
	.forget_room = postgres_forget_room,
	.find_room = postgres_find_room,
	.list_rooms = postgres_list_rooms,
	.append = postgres_append,
	.fetch = postgres_fetch,
	.last = postgres_last,
	.descriptor = postgres_descriptor,
	.news = postgres_news,
	.trim = postgres_trim,
	.set_mark = postgres_set_mark,
	.mark = postgres_mark,
	.search = postgres_search,
	.beat = postgres_beat,
	.ghosts = postgres_ghosts,
	.succeed = postgres_succeed,
	.retire = postgres_retire,
	.claim_name = postgres_claim_name,
	.release_name = postgres_release_name,
	.find_name = postgres_find_name,
	.people = postgres_people,
	.absent = postgres_absent,
	.forget_unused = postgres_forget_unused,
	.set_waits = postgres_set_waits,
	.offer = postgres_offer,
	.meet = postgres_meet,
	.destroy = postgres_destroy,
};

/* Copies the password that the URL has. */
static int engine_find_secret(struct postgres_engine *engine, const PQconninfoOption *options)
{
	for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
		if (strcmp(option->keyword, "password") != 0 || option->val == NULL)
			continue;
		engine->secret = strdup(option->val);
		return engine->secret == NULL ? -ENOMEM : 0;
	}
	return 0;
}

/* What libpq says of a URL that it does not understand may quote all of it, the password as well: so it is not said. */
static int engine_check_url(struct postgres_engine *engine, char fault[ENGINE_FAULT_SIZE])
{
	PQconninfoOption *options = PQconninfoParse(engine->url, NULL);
	int error;

	if (options == NULL) {
		(void)snprintf(fault, ENGINE_FAULT_SIZE,
			"libpq does not understand this URL; it should be like postgres://user@host:5432/database?sslmode=verify-full, "
			"where other characters than letters, digits and -._~ in a name or password are written as %%hh");
		return -EINVAL;
	}
	error = engine_find_secret(engine, options);
	PQconninfoFree(options);
	if (error != 0)
		(void)snprintf(fault, ENGINE_FAULT_SIZE, "%s", strerror(-error));
	return error;
}

static int engine_choose_origin(struct postgres_engine *engine)
{
	uint64_t number;

	if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
		return -EIO;
	(void)snprintf(engine->origin, sizeof engine->origin, "%016llx", (unsigned long long)number);
	return 0;
}

static int engine_fill(struct postgres_engine *engine, const struct engine_options *options, char fault[ENGINE_FAULT_SIZE])
{
	engine->engine.ops = &postgres_ops;
	engine->url = strdup(options->url);
	if (options->password != NULL)
		engine->password = strdup(options->password);
	if (engine->url == NULL || (options->password != NULL && engine->password == NULL) || engine_choose_origin(engine) != 0) {
		(void)snprintf(fault, ENGINE_FAULT_SIZE, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	return engine_check_url(engine, fault);
}

int postgres_engine_create(const struct engine_options *options, struct engine **engine, char fault[ENGINE_FAULT_SIZE])
{
	struct postgres_engine *created = calloc(1, sizeof *created);
	int error;

	if (created == NULL) {
		(void)snprintf(fault, ENGINE_FAULT_SIZE, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	error = engine_fill(created, options, fault);
	if (error != 0) {
		postgres_destroy(&created->engine);
		return error;
	}
	*engine = &created->engine;
	return 0;
}
