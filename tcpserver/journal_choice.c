#include "tcpserver/journal_choice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/secret.h"
#include "tcpserver/journals/shared.h"
#ifdef TCPCHAT_AMQP
#include "tcpserver/journals/amqp.h"
#endif
#ifdef TCPCHAT_POSTGRES
#include "tcpserver/journals/postgres.h"
#endif
#ifdef TCPCHAT_REDIS
#include "tcpserver/journals/redis.h"
#endif

typedef int engine_maker(const struct engine_options *options, struct engine **engine, char fault[ENGINE_FAULT_SIZE]);

#ifndef TCPCHAT_AMQP
#define amqp_engine_create NULL
#endif
#ifndef TCPCHAT_POSTGRES
#define postgres_engine_create NULL
#endif
#ifndef TCPCHAT_REDIS
#define redis_engine_create NULL
#endif

static const struct scheme {
	const char *scheme;
	engine_maker *make; /* NULL: this server was built without it */
	bool needs_message_api;
	bool quotes; /* its library says of a URL what it takes for host and port */
} schemes[] = {
	{"postgres://", postgres_engine_create, false, true},
	{"postgresql://", postgres_engine_create, false, true},
	{"redis://", redis_engine_create, false, false},
	{"rediss://", redis_engine_create, false, false},
	{"amqp://", amqp_engine_create, true, false},
	{"amqps://", amqp_engine_create, true, false},
};

static const struct scheme *scheme_of(const char *url)
{
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
		if (strncmp(url, schemes[i].scheme, strlen(schemes[i].scheme)) == 0)
			return &schemes[i];
	}
	return NULL;
}

bool journal_is_url(const char *value)
{
	return scheme_of(value) != NULL;
}

bool journal_needs_message_api(const char *value)
{
	const struct scheme *scheme = scheme_of(value);

	return scheme != NULL && scheme->needs_message_api;
}

/* ---- Where this server is. ---- */

static bool has_own_port(const char *listen)
{
	const char *port = strrchr(listen, ':');

	return port != NULL && strtol(port + 1, NULL, 10) != 0;
}

/* What names this start of this machine. */
static bool read_boot(char *text, size_t size)
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
	bool read = file != NULL && fgets(text, (int)size, file) != NULL;

	if (file != NULL)
		(void)fclose(file); /* only read */
	text[read ? strcspn(text, "\n") : 0] = '\0';
	return read;
}

/*
 * A text that no other server can have at the same time: the machine since it was started, its network, and where in it the server
 * listens. Returns false when there is none: then a server that was killed is only missed after a while.
 */
static bool find_place(const struct journal_wish *wish, char place[ENGINE_PLACE_SIZE])
{
	char network[60];
	ssize_t size = readlink("/proc/self/ns/net", network, sizeof network - 1);
	size_t used;

	if (size <= 0 || !read_boot(place, 60))
		return false;
	network[size] = '\0';
	used = strlen(place);
	used += (size_t)snprintf(place + used, ENGINE_PLACE_SIZE - used, " %s", network);
	for (size_t i = 0; i < wish->listen_count && used < ENGINE_PLACE_SIZE; i++) {
		if (!has_own_port(wish->listen[i]))
			return false;
		used += (size_t)snprintf(place + used, ENGINE_PLACE_SIZE - used, " %s", wish->listen[i]);
	}
	return wish->listen_count > 0 && used < ENGINE_PLACE_SIZE;
}

/* ---- Opening. ---- */

static struct journal *complain(const char *fault)
{
	(void)fprintf(stderr, "tcpserver: --journal: %s\n", fault);
	return NULL;
}

struct journal *journal_open_url(const struct journal_wish *wish)
{
	const struct engine_options options = {.url = wish->url, .password = wish->password,
		.message_api = wish->message_api, .message_api_token = wish->message_api_token};
	char place[ENGINE_PLACE_SIZE];
	const struct shared_options shared = {.patience_ms = (unsigned)wish->patience_s * 1000,
		.wait_at_start = true,
		.place = find_place(wish, place) ? place : NULL};
	const struct scheme *scheme = scheme_of(wish->url);
	char fault[ENGINE_FAULT_SIZE];
	struct engine *engine;
	struct journal *journal;

	if (scheme == NULL || scheme->make == NULL)
		return complain("this tcpserver was built without that kind of journal; --version says with which");
	if (scheme->quotes && secret_is_misread(wish->url))
		return complain("a '/' or '@' in the password of the URL has to be written as %2F or %40");
	if (scheme->make(&options, &engine, fault) != 0 || shared_journal_open(engine, &shared, &journal, fault) != 0)
		return complain(fault);
	return journal;
}
