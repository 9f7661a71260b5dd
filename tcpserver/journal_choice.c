#include "tcpserver/journal_choice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
} schemes[] = {
	{"postgres://", postgres_engine_create, false},
	{"postgresql://", postgres_engine_create, false},
	{"redis://", redis_engine_create, false},
	{"rediss://", redis_engine_create, false},
	{"amqp://", amqp_engine_create, true},
	{"amqps://", amqp_engine_create, true},
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

/* ---- Passwords. ---- */

static void cross_out(char *at, const char *end)
{
	while (at < end)
		*at++ = '*';
}

/* SCHEME://USER:PASSWORD@HOST...; an '@' in the password would have to be %40, but people forget, so the last one counts. */
static void cross_out_user_info(char *url)
{
	char *begin = strstr(url, "://");
	char *end = begin == NULL ? NULL : begin + 3 + strcspn(begin + 3, "?#");
	char *at = end;

	while (at != NULL && at > begin && *at != '@')
		at--;
	if (at == NULL || *at != '@')
		return;
	begin = memchr(begin + 3, ':', (size_t)(at - begin - 3));
	if (begin != NULL)
		cross_out(begin + 1, at);
}

/* ...?password=PASSWORD */
static void cross_out_parameters(char *url)
{
	char *at = strchr(url, '?');

	while (at != NULL && (at = strstr(at, "password=")) != NULL) {
		at += strlen("password=");
		cross_out(at, at + strcspn(at, "&#"));
	}
}

const char *journal_hide_password(const char *url)
{
	char *copy = strdup(url);
	char *shown = (char *)(uintptr_t)url; /* arguments and variables are the program's own */

	if (copy == NULL)
		return NULL;
	cross_out_user_info(shown);
	cross_out_parameters(shown);
	return copy;
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
	const struct shared_options shared = {.patience_ms = (unsigned)wish->patience_s * 1000, .wait_at_start = true};
	const struct scheme *scheme = scheme_of(wish->url);
	char fault[ENGINE_FAULT_SIZE];
	struct engine *engine;
	struct journal *journal;

	if (scheme == NULL || scheme->make == NULL)
		return complain("this tcpserver was built without that kind of journal; --version says with which");
	if (scheme->make(&options, &engine, fault) != 0 || shared_journal_open(engine, &shared, &journal, fault) != 0)
		return complain(fault);
	return journal;
}
