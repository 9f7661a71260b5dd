/*
 * What calls a person who looks elsewhere: a notification of the desktop, which a terminal makes of an escape sequence.
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef TCPCLIENT_ATTENTION_H
#define TCPCLIENT_ATTENTION_H

#include <stdbool.h>

#include "tcpclient/buffer.h"

/* What terminals understand: iTerm2's (the most), urxvt's, kitty's. */
enum attention_way { ATTENTION_OSC_9, ATTENTION_OSC_777, ATTENTION_OSC_99 };

/* By the environment: TERM, TERM_PROGRAM. */
enum attention_way attention_choose(void);

/* Adds the notification; 'title' and 'text' are clean, and are cut. 'through_tmux' hands it to the terminal outside. */
void attention_notify(
	struct buffer *out, enum attention_way way, bool through_tmux, const char *title, const char *text);

#endif
