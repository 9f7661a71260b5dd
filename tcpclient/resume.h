/*
 * How a client begins where an earlier one stopped: what that one did not get rid of is in the outbox, and its session ours.
 *
 * Threads: the main one, before the connection is opened.
 */
#ifndef TCPCLIENT_RESUME_H
#define TCPCLIENT_RESUME_H

#include <stdbool.h>
#include <stddef.h>

#include "tcpclient/outbox.h"
#include "tcpclient/scene.h"
#include "tcpclient/unsent.h"

struct resume {
	char session[UNSENT_SESSION_SIZE]; /* for the connection; "" when there is no chance to be had */
	size_t taken;                      /* lines of earlier times that are sent now                  */
	size_t left;                       /* and that wait for another time                            */
};

/*
 * Keeps what is said in the file 'path' (unsent.h), and with 'goes_on' first sends what is there. Without a path, or when
 * there can be no file, nothing is kept. 'scene' learns the rooms of those lines.
 */
struct resume resume_begin(const char *path, bool goes_on, struct outbox *outbox, struct scene *scene);

/* Adds what a person should know of the lines, as one line without its end; nothing when there are none. */
void resume_tell(const struct resume *resume, struct buffer *out);

#endif
