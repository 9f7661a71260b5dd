/*
 * A person at a terminal: what comes is shown, what is typed is sent, until the person leaves.
 *
 * Threads: the main one, before any other.
 */
#ifndef TCPCLIENT_TALK_H
#define TCPCLIENT_TALK_H

#include "common/net.h"
#include "common/sync.h"
#include "tcpclient/render.h"

/* Returns the program's exit code. 'name' is valid: see connection.h. */
int talk_run(const struct net_place *place, const char *name, enum render_colors colors) MUST_CHECK;

#endif
