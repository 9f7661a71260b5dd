/*
 * Splits a stream of bytes into lines.
 *
 * It does no input or output: feed it what came, take the lines out one by one, in order:
 *
 *         lines_feed(&lines, bytes, size);
 *         while ((state = lines_next(&lines, &line, &line_size)) != LINES_MORE)
 *                 ...
 *
 * Bytes of an unfinished line are kept in an own buffer between two feeds; there is none while nothing is unfinished.
 * A line ends with LF; one CR before it belongs to the end. A line longer than the limit is dropped and reported once,
 * as LINES_TOO_LONG, when its end came; so is one for which there is no memory. Lines after it are not affected.
 *
 * Threads: one at a time.
 */
#ifndef COMMON_LINES_H
#define COMMON_LINES_H

#include <stdbool.h>
#include <stddef.h>

enum lines_state {
	LINES_MORE,      /* no whole line is left: feed again         */
	LINES_LINE,      /* a line                                    */
	LINES_TOO_LONG,  /* a line was longer than the limit, dropped */
	LINES_NO_MEMORY, /* a line was dropped for lack of memory     */
};

struct lines {
	size_t limit;             /* the longest line allowed, bytes without the line end */
	char *kept;               /* the unfinished line, or NULL                         */
	size_t kept_size;         /* bytes in it                                          */
	const char *next;         /* the fed bytes not yet looked at                      */
	size_t next_size;
	bool kept_was_read;       /* 'kept' is the line that was returned last            */
	enum lines_state dropped; /* why the unfinished line is dropped; else LINES_MORE  */
};

void lines_init(struct lines *lines, size_t limit);
void lines_fini(struct lines *lines);

/* Gives bytes to split. They are borrowed until lines_next() says LINES_MORE, and until then nothing else may be fed. */
void lines_feed(struct lines *lines, const char *bytes, size_t size);

/*
 * Takes the next line. On LINES_LINE '*line' has '*size' bytes, without the line end and not ended by NUL; it may hold
 * any byte but LF, and is valid until the next call.
 */
enum lines_state lines_next(struct lines *lines, const char **line, size_t *size);

/* The stream has ended: takes the unfinished last line, if there is one, else LINES_MORE. */
enum lines_state lines_last(struct lines *lines, const char **line, size_t *size);

#endif
