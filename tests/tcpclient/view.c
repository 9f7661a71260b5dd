#include "tcpclient/view.h"

#include <string.h>

#include "tests/check.h"

struct drawn {
	struct view view;
	char text[4096];
};

static struct drawn drawn(const char *prompt, const char *text, size_t cursor, size_t width, size_t rows_most)
{
	struct buffer out = {0};
	struct view_input input = {.prompt = prompt,
		.text = text,
		.text_size = strlen(text),
		.cursor = cursor,
		.width = width,
		.rows_most = rows_most};
	struct drawn result = {.view = view_draw(&out, &input)};

	CHECK(out.size < sizeof result.text);
	if (out.size > 0)
		memcpy(result.text, out.bytes, out.size);
	result.text[out.size] = '\0';
	buffer_fini(&out);
	return result;
}

static void check_view(const struct drawn *drawn, size_t rows, size_t row, size_t column)
{
	CHECK_EQUAL(drawn->view.rows, rows);
	CHECK_EQUAL(drawn->view.cursor_row, row);
	CHECK_EQUAL(drawn->view.cursor_column, column);
}

TEST(a_short_line_is_drawn_and_the_cursor_left_at_its_end)
{
	struct drawn line = drawn("> ", "abc", 3, 80, 10);

	CHECK_TEXT(line.text, "> abc");
	check_view(&line, 1, 0, 5);
}

TEST(the_cursor_is_moved_into_the_line)
{
	struct drawn line = drawn("> ", "abc", 1, 80, 10);

	CHECK_TEXT(line.text, "> abc\r\033[3C");
	check_view(&line, 1, 0, 3);
	line = drawn("", "abc", 0, 80, 10);
	CHECK_TEXT(line.text, "abc\r");
}

TEST(styles_in_the_prompt_take_no_room)
{
	struct drawn line = drawn("\033[1mYou\033[0m> ", "a", 1, 80, 10);

	CHECK_TEXT(line.text, "\033[1mYou\033[0m> a");
	check_view(&line, 1, 0, 6);
}

TEST(a_line_wraps_by_itself)
{
	struct drawn line = drawn("> ", "0123456789abc", 0, 10, 10);

	CHECK_TEXT(line.text, "> 0123456789abc\033[1A\r\033[2C");
	check_view(&line, 2, 0, 2);
}

TEST(a_full_row_is_followed_by_an_empty_one)
{
	struct drawn line = drawn("> ", "01234567", 8, 10, 10);

	CHECK_TEXT(line.text, "> 01234567\n");
	check_view(&line, 2, 1, 0);
}

TEST(a_wide_character_that_does_not_fit_goes_to_the_next_row)
{
	struct drawn line = drawn("> ", "1234567日x", 11, 10, 10);

	CHECK_TEXT(line.text, "> 1234567 日x");
	check_view(&line, 2, 1, 3);
}

TEST(marks_take_no_room_even_at_the_end_of_a_row)
{
	struct drawn line = drawn("> ", "1234567e\xCC\x81", 10, 10, 10);

	CHECK_TEXT(line.text, "> 1234567e\xCC\x81\n");
	check_view(&line, 2, 1, 0);
}

TEST(control_characters_are_shown_and_never_sent)
{
	struct drawn line = drawn("> ", "a\033[2J\tb\x7f\xff\xC2\x9B", 11, 80, 10);

	CHECK_TEXT(line.text, "> a^[[2J    b^?\xEF\xBF\xBD\xEF\xBF\xBD");
	check_view(&line, 1, 0, 17);
}

TEST(escapes_in_the_text_are_not_styles)
{
	struct drawn line = drawn("> ", "\033[31m", 5, 80, 10);

	CHECK_TEXT(line.text, "> ^[[31m");
}

TEST(what_does_not_fit_is_shown_around_the_cursor)
{
	const char *text = "AAAAABBBBBCCCCCDDDDDEEEEEFFFFF";
	struct drawn line = drawn("", text, 0, 5, 3);

	CHECK_TEXT(line.text, "AAAAABBBBBCCCCC\033[2A\r");
	check_view(&line, 3, 0, 0);
	line = drawn("", text, 17, 5, 3);
	CHECK_TEXT(line.text, "CCCCCDDDDDEEEEE\033[1A\r\033[2C");
	check_view(&line, 3, 1, 2);
	line = drawn("", text, 30, 5, 3);
	CHECK_TEXT(line.text, "EEEEEFFFFF\n");
	check_view(&line, 3, 2, 0);
}

static void check_erase(struct view view, size_t width, size_t width_now, const char *wanted)
{
	struct buffer out = {0};

	view_erase(&out, &view, width, width_now);
	CHECK_BYTES(out.bytes, out.size, wanted, strlen(wanted));
	buffer_fini(&out);
}

TEST(what_was_drawn_is_erased)
{
	check_erase((struct view){.rows = 1, .cursor_column = 5}, 80, 80, "\r\033[K");
	check_erase((struct view){.rows = 3, .cursor_row = 1}, 80, 80, "\033[1A\r\033[K\0337\033[B\033[J\0338");
}

TEST(after_a_resize_it_is_erased_where_the_terminal_has_wrapped_it)
{
	check_erase((struct view){.rows = 1, .cursor_column = 70}, 80, 30, "\033[2A\r\033[K\0337\033[B\033[J\0338");
	check_erase((struct view){.rows = 3, .cursor_row = 2, .cursor_column = 10}, 40, 100,
		"\r\033[K\0337\033[B\033[J\0338");
}
