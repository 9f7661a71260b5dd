/*
 * Commands: lines that begin with '/'. One verb a file; the table makes /help.
 *
 * Threads: the client's own.
 */
#ifndef TCPSERVER_CORE_COMMAND_H
#define TCPSERVER_CORE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/text.h"
#include "tcpserver/core/rooms.h"

struct letter;
struct member;
struct message;
struct reading;
struct session;

enum {
	COMMAND_SHOWN_MAX = 40,              /* bytes of an unknown command that are shown again */
	COMMAND_WORD_SIZE = NAME_SIZE + 16,  /* of an argument, with the NUL                     */
};

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
/* The letter goes to the one of that name, who is not here, on another server. The client is told what went wrong: that there is nobody of
 * that name, too. Returns whether the other was told; letter->to is its name then, as it is written. May block. */
bool command_send_letter(struct session *session, const char *wanted, struct letter *letter) MUST_CHECK;
/* The command of that name (or alias), or NULL. */
const struct command *command_find(const char *name);

/*
 * Takes a name from the start of '*arguments', up to white space or in double quotes, into 'name', and steps past it. Tells
 * the client, with the code "usage", and returns false when there is none, or it is too long for a name.
 */
bool command_take_name(struct session *session, const char *command, const char **arguments, char name[NAME_SIZE]);
/* Takes the next word; parts of it may be in double quotes, which are left out. Returns false when there is none, or when it
 * is too long: then it is still there. */
bool command_take_word(const char **arguments, char word[COMMAND_WORD_SIZE]);
/* Takes a whole number, if the next word is one. */
bool command_take_number(const char **arguments, uint64_t *number);
/* Takes the next word if it is this one. */
bool command_take_keyword(const char **arguments, const char *keyword);
/* Takes the name of a room where the client is; without a name the place where its plain text goes. NULL when it is not
 * there, and was told. */
struct member *command_take_place(struct session *session, const char *command, const char **arguments);
/* Takes "after NUMBER [of ID]" and "--history N|all|none"; '*asked' tells whether there was one of them. Returns false when
 * one of them is wrong, and the client was told. */
bool command_take_reading(struct session *session, const char *command, const char **arguments, struct reading *reading,
	bool *asked);
/* As above when something follows the arguments that the command takes: returns whether nothing does. */
bool command_ends(struct session *session, const char *command, const char *arguments);
/* As above for a text that has to be there: returns whether it is. */
bool command_needs_text(struct session *session, const char *command, const char *text);

/* A name as it is typed in a command: in double quotes if there is a space in it. */
struct typed_name {
	char text[NAME_SIZE + 2];
};
struct typed_name command_type_name(const char *name);

/* Shows a message of before to the client, and adds its size to '*bytes'. */
void session_show_message(struct session *session, const struct message *message, size_t *bytes);

/* The client asks for something about a room that rooms_find() did not give, or about a person that is not there. */
void command_no_such_room(struct session *session, const char *name, enum rooms_result result);
void command_no_such_user(struct session *session, const char *name);

void command_admin(struct session *session, const char *arguments);
void command_delete_room(struct session *session, const char *arguments);
void command_dm(struct session *session, const char *arguments);
void command_events(struct session *session, const char *arguments);
void command_help(struct session *session, const char *arguments);
void command_history(struct session *session, const char *arguments);
void command_ignore(struct session *session, const char *arguments);
void command_invite(struct session *session, const char *arguments);
void command_join(struct session *session, const char *arguments);
void command_latest(struct session *session, const char *arguments);
void command_leave(struct session *session, const char *arguments);
void command_mark(struct session *session, const char *arguments);
void command_me(struct session *session, const char *arguments);
void command_msg(struct session *session, const char *arguments);
void command_new_room(struct session *session, const char *arguments);
void command_nick(struct session *session, const char *arguments);
void command_ping(struct session *session, const char *arguments);
void command_quit(struct session *session, const char *arguments);
void command_rooms(struct session *session, const char *arguments);
void command_search(struct session *session, const char *arguments);
void command_session(struct session *session, const char *arguments);
void command_switch(struct session *session, const char *arguments);
void command_topic(struct session *session, const char *arguments);
void command_who(struct session *session, const char *arguments);

#endif
