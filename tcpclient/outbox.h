/*
 * The lines that wait to be sent, and those that were sent and whose echo has not come.
 *
 * The keyboard (or the filter's input) puts lines in, the socket thread takes them out:
 *
 *         put -> waiting -> take -> sent -> acknowledge
 *                   ^                 |
 *                   +-- the connection was lost --+
 *
 * Its size is bounded: OUTBOX_LINES_MAX lines, OUTBOX_BYTES_MAX bytes. A command is forgotten as soon as it was taken,
 * because no echo tells of it. With a goTCP server lost lines are not taken back: it might have told them to everyone.
 *
 * With outbox_keep() what is said is on disk (unsent.h) before it is sent, until it was acknowledged or refused, and has the
 * number there. What is not said has numbers from OUTBOX_COMMANDS on then.
 *
 * In event mode lines are taken as requests (request.h), whose answers bear their number: outbox_answered() knows exactly
 * which line was kept or refused, commands too.
 *
 * Threads: any. Nothing here waits, except outbox_wait(), and the disk of outbox_keep().
 */
#ifndef TCPCLIENT_OUTBOX_H
#define TCPCLIENT_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"
#include "tcpclient/buffer.h"
#include "tcpclient/unsent.h"

enum {
	OUTBOX_LINES_MAX = 1000,
	OUTBOX_BYTES_MAX = 4 * 1024 * 1024,
	OUTBOX_LINE_SIZE_MAX = 65535, /* as the server's --max-line */
	OUTBOX_QUIET = -1000,         /* numbers from this up to -1 are free for others */
};

#define OUTBOX_COMMANDS (1LL << 52)

/* What is to happen when the lines run out. */
enum outbox_plan {
	OUTBOX_GO_ON,  /* more may come                                             */
	OUTBOX_FINISH, /* say that no more comes, once every line was echoed        */
	OUTBOX_LEAVE,  /* the person leaves: send what waits, but not for its echo  */
};

/* How many there are. */
struct outbox_state {
	size_t waiting; /* not sent yet                  */
	size_t sent;    /* sent, their echo or answer has not come */
	size_t asked_waiting; /* of those that wait, by outbox_ask()  */
	size_t asked_sent;    /* of those that were sent              */
	size_t kept;          /* on disk, sent or not                 */
	bool held;            /* nothing can be taken now             */
	enum outbox_plan plan;
};

struct outbox;

struct outbox *outbox_create(void);
void outbox_destroy(struct outbox *outbox);

/* Takes 'unsent': its lines wait to be sent, and what is said from now on is kept there. At once after outbox_create(). */
void outbox_keep(struct outbox *outbox, struct unsent *unsent);

/* Whether 'lines' more lines with 'bytes' bytes altogether would be taken. */
bool outbox_has_room(struct outbox *outbox, size_t lines, size_t bytes);

/* Waits until one line of any size has room, or outbox_stop() was called; returns false then. For a thread with nothing
 * else to do. */
bool outbox_wait(struct outbox *outbox) MUST_CHECK;

/* Nobody takes lines any more; wakes outbox_wait(). */
void outbox_stop(struct outbox *outbox);

/* While it is held, nothing can be taken from it. */
void outbox_hold(struct outbox *outbox, bool held);

/* Nothing of what waits shall be sent, nor of what comes, which is refused; what is on disk stays there. As outbox_stop(). */
void outbox_abandon(struct outbox *outbox);

/* What was heard until now has been dealt with. */
void outbox_heard(struct outbox *outbox);

/* Waits until all that was put or asked was sent and answered, as far as it is, and its answers were dealt with (outbox_heard()); or
 * until outbox_stop(). */
void outbox_wait_heard(struct outbox *outbox);

/* Adds a line, without its end. Returns false when it is too long or there is no room. */
bool outbox_put(struct outbox *outbox, const char *line, size_t size) MUST_CHECK;

/* The same for a line that is meant for 'room', in event mode; "" is where the server believes us to be. */
bool outbox_put_to(struct outbox *outbox, const char *room, const char *line, size_t size) MUST_CHECK;

/* The same for a request that is written already: it is sent as it is, and its answer is not waited for. */
bool outbox_put_request(struct outbox *outbox, const char *line, size_t size) MUST_CHECK;

/* Asks for something that the person did not type; its number is below OUTBOX_QUIET. Without room it is not asked, and
 * false is returned. */
bool outbox_ask(struct outbox *outbox, const char *line);

/* Forgets what was asked for by outbox_ask() and not taken yet. */
void outbox_forget_asked(struct outbox *outbox);

/* Whether a line of which 'is' says so waits. */
bool outbox_has(struct outbox *outbox, bool (*is)(const char *line, size_t size, const void *context), const void *context);

/* A plan is never taken back; OUTBOX_LEAVE is stronger than OUTBOX_FINISH. */
void outbox_plan(struct outbox *outbox, enum outbox_plan plan);

/* Copies waiting lines, each with its LF, as many whole ones as fit; returns the bytes. 'size' has to be more than
 * OUTBOX_LINE_SIZE_MAX. '*quit' is set when one of them was "/quit". 'again' as for outbox_lost(), should the connection be. */
size_t outbox_take(struct outbox *outbox, char *out, size_t size, bool again, bool *quit);

/*
 * Adds waiting lines as requests to 'out' until it has 'size' bytes or more; 2 * REQUEST_SIZE_MAX more
 * at most. '*too_long' counts the lines that have no room in a request, and are forgotten. '*quit' as for outbox_take().
 */
void outbox_take_requests(struct outbox *outbox, struct buffer *out, size_t size, bool *quit, size_t *too_long);

/* The request with this number was answered: adds its line to 'line', with a NUL, and forgets it. Returns false when
 * none has it, as at the second line of an answer. */
bool outbox_answered(struct outbox *outbox, long long id, struct buffer *line);

/*
 * An echo of ours came: forgets the oldest sent line with this text; or, if there is none and 'certain' says that the
 * echo can only be ours, the oldest.
 */
void outbox_acknowledge(struct outbox *outbox, const char *text, size_t size, bool certain);

/* The server refused a line, and does not say which: forgets the oldest sent one. */
void outbox_refused(struct outbox *outbox);

/* The connection is gone. The sent lines wait again, or are forgotten; returns how many. */
size_t outbox_lost(struct outbox *outbox, bool again);

/*
 * Adds what was typed and is not acknowledged or answered since 'age_ms' or longer, each line with its LF, 'most' lines at most, to
 * 'lines'. Returns how many there are. '*next_ms' is when there will be one more, in milliseconds from now, or -1.
 */
size_t outbox_pending(struct outbox *outbox, int age_ms, size_t most, struct buffer *lines, int *next_ms);

struct outbox_state outbox_state(struct outbox *outbox);

#endif
