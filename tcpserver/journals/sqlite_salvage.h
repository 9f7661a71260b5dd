/*
 * What can be done about a damaged SQLite journal: look what is wrong with it, and save what can be read.
 *
 * Threads: any.
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_SALVAGE_H
#define TCPSERVER_JOURNALS_SQLITE_SALVAGE_H

#include <stdio.h>

#include "common/sync.h"

enum {
	SALVAGE_ALL = 0,     /* everything was saved, as far as can be told        */
	SALVAGE_NOTHING = 1, /* nothing was: 'out' says why; there is no new file  */
	SALVAGE_SOME = 2,    /* messages are missing; 'out' says how many          */
};

/*
 * Looks through the journal 'path', while a server may be at work with it: whether the file is whole, and whether all that is
 * kept in it makes sense. Says on 'out' what was found. Numbers that are missing between messages of a room are named, but
 * are no damage by themselves: they may have been lost before. Returns 0 when nothing is damaged, 1 otherwise.
 */
int sqlite_check(const char *path, FILE *out) MUST_CHECK;

/*
 * Saves all messages, rooms, and numbers of clients that can be read in the journal 'from', however it is damaged, to a new
 * journal 'to' (mode 0600), with the same numbers. A room of which only messages are left is called "salvaged-" and its
 * number. Where people had read (marks) is not saved; words are indexed anew by the server. 'from' is not changed, and no
 * server may use it. Says on 'out' what was saved and lost. Returns one of the above.
 */
int sqlite_salvage(const char *from, const char *to, FILE *out) MUST_CHECK;

#endif
