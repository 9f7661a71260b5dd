/*
 * A letter: what one server tells another one through its mailbox, as JSON in the text of a message.
 *
 *     {"letter":"direct","server":"@0123...","number":7,"from":"ann","to":"bob","text":"hello"}
 *     {"letter":"answer","server":"@89ab...","number":7,"result":"told","to":"Bob"}
 *
 * Whoever can write to the database can write letters, so that nothing in one is believed before letter_read() has seen it.
 * Members that are not known are passed over: a newer server may write them.
 *
 * Threads: any; nothing here keeps state or waits.
 */
#ifndef TCPSERVER_CORE_LETTER_H
#define TCPSERVER_CORE_LETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/text.h"
#include "tcpserver/core/client_list.h"
#include "tcpserver/core/room.h"

enum {
	LETTER_SIZE_MAX = 4 * 1024 * 1024, /* bytes of the JSON */
};

enum letter_kind {
	LETTER_DIRECT,   /* 'from' says the text to 'to' alone                                        */
	LETTER_INVITE,   /* 'from' invites 'to' to the room                                           */
	LETTER_REPLACED, /* the client is on the server that wrote this now: its older connection ends */
	LETTER_ANSWER,   /* to one of those: how it went                                              */
	LETTER_KINDS,
};

/* How it went. */
enum letter_result {
	LETTER_TOLD,    /* or, to LETTER_REPLACED, the older connection has gone */
	LETTER_IGNORED, /* 'to' ignores 'from'                                   */
	LETTER_BEHIND,  /* 'to' is too far behind to be told more                */
	LETTER_NOBODY,  /* there is nobody of that name, or no such server       */
	LETTER_LOST,    /* never written: no answer came                         */
	LETTER_RESULTS,
};

struct letter {
	enum letter_kind kind;
	enum letter_result result;            /* of an answer                                       */
	uint64_t number;                      /* that the server which asked has given to the question; not 0 */
	char server[ROOM_ID_SIZE];            /* whose letter it is                                 */
	char from[NAME_SIZE];
	char to[NAME_SIZE];                   /* in an answer as it is written; "" if there is nobody */
	char room[NAME_SIZE];                 /* what people call it                                */
	char room_id[ROOM_ID_SIZE];
	unsigned char client[CLIENT_ID_SIZE]; /* of LETTER_REPLACED                                 */
	const char *text;                     /* of LETTER_DIRECT; clean UTF-8, not empty, ended by NUL; see letter_read() */
};

/* Whether it has the form of a server's id: '@' and 19 hex digits. */
bool letter_is_server_id(const char *id);
/* The letter in new memory that the caller frees; NULL without memory. */
char *letter_write(const struct letter *letter, size_t *size) MUST_CHECK;
/* Reads one, from whomever. letter->text is the caller's to free then. Returns false, with 'letter' untouched, when it is none. */
bool letter_read(const char *json, size_t size, struct letter *letter) MUST_CHECK;

#endif
