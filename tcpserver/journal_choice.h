/*
 * Which journals a URL of --journal can name: those that an engine keeps elsewhere. A part of main.c, which knows the others.
 *
 * Threads: the main thread.
 */
#ifndef TCPSERVER_JOURNAL_CHOICE_H
#define TCPSERVER_JOURNAL_CHOICE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"

struct journal;

enum { JOURNAL_PATIENCE_S = 10 };

struct journal_wish {
	const char *url;
	const char *password;    /* or NULL */
	const char *message_api; /* HOST:PORT, or NULL */
	const char *message_api_token; /* or NULL */
	const char *const *listen; /* where the server listens, as its options say */
	size_t listen_count;
	long long patience_s;
};

/* Whether a value of --journal is such a URL: by its scheme alone. */
bool journal_is_url(const char *value);
/* Whether it leads to RabbitMQ, which needs --message-api, and which nothing else does. */
bool journal_needs_message_api(const char *value);
/* NULL when it cannot be opened; what is wrong was said then. May block. */
struct journal *journal_open_url(const struct journal_wish *wish) MUST_CHECK;

#endif
