/*
 * A door speaks one protocol: it turns bytes into what a session understands, and what happens into bytes.
 *
 * Doors know sessions; sessions know doors only through this table. Each door is one const struct door.
 */
#ifndef TCPSERVER_CORE_DOOR_H
#define TCPSERVER_CORE_DOOR_H

struct format;
struct session;

/* What a server has to say to one client alone. */
enum telling {
	TELL_NOTICE, /* an answer, or something worth knowing          */
	TELL_ERROR,  /* what, why, and what to do; with a stable code  */
};

struct door {
	const char *name;
	/* How messages look through this door. */
	const struct format *format;
	/*
	 * Holds the whole conversation: shakes hands, reads requests, hands them to the session, until the session has
	 * ended (session_ended()). Threads: the client's own; blocks only in session_wait().
	 */
	void (*serve)(struct session *session);
	/* Puts 'text' into the private outbox of the session's client. 'code' is NULL for a notice. Threads: the client's. */
	void (*tell)(struct session *session, enum telling telling, const char *code, const char *text);
	/* Tells a client that gets no session why, as far as one send goes. Does not close. Threads: any. */
	void (*turn_away)(int socket, const char *why);
	/* Puts the server's last words into the outbox: it is stopping. Threads: the client's. */
	void (*farewell)(struct session *session);
};

#endif
