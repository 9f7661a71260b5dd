/*
 * Who is known by name, the most recent speaker first; bounded, so that a crowd does not fill the memory.
 *
 * Threads: one at a time.
 */
#ifndef TCPCLIENT_PEOPLE_H
#define TCPCLIENT_PEOPLE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/text.h"

enum { PEOPLE_MAX = 500 };

struct people {
	char *names[PEOPLE_MAX]; /* owned */
	size_t count;
};

void people_fini(struct people *people);
bool people_have(const struct people *people, const char *name);
/* Somebody has spoken: comes first. Of too many the last is forgotten. */
void people_spoke(struct people *people, const char *name);
/* Somebody is here: comes last, if not known; when there are too many, not at all. */
void people_add(struct people *people, const char *name);
void people_remove(struct people *people, const char *name);
/* Somebody has another name now. */
void people_rename(struct people *people, const char *name, const char *now);

#endif
