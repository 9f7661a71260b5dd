#include "tcpclient/render.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#include "common/sync.h"

/*
 * Of the 256 colours those whose contrast is at least 4:1 on black and on white alike (WCAG 2.1, relative luminance),
 * so that nobody has to tell us about their background.
 */
static const char *const many_colors[] = {
	"\033[38;5;130m", "\033[38;5;64m", "\033[38;5;28m", "\033[38;5;29m",  /* orange, olive, greens */
	"\033[38;5;30m", "\033[38;5;31m", "\033[38;5;27m", "\033[38;5;62m",   /* teals, blues          */
	"\033[38;5;63m", "\033[38;5;99m", "\033[38;5;98m", "\033[38;5;129m",  /* violets               */
	"\033[38;5;164m", "\033[38;5;163m", "\033[38;5;162m", "\033[38;5;161m", /* pinks                 */
};

/* Without yellow, which white swallows; red is for errors, and dark blue is lost on black. */
static const char *const few_colors[] = {"\033[32m", "\033[35m", "\033[36m"};

static const char bold[] = "\033[1m";
static const char dim[] = "\033[2m";
static const char red[] = "\033[31m";
static const char normal[] = "\033[0m";

void render_clock(char clock[RENDER_CLOCK_SIZE])
{
	time_t now = (time_t)(clock_wall_ns() / 1000000000);
	struct tm local;

	if (localtime_r(&now, &local) == NULL || strftime(clock, RENDER_CLOCK_SIZE, "%H:%M", &local) == 0)
		clock[0] = '\0';
}

/* FNV-1a, and a last stir so that similar names get different colours. */
static uint32_t hash(const char *bytes, size_t size)
{
	uint32_t value = 2166136261U;

	for (size_t i = 0; i < size; i++)
		value = (value ^ (unsigned char)bytes[i]) * 16777619U;
	value ^= value >> 15;
	value *= 0x2C1B3C6DU;
	return value ^ value >> 12;
}

const char *render_name_color(enum render_colors colors, const char *name, size_t size)
{
	if (colors == RENDER_256_COLORS)
		return many_colors[hash(name, size) % (sizeof many_colors / sizeof many_colors[0])];
	if (colors == RENDER_8_COLORS)
		return few_colors[hash(name, size) % (sizeof few_colors / sizeof few_colors[0])];
	return "";
}

/* Adds 'text' in a style, if there are colours. */
static void add_styled(struct buffer *out, enum render_colors colors, const char *style, const char *text, size_t size)
{
	if (colors != RENDER_NO_COLORS)
		buffer_add_text(out, style);
	buffer_add(out, text, size);
	if (colors != RENDER_NO_COLORS)
		buffer_add_text(out, normal);
}

static void add_name(struct buffer *out, enum render_colors colors, bool own, const char *name, size_t size)
{
	if (own && colors != RENDER_NO_COLORS)
		buffer_add_text(out, bold);
	add_styled(out, colors, render_name_color(colors, name, size), name, size);
}

static void add_clock(struct buffer *out, enum render_colors colors, const char *clock)
{
	add_styled(out, colors, dim, clock, strlen(clock));
	buffer_add_text(out, " ");
}

void render_line(struct buffer *out, enum render_colors colors, const char *clock, const char *own_name,
	const struct heard *heard)
{
	bool own = strlen(own_name) == heard->name_size && memcmp(own_name, heard->name, heard->name_size) == 0;

	add_clock(out, colors, clock);
	switch (heard->kind) {
	case HEARD_MESSAGE:
		add_name(out, colors, own, heard->name, heard->name_size);
		buffer_add_text(out, ": ");
		buffer_add(out, heard->text, heard->text_size);
		break;
	case HEARD_ERROR:
		add_styled(out, colors, red, heard->text, heard->text_size);
		break;
	case HEARD_WELCOME:
	case HEARD_NOTICE:
		add_styled(out, colors, dim, heard->text, heard->text_size);
		break;
	case HEARD_OTHER:
		buffer_add(out, heard->text, heard->text_size);
		break;
	}
	buffer_add_text(out, "\n");
}

void render_own(
	struct buffer *out, enum render_colors colors, const char *clock, enum render_tone tone, const char *text)
{
	add_clock(out, colors, clock);
	add_styled(out, colors, tone == RENDER_WARNING ? red : dim, text, strlen(text));
	buffer_add_text(out, "\n");
}

void render_prompt(struct buffer *out, enum render_colors colors, const char *state, const char *own_name)
{
	if (state[0] != '\0') {
		add_styled(out, colors, dim, state, strlen(state));
		buffer_add_text(out, " ");
	}
	buffer_add_text(out, "You(");
	add_name(out, colors, true, own_name, strlen(own_name));
	buffer_add_text(out, ")> ");
}
