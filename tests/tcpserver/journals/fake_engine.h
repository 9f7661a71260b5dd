/*
 * An engine in the memory of a test, which fails when the test wants it to, and in which "others" say something.
 *
 * Threads: any.
 */
#ifndef TESTS_TCPSERVER_JOURNALS_FAKE_ENGINE_H
#define TESTS_TCPSERVER_JOURNALS_FAKE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "tcpserver/journals/engine.h"

enum fake_fault {
	FAKE_WORKS,
	FAKE_BREAKS_BEFORE, /* the link breaks, and nothing was kept; once  */
	FAKE_BREAKS_AFTER,  /* the link breaks when all was kept; once      */
	FAKE_BREAKS_AFTER_AND_IS_FULL, /* the same, and then it is full */
	FAKE_IS_FULL,       /* nothing is kept, the link stays              */
	FAKE_AGAIN,         /* the first three times                        */
};

/* There is one at a time. */
struct engine *fake_engine_create(void);
void fake_set_fault(enum fake_fault fault);
/* Links break, and there are no new ones; or there are again. */
void fake_set_away(bool away);
/* Others are not heard of, but by a look. */
void fake_set_silent(bool silent);
/* Another server says 'text' in a room, also under a client's number if that is not 0. Returns the number of the message. */
uint64_t fake_other_says(const char *room, const char *text, const unsigned char *client, uint64_t number);
/* Another server forgets the room. */
void fake_other_forgets(const char *room);
/* The next room is made when a look for the last messages of rooms has not found it; the look ends with fake_end_look(). */
void fake_miss_next_room(void);
void fake_end_look(void);
/* The first 'count' messages of the room are not kept any more. */
void fake_trim(const char *room, uint64_t count);
/* The next beat is told that this server was taken for dead. */
void fake_bury(void);
/* Somebody of a dead server is left in the room. */
void fake_leave_ghost(const char *room, const char *name);
/* How often append() was called, and how many entries it got. */
unsigned fake_appends(void);
unsigned fake_entries(void);
/* Whether the server has gone in good order. */
bool fake_is_retired(void);

#endif
