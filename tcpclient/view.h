/*
 * Draws the line that is being typed: the prompt, the text, and the cursor, on as many rows as they need but no more
 * than fit. If there are more, the rows around the cursor are shown.
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef TCPCLIENT_VIEW_H
#define TCPCLIENT_VIEW_H

#include <stddef.h>

#include "tcpclient/buffer.h"

struct view_input {
	const char *prompt; /* ours: may hold "\033[...m", which takes no room, and LF, which begins a row */
	const char *text;   /* anybody's: control characters are shown as ^X   */
	size_t text_size;
	size_t cursor; /* a place in 'text', in bytes */
	size_t width;  /* of the screen, in cells     */
	size_t rows_most;
};

/* Where the terminal's cursor was left. */
struct view {
	size_t rows;       /* that were drawn                  */
	size_t cursor_row; /* counted from the first one drawn */
	size_t cursor_column;
};

/* Draws at the beginning of an empty row. */
struct view view_draw(struct buffer *out, const struct view_input *input);

/* How many rows a line of text takes, which may have "\033[...m" in it. */
size_t view_rows(const char *text, size_t size, size_t width);

/*
 * Adds what brings the cursor to the first row of 'view' and erases everything from there. 'width' is the screen's when
 * it was drawn, 'width_now' what it is now: a terminal that was resized has wrapped the rows anew.
 */
void view_erase(struct buffer *out, const struct view *view, size_t width, size_t width_now);

#endif
