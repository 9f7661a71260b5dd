/*
 * The rows of an SQLite file, found without SQLite: every page that looks like a leaf of a table, or like a page of an index, is read, however the
 * pages above it, the header or the schema are damaged. The write-ahead log beside the file is looked at, too, as far as it
 * is whole. The file is only read.
 *
 * Rows come in no order, and without the name of their table: what they look like has to tell.
 *
 * Threads: one at a time.
 * Source: the SQLite documentation, "Database File Format".
 */
#ifndef TCPSERVER_JOURNALS_SQLITE_PAGES_H
#define TCPSERVER_JOURNALS_SQLITE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sync.h"

enum {
	PAGES_COLUMNS_MAX = 16,
	PAGES_ROW_MAX = 1 << 20, /* bytes of a row that is read */
};

enum sqlite_value_kind { VALUE_NULL, VALUE_NUMBER, VALUE_TEXT, VALUE_BLOB, VALUE_OTHER };

struct sqlite_value {
	enum sqlite_value_kind kind;
	int64_t number;
	const char *bytes; /* of text and blobs; any bytes */
	size_t size;
};

struct sqlite_row {
	bool of_index; /* or of a table without ids, which looks the same */
	int64_t id;    /* 0 in an index */
	struct sqlite_value values[PAGES_COLUMNS_MAX];
	size_t count;
};

struct sqlite_pages {
	int file;
	int log;             /* -1: there is none */
	size_t page_size;
	size_t usable;       /* bytes of a page without what is reserved at its end */
	uint32_t count;      /* of pages */
	uint32_t *logged;    /* for each page its frame in the log, from 1 on; 0: it is in the file */
	bool *is_free;       /* holds nothing, or what was deleted */
	unsigned char *page; /* room for one */
	unsigned char *more; /* room for another */
	unsigned char *row;  /* room for a row */
	uint64_t bad_pages;  /* could not be read, or made no sense */
	uint64_t bad_rows;
};

/* Returns 0 or -errno; -EBUSY: another program has locked the file. Nothing of a damaged file is an error. */
int sqlite_pages_open(struct sqlite_pages *pages, const char *path) MUST_CHECK;
void sqlite_pages_close(struct sqlite_pages *pages);

/* Calls 'take' for each row until it returns other than 0, and returns that. What the row points to stays until then. */
int sqlite_pages_each(struct sqlite_pages *pages, int (*take)(const struct sqlite_row *row, void *context), void *context)
	MUST_CHECK;

#endif
