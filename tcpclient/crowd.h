/*
 * Those who came and went in a row, each told once however often they did.
 *
 * Threads: one at a time.
 */
#ifndef TCPCLIENT_CROWD_H
#define TCPCLIENT_CROWD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/text.h"
#include "tcpclient/buffer.h"

enum {
	CROWD_MAX = 256,  /* people who are known apart */
	CROWD_TOLD_MAX = 8, /* names that are told of those who did the same */
};

struct crowd_person {
	char name[NAME_SIZE];
	bool was_here; /* before any of it */
	bool is_here;
};

struct crowd {
	struct crowd_person people[CROWD_MAX];
	size_t count;
	size_t others_came; /* when there were CROWD_MAX already */
	size_t others_went;
};

/* Makes it empty. */
void crowd_clear(struct crowd *crowd);
void crowd_came(struct crowd *crowd, const char *name);
void crowd_went(struct crowd *crowd, const char *name);

/* Adds "ann, bob joined; eve left". */
void crowd_tell(const struct crowd *crowd, struct buffer *out);

#endif
