/*
 * Writes what an SQLite journal keeps as an archive (archive.h), while a server may be at work with it: what is written is
 * what was kept at one moment. Rooms come in the order of their ids, all of one room together.
 *
 * Threads: any.
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_EXPORT_H
#define TCPSERVER_JOURNALS_SQLITE_EXPORT_H

#include <stdio.h>

#include "common/sync.h"

struct format;

/*
 * Exports the journal 'path' to the new file 'to' (mode 0600; "-" for standard output), each message as 'format' writes it,
 * which has to be that of events. 'room' is the name or id of the only room to export, or NULL. Says on 'report' what was
 * done, or what is wrong and what to do; then there is no new file. Returns 0 or 1.
 */
int sqlite_export(const char *path, const char *room, const struct format *format, const char *to, FILE *report) MUST_CHECK;

/* The same to an open file, which stays open. */
int sqlite_export_to(const char *path, const char *room, const struct format *format, FILE *out, FILE *report) MUST_CHECK;

#endif
