/*
 * What is in the file of the SQLite journal: the tables, and how they came about.
 *
 * The file names its program (application_id) and its version (user_version). An older version is brought forward in
 * one transaction; a newer one, and the file of another program, are left alone.
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_SCHEMA_H
#define TCPSERVER_JOURNALS_SQLITE_SCHEMA_H

#include <stddef.h>

#include "common/sync.h"

struct sqlite_store;

enum { SQLITE_SCHEMA_ID = 0x74636874 /* "tcht" */, SQLITE_SCHEMA_VERSION = 3 };

/*
 * Looks at the file of a store that may write, and brings it to the present version. Files up to a gigabyte are looked
 * through for damage. Returns 0; or -errno, and 'fault' says what is wrong.
 */
int sqlite_schema_open(struct sqlite_store *store, const char *path, char *fault, size_t fault_size) MUST_CHECK;

/* Says that the file cannot be read for an SQLite 'result', and what to do about it. Returns -errno. */
int sqlite_schema_fault(const struct sqlite_store *store, int result, const char *path, char *fault, size_t fault_size);

#endif
