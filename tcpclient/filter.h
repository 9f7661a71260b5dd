/*
 * No person, but a pipe or a file: lines from standard input are sent, lines from the server go to standard output as
 * they came, and nothing else does.
 *
 * Threads: the main one, before any other.
 */
#ifndef TCPCLIENT_FILTER_H
#define TCPCLIENT_FILTER_H

#include "common/net.h"
#include "common/sync.h"

struct filter_settings {
	struct net_place place;
	const char *name;  /* valid: see connection.h                     */
	const char *lines; /* instead of standard input, or NULL          */
	const char *room;  /* to join, or NULL                            */
	bool json;         /* events, as they come, instead of their text */
};

/*
 * Sends what standard input holds, waits until every message was echoed, says that no more comes, and prints until the
 * server closes. When standard input is empty it only listens.
 *
 * Returns the program's exit code: 0 when all went well, 1 after a message on standard error.
 */
int filter_run(const struct filter_settings *settings) MUST_CHECK;

#endif
