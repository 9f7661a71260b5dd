/*
 * What the parts of the AMQP engine have in common. One connection to the broker serves all links: whoever has something to publish takes its
 * turn, so that all is published in one order, that of its positions. What was published and not confirmed, because the connection
 * broke, stays pending, and is published again before all else over the next one: messageapi knows what it has.
 */
#ifndef TCPSERVER_JOURNALS_AMQP_ENGINE_H
#define TCPSERVER_JOURNALS_AMQP_ENGINE_H

#include "common/amqp_peer.h"
#include "common/grpc_unary.h"
#include "tcpserver/core/locks.h"
#include "tcpserver/journals/amqp_body.h"
#include "tcpserver/journals/amqp_kept.h"
#include "tcpserver/journals/amqp_rooms.h"
#include "tcpserver/journals/engine.h"

enum { AMQP_CLIENTS = 65536, AMQP_TOKEN_SIZE = 200 };

/* Something published. */
struct amqp_item {
	struct amqp_item *next;
	enum amqp_kind kind;
	uint64_t position;
	char *bytes;
	size_t size;
	char room[ROOM_ID_SIZE];
	bool waits;              /* of AMQP_WAITS                   */
	struct amqp_kept *kept;  /* of AMQP_MESSAGE: the tail's     */
	char *topic;             /* of one that sets the topic; owned */
};

/* The greatest number that a client has used, as far as this slot is in use. */
struct amqp_client {
	unsigned char client[CLIENT_ID_SIZE];
	uint64_t highest;
	bool is_known;
};

enum amqp_stage {
	AMQP_NEW,     /* the barrier is not in the queue yet                   */
	AMQP_WAITING, /* messageapi has not come to it yet                    */
	AMQP_STARTED, /* the rooms are known                                  */
	AMQP_STALE,   /* another server has used the queue since: it is over  */
};

struct amqp_engine {
	struct engine engine;
	struct amqp_address address; /* constant, as the next two */
	struct net_place api;
	char token[AMQP_TOKEN_SIZE]; /* "": none */
	char session[AMQP_SESSION_SIZE]; /* constant */
	pthread_t keeper;

	pthread_mutex_t mutex; /* AMQP_LOCK */
	pthread_cond_t changed; /* the turn is free, or it is time to stop */
	bool has_turn GUARDED_BY(AMQP_LOCK);
	bool stopping GUARDED_BY(AMQP_LOCK);
	bool is_up GUARDED_BY(AMQP_LOCK);          /* the connection is there and the engine has started */
	uint64_t generation GUARDED_BY(AMQP_LOCK); /* of the connection */
	uint64_t stored GUARDED_BY(AMQP_LOCK);     /* position up to which messageapi has stored, as far as is known */
	struct amqp_rooms rooms GUARDED_BY(AMQP_LOCK);
	struct amqp_tail tail GUARDED_BY(AMQP_LOCK);

	/* Of whoever has the turn. */
	struct amqp_peer peer;
	struct grpc_unary *asks; /* messageapi */
	enum amqp_stage stage;
	uint64_t position; /* the last that was given */
	struct amqp_item *pending;
	struct amqp_item **pending_end;
	struct amqp_client *clients; /* AMQP_CLIENTS slots */
	char fault[ENGINE_FAULT_SIZE];
};

struct link {
	struct amqp_engine *engine;
	enum link_use use;
	uint64_t generation;     /* of LINK_WRITES: what it is a link of      */
	struct grpc_unary *asks; /* of the others: messageapi                 */
	int descriptor;          /* of LINK_NEWS: there are none; else -1     */
	char fault[ENGINE_FAULT_SIZE];
};

static inline void amqp_lock(struct amqp_engine *engine) ACQUIRES(AMQP_LOCK) UNCHECKED;
static inline void amqp_unlock(struct amqp_engine *engine) RELEASES(AMQP_LOCK) UNCHECKED;

static inline void amqp_lock(struct amqp_engine *engine)
{
	mutex_lock(&engine->mutex);
}

static inline void amqp_unlock(struct amqp_engine *engine)
{
	mutex_unlock(&engine->mutex);
}

/* ---- amqp_publisher.c ---- */

/* Waits for the turn, and gives it back. */
void amqp_take_turn(struct amqp_engine *engine);
void amqp_give_turn(struct amqp_engine *engine);
bool amqp_try_turn(struct amqp_engine *engine) MUST_CHECK;

/* All that follow need the turn. */

/* Adds something to be published, and gives it a position. NULL without memory. 'body' gets session and position. */
struct amqp_item *amqp_add_item(struct amqp_engine *engine, struct amqp_body *body) MUST_CHECK;
/* Publishes all that is pending and waits until the broker has it; what it was about is noted then. Returns 0 or -errno, after which the
 * connection is gone, and engine->fault says why. */
int amqp_publish_pending(struct amqp_engine *engine) MUST_CHECK;
/* Connects if there is no connection, and publishes what is pending; the first time it finds out what there is. Returns 0 or -errno, and
 * engine->fault says why. */
int amqp_bring_up(struct amqp_engine *engine) MUST_CHECK;
void amqp_hang_up(struct amqp_engine *engine);
bool amqp_is_up(struct amqp_engine *engine);
/* Looks whether the broker is still there, and tells it that we are. */
void amqp_keep_up(struct amqp_engine *engine);
void amqp_drop_pending(struct amqp_engine *engine);

/* ---- amqp_api.c: what messageapi is asked. Return 0, or a count, or -errno, and 'fault' says why. ---- */

int amqp_api_wait(struct grpc_unary *asks, const char *session, uint64_t position, unsigned timeout_ms, uint64_t *stored,
	char fault[ENGINE_FAULT_SIZE]) MUST_CHECK;
/* Adds the rooms whose ids are greater than 'after', a page of them, and writes the last id. Returns how many there were. */
ssize_t amqp_api_load_rooms(struct amqp_engine *engine, char after[ROOM_ID_SIZE]) MUST_CHECK;
/* '*last' is the number of the last message that is stored. */
ssize_t amqp_api_fetch(struct grpc_unary *asks, const char *id, const char *label, uint64_t from, struct message **messages,
	size_t capacity, uint64_t *last, char fault[ENGINE_FAULT_SIZE]) MUST_CHECK;

/* A pair that is looked for. */
struct amqp_pair {
	const struct entry *entry;
	uint64_t seq; /* 0: it is not kept */
	int64_t at_ns;
	char room[ROOM_ID_SIZE];
	uint64_t highest;
};

int amqp_api_find_numbers(
	struct grpc_unary *asks, struct amqp_pair *pairs, size_t count, char fault[ENGINE_FAULT_SIZE]) MUST_CHECK;

/* ---- amqp_append.c ---- */

/* As that of the engine. */
int amqp_append(struct link *link, struct entry *entries, size_t count);

#endif
