/*
 * Wrapping
 *
 * The rows are written without line ends between them, so that they are one line for the terminal: it wraps exactly
 * where we think it does, and when it is resized it wraps anew and view_erase() can tell where the first row is. A row
 * that is full leaves most terminals' cursor hanging at its end; only the last row may be full when all is written, and
 * then a line end is written too and the cursor stands on a row of its own.
 */
#include "tcpclient/view.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <unistr.h>
#include <uniwidth.h>

enum { TAB_SIZE = 4 };

/* What is drawn of a character. */
struct glyph {
	const char *bytes;
	size_t size;  /* of what is drawn           */
	size_t width; /* in cells                   */
	size_t taken; /* bytes of the text it stands for */
	char own[4];  /* when it is drawn otherwise */
};

static struct glyph glyph_own(const char *shown, size_t width, size_t taken)
{
	return (struct glyph){.bytes = shown, .size = strlen(shown), .width = width, .taken = taken};
}

static void glyph_read(const char *text, size_t size, struct glyph *glyph)
{
	ucs4_t character;
	int taken = u8_mbtoucr(&character, (const uint8_t *)text, size);
	int width;

	if (taken <= 0) {
		*glyph = glyph_own("\xEF\xBF\xBD", 1, 1);
		return;
	}
	width = uc_width(character, "UTF-8");
	*glyph = (struct glyph){.bytes = text, .size = (size_t)taken, .width = (size_t)width, .taken = (size_t)taken};
	if (character == '\t') {
		*glyph = glyph_own("    ", TAB_SIZE, 1);
	} else if (character == '\n') {
		*glyph = glyph_own("\xE2\x90\xA4", 1, 1);
	} else if (character < 0x20 || character == 0x7F) {
		*glyph = (struct glyph){.own = {'^', (char)(character ^ 0x40)}, .size = 2, .width = 2, .taken = 1};
		glyph->bytes = glyph->own;
	} else if (width < 0) { /* C1 */
		*glyph = glyph_own("\xEF\xBF\xBD", 1, (size_t)taken);
	}
}

/* The bytes of "\033[...m" at the start of 'text', or 0. */
static size_t style_size(const char *text, size_t size)
{
	size_t at = 2;

	if (size < 3 || text[0] != '\033' || text[1] != '[')
		return 0;
	while (at < size && text[at] != 'm')
		at++;
	return at < size ? at + 1 : 0;
}

/* Where the next character comes, and which rows are drawn. */
struct pen {
	struct buffer *out; /* NULL: only count */
	size_t width;
	size_t row;
	size_t column;
	size_t first; /* row that is drawn          */
	size_t last;  /* row that is drawn, included */
};

static bool pen_draws(const struct pen *pen)
{
	return pen->out != NULL && pen->row >= pen->first && pen->row <= pen->last;
}

static void pen_put(struct pen *pen, const struct glyph *glyph)
{
	/* The row is full, or a wide character does not fit into its last cell. */
	if (pen->column + glyph->width > pen->width && glyph->width > 0) {
		if (pen_draws(pen) && pen->row < pen->last && pen->column < pen->width)
			buffer_add_text(pen->out, " "); /* some terminals would not wrap a wide character */
		pen->row++;
		pen->column = 0;
	}
	if (pen_draws(pen))
		buffer_add(pen->out, glyph->bytes, glyph->size);
	pen->column += glyph->width;
}

static void pen_put_text(struct pen *pen, const char *text, size_t size)
{
	while (size > 0) {
		struct glyph glyph;

		glyph_read(text, size, &glyph);
		pen_put(pen, &glyph);
		text += glyph.taken;
		size -= glyph.taken;
	}
}

/* Fills the row, since there are no line ends between rows: see above. */
static void pen_end_row(struct pen *pen)
{
	static const struct glyph space = {.bytes = " ", .size = 1, .width = 1, .taken = 1};

	do
		pen_put(pen, &space);
	while (pen->column < pen->width);
}

static void pen_put_prompt(struct pen *pen, const char *prompt)
{
	size_t size = strlen(prompt);

	while (size > 0) {
		size_t taken = style_size(prompt, size);
		struct glyph glyph;

		if (taken > 0) {
			if (pen->out != NULL)
				buffer_add(pen->out, prompt, taken);
		} else if (prompt[0] == '\n') {
			pen_end_row(pen);
			taken = 1;
		} else {
			glyph_read(prompt, size, &glyph);
			pen_put(pen, &glyph);
			taken = glyph.taken;
		}
		prompt += taken;
		size -= taken;
	}
}

/* Where a character of one cell would be put next. */
static void pen_settle(struct pen *pen)
{
	if (pen->column >= pen->width) {
		pen->row++;
		pen->column = 0;
	}
}

static size_t middle(size_t low, size_t value, size_t high)
{
	if (value < low)
		return low;
	return value > high ? high : value;
}

/* The rows to draw: all of them, or as many as fit, with the cursor in their middle. */
static void pen_choose_rows(struct pen *pen, size_t cursor_row, size_t rows, size_t most)
{
	pen->first = 0;
	if (rows > most)
		pen->first = middle(0, cursor_row > most / 2 ? cursor_row - most / 2 : 0, rows - most);
	pen->last = pen->first + (rows < most ? rows : most) - 1;
}

static void move_up(struct buffer *out, size_t rows)
{
	if (rows > 0)
		buffer_add_format(out, "\033[%zuA", rows);
}

struct view view_draw(struct buffer *out, const struct view_input *input)
{
	struct pen cursor = {.width = input->width > 1 ? input->width : 2};
	struct pen end;
	struct pen pen = {.out = out, .width = cursor.width};
	struct view view;

	pen_put_prompt(&cursor, input->prompt);
	pen_put_text(&cursor, input->text, input->cursor);
	end = cursor;
	pen_put_text(&end, input->text + input->cursor, input->text_size - input->cursor);
	pen_settle(&cursor);
	pen_settle(&end);
	pen_choose_rows(&pen, cursor.row, end.row + 1, input->rows_most > 0 ? input->rows_most : 1);
	view = (struct view){.rows = pen.last - pen.first + 1, .cursor_row = cursor.row - pen.first};
	view.cursor_column = cursor.column;

	pen_put_prompt(&pen, input->prompt);
	pen_put_text(&pen, input->text, input->text_size);
	if (end.column == 0 && end.row > 0 && end.row <= pen.last)
		buffer_add_text(out, "\n");
	if (cursor.row == end.row && cursor.column == end.column && end.row <= pen.last)
		return view; /* it stands there already, even where the terminal thinks otherwise of a character's width
			      */
	move_up(out, view.rows - 1 - view.cursor_row);
	buffer_add_text(out, "\r");
	if (view.cursor_column > 0)
		buffer_add_format(out, "\033[%zuC", view.cursor_column);
	return view;
}

size_t view_rows(const char *text, size_t size, size_t width)
{
	struct pen pen = {.width = width > 1 ? width : 2};

	while (size > 0) {
		size_t taken = style_size(text, size);
		struct glyph glyph = {.taken = taken};

		if (taken == 0) {
			glyph_read(text, size, &glyph);
			pen_put(&pen, &glyph);
		}
		text += glyph.taken;
		size -= glyph.taken;
	}
	return pen.row + 1;
}

void view_erase(struct buffer *out, const struct view *view, size_t width, size_t width_now)
{
	size_t row = view->cursor_row;

	if (width != width_now && width_now > 0)
		row = (view->cursor_row * width + view->cursor_column) / width_now;
	move_up(out, row);
	/* Its own row, then all below it: erasing from the top of the screen to its end would make some terminals keep
	 * what was there in their history. */
	buffer_add_text(out, "\r\033[K");
	if (view->rows > 1 || width != width_now)
		buffer_add_text(out, "\0337\033[B\033[J\0338");
}
