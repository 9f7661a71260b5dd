/*
 * How far each room has been read, so that every message is shown once: after a lost connection one goes on where one was.
 *
 * Of each room it knows the number of the last message that was heard, and of the last that was shown. The numbers have no
 * holes, so a message whose number was heard already is dropped, and one that comes too early shows that something is
 * missing, which is then asked for. The file has what was shown.
 *
 *         joining -> (what comes is dropped) -> joined -> recalled messages -> live ones
 *
 * While a room is being read anew ('awaited'), what still comes from the place before is dropped: it comes once more.
 *
 * Threads: one at a time.
 */
#ifndef TCPCLIENT_PROGRESS_H
#define TCPCLIENT_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"
#include "common/text.h"

enum {
	PROGRESS_ROOMS_MAX = 32, /* as PLACES_MAX */
	PROGRESS_ID_SIZE = 64,
};

enum progress_verdict {
	PROGRESS_NEW,
	PROGRESS_OLD,       /* heard before, or it will come once more                                   */
	PROGRESS_HOLE,      /* something is missing before it; to be asked for, and it will come again   */
	PROGRESS_LOOKED_UP, /* not the next one: an answer to somebody who looks for what was said       */
};

struct progress_room {
	char name[NAME_SIZE];
	char id[PROGRESS_ID_SIZE]; /* "": the server has not told it, and cannot be asked to go on      */
	long long first;           /* that was heard since we came; 0: nothing                          */
	long long heard;           /* 0: nothing yet                                                    */
	long long begun;           /* the last message there was when we came and had heard nothing     */
	long long shown;
	long long marked;          /* the server knows that we read up to this one                      */
	long long mark;            /* what it knew when we came                                         */
	long long last;            /* the last message there was then                                   */
	long long mended;          /* after this one something was missing, and has been asked for      */
	bool awaited;
	bool anew;                 /* without a place to go on from                                     */
	bool recalled; /* what was said before is being told                                           */
	bool hides;    /* and is not to be shown                                                         */
	bool may_skip; /* the next message may have any number                                           */
	bool has_news; /* those after 'mark' are new to the person, and none was shown yet               */
};

struct progress {
	struct progress_room rooms[PROGRESS_ROOMS_MAX];
	size_t count;
	bool knows_session; /* the server, as a first line                  */
	bool changed;       /* since it was read or written                 */
	char current[NAME_SIZE]; /* the room where one was; from the file    */
};

/* The room, or NULL. */
struct progress_room *progress_find(struct progress *progress, const char *name);
void progress_forget(struct progress *progress, const char *name);

/* What to do with a message. 'looks_up': somebody looks for what was said before. */
enum progress_verdict progress_take(
	struct progress *progress, const char *room, long long seq, bool history, bool looks_up);

/* The room will be read anew, from the last message heard on if there is one; with 'hides' without what was said before. */
void progress_joining(struct progress *progress, const char *room, bool hides);

/* What the server told of a room. 'read': it is the answer to what progress_joining() was called for. */
struct progress_answer {
	const char *id;
	long long last;
	long long mark;
	bool read;
};
/* Returns whether something is missing that was said between our coming and the reading; to be asked for as after a hole. */
bool progress_joined(struct progress *progress, const char *room, const struct progress_answer *answer);

/*
 * After which message one goes on, or -1 to begin anew. Who has heard nothing yet goes on with what was said since we came,
 * and with as many of the messages before that as are wanted: 'recalled', at most.
 */
long long progress_place(const struct progress_room *room, long long recalled);

/* The server does not do as progress_joining() hoped: anything may come. */
void progress_refused(struct progress *progress, const char *room);

/* What comes next from the room may have any number: a part was left out. */
void progress_skips(struct progress *progress, const char *room);

/* All that was heard has been shown. Returns whether that is more than before. */
bool progress_show(struct progress *progress);

/* Reads a file of progress_write(), as much as is fit to be read. Without one nothing is known. */
void progress_read(struct progress *progress, const char *path);

/* Puts a new file, which only its owner may read, into the place of the old one. Returns 0, or -errno. */
int progress_write(struct progress *progress, const char *path) MUST_CHECK;

#endif
