/*
 * A person at a terminal: what comes is shown, what is typed is sent, until the person leaves.
 *
 * Threads: the main one, before any other.
 */
#ifndef TCPCLIENT_TALK_H
#define TCPCLIENT_TALK_H

#include <stdbool.h>

#include "common/net.h"
#include "common/sync.h"
#include "tcpclient/render.h"
#include "tcpclient/scene.h"

struct carrier;
struct secure;

struct talk_settings {
	struct net_place place;
	const struct secure *secure;   /* see connection.h */
	const struct carrier *carrier; /* see connection.h */
	const char *name; /* valid: see connection.h */
	enum render_colors colors;
	enum scene_bell bell;
	const char *room;                     /* to join, or NULL        */
	const struct option_list *highlights; /* words that stand out    */
	const char *history_path;             /* of typed lines, or NULL */
	const char *ignored_path;             /* of ignored people, or NULL */
	const char *unsent_path;              /* of what was said and not acknowledged, or NULL */
	const char *progress_path;            /* of how far one has read, or NULL */
	const char *history;                  /* wanted of each room: see scene.h */
	bool goes_on;                         /* where one was the last time */
};

/* Returns the program's exit code. */
int talk_run(const struct talk_settings *settings) MUST_CHECK;

#endif
