/*
 * What a line from the server is: who speaks, and what about.
 *
 * A tcpchat server marks its own lines ("* ...", "! code: ..."); a goTCP server does not, and there a person may be
 * named "* x". So the dialect has to be known, and it is learned from the first line: see connection.h.
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef TCPCLIENT_HEARD_H
#define TCPCLIENT_HEARD_H

#include <stdbool.h>
#include <stddef.h>

enum dialect {
	DIALECT_UNKNOWN, /* the server has not said enough yet      */
	DIALECT_PLAIN,   /* goTCP: messages, and no word to us alone */
	DIALECT_TCPCHAT, /* docs/PROTOCOL.md                         */
	DIALECT_EVENTS,  /* the same in event mode: see event.h      */
};

enum heard_kind {
	HEARD_WELCOME, /* the server knows us; 'name' is who we are there        */
	HEARD_NOTICE,  /* from the server: its answers, who came, who left       */
	HEARD_ERROR,   /* from the server: 'name' is the code word, 'text' the rest */
	HEARD_MESSAGE, /* 'name' said 'text'                                     */
	HEARD_OTHER,
};

/* Points into the line. */
struct heard {
	enum heard_kind kind;
	const char *name;
	size_t name_size;
	const char *text;
	size_t text_size;
};

struct heard heard_read(const char *line, size_t size, enum dialect dialect);

/* Whether the line could come from a tcpchat server only, when it is the first one heard. */
bool heard_tells_tcpchat(const struct heard *heard, const char *line, size_t size);

/* Whether the server answers a line with an echo; it does not when it is a command. */
bool heard_is_echoed(const char *line, size_t size);

/* Whether the line is "!exit", in any case of letters, with white space around it. */
bool heard_is_exit(const char *line, size_t size);

#endif
