/*
 * A message: what was said or what happened in a room. It never changes once a journal has kept it, and is shared by
 * reference count.
 *
 * Threads: any.
 */
#ifndef TCPSERVER_CORE_MESSAGE_H
#define TCPSERVER_CORE_MESSAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sync.h"

enum message_kind {
	MESSAGE_TEXT,        /* the participant said the text                            */
	MESSAGE_ACTION,      /* the participant does what the text says                   */
	MESSAGE_JOINED,      /* the participant came; no text                             */
	MESSAGE_LEFT,        /* the participant went; the text says how                   */
	MESSAGE_NICK,        /* the participant has a new name, the text                   */
	MESSAGE_TOPIC,       /* the participant set the topic of the room, the text        */
	MESSAGE_ROOM_CLOSED, /* the participant closed the room; all its members leave it  */
	MESSAGE_KINDS,
};

struct message {
	atomic_uint references;
	enum message_kind kind;
	uint64_t seq;  /* its place in its room: 1, 2, 3, ...; set by the journal */
	int64_t at_ns; /* when the journal took it, since 1970                     */
	size_t room_size;
	size_t participant_size;
	size_t text_size;
	const char *room;        /* its name, or its id if it has none; ended by NUL */
	const char *participant; /* ended by NUL                            */
	const char *text;        /* clean UTF-8, not ended by NUL           */
};

/* Makes a message with one reference; copies room, name and text. NULL without memory. */
struct message *message_create(enum message_kind kind, const char *room, const char *participant, const char *text,
	size_t text_size) MUST_CHECK;

struct message *message_acquire(struct message *message);
void message_release(struct message *message);

/* Whether it is something that somebody said, and not only that somebody came or went. */
bool message_is_said(const struct message *message);

/* The bytes of memory that a message takes. */
size_t message_memory(const struct message *message);

#endif
