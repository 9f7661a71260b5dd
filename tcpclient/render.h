/*
 * Makes screen lines of what was heard: a time stamp, the name in its colour, notices dimmed, the end of the line.
 *
 * Lines are not broken to the width of the screen: the terminal does that, and so can undo it when it is resized, and
 * what is copied from it (an address, a command) is whole.
 *
 * Text of others cannot change the order of the line: see text_straighten().
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef TCPCLIENT_RENDER_H
#define TCPCLIENT_RENDER_H

#include "tcpclient/buffer.h"
#include "tcpclient/event.h"
#include "tcpclient/heard.h"

/* What the terminal can do and what it stands on: without DARK or LIGHT, any background. */
enum render_colors {
	RENDER_NO_COLORS,
	RENDER_MONO, /* bold and underlined */
	RENDER_8_COLORS,
	RENDER_8_DARK,
	RENDER_8_LIGHT,
	RENDER_256_COLORS,
	RENDER_256_DARK,
	RENDER_256_LIGHT,
};

/* What a line of our own says. */
enum render_tone {
	RENDER_CALM,    /* something happened          */
	RENDER_WARNING, /* the person should know this */
};

/* "12:34" of the local time, for the functions below; they show no time when it is "". */
enum { RENDER_CLOCK_SIZE = 16 };
void render_clock(char clock[RENDER_CLOCK_SIZE]);

/* Adds a line that was heard; it has to be clean (text_clean). 'own_name' is who we are, shown in bold. */
void render_line(struct buffer *out, enum render_colors colors, const char *clock, const char *own_name,
	const struct heard *heard);

/* The local time of an event, or the time now if it was not told. */
void render_event_clock(char clock[RENDER_CLOCK_SIZE], const struct event *event);

/* Adds an event, as render_line() does; nothing for those that have nothing to show. 'marked': with its room in front.
 * 'stands_out': it calls the person. */
void render_event(struct buffer *out, enum render_colors colors, const char *clock, const char *own_name,
	const struct event *event, bool marked, bool stands_out);

/* Adds a line of the client's own. */
void render_own(
	struct buffer *out, enum render_colors colors, const char *clock, enum render_tone tone, const char *text);

/* Adds what the person is asked with: "You(bob)> ", with 'state' in front, unless it is "". */
void render_prompt(struct buffer *out, enum render_colors colors, const char *state, const char *own_name);

/* What switches to a name's own colour, always the same one: "\033[...m", or "" without colours. */
const char *render_name_color(enum render_colors colors, const char *name, size_t size);

#endif
