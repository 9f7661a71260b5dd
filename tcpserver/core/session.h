/*
 * A session: who a client is, where it is, and what it may do. Doors turn bytes into calls of these functions.
 *
 * Threads: the client's own, except session_create() and session_destroy().
 */
#ifndef TCPSERVER_CORE_SESSION_H
#define TCPSERVER_CORE_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/net.h"
#include "tcpserver/core/client_list.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/strangers.h"

struct door;
struct member;
struct outlet;
struct receipt;
struct room;
struct saying;
struct talk;
struct telling;

enum { SESSION_PLACES_MAX = 32 }; /* rooms that a client can be in at a time */
enum { SESSION_PASSWORDS_MAX = 3 }; /* wrong ones over a connection, after which it ends */

/* How a session ends, or that it goes on. */
enum session_end {
	SESSION_GOES_ON,
	SESSION_LEFT,    /* the client said goodbye, or closed its side */
	SESSION_LOST,    /* the connection broke                        */
	SESSION_REFUSED, /* the client was told why                     */
	SESSION_STOPPED, /* the server stops                            */
};

/* Where a member begins to read. */
struct reading {
	bool resumes;             /* with the message after number 'after', with all that happened since         */
	uint64_t after;
	size_t count;             /* or with the last so many messages that were said; SIZE_MAX: with the first  */
	char of[ROOM_ID_SIZE];    /* 'after' is a number of the room with this id; "": of whatever room it is    */
};

/*
 * What is known of an inner client's connection, whose socket is only one end of a pair: who carries it knows the rest. It stays
 * until the inner client has closed its writing side or its socket; with a release(), until that is called.
 */
struct carrier {
	const char *address;      /* of the peer                                                             */
	const char *own_address;  /* of the server, as the peer sees it                                      */
	const atomic_int *broken; /* acquire: why the connection broke, a positive errno; 0 while it has not */
	bool is_secure;           /* through TLS                                                             */
	atomic_int *wrong_passwords; /* of all that it carries together; NULL: each one counts its own       */
	void *context;            /* what the inner door has to know, which the talk's admit() is given; or NULL */
	/* Called once, by whatever thread, when nothing of the server needs the carrier any more; may be NULL. */
	void (*release)(const struct carrier *carrier);
};

struct session {
	struct client client;
	struct stranger stranger;
	struct talk *talk;
	const struct door *door;
	struct outlet *outlet;
	struct member **places; /* of the rooms it is in; SESSION_PLACES_MAX, or NULL before the first */
	size_t place_count;
	struct member *place;   /* where plain text goes; NULL before the client has a name            */
	struct room *unflushed; /* the room that something was said in last; its flush is to come        */
	unsigned char client_id[CLIENT_ID_SIZE]; /* by which the client knows itself again       */
	bool has_client_id;
	const struct telling *welcome; /* of a client that is coming; else NULL                  */
	const char *request_id; /* of the request in hand: JSON, or NULL                                 */
	bool request_answered;  /* something was told to the client since it came, or will be            */
	int socket;
	bool is_administrator;
	const struct carrier *carrier; /* NULL: the socket is the peer's own */
	void (*release_carrier)(const struct carrier *carrier); /* the carrier's release(); without one it may be gone before us */
	bool is_deaf;        /* the client has closed its side and goes on reading: session_receive() returns 0 when it has gone */
	bool is_secure;      /* it came through TLS                                                     */
	long long name_deadline_ms; /* on clock_ms(); until then the client has to have told who it is   */
	bool was_silent;     /* a door that looks first has waited for it to speak, in vain             */
	unsigned close_code; /* of a WebSocket, that the goodbye tells; 0: what the end of the session says */
	int password_tries; /* wrong ones; see session_wrong_passwords() */
	enum session_end end;
	int lost_errno; /* why the connection broke           */
	char *input;    /* what session_receive() returned last */
	bool input_was_full;
	long long retry_at_ms; /* when to try again to leave a room that is over; 0: now */
	long long revive_at_ms; /* when to try again to have its name, and to be in its rooms, after the server was taken for dead; 0: never */
	bool pages_failed; /* the journal could not be read: to be tried again */
	bool trimmed;      /* has been in a room once: the stack was trimmed  */
	char address[NET_ADDRESS_SIZE]; /* of the peer */
};

/* ---- For the server. ---- */

/* Makes a session of a connected, non-blocking socket, which stays the caller's. 'carrier': who carries it, when the socket is an
 * inner end; or NULL. NULL without memory. */
struct session *session_create(struct talk *talk, int socket, const struct door *door, const struct carrier *carrier) MUST_CHECK;
void session_destroy(struct session *session);
/* The whole life of a client: the conversation through its door, and the going. */
void session_run(struct session *session);

/* ---- For doors. ---- */

/*
 * Waits for bytes from the client, sending meanwhile what there is for it. Returns how many bytes '*bytes' has, which are
 * valid until the next call; 0 when the client has closed its side, or only read a room that is over: the session has ended then; -ETIMEDOUT after 'timeout_ms' (-1: never), also
 * -ECANCELED when the server stops; or another -errno when the connection broke.
 */
ssize_t session_receive(struct session *session, int timeout_ms, const char **bytes) MUST_CHECK;

/*
 * To be called before each line, or message, that is taken out of the bytes that came: many requests fit in them, and each is
 * answered at once. Waits while the client leaves OUTBOX_LIMIT bytes of answers unread, as long as it is there. Returns 0, also
 * when the connection is broken, which may still hold what the client said before; or what session_receive() returns: -ECANCELED
 * when the server stops, or another -errno.
 */
int session_keep_pace(struct session *session) MUST_CHECK;

/* The conversation goes on through 'door', which the one before has found to be the right one; messages look as that has
 * them. Only for who is in no room yet. */
void session_set_door(struct session *session, const struct door *door);
/* Waits until the client was sent all that it was told, as long as it takes some of it within each 'stall_ms' (-1: as long as
 * it is there). Returns 0; -ETIMEDOUT when it took nothing; -ECANCELED when the server stops; or another -errno when the
 * connection broke. */
int session_send_rest(struct session *session, int stall_ms) MUST_CHECK;

/* Gives the client its name, or one like it, and lets it into the lobby. Returns false when 'text' is no name. */
bool session_register(struct session *session, const char *text, size_t size) MUST_CHECK;
/* The client that knows itself by this id is here, in place of its older connection, if there is one, which ends. */
void session_identify(struct session *session, const unsigned char id[CLIENT_ID_SIZE]);
/* As session_register(), into 'room', whose reference it takes, in place of the lobby (NULL), which is read from there. */
bool session_come(struct session *session, const char *text, struct room *room, const struct reading *reading) MUST_CHECK;
/* Reads the room, whose reference it takes, without a name, and unseen. Returns false when that cannot be. */
bool session_observe(struct session *session, struct room *room, const struct reading *reading) MUST_CHECK;
/* One who only read gets its name, or one like it, and is seen where it is. Returns false when 'text' is no name. */
bool session_appear(struct session *session, const char *text, size_t size) MUST_CHECK;
/*
 * Says something in a room where the client is not, under 'name', or one like it, which it has for the moment; it must have
 * none. Waits until that is kept. 'saying' needs 'kind', the text, and, to be kept once, 'client' and 'number'. The name that
 * was taken stays in session->client.name. Returns false when 'name' is no name.
 */
bool session_post(struct session *session, struct room *room, const char *name, const struct saying *saying,
	struct receipt *receipt) MUST_CHECK;
/* Names the client "guest#hhhhhh" and lets it into the lobby. */
void session_register_guest(struct session *session);
bool session_has_name(const struct session *session);

/* Whether a text of so many bytes is one that the server takes, after it was made clean; if not, the client is told. */
bool session_takes(struct session *session, size_t size) MUST_CHECK;
/* The client wrote a line: a message, or a command. 'line' may hold any bytes but LF. */
void session_line(struct session *session, const char *line, size_t size);

/* Ends the session, unless it has ended already. */
void session_finish(struct session *session, enum session_end end);
/* Ends it because session_receive() failed with 'error', a positive errno. */
void session_break(struct session *session, int error);
bool session_ended(const struct session *session);

/* ---- For doors and commands: what the client does. ---- */

/* Says something in the room of 'place' (session_place()). What was kept is acknowledged when it is, if there is a request
 * id; what was not is an error. With a 'number', of a client that has an id, it is kept once. */
void session_say(struct session *session, struct member *place, enum message_kind kind, const char *text, size_t size,
	uint64_t number);
/* Waits until the journal has kept or refused what the client said. Returns the positive errno of the last refusal, or 0. */
int session_settle(struct session *session);
/* Flushes what was said so far now, not at the end of the batch. */
void session_flush(struct session *session);
/* Where the client is in the room of that name or id; without one ("") where its plain text goes; NULL if it is not there. */
struct member *session_place(struct session *session, const char *room);
/* How session_go() went. */
enum session_step {
	SESSION_WENT,
	SESSION_STAYED, /* the client was told why                */
	SESSION_FULL,   /* the room takes no more members         */
	SESSION_GONE,   /* the room is over                       */
};

/* Whether the client may be in one more room; if not it is told. */
bool session_may_go(struct session *session);
/* As the server's option says. */
struct reading session_reading(const struct session *session);
/* Goes into the room, whose reference it takes; through a door without many rooms it leaves the one where it was. */
enum session_step session_go(struct session *session, struct room *room, const struct reading *reading);
/* Reads the room of 'place', where the client is already, from there. */
void session_reread(struct session *session, struct member *place, const struct reading *reading);
/* The client has its name, and what it says goes to the room of 'place'. */
void session_tell_welcome(struct session *session, struct member *place);
/* Tells what a client has to know of the room of 'place'; 'format' says it in words. */
void session_tell_room(struct session *session, struct member *place, const char *format, ...) PRINTF_LIKE(3, 4);
/* Leaves the room of 'place'; the others are told 'how'. */
void session_leave(struct session *session, struct member *place, const char *how);
/* Back in the lobby, if it is nowhere. */
void session_go_home(struct session *session);
/* Leaves the room of 'place'; who is nowhere else goes to the lobby, and is told. Returns false when that cannot be, which
 * the client was told: it stays. */
bool session_move_on(struct session *session, struct member *place, const char *how);
/* Tells where plain text goes. */
void session_tell_here(struct session *session);
/* Waits so long, or until the server stops; nobody else waits for it. */
void session_pause(struct session *session, int pause_ms);
/* How many wrong passwords came over the connection. At SESSION_PASSWORDS_MAX no more are looked at. */
int session_wrong_passwords(const struct session *session);
/* There is one more. Returns how many there were before. */
int session_note_wrong_password(struct session *session);
/* Whether two ids, or other secrets, are the same; takes as long whatever they have in common. */
bool session_is_same_secret(const unsigned char *left, const unsigned char *right, size_t size) MUST_CHECK;
/* Whether it made the room, over this connection or, with the same client id, over another one. */
bool session_is_creator(const struct session *session, const struct room *room);
/* How the one is called who made the room: now, if it is here. */
void session_find_creator(const struct session *session, const struct room *room, char name[NAME_SIZE]);
/* Sets the topic of the room of 'place'. */
void session_set_topic(struct session *session, struct member *place, const char *topic);
/* Closes the room to all its members, who are told. */
void session_close_room(struct session *session, struct room *room);
/* Gives the client another name, or one like it; the rooms where it is are told. */
void session_rename(struct session *session, const char *name);
/* Events from now on, as the door has them. Returns false when there are none, or it has them already. */
bool session_begin_events(struct session *session);

/* ---- For doors and commands: words to this client alone. ---- */

void session_tell(struct session *session, const struct telling *telling);
void session_notice(struct session *session, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same, about a room: programs need not read its name out of the text. */
void session_notice_in(struct session *session, const struct room *room, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same, about any room, of which programs are told when it was made, too. */
void session_notice_about(struct session *session, const char *room, int64_t created_ns, const char *format, ...)
	PRINTF_LIKE(4, 5);
/* 'code' is a stable word; the text says what, why, and what to do now. */
void session_error(struct session *session, const char *code, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
