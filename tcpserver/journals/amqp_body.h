/*
 * What is in the queue between the server and messageapi: a JSON object a message. It has the fields of Go-Chat's, "username" and
 * "message", always, so that a consumer of Go-Chat's understands it; and ours:
 *
 *         {"username":"bob","message":"hi","tcpchat":1,"session":"5f...","position":7,"kind":"message","room":"0123...",
 *          "seq":17,"at":1763712000123456789,"server":"@0...","client":"00ff...","number":"3"}                     (on one line)
 *         {..., "kind":"room","room":"0123...","name":"tea","creator":"bob","topic":"","capacity":0,"listed":true,
 *          "persistent":true,"pair":false,"waits":false,"created":...}
 *         {..., "kind":"forget","room":"0123..."}   {..., "kind":"waits","room":"0123...","waits":true}   {..., "kind":"barrier"}
 *
 * What is read comes from anywhere: everything is checked.
 *
 * Threads: any, but for amqp_body_start(); nothing here keeps state.
 */
#ifndef TCPSERVER_JOURNALS_AMQP_BODY_H
#define TCPSERVER_JOURNALS_AMQP_BODY_H

#include <jansson.h>

#include "tcpserver/journals/engine.h"

enum { AMQP_SESSION_SIZE = 33, AMQP_BODY_MOST = 2 * 1024 * 1024 };

enum amqp_kind { AMQP_MESSAGE, AMQP_ROOM, AMQP_FORGET, AMQP_WAITS, AMQP_BARRIER };

struct amqp_body {
	enum amqp_kind kind;
	char session[AMQP_SESSION_SIZE]; /* random, of the server's run           */
	uint64_t position;               /* in it: 1, 2, 3, ...                    */
	char room[ROOM_ID_SIZE];         /* id; not of a barrier                   */
	struct entry entry;              /* of AMQP_MESSAGE: its strings are in here; the message is owned */
	char server[ROOM_ID_SIZE];
	struct room_attributes attributes; /* of AMQP_ROOM: points into the strings  */
	char name[NAME_SIZE];
	char creator[NAME_SIZE];
	char topic[ROOM_TOPIC_SIZE];
	bool waits; /* of AMQP_WAITS */
};

/* The word for "kind" of a message. */
const char *amqp_body_word(enum message_kind kind);

/* Writes the object, in new memory; NULL without memory. */
char *amqp_body_write(const struct amqp_body *body, size_t *size) MUST_CHECK;
/* Before amqp_body_read(), and before there are threads: lets jansson, which calls a lack of memory a fault of the text, allocate in a
 * way that notes it. */
void amqp_body_start(void);
/* Reads one; amqp_body_fini() follows. Returns 0; -EINVAL, and '*wrong' says what is wrong with it; or -ENOMEM: nothing is known of it. */
int amqp_body_read(const char *bytes, size_t size, struct amqp_body *body, const char **wrong) MUST_CHECK;
void amqp_body_fini(struct amqp_body *body);

#endif
