/*
 * The file of the SQLite journal, as the file system sees it: made for its owner alone, and locked for one server.
 *
 * SQLite's own locks (POSIX) are lost when any descriptor of the file is closed in this process. So the lock is taken
 * before SQLite opens the file, and given back after SQLite closed it.
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_FILE_H
#define TCPSERVER_JOURNALS_SQLITE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sync.h"

/* Opens the file, makes it (mode 0600) if there is none, and locks it; warns in the log when others may use it, too. Returns its descriptor; or -errno, and 'fault'
 * says why. */
int sqlite_file_lock(const char *path, char *fault, size_t fault_size) MUST_CHECK;

/* Gives the lock back. */
void sqlite_file_unlock(int descriptor);

/*
 * Takes care that the file has at least 'size' bytes on the disk, with some more for what comes next if there is room; what is in
 * it stays. Returns 0, also where the file system cannot do that; or -errno, when there is no room. Threads: any.
 */
int sqlite_file_reserve(int descriptor, int64_t size) MUST_CHECK;

/*
 * Gives the index of SQLite's log, beside the file, its blocks on the disk. SQLite maps it, and where a block is smaller than a page a
 * part of a page that has no block yet ends the process (SIGBUS) if the disk is full when it is touched. Returns the index's
 * descriptor, which may only be closed after SQLite has closed the file, as closing it gives up SQLite's locks; or -1.
 */
int sqlite_file_reserve_index(const char *path) MUST_CHECK;

/* Whether the path still leads to the file that was locked. */
bool sqlite_file_is_there(const char *path, int descriptor) MUST_CHECK;

#endif
