/*
 * What was received, as plain lines, to be searched and saved. Bounded: the oldest lines are forgotten.
 *
 * Threads: one at a time.
 */
#ifndef TCPCLIENT_RECORD_H
#define TCPCLIENT_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "tcpclient/buffer.h"

enum { RECORD_SIZE_MAX = 4 * 1024 * 1024 };

struct record {
	struct buffer lines; /* each with its LF */
	size_t start;        /* of the oldest that is kept */
};

void record_fini(struct record *record);
/* Adds one or more whole lines, each with its LF. */
void record_add(struct record *record, const char *lines, size_t size);
/* Adds the last 'most' lines that have all of the words (upper and lower case count as the same), oldest first. Returns
 * how many there are. */
size_t record_search(const struct record *record, const char *words, size_t most, struct buffer *out);
/* Writes all lines to a new file that only its owner may read. Returns 0, or -errno: -EEXIST when there is one. */
int record_save(const struct record *record, const char *path) MUST_CHECK;

/* Whether 'text' has 'word' in it: as a word of its own when 'whole'. Upper and lower case count as the same. */
bool text_has_word(const char *text, size_t size, const char *word, bool whole);

#endif
