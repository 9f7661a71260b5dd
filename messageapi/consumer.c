#include "messageapi/consumer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "common/log.h"
#include "tcpserver/core/message.h"
#include "tcpserver/journals/amqp_body.h"

enum {
	BATCH = 500,                    /* messages that are stored in one transaction    */
	PREFETCH = 1000,                /* that the broker sends ahead                    */
	BATCH_BYTES = 4 * 1024 * 1024,
	WAIT_MS = 200,                  /* for the first of a batch: how soon a stop is seen */
	AGAIN_MS = 500,                 /* between tries of what is away                  */
	AGAIN_MOST = 50,                /* tries of a group that others got in the way of */
};

/* A message of the queue. */
struct delivery {
	amqp_envelope_t envelope;
	struct amqp_body body;
	const char *fault; /* why it cannot be stored; NULL: it can */
};

/* What a consumer has while it works. */
struct work {
	const struct consumer *consumer;
	struct link *link;
	struct amqp_peer peer;
	struct amqp_peer dead; /* for what cannot be stored; connected when there is something */
	struct delivery *deliveries; /* BATCH of them */
	size_t count;
	struct entry *entries; /* the same */
	size_t *of;            /* of each entry: its delivery */
	bool failed;           /* and the log knows */
};

static const struct engine_ops *ops_of(const struct work *work)
{
	return work->consumer->engine->ops;
}

/* ---- The log. ---- */

static void note_failure(struct work *work, const char *what, const char *detail)
{
	if (!work->failed)
		log_event(LOG_ERROR, "storing-stopped", "what", what, "detail", detail, "now",
			"messages wait in the queue; messageapi goes on trying", NULL);
	work->failed = true;
	/* Relaxed: it may be seen a moment later. */
	atomic_store_explicit(&work->consumer->progress->is_up, false, memory_order_relaxed);
}

static void note_success(struct work *work)
{
	log_event(work->failed ? LOG_WARNING : LOG_INFO, "storing", "from", AMQP_QUEUE, "to", ops_of(work)->name, NULL);
	work->failed = false;
	/* Relaxed: as above. */
	atomic_store_explicit(&work->consumer->progress->is_up, true, memory_order_relaxed);
}

/* ---- What cannot be stored. ---- */

static int connect_dead(struct work *work)
{
	int error;

	if (work->dead.connection != NULL)
		return 0;
	error = amqp_peer_connect(&work->dead, work->consumer->address);
	if (error == 0)
		error = amqp_peer_declare(&work->dead, AMQP_QUEUE_DEAD);
	if (error == 0)
		error = amqp_peer_want_confirms(&work->dead);
	return error;
}

/* Puts a message aside as it is. It has a connection of its own: on the other one deliveries would come in between. */
static int put_aside(struct work *work, const struct delivery *delivery)
{
	static struct log_gate gate;
	const amqp_bytes_t *body = &delivery->envelope.message.body;
	char left_out[LOG_COUNT_SIZE];
	int error = connect_dead(work);

	if (error == 0)
		error = amqp_peer_publish(&work->dead, AMQP_QUEUE_DEAD, "dead", body->bytes, body->len);
	if (error == 0)
		error = amqp_peer_wait_for_confirms(&work->dead);
	if (error != 0) {
		note_failure(work, "RabbitMQ", work->dead.fault);
		amqp_peer_disconnect(&work->dead);
	} else if (log_passes(&gate, left_out)) {
		log_event(LOG_WARNING, "message-put-aside", "queue", AMQP_QUEUE_DEAD, "why", delivery->fault, "not-logged", left_out, NULL);
	}
	return error;
}

/* ---- Messages. ---- */

/* How far a room is stored. */
struct room_end {
	const char *id;
	uint64_t last;
};

static struct room_end *find_end(struct room_end *ends, size_t count, const char *id)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(ends[i].id, id) == 0)
			return &ends[i];
	return NULL;
}

/* Finds out how far the rooms of these deliveries are stored. Returns how many rooms there are, or -errno. */
static ssize_t find_ends(struct work *work, size_t begin, size_t end, struct room_end *ends)
{
	const char *ids[BATCH];
	uint64_t last[BATCH];
	size_t count = 0;
	int error;

	for (size_t i = begin; i < end; i++) {
		const char *id = work->deliveries[i].body.room;

		if (work->deliveries[i].fault == NULL && find_end(ends, count, id) == NULL) {
			ids[count] = id;
			ends[count++].id = id;
		}
	}
	error = count == 0 ? 0 : ops_of(work)->last(work->link, ids, last, count);
	for (size_t i = 0; error == 0 && i < count; i++)
		ends[i].last = last[i];
	return error == 0 ? (ssize_t)count : error;
}

/* A room that there is not has been forgotten, and the message has come again, or nobody ever told of it. */
static void miss_room(struct delivery *delivery)
{
	if (!delivery->envelope.redelivered)
		delivery->fault = "there is no such room";
}

/* Makes entries of what is not stored yet. Returns how many. */
static size_t choose_entries(struct work *work, size_t begin, size_t end, struct room_end *ends, size_t count)
{
	size_t chosen = 0;

	for (size_t i = begin; i < end; i++) {
		struct delivery *delivery = &work->deliveries[i];
		struct room_end *room = delivery->fault == NULL ? find_end(ends, count, delivery->body.room) : NULL;

		if (room == NULL)
			continue;
		if (room->last == UINT64_MAX) {
			miss_room(delivery);
		} else if (delivery->body.entry.seq > room->last) {
			room->last = delivery->body.entry.seq;
			work->of[chosen] = i;
			work->entries[chosen++] = delivery->body.entry;
		}
	}
	return chosen;
}

static void judge_entry(struct work *work, const struct entry *entry, struct delivery *delivery)
{
	if (entry->outcome == ENTRY_REPEATED && (entry->seq != delivery->body.entry.seq || strcmp(entry->kept_in, delivery->body.room) != 0))
		log_event(LOG_WARNING, "message-repeated", "room", delivery->body.room, "kept in", entry->kept_in, NULL);
	if (entry->outcome != ENTRY_REFUSED || entry->error == EEXIST)
		return;
	if (entry->error == ENOENT)
		miss_room(delivery);
	else
		delivery->fault = "the database refuses it";
	(void)work;
}

/* Whether what was to be stored is at fault, and not the database or its machine. */
static bool is_content_fault(int error)
{
	return error == -EINVAL || error == -EILSEQ || error == -EFBIG || error == -EMSGSIZE || error == -ERANGE;
}

static int append(struct work *work, struct entry *entries, size_t count)
{
	int error = -EAGAIN;

	for (int i = 0; i < AGAIN_MOST && error == -EAGAIN && ops_of(work)->works(work->link); i++)
		error = ops_of(work)->append(work->link, entries, count);
	return error;
}

/* Stores them one by one, so that those that cannot be are found. */
static int append_singly(struct work *work, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && (error == 0 || is_content_fault(error)); i++) {
		struct delivery *delivery = &work->deliveries[work->of[i]];

		work->entries[i] = delivery->body.entry;
		error = append(work, &work->entries[i], 1);
		if (error == 0)
			judge_entry(work, &work->entries[i], delivery);
		else if (is_content_fault(error))
			delivery->fault = "the database cannot take it";
	}
	return is_content_fault(error) ? 0 : error;
}

/* Stores the messages among deliveries 'begin' to that before 'end'. */
static int store_messages(struct work *work, size_t begin, size_t end)
{
	struct room_end ends[BATCH];
	ssize_t rooms = find_ends(work, begin, end, ends);
	size_t count = rooms < 0 ? 0 : choose_entries(work, begin, end, ends, (size_t)rooms);
	int error = rooms < 0 ? (int)rooms : 0;

	if (count == 0)
		return error;
	error = append(work, work->entries, count);
	if (is_content_fault(error) && ops_of(work)->works(work->link))
		return append_singly(work, count);
	for (size_t i = 0; error == 0 && i < count; i++)
		judge_entry(work, &work->entries[i], &work->deliveries[work->of[i]]);
	return error;
}

/* ---- Rooms. ---- */

/* A room that was made under another's name, which had been forgotten before, has come again and gone. */
static int store_room(struct work *work, const struct amqp_body *body)
{
	struct room_record record;
	int error = ops_of(work)->open_room(work->link, &body->attributes, &record);

	if (error != -EEXIST)
		return error;
	log_event(LOG_WARNING, "room-not-made", "room", body->room, "why", "another one has its name", NULL);
	return 0;
}

static int store_deed(struct work *work, const struct amqp_body *body)
{
	const struct engine_ops *ops = ops_of(work);
	int error = 0;

	for (int i = 0; i < AGAIN_MOST && (i == 0 || error == -EAGAIN); i++) {
		if (body->kind == AMQP_ROOM)
			error = store_room(work, body);
		else if (body->kind == AMQP_FORGET)
			error = ops->forget_room(work->link, body->room);
		else if (body->kind == AMQP_WAITS)
			error = ops->set_waits(work->link, body->room, body->waits);
	}
	return error == -ENOENT ? 0 : error;
}

/* ---- A batch. ---- */

static bool is_deed(const struct delivery *delivery)
{
	return delivery->fault == NULL && delivery->body.kind != AMQP_MESSAGE;
}

/* Stores all, in their order: messages in groups, between them what is done to rooms. */
static int store_batch(struct work *work)
{
	size_t begin = 0;
	int error = 0;

	for (size_t i = 0; error == 0 && i <= work->count; i++) {
		if (i < work->count && !is_deed(&work->deliveries[i]))
			continue;
		error = store_messages(work, begin, i);
		if (error == 0 && i < work->count)
			error = store_deed(work, &work->deliveries[i].body);
		begin = i + 1;
	}
	if (error != 0)
		note_failure(work, ops_of(work)->name, ops_of(work)->fault(work->link));
	return error;
}

static int put_faulty_aside(struct work *work)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < work->count; i++)
		if (work->deliveries[i].fault != NULL)
			error = put_aside(work, &work->deliveries[i]);
	return error;
}

static int acknowledge(struct work *work)
{
	uint64_t tag = work->deliveries[work->count - 1].envelope.delivery_tag;
	int status = amqp_basic_ack(work->peer.connection, AMQP_CHANNEL, tag, 1);

	if (status == AMQP_STATUS_OK)
		return 0;
	status = amqp_peer_fail(&work->peer, status, "acknowledging");
	note_failure(work, "RabbitMQ", work->peer.fault);
	return status;
}

static void note_progress(struct work *work)
{
	for (size_t i = 0; i < work->count; i++) {
		const struct delivery *delivery = &work->deliveries[i];

		if (delivery->body.position != 0)
			progress_note(work->consumer->progress, delivery->body.session, delivery->body.position);
	}
}

static void drop_batch(struct work *work)
{
	while (work->count > 0) {
		struct delivery *delivery = &work->deliveries[--work->count];

		amqp_body_fini(&delivery->body);
		amqp_destroy_envelope(&delivery->envelope);
	}
}

/* Takes one message, for which it waits. Returns 1, 0 when none came, or -errno. */
static int take_delivery(struct work *work, int timeout_ms)
{
	struct timeval timeout = {.tv_usec = timeout_ms * 1000};
	struct delivery *delivery = &work->deliveries[work->count];
	amqp_rpc_reply_t reply;
	const amqp_bytes_t *body = &delivery->envelope.message.body;

	amqp_maybe_release_buffers(work->peer.connection);
	reply = amqp_consume_message(work->peer.connection, &delivery->envelope, &timeout, 0);
	if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION && reply.library_error == AMQP_STATUS_TIMEOUT)
		return 0;
	if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
		int error = amqp_peer_check(&work->peer, reply, "consuming");

		note_failure(work, "RabbitMQ", work->peer.fault);
		return error;
	}
	if (amqp_body_read(body->bytes, body->len, &delivery->body, &delivery->fault) == -ENOMEM) {
		note_failure(work, "messageapi", delivery->fault);
		amqp_destroy_envelope(&delivery->envelope);
		return -ENOMEM; /* the connection ends, and with it all comes again, in its order */
	}
	if (delivery->fault != NULL)
		delivery->body.position = 0;
	/* What points into the body was made for one that stays where it is. */
	work->count++;
	return 1;
}

static int take_batch(struct work *work)
{
	size_t bytes = 0;
	int taken = 1;

	while (taken > 0 && work->count < BATCH && bytes < BATCH_BYTES) {
		taken = take_delivery(work, work->count == 0 ? WAIT_MS : 0);
		if (taken > 0)
			bytes += work->deliveries[work->count - 1].envelope.message.body.len;
	}
	return taken < 0 ? taken : 0;
}

static int consume_batch(struct work *work)
{
	int error = take_batch(work);

	if (error == 0 && work->count > 0)
		error = store_batch(work);
	if (error == 0 && work->count > 0)
		error = put_faulty_aside(work);
	if (error == 0 && work->count > 0) {
		note_progress(work);
		error = acknowledge(work);
	}
	drop_batch(work);
	return error;
}

/* ---- Coming and going. ---- */

static int begin_consuming(struct work *work)
{
	amqp_connection_state_t connection = work->peer.connection;
	int error = amqp_peer_declare(&work->peer, AMQP_QUEUE);

	if (error != 0)
		return error;
	(void)amqp_basic_qos(connection, AMQP_CHANNEL, 0, PREFETCH, 0);
	error = amqp_peer_check(&work->peer, amqp_get_rpc_reply(connection), "asking for messages ahead");
	if (error != 0)
		return error;
	/* Exclusive: two would store what is in the queue in two orders. The other one waits. */
	(void)amqp_basic_consume(
		connection, AMQP_CHANNEL, amqp_cstring_bytes(AMQP_QUEUE), amqp_empty_bytes, 0, 0, 1, amqp_empty_table);
	return amqp_peer_check(&work->peer, amqp_get_rpc_reply(connection), "consuming (only one messageapi can)");
}

static bool work_connect(struct work *work)
{
	char fault[ENGINE_FAULT_SIZE];
	int error;

	work->link = ops_of(work)->connect(work->consumer->engine, LINK_WRITES, fault);
	if (work->link == NULL) {
		note_failure(work, ops_of(work)->name, fault);
		return false;
	}
	error = amqp_peer_connect(&work->peer, work->consumer->address);
	if (error == 0)
		error = begin_consuming(work);
	if (error != 0)
		note_failure(work, "RabbitMQ", work->peer.fault);
	return error == 0;
}

static void work_disconnect(struct work *work)
{
	amqp_peer_disconnect(&work->peer);
	amqp_peer_disconnect(&work->dead);
	if (work->link != NULL)
		ops_of(work)->disconnect(work->link);
	work->link = NULL;
}

static void work_run(struct work *work)
{
	struct progress *progress = work->consumer->progress;

	while (!progress_is_stopping(progress)) {
		if (work_connect(work)) {
			note_success(work);
			while (!progress_is_stopping(progress) && consume_batch(work) == 0)
				continue;
		}
		work_disconnect(work);
		progress_pause(progress, AGAIN_MS);
	}
}

void consumer_run(struct consumer *consumer)
{
	struct work work = {.consumer = consumer};

	work.deliveries = calloc(BATCH, sizeof *work.deliveries);
	work.entries = calloc(BATCH, sizeof *work.entries);
	work.of = calloc(BATCH, sizeof *work.of);
	if (work.deliveries == NULL || work.entries == NULL || work.of == NULL)
		log_event(LOG_ERROR, "no-memory", NULL);
	else
		work_run(&work);
	free(work.deliveries);
	free(work.entries);
	free(work.of);
}
