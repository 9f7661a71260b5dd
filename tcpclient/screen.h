/*
 * The terminal: lines that came appear above the line that is being typed, which is never garbled.
 *
 * Readline edits the line and knows the keys; what is seen is drawn here (view.h), always in one write(). Readline
 * keeps its state in globals and a process has one terminal, so there is one screen.
 *
 * Threads: any may print and set the prompt; the thread that opened it reads the keys.
 */
#ifndef TCPCLIENT_SCREEN_H
#define TCPCLIENT_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"
#include "tcpclient/buffer.h"

enum screen_event {
	SCREEN_MORE,           /* nothing: wait for more keys                          */
	SCREEN_LINES,          /* lines to send, separated by LF; usually one          */
	SCREEN_PASTE_TOO_LONG, /* more was pasted than can be taken; it is dropped     */
	SCREEN_LEAVE,          /* Ctrl-D on an empty line                              */
	SCREEN_LOOKED_AT,      /* the terminal got the keyboard's focus, after it had lost it */
};

/* What Tab makes of the word before 'point': see complete.h. Called with the screen's lock held. */
typedef size_t screen_completer(void *context, const char *line, size_t point, size_t turn, struct buffer *out);
void screen_set_completer(screen_completer *completer, void *context);

/* Takes the lines of earlier times from a file, and adds new ones to it; only its owner may read it. Without a file that
 * can be written the lines are forgotten at the end, and secrets at once (secret.h). */
void screen_open_history(const char *path);

/* Whether the terminal has the keyboard's focus, as far as it tells. */
bool screen_is_focused(void);

/* Takes the terminal over (standard input and output); 'prompt' may hold "\033[...m". Returns 0, or -errno. */
int screen_open(const char *prompt) MUST_CHECK;

/* Erases the prompt and gives the terminal back as it was. */
void screen_close(void);

/* Gives the terminal back at once, without a lock and without waiting; for a thread or signal handler that must end the
 * program while another thread may hold the screen. */
void screen_abandon(void);

/* Stops the program as Ctrl-Z does, with the terminal given back meanwhile. */
void screen_suspend(void);

/* Takes the terminal over again, after something else may have changed it. */
void screen_resume(void);

/* The terminal's size has changed. */
void screen_resize(void);

/* Prints whole lines, each with its LF, above the typed line. */
void screen_print(const char *lines, size_t size);

/* Prints a line that may be replaced by the next one: 'again' replaces the last, if nothing was printed since. */
void screen_print_folded(const char *line, size_t size, bool again);

void screen_set_prompt(const char *prompt);

/* Gives bytes that were read from the keyboard; then screen_next() until SCREEN_MORE. */
void screen_feed(const char *bytes, size_t size);

/* Works on the keys until there is an event. '*text' has '*size' bytes and is valid until the next call. */
enum screen_event screen_next(const char **text, size_t *size);

/* Puts text back into the line, in front of what is typed there. */
void screen_put_back(const char *text, size_t size);

/* How long to wait for more keys, in milliseconds, before screen_give_up(); -1: as long as it takes. */
int screen_waiting(void);
void screen_give_up(void);

#endif
