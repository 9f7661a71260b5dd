#include "tcpclient/attention.h"

#include <stdlib.h>
#include <string.h>

#include "common/text.h"

enum { TITLE_SIZE_MAX = 100, TEXT_SIZE_MAX = 300 };

static bool has(const char *variable, const char *part)
{
	const char *value = getenv(variable);

	return value != NULL && strstr(value, part) != NULL;
}

enum attention_way attention_choose(void)
{
	if (has("TERM", "kitty"))
		return ATTENTION_OSC_99;
	if (has("TERM", "rxvt") || has("TERM", "foot") || has("TERM_PROGRAM", "ghostty"))
		return ATTENTION_OSC_777;
	return ATTENTION_OSC_9;
}

/* Without ';', which would end a part of the sequence. */
static void add_part(struct buffer *out, const char *text, size_t most)
{
	size_t size = text_prefix(text, strlen(text), most);
	size_t place = out->size;

	buffer_add(out, text, size);
	out->size = place + text_straighten(out->bytes + place, size);
	for (; place < out->size; place++) {
		if (out->bytes[place] == ';' || out->bytes[place] == '\t')
			out->bytes[place] = ' ';
	}
}

static void add_sequence(struct buffer *out, enum attention_way way, const char *title, const char *text)
{
	buffer_add_text(out, way == ATTENTION_OSC_9 ? "\033]9;" : way == ATTENTION_OSC_99 ? "\033]99;;" : "\033]777;notify;");
	add_part(out, title, TITLE_SIZE_MAX);
	buffer_add_text(out, way == ATTENTION_OSC_777 ? ";" : ": ");
	add_part(out, text, TEXT_SIZE_MAX);
	buffer_add_text(out, "\033\\");
}

void attention_notify(
	struct buffer *out, enum attention_way way, bool through_tmux, const char *title, const char *text)
{
	struct buffer sequence = {0};

	add_sequence(&sequence, way, title, text);
	if (!through_tmux) {
		buffer_add(out, sequence.bytes, sequence.size);
	} else {
		buffer_add_text(out, "\033Ptmux;");
		for (size_t i = 0; i < sequence.size; i++) {
			if (sequence.bytes[i] == '\033')
				buffer_add_text(out, "\033"); /* tmux wants each ESC twice */
			buffer_add(out, &sequence.bytes[i], 1);
		}
		buffer_add_text(out, "\033\\");
	}
	buffer_fini(&sequence);
}
