/*
 * The SQLite journal: keeps everything in one file, on this machine's disk.
 *
 * One thread writes: it takes all drafts that wait, keeps them in one transaction, and publishes them once that is on
 * the disk. Readers have connections of their own and never wait for it. Another thread moves what was written from the
 * write-ahead log to the file.
 *
 * While the disk does not take what is written, drafts are refused; a new try is made with what comes next, so the
 * journal works again when the disk does.
 *
 * The schema is in sqlite_schema.c.
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_H
#define TCPSERVER_JOURNALS_SQLITE_H

#include <stddef.h>

#include "common/sync.h"

struct journal;

/* What is safe when the power fails. Nothing is lost in any of them when only the server dies. */
enum sqlite_sync {
	SQLITE_JOURNAL_FULL,   /* whatever was published                                               */
	SQLITE_JOURNAL_NORMAL, /* the file is whole, but what was published last may be gone            */
	SQLITE_JOURNAL_OFF,    /* nothing: the file may be damaged                                      */
};

struct sqlite_options {
	const char *path;
	enum sqlite_sync sync;
	long long retain_days;  /* messages that are older go; 0: none of them   */
	long long retain_count; /* of a room, the last so many stay; 0: all      */
};

/*
 * Opens the journal in the file, which is made if there is none; its directory has to exist. The path is copied.
 *
 * Errors: -errno; 'fault' says then what is wrong with which file, why, and what can be done, in a sentence or two.
 */
int sqlite_journal_open(
	const struct sqlite_options *options, struct journal **journal, char *fault, size_t fault_size) MUST_CHECK;

#endif
