#include "tcpclient/render.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/sync.h"
#include "common/text.h"
#include "tcpclient/places.h"

/*
 * What a name, our own name, a notice and an error look like. Contrasts are those of WCAG 2.1 (relative luminance),
 * which tests/tcpclient/render.c computes anew: at least 4.5:1 on the background of the theme, and on any other at
 * least 4:1 on black and on white alike, so that nobody has to tell us about their background.
 */
struct palette {
	const char *const *names;
	size_t name_count;
	const char *own; /* before the colour of our own name */
	const char *faint;
	const char *alarm;
};

#define NAMES(...)                                                                                                     \
	.names = (const char *const[]){__VA_ARGS__},                                                                   \
	.name_count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)
#define COLOR(number) "\033[38;5;" #number "m"

static const char bold[] = "\033[1m";
static const char normal[] = "\033[0m";

static const struct palette palettes[] = {
	[RENDER_NO_COLORS] = {NAMES(""), .own = "", .faint = "", .alarm = ""},
	[RENDER_MONO] = {NAMES("\033[1m"), .own = "\033[4m", .faint = "", .alarm = "\033[1m"},
	/* Without yellow, which white swallows; red is for errors, and dark blue is lost on black. */
	[RENDER_8_COLORS] = {NAMES("\033[32m", "\033[35m", "\033[36m"), .own = bold, .faint = "\033[2m",
		.alarm = "\033[31m"},
	/* With eight colours the terminal decides how dim dim is, and red, magenta and yellow are too dark on black. */
	[RENDER_8_DARK] = {NAMES("\033[32m", "\033[36m"), .own = bold, .faint = "", .alarm = bold},
	[RENDER_8_LIGHT] = {NAMES("\033[34m", "\033[35m"), .own = bold, .faint = "", .alarm = "\033[31m"},
	[RENDER_256_COLORS] = {NAMES(COLOR(130), COLOR(64), COLOR(28), COLOR(29),       /* orange, olive, greens */
				       COLOR(30), COLOR(31), COLOR(27), COLOR(62),      /* teals, blues          */
				       COLOR(63), COLOR(99), COLOR(98), COLOR(129),     /* violets               */
				       COLOR(164), COLOR(163), COLOR(162), COLOR(161)), /* pinks              */
		.own = bold, .faint = COLOR(243), .alarm = COLOR(196)},
	[RENDER_256_DARK] = {NAMES(COLOR(173), COLOR(208), COLOR(178), COLOR(136),    /* oranges, yellows */
				     COLOR(143), COLOR(107), COLOR(71), COLOR(40),    /* greens           */
				     COLOR(37), COLOR(75), COLOR(69), COLOR(105),     /* teal, blues      */
				     COLOR(141), COLOR(170), COLOR(205), COLOR(212)), /* violet, pinks  */
		.own = bold, .faint = COLOR(246), .alarm = COLOR(203)},
	[RENDER_256_LIGHT] = {NAMES(COLOR(130), COLOR(94), COLOR(58), COLOR(28),      /* browns, olive, greens */
				      COLOR(22), COLOR(23), COLOR(24), COLOR(25),     /* teals, blues          */
				      COLOR(26), COLOR(61), COLOR(57), COLOR(92),     /* violets               */
				      COLOR(90), COLOR(127), COLOR(125), COLOR(162)), /* purples, pinks     */
		.own = bold, .faint = COLOR(241), .alarm = COLOR(160)},
};

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
	return palettes[colors].names[hash(name, size) % palettes[colors].name_count];
}

static void add_styled(struct buffer *out, const char *style, const char *text, size_t size)
{
	buffer_add_text(out, style);
	buffer_add(out, text, size);
	if (style[0] != '\0')
		buffer_add_text(out, normal);
}

static void add_name(struct buffer *out, enum render_colors colors, bool own, const char *name, size_t size)
{
	if (own)
		buffer_add_text(out, palettes[colors].own);
	add_styled(out, render_name_color(colors, name, size), name, size);
}

static void add_clock(struct buffer *out, enum render_colors colors, const char *clock)
{
	if (clock[0] == '\0')
		return;
	add_styled(out, palettes[colors].faint, clock, strlen(clock));
	buffer_add_text(out, " ");
}

/* What is shown of a person's text stays within its line: an order from right to left ends where it ends. */
static void finish_line(struct buffer *out, size_t start)
{
	if (out->size > start)
		out->size = start + text_straighten(out->bytes + start, out->size - start);
	buffer_add_text(out, "\n");
}

void render_line(struct buffer *out, enum render_colors colors, const char *clock, const char *own_name,
	const struct heard *heard)
{
	bool own = strlen(own_name) == heard->name_size && memcmp(own_name, heard->name, heard->name_size) == 0;
	size_t start = out->size;

	add_clock(out, colors, clock);
	switch (heard->kind) {
	case HEARD_MESSAGE:
		add_name(out, colors, own, heard->name, heard->name_size);
		buffer_add_text(out, ": ");
		buffer_add(out, heard->text, heard->text_size);
		break;
	case HEARD_ERROR:
		add_styled(out, palettes[colors].alarm, heard->text, heard->text_size);
		break;
	case HEARD_WELCOME:
	case HEARD_NOTICE:
		add_styled(out, palettes[colors].faint, heard->text, heard->text_size);
		break;
	case HEARD_OTHER:
		buffer_add(out, heard->text, heard->text_size);
		break;
	}
	finish_line(out, start);
}

void render_event_clock(char clock[RENDER_CLOCK_SIZE], const struct event *event)
{
	time_t at = (time_t)event->at;
	struct tm local;

	if (at == 0 || localtime_r(&at, &local) == NULL || strftime(clock, RENDER_CLOCK_SIZE, "%H:%M", &local) == 0)
		render_clock(clock);
}

/* How many bytes at the start of 'text' are an address that may be made a link, printable ASCII only; or 0. */
static size_t link_size(const char *text)
{
	size_t size = 0;

	if (strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0)
		return 0;
	while (text[size] > 0x20 && text[size] < 0x7F && strchr("<>\"`{}|\\^", text[size]) == NULL)
		size++;
	while (size > 0 && strchr(".,;:!?)'", text[size - 1]) != NULL)
		size--;
	return size > 8 ? size : 0;
}

/* Adds text with its addresses as links that a terminal can open (OSC 8). */
static void add_text(struct buffer *out, enum render_colors colors, const char *text)
{
	const char *from = text;

	while (colors != RENDER_NO_COLORS && (text = strstr(text, "http")) != NULL) {
		size_t size = link_size(text);

		if (size > 0) {
			buffer_add(out, from, (size_t)(text - from));
			buffer_add_format(out, "\033]8;;%.*s\033\\%.*s\033]8;;\033\\", (int)size, text, (int)size, text);
			from = text + size;
		}
		text += size > 0 ? size : 4;
	}
	buffer_add_text(out, from);
}

static void add_speaker(struct buffer *out, enum render_colors colors, const char *own_name, const char *name, bool stands_out)
{
	if (stands_out)
		buffer_add_text(out, colors == RENDER_NO_COLORS ? "> " : "\033[7m");
	add_name(out, colors, strcmp(own_name, name) == 0, name, strlen(name));
}

static void add_faint(struct buffer *out, enum render_colors colors, const char *format, ...) PRINTF_LIKE(3, 4);
static void add_faint(struct buffer *out, enum render_colors colors, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		abort(); /* no memory: see buffer.h */
	va_end(arguments);
	add_styled(out, palettes[colors].faint, text, strlen(text));
	free(text);
}

static void add_notice(struct buffer *out, enum render_colors colors, const struct event *event)
{
	if (strcmp(event->type, "server_shutting_down") == 0)
		add_faint(out, colors, "== The server(%s) was terminated its operation... Goodbye. ==", event->address);
	else
		add_faint(out, colors, "* %s", event->text);
}

static void add_event(struct buffer *out, enum render_colors colors, const char *own_name, const struct event *event,
	bool stands_out)
{
	switch (event->kind) {
	case EVENT_ACTION:
		buffer_add_text(out, "~ ");
		add_speaker(out, colors, own_name, event->participant, stands_out);
		buffer_add_text(out, " ");
		add_text(out, colors, event->text);
		break;
	case EVENT_DIRECT:
		buffer_add_text(out, "[");
		add_speaker(out, colors, own_name, event->participant, stands_out);
		buffer_add_format(out, " -> %s] ", event->to);
		add_text(out, colors, event->text);
		break;
	case EVENT_JOINED:
		add_faint(out, colors, "User \"%s\" just joined the chat!", event->participant);
		break;
	case EVENT_LEFT:
		add_faint(out, colors, "User \"%s\" just left the chat (%s)", event->participant, event->text);
		break;
	case EVENT_NICK:
		add_faint(out, colors, "User \"%s\" is now \"%s\"", event->participant, event->text);
		break;
	case EVENT_TOPIC:
		add_faint(out, colors, event->text[0] == '\0' ? "User \"%s\" removed the topic%s" : "User \"%s\" set the topic: %s",
			event->participant, event->text);
		break;
	case EVENT_ROOM_CLOSED:
		add_faint(out, colors, "chat server: chat room is closing");
		break;
	case EVENT_ERROR:
		buffer_add_text(out, palettes[colors].alarm);
		buffer_add_format(out, "! %s: %s", event->code, event->text);
		buffer_add_text(out, palettes[colors].alarm[0] == '\0' ? "" : normal);
		break;
	case EVENT_PONG:
		add_faint(out, colors, "* pong%s%s", event->text[0] == '\0' ? "" : " ", event->text);
		break;
	case EVENT_WELCOME:
	case EVENT_NOTICE:
		add_notice(out, colors, event);
		break;
	case EVENT_MESSAGE:
	case EVENT_OTHER:
		add_speaker(out, colors, own_name, event->participant, stands_out);
		buffer_add_text(out, ": ");
		add_text(out, colors, event->text);
		break;
	}
}

void render_event(struct buffer *out, enum render_colors colors, const char *clock, const char *own_name,
	const struct event *event, bool marked, bool stands_out)
{
	bool says = event->text[0] != '\0' || event->kind == EVENT_MESSAGE;
	size_t start = out->size;

	if (!says && (event->kind == EVENT_NOTICE || event->kind == EVENT_WELCOME || event->kind == EVENT_OTHER))
		return;
	add_clock(out, colors, clock);
	if (marked)
		add_faint(out, colors, "[%s] ", places_shown(event->room));
	add_event(out, colors, own_name, event, stands_out);
	finish_line(out, start);
}

void render_own(
	struct buffer *out, enum render_colors colors, const char *clock, enum render_tone tone, const char *text)
{
	size_t start = out->size;

	add_clock(out, colors, clock);
	add_styled(out, tone == RENDER_WARNING ? palettes[colors].alarm : palettes[colors].faint, text, strlen(text));
	finish_line(out, start);
}

void render_prompt(struct buffer *out, enum render_colors colors, const char *state, const char *own_name)
{
	if (state[0] != '\0') {
		add_styled(out, palettes[colors].faint, state, strlen(state));
		buffer_add_text(out, " ");
	}
	buffer_add_text(out, "You(");
	add_name(out, colors, true, own_name, strlen(own_name));
	buffer_add_text(out, ")> ");
}
