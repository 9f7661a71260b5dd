/*
 * A door speaks one protocol: it turns bytes into what a session understands, and what happens into bytes.
 *
 * Doors know sessions; sessions know doors only through this table. Each door is one const struct door.
 */
#ifndef TCPSERVER_CORE_DOOR_H
#define TCPSERVER_CORE_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct format;
struct session;

enum telling_kind {
	TELL_NOTICE,  /* an answer, or something worth knowing                     */
	TELL_ERROR,   /* what, why, and what to do; with a stable code             */
	TELL_WELCOME, /* the client has a name now: 'participant'                  */
	TELL_DIRECT,  /* 'participant' says the text to 'to' alone                 */
	TELL_PONG,    /* the answer to a ping                                      */
	TELL_SAID,    /* the message of the request was kept as number 'seq'       */
	TELL_ROOM_CLOSED, /* 'room' is over: the stranger there has left         */
	TELL_FAREWELL /* the server stops; the text is its address                  */
};

/* What the server has to say to one client alone; what is not said is NULL or 0. */
struct telling {
	enum telling_kind kind;
	const char *code;
	const char *room;
	const char *participant;
	const char *to;
	const char *text;
	const char *request_id; /* JSON, as the client sent it */
	const char *room_id;
	uint64_t seq;
	uint64_t last;  /* number of the last message in the room       */
	uint64_t mark;  /* up to which the participant has read it      */
	uint64_t count; /* of messages that the text is about           */
	int64_t created_ns; /* when 'room' was made, since 1970 */
};

struct door {
	const char *name;
	/* How messages look through this door. */
	const struct format *format;
	/* The door that /events leads to, or NULL if there is none. */
	const struct door *events;
	/* A client may be in several rooms at once. */
	bool many_rooms;
	/* A client comes for one room, and goes when that is over. */
	bool one_room;
	/* Who comes into a room is shown that, as the others are. */
	bool shows_coming;
	/*
	 * Holds the whole conversation: shakes hands, reads requests, hands them to the session, until the session has
	 * ended (session_ended()). Threads: the client's own; blocks only in session_receive().
	 */
	void (*serve)(struct session *session);
	/* The bytes of a telling, in new memory that the caller frees; '*size' 0 and NULL when this door does not say it, or
	 * without memory. Threads: any. */
	char *(*words)(const struct telling *telling, size_t *size);
	/* The bytes that end the conversation, in new memory that the caller frees; NULL when there are none, or without memory.
	 * They are sent last, if all else was. The whole may be NULL. Threads: the client's own. */
	char *(*goodbye)(const struct session *session, size_t *size);
	/* Tells a client that gets no session why, as far as one send goes. Does not close. Threads: any. */
	void (*turn_away)(int socket, const char *why);
};

#endif
