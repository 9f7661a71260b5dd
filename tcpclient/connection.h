/*
 * The connection to the server, in a thread of its own: it connects, says who we are, sends what the outbox holds,
 * hears what the server says, and starts again when the server is gone.
 *
 * The first line from the server shows its dialect. A tcpchat server answers the name with its welcome; one that stays
 * silent is taken for a goTCP server after CONNECTION_PLAIN_AFTER_MS. No line is sent before the dialect is known,
 * since a goTCP server loses what comes together with the name.
 *
 * If it is asked to, it has a tcpchat server speak in events (event.h), and speaks in requests (request.h) itself. To a
 * server that does not know them it goes on in lines. In event mode a server from which nothing was heard for a while is
 * sent a ping, and one that does not answer is gone.
 *
 * It tells a server that speaks in events its session, by which the server knows what is sent once more and takes the place
 * of a connection of ours that it has not yet found dead. A server that is known to understand that is told at once,
 * instead of the name; if it does not after all, the next connection begins with the name again.
 *
 * Through TLS (secure.h) it is the same conversation: the socket is one end of a pair then. So it is with a carrier (carrier.h), which
 * speaks another protocol for it, and needs no look at the dialect: it is that of a goTCP server, or event mode.
 *
 * It never waits for the socket to take bytes while there are bytes to read: a server may stop listening to a client
 * that does not read.
 *
 * Threads: the functions are called by the thread that created it, connection_wake() by any.
 */
#ifndef TCPCLIENT_CONNECTION_H
#define TCPCLIENT_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "common/net.h"
#include "tcpclient/buffer.h"
#include "tcpclient/event.h"
#include "tcpclient/heard.h"
#include "tcpclient/outbox.h"
#include "tcpclient/unsent.h"

enum {
	CONNECTION_REACH_WITHIN_MS = 10000, /* for each address of the server */
	CONNECTION_PLAIN_AFTER_MS = 1000,
	CONNECTION_LINE_SIZE_MAX = 300 * 1024, /* the longest line that is taken from a server */
	CONNECTION_PING_AFTER_MS = 20000,
	CONNECTION_DEAD_AFTER_MS = 60000,
	CONNECTION_DELAY_LEAST_MS = 500,
	CONNECTION_DELAY_MOST_MS = 30000,
};

enum connection_event {
	CONNECTION_UNREACHABLE, /* 'detail' says why; told once, before the first call  */
	CONNECTION_MADE,        /* 'detail' is the server's address                     */
	CONNECTION_READY,       /* lines are sent from now on; 'detail' is our name     */
	CONNECTION_LOST,        /* 'detail' says how                                    */
	CONNECTION_FORGOT,      /* 'detail' lines were sent, but perhaps not delivered  */
	CONNECTION_CUT,         /* a line was too long and is not shown                 */
	CONNECTION_UNSENT,      /* 'detail' lines were too long for a request            */
	CONNECTION_SECURED,     /* it is encrypted; 'detail' says who vouches for the server: one or more lines */
	CONNECTION_INSECURE,    /* there is no secure connection; 'detail' says why and what to do, in lines     */
	CONNECTION_ENDED,       /* with a carrier: there is nothing to come back to; 'detail' says why           */
};

/* How it ended for good. */
enum connection_end {
	CONNECTION_CLOSED,      /* the server closed it                                         */
	CONNECTION_LEFT,        /* we left                                                      */
	CONNECTION_REFUSED,     /* the server does not want us, and would not the next time     */
	CONNECTION_BROKEN,      /* it broke ('persistent' tries again instead)                  */
	CONNECTION_DISTRUSTED,  /* there is no secure connection, and would be none the next time */
	CONNECTION_OVER,        /* with a carrier: what one was connected to is no more, as a room that was deleted */
	CONNECTION_TURNED_AWAY, /* with a carrier: the server does not want us, and would not the next time         */
	CONNECTION_NOT_REACHED, /* there was none ('persistent' tries again instead)            */
};

struct carrier;
struct secure;

/* Called by the connection's thread. */
struct connection_listener {
	/* A line came; it is clean. 'heard' points into it. */
	void (*line)(void *context, const char *line, size_t size, const struct heard *heard);
	/*
	 * An event came, in event mode; 'line' is it, clean. 'request' is the typed line that it answers, or NULL; of an
	 * answer of several events only the first has it.
	 */
	void (*heard)(void *context, const char *line, size_t size, const struct event *event, const char *request);
	/* Lines are sent from now on; what is added to 'out' comes first: lines or requests, as 'dialect' says. */
	void (*greet)(void *context, enum dialect dialect, struct buffer *out);
	/* All that was there has been given: the time to show it. */
	void (*pause)(void *context);
	void (*event)(void *context, enum connection_event event, const char *detail);
	/* Whether a persistent connection is still to be made again; NULL: it always is. */
	bool (*again)(void *context);
};

struct connection_settings {
	struct net_place place;
	const struct secure *secure; /* how it is encrypted; NULL: it is not; borrowed        */
	const struct carrier *carrier; /* what speaks below; NULL: we ourselves; borrowed     */
	const char *name; /* without line ends, not empty, not starting with '/' */
	bool persistent;  /* connect again when the server is gone               */
	bool events;      /* ask for event mode                                  */
	char session[UNSENT_SESSION_SIZE]; /* 32 hex digits; "": none, or without 'events'   */
	bool session_is_known; /* by the server: it understands such a first line */
	int ping_after_ms; /* of silence; 0: CONNECTION_PING_AFTER_MS            */
	int dead_after_ms; /* of silence; 0: CONNECTION_DEAD_AFTER_MS            */
	int pause_ms;     /* read not more often than this, to show many lines at once; 0: as they come */
	const struct connection_listener *listener;
	void *context;
	struct outbox *outbox; /* borrowed */
};

struct connection;

/* Starts the thread. Returns 0, or -errno. */
int connection_open(const struct connection_settings *settings, struct connection **connection) MUST_CHECK;

/* Tells the thread to look at the outbox again: a line was put in, or its plan has changed. */
void connection_wake(struct connection *connection);

/* A descriptor that becomes readable when the connection has ended for good. */
int connection_ended(const struct connection *connection);

/*
 * After outbox_plan(OUTBOX_LEAVE), or when it has ended: waits for the thread, for two seconds at most, and frees the
 * connection. Returns false when the thread is within the system's name look-up or connect(), which nothing can wake;
 * then the connection stays, and the program should end by _exit().
 */
bool connection_close(struct connection *connection, enum connection_end *end) MUST_CHECK;

/* How long to wait before the attempt with this number (0 is the first after a loss); 'chance' is any number. */
int connection_delay_ms(unsigned attempt, unsigned chance);

#endif
