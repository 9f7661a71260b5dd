/*
 * The commands that the client carries out itself, of which the server knows nothing or less.
 *
 * Threads: the keyboard's.
 */
#ifndef TCPCLIENT_COMMANDS_H
#define TCPCLIENT_COMMANDS_H

#include <stdbool.h>

#include "tcpclient/buffer.h"
#include "tcpclient/scene.h"

/* CLIENT_VERBS(X) calls X(function, name, arguments, help) for each of them, as CHAT_VERBS does for the server's. */
#define CLIENT_VERBS(X)                                                                                                \
	X(find, "find", "WORDS", "shows what was received with all of these words in it")                                    \
	X(ignore, "ignore", "[USER]", "hides what USER says, also the next time you are here; again: no longer; alone: whom") \
	X(save, "save", "FILE", "writes what was received to a new FILE")

/*
 * Works on a typed line, without its end. Returns whether nothing of it is left for the server; what the person is told is
 * added to 'out', as lines, in both cases.
 */
bool commands_work(struct scene *scene, const char *line, size_t size, struct buffer *out) MUST_CHECK;

/* For a server that has no commands, and would say one to all: returns whether a line is one, which is said, unless 'scene' is NULL. "//x"
 * is none. */
bool commands_refuse(struct scene *scene, const char *line, size_t size, struct buffer *out) MUST_CHECK;
/* Makes "/x" of "//x", as a server with commands would. */
void commands_unquote(const char **line, size_t *size);

#endif
