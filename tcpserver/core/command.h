/*
 * Commands: lines that begin with '/'. One verb a file; the table makes /help.
 *
 * Threads: the client's own.
 */
#ifndef TCPSERVER_CORE_COMMAND_H
#define TCPSERVER_CORE_COMMAND_H

#include <stddef.h>

struct session;

struct command {
	const char *name;      /* without the '/'                 */
	const char *arguments; /* as /help shows them; "" for none */
	const char *help;
	/* 'arguments' is what follows the name, clean UTF-8 without white space at its ends, ended by NUL. */
	void (*run)(struct session *session, const char *arguments);
};

/* Ended by a NULL name. */
extern const struct command commands[];

/* Runs the command in 'line', which begins with '/'; clean UTF-8. An unknown one is an error to the client. */
void command_run(struct session *session, const char *line, size_t size);

void command_help(struct session *session, const char *arguments);
void command_quit(struct session *session, const char *arguments);
void command_who(struct session *session, const char *arguments);

#endif
