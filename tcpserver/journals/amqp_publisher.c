/*
 * There is one server: it has an exclusive queue, which the broker lets go of with the connection. When the connection was gone for a
 * while, another server may have come, and have given numbers that this one does not know: so each server leaves its session in a queue of
 * one message, and one that comes back and finds another's there does not go on.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "tcpserver/core/message.h"
#include "tcpserver/journals/amqp_engine.h"

enum { BARRIER_WAIT_MS = 3000, CONFIRMS_EACH = 256 };

/* ---- The turn. ---- */

void amqp_take_turn(struct amqp_engine *engine)
{
	amqp_lock(engine);
	while (engine->has_turn)
		condition_wait(&engine->changed, &engine->mutex);
	engine->has_turn = true;
	amqp_unlock(engine);
}

bool amqp_try_turn(struct amqp_engine *engine)
{
	bool taken;

	amqp_lock(engine);
	taken = !engine->has_turn;
	engine->has_turn = true;
	amqp_unlock(engine);
	return taken;
}

void amqp_give_turn(struct amqp_engine *engine)
{
	amqp_lock(engine);
	engine->has_turn = false;
	condition_broadcast(&engine->changed);
	amqp_unlock(engine);
}

/* ---- What is pending. ---- */

static void free_item(struct amqp_item *item)
{
	free(item->bytes);
	free(item->topic);
	free(item);
}

struct amqp_item *amqp_add_item(struct amqp_engine *engine, struct amqp_body *body)
{
	struct amqp_item *item = calloc(1, sizeof *item);

	if (item == NULL)
		return NULL;
	body->position = engine->position + 1;
	(void)snprintf(body->session, sizeof body->session, "%s", engine->session);
	item->bytes = amqp_body_write(body, &item->size);
	if (item->bytes == NULL) {
		free(item);
		return NULL;
	}
	item->kind = body->kind;
	item->waits = body->waits;
	item->position = ++engine->position;
	(void)snprintf(item->room, sizeof item->room, "%s", body->room);
	*engine->pending_end = item;
	engine->pending_end = &item->next;
	return item;
}

/* The broker has it. */
static void note_confirmed(struct amqp_engine *engine, struct amqp_item *item) REQUIRES(AMQP_LOCK);
static void note_confirmed(struct amqp_engine *engine, struct amqp_item *item)
{
	struct amqp_room *room = amqp_rooms_find(&engine->rooms, item->room);

	if (item->kept != NULL)
		item->kept->is_confirmed = true;
	if (room == NULL)
		return;
	if (item->kind == AMQP_FORGET)
		amqp_rooms_remove(&engine->rooms, item->room);
	else if (item->kind == AMQP_ROOM)
		room->is_open = true;
	else if (item->kind == AMQP_WAITS)
		room->attributes.waits = item->waits;
	else if (item->kept != NULL)
		room->last = item->kept->seq;
	if (item->topic != NULL && item->kind == AMQP_MESSAGE)
		amqp_room_set_topic(room, item->topic, strlen(item->topic));
}

static void note_all_confirmed(struct amqp_engine *engine)
{
	struct amqp_item *item = engine->pending;

	engine->pending = NULL;
	engine->pending_end = &engine->pending;
	amqp_lock(engine);
	for (struct amqp_item *at = item; at != NULL; at = at->next)
		note_confirmed(engine, at);
	amqp_unlock(engine);
	while (item != NULL) {
		struct amqp_item *next = item->next;

		free_item(item);
		item = next;
	}
}

void amqp_drop_pending(struct amqp_engine *engine)
{
	while (engine->pending != NULL) {
		struct amqp_item *next = engine->pending->next;

		free_item(engine->pending);
		engine->pending = next;
	}
	engine->pending_end = &engine->pending;
}

static const char *kind_word(const struct amqp_item *item)
{
	static const char *const words[] = {
		[AMQP_MESSAGE] = "message", [AMQP_ROOM] = "room", [AMQP_FORGET] = "forget", [AMQP_WAITS] = "waits", [AMQP_BARRIER] = "barrier"};

	return words[item->kind];
}

/* Confirms are taken in between: neither side is to wait for the other to read. */
static int send_item(struct amqp_engine *engine, const struct amqp_item *item)
{
	int error = amqp_peer_publish(&engine->peer, AMQP_QUEUE, kind_word(item), item->bytes, item->size);

	if (error == 0 && engine->peer.published % CONFIRMS_EACH == 0)
		error = amqp_peer_take_confirms(&engine->peer, 0);
	if (error == 0 && engine->peer.published - engine->peer.confirmed >= AMQP_WINDOW - 1)
		error = amqp_peer_wait_for_confirms(&engine->peer);
	return error;
}

int amqp_publish_pending(struct amqp_engine *engine)
{
	int error = 0;

	for (const struct amqp_item *item = engine->pending; item != NULL && error == 0; item = item->next)
		error = send_item(engine, item);
	if (error == 0)
		error = amqp_peer_wait_for_confirms(&engine->peer);
	if (error == 0) {
		note_all_confirmed(engine);
		return 0;
	}
	(void)snprintf(engine->fault, sizeof engine->fault, "RabbitMQ: %s", engine->peer.fault);
	amqp_hang_up(engine);
	return error;
}

/* ---- The connection. ---- */

void amqp_hang_up(struct amqp_engine *engine)
{
	amqp_lock(engine);
	engine->is_up = false;
	engine->generation++;
	amqp_unlock(engine);
	amqp_peer_disconnect(&engine->peer);
}

bool amqp_is_up(struct amqp_engine *engine)
{
	bool is_up;

	amqp_lock(engine);
	is_up = engine->is_up;
	amqp_unlock(engine);
	return is_up;
}

void amqp_keep_up(struct amqp_engine *engine)
{
	if (engine->peer.connection != NULL && amqp_peer_take_confirms(&engine->peer, 0) != 0) {
		(void)snprintf(engine->fault, sizeof engine->fault, "RabbitMQ: %s", engine->peer.fault);
		amqp_hang_up(engine);
	}
}

/* Takes the queue that only one can have. */
static int lock_queue(struct amqp_engine *engine)
{
	int error;

	(void)amqp_queue_declare(engine->peer.connection, AMQP_CHANNEL, amqp_cstring_bytes(AMQP_QUEUE_LOCK), 0, 0, 1, 1, amqp_empty_table);
	error = amqp_peer_check(&engine->peer, amqp_get_rpc_reply(engine->peer.connection), AMQP_QUEUE_LOCK);
	if (error == -EBUSY)
		(void)snprintf(engine->peer.fault, sizeof engine->peer.fault,
			"another server uses this queue, and only one can: stop it, or use another vhost; postgres:// and redis:// are for several");
	return error;
}

/* Whether the message in the owner's queue is ours; it stays there. */
static int read_owner(struct amqp_engine *engine, bool *is_ours)
{
	amqp_connection_state_t connection = engine->peer.connection;
	amqp_rpc_reply_t reply = amqp_basic_get(connection, AMQP_CHANNEL, amqp_cstring_bytes(AMQP_QUEUE_OWNER), 0);
	int error = amqp_peer_check(&engine->peer, reply, AMQP_QUEUE_OWNER);
	amqp_message_t message;
	uint64_t tag;

	*is_ours = false;
	if (error != 0 || reply.reply.id != AMQP_BASIC_GET_OK_METHOD)
		return error;
	tag = ((const amqp_basic_get_ok_t *)reply.reply.decoded)->delivery_tag;
	error = amqp_peer_check(&engine->peer, amqp_read_message(connection, AMQP_CHANNEL, &message, 0), AMQP_QUEUE_OWNER);
	if (error != 0)
		return error;
	*is_ours = message.body.len == strlen(engine->session) && memcmp(message.body.bytes, engine->session, message.body.len) == 0;
	amqp_destroy_message(&message);
	return amqp_basic_reject(connection, AMQP_CHANNEL, tag, 1) == AMQP_STATUS_OK ? 0 : -ECONNRESET;
}

/* Nobody who had the queue before can go on after this. */
static int write_owner(struct amqp_engine *engine)
{
	int error;

	(void)amqp_queue_purge(engine->peer.connection, AMQP_CHANNEL, amqp_cstring_bytes(AMQP_QUEUE_OWNER));
	error = amqp_peer_check(&engine->peer, amqp_get_rpc_reply(engine->peer.connection), AMQP_QUEUE_OWNER);
	if (error == 0)
		error = amqp_peer_publish(
			&engine->peer, AMQP_QUEUE_OWNER, "owner", engine->session, strlen(engine->session));
	return error == 0 ? amqp_peer_wait_for_confirms(&engine->peer) : error;
}

static int check_owner(struct amqp_engine *engine)
{
	bool is_ours;
	int error;

	if (engine->stage == AMQP_NEW)
		return write_owner(engine);
	error = read_owner(engine, &is_ours);
	if (error != 0 || is_ours)
		return error;
	engine->stage = AMQP_STALE;
	log_event(LOG_ERROR, "journal-overtaken", "journal", "amqp", "why",
		"another server has used the queue meanwhile, or the broker has lost it", "now", "start this server again", NULL);
	(void)snprintf(engine->peer.fault, sizeof engine->peer.fault,
		"another server has used the queue meanwhile, or the broker has lost it: start this server again");
	return -ESTALE;
}

static int connect_broker(struct amqp_engine *engine)
{
	int error = amqp_peer_connect(&engine->peer, &engine->address);

	if (error == 0)
		error = lock_queue(engine);
	if (error == 0)
		error = amqp_peer_declare(&engine->peer, AMQP_QUEUE);
	if (error == 0)
		error = amqp_peer_declare(&engine->peer, AMQP_QUEUE_OWNER);
	if (error == 0)
		error = amqp_peer_want_confirms(&engine->peer);
	if (error == 0)
		error = check_owner(engine);
	if (error == 0)
		return 0;
	(void)snprintf(engine->fault, sizeof engine->fault, "RabbitMQ: %s", engine->peer.fault);
	amqp_peer_disconnect(&engine->peer);
	return error;
}

/* ---- The start. ---- */

static int put_barrier(struct amqp_engine *engine)
{
	struct amqp_body body = {.kind = AMQP_BARRIER};

	if (engine->pending == NULL && amqp_add_item(engine, &body) == NULL)
		return -ENOMEM;
	return amqp_publish_pending(engine);
}

static int wait_for_barrier(struct amqp_engine *engine)
{
	uint64_t stored = 0;
	int error = amqp_api_wait(engine->asks, engine->session, engine->position, BARRIER_WAIT_MS, &stored, engine->fault);

	if (error != 0 || stored >= engine->position)
		return error;
	/* Perhaps it has, and was started anew since: then it does not know. */
	if (stored == 0)
		engine->stage = AMQP_NEW;
	(void)snprintf(engine->fault, sizeof engine->fault,
		"messageapi has not stored yet what is in the queue: its log says why; or wait for longer (--journal-patience)");
	return -EAGAIN;
}

static int load_rooms(struct amqp_engine *engine)
{
	char after[ROOM_ID_SIZE] = "";
	ssize_t count;

	do
		count = amqp_api_load_rooms(engine, after);
	while (count > 0);
	return (int)count;
}

static int start(struct amqp_engine *engine)
{
	int error = engine->stage == AMQP_NEW ? put_barrier(engine) : 0;

	if (error != 0)
		return error;
	engine->stage = AMQP_WAITING;
	error = wait_for_barrier(engine);
	if (error == 0)
		error = load_rooms(engine);
	if (error == 0)
		engine->stage = AMQP_STARTED;
	return error;
}

int amqp_bring_up(struct amqp_engine *engine)
{
	int error = 0;

	if (engine->stage == AMQP_STALE)
		return -ESTALE;
	if (engine->peer.connection == NULL)
		error = connect_broker(engine);
	if (error == 0 && engine->stage != AMQP_STARTED)
		error = start(engine);
	if (error == 0 && engine->pending != NULL)
		error = amqp_publish_pending(engine);
	if (error != 0)
		return error;
	amqp_lock(engine);
	engine->is_up = true;
	amqp_unlock(engine);
	return 0;
}
