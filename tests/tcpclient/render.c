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

TEST(text_cannot_change_the_order_of_its_line)
{
	struct event event = {.kind = EVENT_MESSAGE, .participant = "ann", .text = "a\u202Eb", .room = "", .to = ""};
	struct buffer out = {0};

	CHECK_TEXT(rendered("ann: abc \u202Egnitirw", RENDER_NO_COLORS), "12:34 ann: abc gnitirw\n");
	CHECK_TEXT(rendered("* \u2067x", RENDER_NO_COLORS), "12:34 * x\n");
	CHECK_TEXT(rendered("ann: \u05E9\u05DC\u05D5\u05DD\u200F!", RENDER_NO_COLORS),
		"12:34 ann: \u05E9\u05DC\u05D5\u05DD\u200F!\n");
	render_event(&out, RENDER_NO_COLORS, "", "bob", &event, false, false);
	buffer_add(&out, "", 1);
	CHECK_TEXT(out.bytes, "ann: ab\n");
	buffer_clear(&out);
	render_own(&out, RENDER_NO_COLORS, "", RENDER_CALM, "x\u202Ey");
	buffer_add(&out, "", 1);
	CHECK_TEXT(out.bytes, "xy\n");
	buffer_fini(&out);
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

struct rgb {
	int red, green, blue;
};

/* What a terminal makes of the first eight colours: the darkest and the brightest that are common. */
static const struct rgb vga[] = {
	{0, 0, 0}, {170, 0, 0}, {0, 170, 0}, {170, 85, 0}, {0, 0, 170}, {170, 0, 170}, {0, 170, 170}, {170, 170, 170}};
static const struct rgb xterm[] = {
	{0, 0, 0}, {205, 0, 0}, {0, 205, 0}, {205, 205, 0}, {0, 0, 238}, {205, 0, 205}, {0, 205, 205}, {229, 229, 229}};

/* Of the 256 colours: a cube of 6 x 6 x 6 from 16, and 24 greys. */
static struct rgb rgb_of(int color)
{
	static const int levels[] = {0, 95, 135, 175, 215, 255};
	int place = color - 16;
	int grey = 8 + 10 * (color - 232);

	if (color >= 232)
		return (struct rgb){grey, grey, grey};
	return (struct rgb){levels[place / 36], levels[place / 6 % 6], levels[place % 6]};
}

/* The curve of sRGB without pow(): a ^ 2.4 is a ^ 2 times the fifth root of a ^ 2. */
static double linear(int value)
{
	double base = value / 255.0;
	double part = (base + 0.055) / 1.055;
	double root = 1;

	if (base <= 0.04045)
		return base / 12.92;
	for (int i = 0; i < 100; i++)
		root -= (root * root * root * root * root - part * part) / (5 * root * root * root * root);
	return part * part * root;
}

static double luminance(struct rgb color)
{
	return 0.2126 * linear(color.red) + 0.7152 * linear(color.green) + 0.0722 * linear(color.blue);
}

static double contrast(struct rgb color, bool on_black)
{
	double light = luminance(color) + 0.05;

	return on_black ? light / 0.05 : 1.05 / light;
}

/* Looks at the colour that 'style' sets, if it sets one: 38;5;N, or 30 to 37. */
static void check_contrast(const char *style, bool on_black, double least)
{
	int color;

	if (sscanf(style, "\033[38;5;%dm", &color) == 1) {
		CHECK(color >= 16 && color <= 255); /* the first 16 are the terminal's own */
		CHECK(contrast(rgb_of(color), on_black) >= least);
	} else if (sscanf(style, "\033[%dm", &color) == 1 && color >= 30 && color <= 37) {
		CHECK(contrast(vga[color - 30], on_black) >= least);
		CHECK(contrast(xterm[color - 30], on_black) >= least);
	} else {
		CHECK(strcmp(style, "") == 0 || strcmp(style, "\033[1m") == 0);
	}
}

/* The style of a notice or an error: what comes before it. */
static const char *style_of(const char *line, enum render_colors colors)
{
	static char style[32];
	const char *text = rendered(line, colors);
	const char *end = strstr(text, line);
	const char *start;

	CHECK(end != NULL && end > text);
	start = end[-1] == 'm' ? end - 1 : end;
	while (start > text && start < end && *start != '\033')
		start--;
	(void)snprintf(style, sizeof style, "%.*s", (int)(end - start), start);
	return style;
}

static void check_palette(enum render_colors colors, bool on_black, double least)
{
	for (int i = 0; i < 1000; i++) {
		char name[16];
		int size = snprintf(name, sizeof name, "%d", i);

		check_contrast(render_name_color(colors, name, (size_t)size), on_black, least);
	}
	check_contrast(style_of("* notice", colors), on_black, least);
	check_contrast(style_of("! code: error", colors), on_black, least);
}

TEST(contrast_is_computed_as_wcag_says)
{
	CHECK(contrast((struct rgb){255, 255, 255}, true) > 20.99 &&
		contrast((struct rgb){255, 255, 255}, true) < 21.01);
	CHECK(contrast((struct rgb){118, 118, 118}, false) > 4.54 &&
		contrast((struct rgb){118, 118, 118}, false) < 4.55);
	CHECK(contrast((struct rgb){255, 0, 0}, false) > 3.99 && contrast((struct rgb){255, 0, 0}, false) < 4.0);
}

TEST(every_colour_of_a_theme_can_be_read_on_its_background)
{
	check_palette(RENDER_256_DARK, true, 4.5);
	check_palette(RENDER_8_DARK, true, 4.5);
	check_palette(RENDER_256_LIGHT, false, 4.5);
	check_palette(RENDER_8_LIGHT, false, 4.5);
}

TEST(without_a_theme_every_colour_can_be_read_on_black_and_on_white)
{
	check_palette(RENDER_256_COLORS, true, 3.99);
	check_palette(RENDER_256_COLORS, false, 3.99);
	check_contrast(style_of("* notice", RENDER_256_COLORS), true, 4.5);
	check_contrast(style_of("* notice", RENDER_256_COLORS), false, 4.5);
}

TEST(mono_has_no_colour)
{
	CHECK_TEXT(rendered("bob: hello", RENDER_MONO), "12:34 \033[4m\033[1mbob\033[0m: hello\n");
	CHECK_TEXT(rendered("ann: hello", RENDER_MONO), "12:34 \033[1mann\033[0m: hello\n");
	CHECK_TEXT(rendered("* x", RENDER_MONO), "12:34 * x\n");
	CHECK_TEXT(rendered("! code: x", RENDER_MONO), "12:34 \033[1m! code: x\033[0m\n");
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
