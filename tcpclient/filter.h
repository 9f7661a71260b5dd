/*
 * No screen, but a pipe, a file, or a terminal that only gets lines: lines from standard input are sent, and what the
 * server says goes to standard output: as it came, as events, or as the lines that a person reads.
 *
 * Threads: the main one, before any other.
 */
#ifndef TCPCLIENT_FILTER_H
#define TCPCLIENT_FILTER_H

#include <stdbool.h>

#include "common/net.h"
#include "common/options.h"
#include "common/sync.h"

enum filter_form {
	FILTER_AS_IT_CAME, /* and nothing else                                       */
	FILTER_JSON,       /* events as they come, without answers to what nobody typed */
	FILTER_PLAIN,      /* for a person: what the screen shows, but times and colours */
};

struct carrier;
struct secure;

struct filter_settings {
	struct net_place place;
	const struct secure *secure;   /* see connection.h */
	const struct carrier *carrier; /* see connection.h */
	const char *name;  /* valid: see connection.h                     */
	const char *lines; /* instead of standard input, or NULL          */
	const char *room;  /* to join, or NULL                            */
	enum filter_form form;
	const struct option_list *highlights; /* words that stand out, in FILTER_PLAIN      */
	const char *ignored_path;             /* of ignored people, or NULL                */
	const char *unsent_path;   /* of what was said and not acknowledged, or NULL        */
	const char *progress_path; /* of how far one has read, or NULL                      */
	const char *history;       /* wanted of each room: see scene.h                      */
	bool goes_on;              /* where one was the last time; not in FILTER_AS_IT_CAME */
};

/*
 * Sends what standard input holds, waits until every message was echoed, says that no more comes, and prints until the
 * server closes. When standard input is empty it only listens, unless it is a terminal.
 *
 * A connection that was lost is made again only in the last two forms, and as long as standard input has not ended.
 *
 * Where nobody reads at a terminal, nothing is kept for the next time unless 'goes_on' is set.
 *
 * Returns the program's exit code: 0 when all went well, 1 after a message on standard error.
 */
int filter_run(const struct filter_settings *settings) MUST_CHECK;

#endif
