/*
 * Commands: lines that begin with '/'. One verb a file; the table makes /help.
 *
 * Threads: the client's own.
 */
#ifndef TCPSERVER_CORE_COMMAND_H
#define TCPSERVER_CORE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "common/text.h"

struct session;

enum { COMMAND_SHOWN_MAX = 40 }; /* bytes of an unknown command that are shown again */

struct command {
	const char *name;      /* without the '/'                 */
	const char *arguments; /* as /help shows them; "" for none */
	const char *help;
	/* 'arguments' is what follows the name, clean UTF-8 without white space at its ends, ended by NUL. */
	void (*run)(struct session *session, const char *arguments);
};

/* In alphabetical order, ended by a NULL name. */
extern const struct command commands[];

/* Runs the command in 'line', which begins with '/'; clean UTF-8. An unknown one is an error to the client. */
void command_run(struct session *session, const char *line, size_t size);
/* The command of that name (or alias), or NULL. */
const struct command *command_find(const char *name);

/*
 * Takes a name from the start of '*arguments', up to white space or in double quotes, into 'name', and steps past it. Tells
 * the client, with the code "usage", and returns false when there is none, or it is too long for a name.
 */
bool command_take_name(struct session *session, const char *command, const char **arguments, char name[NAME_SIZE]);
/* As above when something follows the arguments that the command takes: returns whether nothing does. */
bool command_ends(struct session *session, const char *command, const char *arguments);
/* As above for a text that has to be there: returns whether it is. */
bool command_needs_text(struct session *session, const char *command, const char *text);

/* A name as it is typed in a command: in double quotes if there is a space in it. */
struct typed_name {
	char text[NAME_SIZE + 2];
};
struct typed_name command_type_name(const char *name);

/* The client asks for something about a room or a person that is not there. */
void command_no_such_room(struct session *session, const char *name);
void command_no_such_user(struct session *session, const char *name);

void command_admin(struct session *session, const char *arguments);
void command_delete_room(struct session *session, const char *arguments);
void command_dm(struct session *session, const char *arguments);
void command_events(struct session *session, const char *arguments);
void command_help(struct session *session, const char *arguments);
void command_ignore(struct session *session, const char *arguments);
void command_invite(struct session *session, const char *arguments);
void command_join(struct session *session, const char *arguments);
void command_leave(struct session *session, const char *arguments);
void command_me(struct session *session, const char *arguments);
void command_msg(struct session *session, const char *arguments);
void command_new_room(struct session *session, const char *arguments);
void command_nick(struct session *session, const char *arguments);
void command_ping(struct session *session, const char *arguments);
void command_quit(struct session *session, const char *arguments);
void command_rooms(struct session *session, const char *arguments);
void command_switch(struct session *session, const char *arguments);
void command_topic(struct session *session, const char *arguments);
void command_who(struct session *session, const char *arguments);

#endif
