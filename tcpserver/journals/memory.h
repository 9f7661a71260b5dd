/*
 * The memory journal: keeps the last messages of each room, for tests, demonstrations and speed.
 */
#ifndef TCPSERVER_JOURNALS_MEMORY_H
#define TCPSERVER_JOURNALS_MEMORY_H

#include <stddef.h>

#include "common/sync.h"

struct journal;

enum {
	MEMORY_JOURNAL_KEPT = 10000,                     /* messages of a room, if nothing is said */
	MEMORY_JOURNAL_KEPT_MOST = 100000000,            /* messages that may be asked for          */
	MEMORY_JOURNAL_ROOM_MEMORY = 64 * 1024 * 1024,   /* bytes a room may take, however many messages that are */
};

enum { MEMORY_JOURNAL_NUMBERS = 100000 }; /* of clients' messages that are known again */

/* Makes a journal that keeps the last 'kept' messages of each room, at least one. NULL without memory. */
struct journal *memory_journal_create(size_t kept) MUST_CHECK;

#endif
