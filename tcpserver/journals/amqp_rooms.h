/*
 * The rooms that there are, in memory, in the order of their ids and by their names.
 *
 * Threads: one at a time; the engine's lock is held.
 */
#ifndef TCPSERVER_JOURNALS_AMQP_ROOMS_H
#define TCPSERVER_JOURNALS_AMQP_ROOMS_H

#include "tcpserver/core/journal.h"

struct amqp_room {
	char *key;  /* name_key() of the name; NULL: it has none                */
	char *name; /* the same                                                 */
	char *creator;
	char *topic;
	char id[ROOM_ID_SIZE];
	struct room_attributes attributes; /* its strings are those above        */
	bool is_open;       /* the broker has it; before, nobody finds it        */
	uint64_t given;     /* number of the last message that was published     */
	uint64_t last;      /* and of the last one that the broker has           */
	int64_t at_ns;      /* when that was given its number; 0: before the start */
};

struct amqp_rooms {
	struct amqp_room **rooms; /* by id */
	size_t count;
	size_t capacity;
	void *keys; /* tsearch() tree of those with a name */
};

void amqp_rooms_fini(struct amqp_rooms *rooms);
/* Adds a room, whose id and name are not there. NULL without memory. */
struct amqp_room *amqp_rooms_add(struct amqp_rooms *rooms, const struct room_attributes *attributes) MUST_CHECK;
void amqp_rooms_remove(struct amqp_rooms *rooms, const char *id);
struct amqp_room *amqp_rooms_find(const struct amqp_rooms *rooms, const char *id);
struct amqp_room *amqp_rooms_find_key(const struct amqp_rooms *rooms, const char *key);
/* The place of the first room whose id is greater than 'after'. */
size_t amqp_rooms_after(const struct amqp_rooms *rooms, const char *after);
/* Without memory the topic stays as it was. */
void amqp_room_set_topic(struct amqp_room *room, const char *topic, size_t size);
void amqp_room_describe(const struct amqp_room *room, struct room_record *record);

#endif
