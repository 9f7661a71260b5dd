/*
 * Whom the person does not want to read: names that are kept in a file, for one server, over restarts.
 *
 * Upper and lower case count as the same. Who takes another name stays ignored, until one sees them leave: that is not
 * kept. The file has one name a line; what is no name there does not count.
 *
 * Threads: one at a time.
 */
#ifndef TCPCLIENT_IGNORED_H
#define TCPCLIENT_IGNORED_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"

enum { IGNORED_MAX = 100 }; /* as many as the server takes */

struct ignored_person {
	char *name; /* owned, as it is kept               */
	char *key;  /* owned: what it counts as           */
	char *now;  /* owned: the other name's, or NULL   */
	bool told;  /* for the caller: the server knows   */
};

struct ignored {
	struct ignored_person people[IGNORED_MAX];
	size_t count;
	char *path; /* owned; NULL: nothing is kept */
};

enum ignored_result {
	IGNORED_BEGUN,
	IGNORED_ENDED,
	IGNORED_TOO_MANY,
	IGNORED_NO_NAME, /* it could be nobody's */
};

/* Reads the file; without one, or with 'path' NULL, nobody is ignored. */
void ignored_init(struct ignored *ignored, const char *path);
void ignored_fini(struct ignored *ignored);

/* Who has that name now; NULL when nobody who is ignored. Valid until the next change. */
struct ignored_person *ignored_find(struct ignored *ignored, const char *name);

/* Ignores somebody, or, if that is so already, no longer. '*error' is 0, or -errno of the file, which only this run of the
 * client then differs from. */
enum ignored_result ignored_change(struct ignored *ignored, const char *name, int *error) MUST_CHECK;

/* Somebody has another name. */
void ignored_rename(struct ignored *ignored, const char *name, const char *now);
/* Somebody is gone: another one may come with the name that this one had taken. */
void ignored_left(struct ignored *ignored, const char *name);

#endif
