#include "tcpclient/render.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

static const char *rendered(const char *line, enum render_colors colors)
{
	static struct buffer out;
	struct heard heard = heard_read(line, strlen(line), DIALECT_TCPCHAT);

	buffer_clear(&out);
	render_line(&out, colors, "12:34", "bob", &heard);
	buffer_add(&out, "", 1);
	return out.bytes;
}

TEST(without_colours_a_line_is_its_text_and_the_time)
{
	CHECK_TEXT(rendered("ann: 100%d %n%s", RENDER_NO_COLORS), "12:34 ann: 100%d %n%s\n");
	CHECK_TEXT(rendered("* 1 here: ann", RENDER_NO_COLORS), "12:34 * 1 here: ann\n");
	CHECK_TEXT(rendered("! some-code: x", RENDER_NO_COLORS), "12:34 ! some-code: x\n");
	CHECK_TEXT(rendered("anything", RENDER_NO_COLORS), "12:34 anything\n");
	CHECK_TEXT(rendered("", RENDER_NO_COLORS), "12:34 \n");
}

TEST(with_colours_notices_are_dim_and_errors_red)
{
	CHECK_TEXT(rendered("* x", RENDER_8_COLORS), "\033[2m12:34\033[0m \033[2m* x\033[0m\n");
	CHECK_TEXT(rendered("! code: x", RENDER_8_COLORS), "\033[2m12:34\033[0m \033[31m! code: x\033[0m\n");
}

TEST(every_colour_is_switched_off_before_the_text)
{
	CHECK_CONTAINS(rendered("bob: hello", RENDER_256_COLORS), "\033[1m\033[38;5;");
	CHECK_CONTAINS(rendered("ann: hello", RENDER_256_COLORS), "mann\033[0m: hello\n");
	CHECK(strstr(rendered("ann: hello", RENDER_256_COLORS), "\033[1m") == NULL); /* only our own name is bold */
}

TEST(a_name_always_has_the_same_colour)
{
	CHECK_TEXT(render_name_color(RENDER_256_COLORS, "ann", 3),
		render_name_color(RENDER_256_COLORS, "ann and more", 3));
	CHECK_TEXT(render_name_color(RENDER_NO_COLORS, "ann", 3), "");
}

TEST(names_that_differ_a_little_differ_in_colour_mostly)
{
	int same = 0;

	for (int i = 0; i < 1000; i++) {
		char one[16];
		char other[16];
		int size = snprintf(one, sizeof one, "user%d", i);

		(void)snprintf(other, sizeof other, "user%d", i + 1);
		same += strcmp(render_name_color(RENDER_256_COLORS, one, (size_t)size),
				render_name_color(RENDER_256_COLORS, other, strlen(other))) == 0;
	}
	CHECK(same < 120);
}

static double linear(int value)
{
	double part = value / 255.0;

	return part * part * (0.6 + 0.4 * part); /* near enough to the sRGB curve for this */
}

/* The relative luminance of a colour of the 6 x 6 x 6 cube. */
static double luminance(int color)
{
	static const int levels[] = {0, 95, 135, 175, 215, 255};
	int place = color - 16;

	return 0.2126 * linear(levels[place / 36]) + 0.7152 * linear(levels[place / 6 % 6]) +
	       0.0722 * linear(levels[place % 6]);
}

TEST(every_colour_can_be_read_on_black_and_on_white)
{
	for (int i = 0; i < 1000; i++) {
		char name[16];
		int size = snprintf(name, sizeof name, "%d", i);
		const char *color = render_name_color(RENDER_256_COLORS, name, (size_t)size);
		double light = luminance(atoi(strrchr(color, ';') + 1));

		CHECK((light + 0.05) / 0.05 > 3.5);
		CHECK(1.05 / (light + 0.05) > 3.5);
	}
}

TEST(the_prompt_tells_the_name_and_the_state)
{
	struct buffer out = {0};

	render_prompt(&out, RENDER_NO_COLORS, "", "bob");
	CHECK_BYTES(out.bytes, out.size, "You(bob)> ", 10);
	buffer_clear(&out);
	render_prompt(&out, RENDER_NO_COLORS, "(offline)", "bob");
	CHECK_BYTES(out.bytes, out.size, "(offline) You(bob)> ", 20);
	buffer_fini(&out);
}

TEST(the_clock_is_hours_and_minutes)
{
	char clock[RENDER_CLOCK_SIZE];

	render_clock(clock);
	CHECK_EQUAL(strlen(clock), 5);
	CHECK(clock[2] == ':');
}
