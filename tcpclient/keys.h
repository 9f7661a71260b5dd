/*
 * Splits what a terminal sends into keys and pasted text.
 *
 * A key is given whole (an escape sequence, a character of several bytes), so that the line editor never has to wait
 * for the rest of one. Text between the marks of bracketed paste is given as one piece, whatever it holds.
 *
 *         keys_feed(&keys, bytes, size);
 *         while ((kind = keys_next(&keys, &bytes, &size)) != KEYS_MORE)
 *                 ...
 *
 * It does no input or output, and knows no clock: when keys_waiting() and nothing came for a while, keys_give_up()
 * makes what is there a key (the Escape key, for one).
 *
 * Threads: one at a time.
 */
#ifndef TCPCLIENT_KEYS_H
#define TCPCLIENT_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "tcpclient/buffer.h"

enum {
	KEYS_PASTE_SIZE_MAX = 4 * 1024 * 1024, /* what is more is dropped, and said with KEYS_PASTE_TOO_LONG */
	KEYS_ESCAPE_WAIT_MS = 50,              /* how long to wait for the rest of a key   */
	KEYS_PASTE_WAIT_MS = 5000,             /* how long to wait for the rest of a paste */
};

enum keys_kind {
	KEYS_MORE,           /* nothing whole is left: feed again                    */
	KEYS_KEY,            /* bytes for the line editor                            */
	KEYS_SEQUENCE,       /* the same, an escape sequence ("\033[15~")            */
	KEYS_INTERRUPT,      /* Ctrl-C                                               */
	KEYS_PASTE,          /* pasted text                                          */
	KEYS_PASTE_TOO_LONG, /* it was over KEYS_PASTE_SIZE_MAX and is not given     */
};

struct keys {
	struct buffer fed;
	size_t place; /* of the first byte not given yet */
	struct buffer paste;
	bool pasting;
	bool paste_too_long;
	bool gave_up;
};

void keys_init(struct keys *keys);
void keys_fini(struct keys *keys);

void keys_feed(struct keys *keys, const char *bytes, size_t size);

/* Takes the next one. '*bytes' is valid until the next call of any function here; it is not ended by NUL. */
enum keys_kind keys_next(struct keys *keys, const char **bytes, size_t *size);

/* How long to wait for the rest of what has begun, in milliseconds; -1 when nothing has begun. */
int keys_waiting(const struct keys *keys);

/* The rest does not come: the next keys_next() gives what is there. */
void keys_give_up(struct keys *keys);

#endif
