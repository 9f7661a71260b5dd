#include "tcpserver/journals/amqp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/log.h"
#include "tcpserver/core/message.h"
#include "tcpserver/journals/amqp_engine.h"

enum { KEEP_MS = 1000, KEEPER_STACK = 256 * 1024 };

static struct amqp_engine *engine_of(struct engine *engine)
{
	return (struct amqp_engine *)engine;
}

/* ---- Links. ---- */

static const char *token_of(const struct amqp_engine *engine)
{
	return engine->token[0] == '\0' ? NULL : engine->token;
}

static int bring_up(struct link *link)
{
	struct amqp_engine *engine = link->engine;
	int error;

	amqp_take_turn(engine);
	error = amqp_bring_up(engine);
	(void)snprintf(link->fault, sizeof link->fault, "%s", engine->fault);
	amqp_lock(engine);
	link->generation = engine->generation;
	amqp_unlock(engine);
	amqp_give_turn(engine);
	return error;
}

static int set_up_link(struct link *link)
{
	switch (link->use) {
	case LINK_WRITES:
		return bring_up(link);
	case LINK_NEWS:
		link->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		return link->descriptor < 0 ? -errno : 0;
	default:
		return 0;
	}
}

static void disconnect(struct link *link)
{
	grpc_unary_destroy(link->asks);
	if (link->descriptor >= 0)
		(void)close(link->descriptor); /* nothing was written */
	free(link);
}

static struct link *connect(struct engine *base, enum link_use use, char fault[ENGINE_FAULT_SIZE])
{
	struct amqp_engine *engine = engine_of(base);
	struct link *link = calloc(1, sizeof *link);
	int error;

	(void)snprintf(fault, ENGINE_FAULT_SIZE, "%s", strerrordesc_np(ENOMEM));
	if (link == NULL)
		return NULL;
	*link = (struct link){.engine = engine, .use = use, .descriptor = -1};
	link->asks = grpc_unary_create(&engine->api, token_of(engine));
	error = link->asks == NULL ? -ENOMEM : set_up_link(link);
	if (error == 0)
		return link;
	(void)snprintf(fault, ENGINE_FAULT_SIZE, "%s", link->fault[0] == '\0' ? strerrordesc_np(-error) : link->fault);
	disconnect(link);
	return NULL;
}

/* Of a link that does not write nothing can break: messageapi is called anew each time that it has to be. */
static bool works(const struct link *link)
{
	struct amqp_engine *engine = link->engine;
	bool works;

	if (link->use != LINK_WRITES)
		return true;
	amqp_lock(engine);
	works = engine->is_up && engine->generation == link->generation;
	amqp_unlock(engine);
	return works;
}

static const char *fault(const struct link *link)
{
	return link->fault[0] == '\0' ? "the connection to RabbitMQ has broken" : link->fault;
}

static void describe(struct link *link, char *words, size_t size)
{
	(void)link;
	(void)snprintf(words, size,
		"what was said is in RabbitMQ's durable queue " AMQP_QUEUE " when it is seen, and is stored by messageapi soon after");
}

static int descriptor(const struct link *link)
{
	return link->descriptor;
}

/* There are no other servers. */
static ssize_t news(struct link *link, struct engine_news *list, size_t capacity)
{
	(void)link, (void)list, (void)capacity;
	return 0;
}

/* ---- Rooms. ---- */

/* Publishes what is done to a room; needs the turn. */
static int publish_deed(struct link *link, struct amqp_body *body, const char *id)
{
	struct amqp_engine *engine = link->engine;
	int error = -ENOMEM;

	if (engine->peer.connection == NULL || !amqp_is_up(engine)) {
		(void)snprintf(link->fault, sizeof link->fault, "there is no connection to RabbitMQ now");
		return -EIO;
	}
	(void)snprintf(body->room, sizeof body->room, "%s", id);
	if (amqp_add_item(engine, body) != NULL)
		error = amqp_publish_pending(engine);
	if (error != 0)
		(void)snprintf(link->fault, sizeof link->fault, "%s", engine->fault);
	return error;
}

/* Whether the room has to be published: 1, or 0 when it is there; or -errno. One that is to be is in the table then, for its name. */
static int reserve_room(struct amqp_engine *engine, const struct room_attributes *attributes, struct room_record *record)
{
	char key[NAME_KEY_SIZE] = "";
	struct amqp_room *room;
	int result = 1;

	if (attributes->name != NULL)
		(void)name_key(attributes->name, key);
	amqp_lock(engine);
	room = amqp_rooms_find(&engine->rooms, attributes->id);
	if (room != NULL && room->is_open) {
		amqp_room_describe(room, record);
		result = 0;
	} else if (room != NULL) {
		result = -EIO; /* it is known when the connection is there again */
	} else if (attributes->name != NULL && amqp_rooms_find_key(&engine->rooms, key) != NULL) {
		result = -EEXIST;
	} else if (amqp_rooms_add(&engine->rooms, attributes) == NULL) {
		result = -ENOMEM;
	}
	amqp_unlock(engine);
	return result;
}

/* The broker was never given it. */
static void unreserve_room(struct amqp_engine *engine, const char *id)
{
	const struct amqp_item *item = engine->pending;

	while (item != NULL && (item->kind != AMQP_ROOM || strcmp(item->room, id) != 0))
		item = item->next;
	if (item != NULL)
		return;
	amqp_lock(engine);
	amqp_rooms_remove(&engine->rooms, id);
	amqp_unlock(engine);
}

static int open_with_turn(struct link *link, const struct room_attributes *attributes, struct room_record *record)
{
	struct amqp_body body = {.kind = AMQP_ROOM, .attributes = *attributes};
	int result;

	if (body.attributes.created_ns == 0)
		body.attributes.created_ns = clock_wall_ns();
	result = reserve_room(link->engine, &body.attributes, record);
	if (result <= 0)
		return result;
	result = publish_deed(link, &body, attributes->id);
	if (result != 0)
		unreserve_room(link->engine, attributes->id);
	else
		result = reserve_room(link->engine, attributes, record);
	return result > 0 ? -EIO : result;
}

static int open_room(struct link *link, const struct room_attributes *attributes, struct room_record *record)
{
	int error;

	amqp_take_turn(link->engine);
	error = open_with_turn(link, attributes, record);
	amqp_give_turn(link->engine);
	return error;
}

/* Does something to a room that is known; one that is not needs nothing. */
static int change_room(struct link *link, struct amqp_body *body, const char *id)
{
	struct amqp_engine *engine = link->engine;
	bool is_known;
	int error;

	amqp_take_turn(engine);
	amqp_lock(engine);
	is_known = amqp_rooms_find(&engine->rooms, id) != NULL;
	amqp_unlock(engine);
	error = is_known ? publish_deed(link, body, id) : 0;
	amqp_give_turn(engine);
	return error;
}

static int forget_room(struct link *link, const char *id)
{
	return change_room(link, &(struct amqp_body){.kind = AMQP_FORGET}, id);
}

static int set_waits(struct link *link, const char *id, bool waits)
{
	return change_room(link, &(struct amqp_body){.kind = AMQP_WAITS, .waits = waits}, id);
}

static int find_room(struct link *link, const char *key, const char *id, struct room_record *record)
{
	struct amqp_engine *engine = link->engine;
	const struct amqp_room *room = NULL;

	amqp_lock(engine);
	if (key != NULL && key[0] != '\0')
		room = amqp_rooms_find_key(&engine->rooms, key);
	if (room == NULL || !room->is_open)
		room = id == NULL ? NULL : amqp_rooms_find(&engine->rooms, id);
	if (room != NULL && !room->is_open)
		room = NULL;
	if (room != NULL)
		amqp_room_describe(room, record);
	amqp_unlock(engine);
	return room == NULL ? -ENOENT : 0;
}

static ssize_t list_rooms(struct link *link, const char *after, bool listed, struct room_record *records, size_t capacity)
{
	struct amqp_engine *engine = link->engine;
	size_t count = 0;

	amqp_lock(engine);
	for (size_t i = amqp_rooms_after(&engine->rooms, after); i < engine->rooms.count && count < capacity; i++) {
		const struct amqp_room *room = engine->rooms.rooms[i];

		if (room->is_open && (room->attributes.listed || !listed))
			amqp_room_describe(room, &records[count++]);
	}
	amqp_unlock(engine);
	return (ssize_t)count;
}

/* ---- Messages. ---- */

/* A message of the tail, as the room's. NULL: it is not there. */
static struct message *copy_of_tail(struct amqp_engine *engine, const char *id, const char *label, uint64_t seq)
{
	const struct amqp_kept *kept;
	struct message *from = NULL;
	struct message *message = NULL;
	int64_t at_ns = 0;

	amqp_lock(engine);
	kept = amqp_tail_find_seq(&engine->tail, id, seq);
	if (kept != NULL && kept->is_confirmed && kept->message != NULL) {
		from = message_acquire(kept->message);
		at_ns = kept->at_ns;
	}
	amqp_unlock(engine);
	if (from == NULL)
		return NULL;
	message = message_create(from->kind, label, from->participant, from->text, from->text_size);
	if (message != NULL) {
		message->seq = seq;
		message->at_ns = at_ns;
	}
	message_release(from);
	return message;
}

static size_t take_tail(struct amqp_engine *engine, const char *id, const char *label, uint64_t from, struct message **messages,
	size_t capacity)
{
	size_t count = 0;

	while (count < capacity && (messages[count] = copy_of_tail(engine, id, label, from + count)) != NULL)
		count++;
	return count;
}

/* The number of the room's last message; UINT64_MAX: there is no such room. */
static uint64_t last_of(struct amqp_engine *engine, const char *id) REQUIRES(AMQP_LOCK);
static uint64_t last_of(struct amqp_engine *engine, const char *id)
{
	const struct amqp_room *room = amqp_rooms_find(&engine->rooms, id);

	return room == NULL || !room->is_open ? UINT64_MAX : room->last;
}

static int last(struct link *link, const char *const *ids, uint64_t *last, size_t count)
{
	amqp_lock(link->engine);
	for (size_t i = 0; i < count; i++)
		last[i] = last_of(link->engine, ids[i]);
	amqp_unlock(link->engine);
	return 0;
}

/* Nothing came from messageapi. What it has not stored yet is missing, and no hole is made of that. */
static ssize_t judge_nothing(struct link *link, uint64_t from, uint64_t last, uint64_t stored)
{
	if (from > last || stored >= from)
		return 0;
	(void)snprintf(link->fault, sizeof link->fault, "messageapi has not stored yet what is asked for, and it is not in memory any more");
	return -EIO;
}

static ssize_t fetch_stored(struct link *link, const char *id, const char *label, uint64_t from, uint64_t last,
	struct message **messages, size_t capacity)
{
	uint64_t stored = 0;
	ssize_t count = amqp_api_fetch(link->asks, id, label, from, messages, capacity, &stored, link->fault);

	if (count == -ENOENT)
		count = 0; /* it has not heard of the room yet */
	if (count < 0)
		return -EIO;
	if (count == 0)
		return judge_nothing(link, from, last, stored);
	return count + (ssize_t)take_tail(link->engine, id, label, messages[count - 1]->seq + 1, messages + count,
			       capacity - (size_t)count);
}

static ssize_t fetch(
	struct link *link, const char *id, const char *label, uint64_t from, struct message **messages, size_t capacity)
{
	uint64_t last;
	size_t count;

	amqp_lock(link->engine);
	last = last_of(link->engine, id);
	amqp_unlock(link->engine);
	from = from == 0 ? 1 : from;
	if (last == UINT64_MAX)
		return -ENOENT;
	if (from > last || capacity == 0)
		return 0;
	count = take_tail(link->engine, id, label, from, messages, capacity);
	return count > 0 ? (ssize_t)count : fetch_stored(link, id, label, from, last, messages, capacity);
}

/* ---- The keeper: heartbeats, and what messageapi has stored. ---- */

static bool keeper_waits(struct amqp_engine *engine)
{
	long long until_ms = clock_ms() + KEEP_MS;
	bool stopping;

	amqp_lock(engine);
	while (!engine->stopping && condition_wait_until(&engine->changed, &engine->mutex, until_ms) == 0)
		continue;
	stopping = engine->stopping;
	amqp_unlock(engine);
	return !stopping;
}

static bool something_is_unstored(struct amqp_engine *engine)
{
	bool is;

	amqp_lock(engine);
	is = engine->tail.unstored > 0;
	amqp_unlock(engine);
	return is;
}

/* Says once that messageapi is away, and once that it is back. Returns whether it is there. */
static bool note_api(bool *is_away, int error, const char *fault)
{
	if (error != 0 && !*is_away)
		log_event(LOG_WARNING, "messageapi-away", "why", fault, "now",
			"what is said waits in the queue; who has not talked since the start is refused", NULL);
	else if (error == 0 && *is_away)
		log_event(LOG_WARNING, "messageapi-back", NULL);
	*is_away = error != 0;
	return error == 0;
}

static void look_for_stored(struct amqp_engine *engine, struct grpc_unary *asks, bool *is_away)
{
	char fault[ENGINE_FAULT_SIZE];
	uint64_t stored;

	if (!something_is_unstored(engine) || !note_api(is_away, amqp_api_wait(asks, engine->session, 1, 0, &stored, fault), fault))
		return;
	amqp_lock(engine);
	amqp_tail_note_stored(&engine->tail, stored);
	amqp_unlock(engine);
}

static void *keep(void *context)
{
	struct amqp_engine *engine = context;
	struct grpc_unary *asks = grpc_unary_create(&engine->api, token_of(engine));
	bool is_away = false;

	thread_name("amqp-keeper");
	while (keeper_waits(engine)) {
		if (amqp_try_turn(engine)) {
			amqp_keep_up(engine);
			amqp_give_turn(engine);
		}
		if (asks != NULL)
			look_for_stored(engine, asks, &is_away);
	}
	grpc_unary_destroy(asks);
	return NULL;
}

/* ---- The engine. ---- */

static void free_engine(struct amqp_engine *engine) UNCHECKED;
static void free_engine(struct amqp_engine *engine)
{
	amqp_drop_pending(engine);
	amqp_tail_fini(&engine->tail);
	amqp_rooms_fini(&engine->rooms);
	grpc_unary_destroy(engine->asks);
	free(engine->clients);
	mutex_fini(&engine->mutex);
	(void)pthread_cond_destroy(&engine->changed); /* nobody waits any more */
	explicit_bzero(&engine->address, sizeof engine->address);
	explicit_bzero(engine->token, sizeof engine->token);
	free(engine);
}

static void destroy(struct engine *base)
{
	struct amqp_engine *engine = engine_of(base);

	amqp_lock(engine);
	engine->stopping = true;
	condition_broadcast(&engine->changed);
	amqp_unlock(engine);
	thread_join(engine->keeper);
	amqp_peer_disconnect(&engine->peer);
	free_engine(engine);
}

static const struct engine_ops ops = {
	.name = "amqp",
	.connect = connect,
	.disconnect = disconnect,
	.works = works,
	.fault = fault,
	.describe = describe,
	.open_room = open_room,
	.forget_room = forget_room,
	.find_room = find_room,
	.list_rooms = list_rooms,
	.append = amqp_append,
	.fetch = fetch,
	.last = last,
	.descriptor = descriptor,
	.news = news,
	.set_waits = set_waits,
	.destroy = destroy,
};

static bool make_session(char session[AMQP_SESSION_SIZE])
{
	unsigned char random[AMQP_SESSION_SIZE / 2];

	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return false;
	for (size_t i = 0; i < sizeof random; i++)
		(void)snprintf(session + 2 * i, 3, "%02x", random[i]);
	return true;
}

static const char *read_options(struct amqp_engine *engine, const struct engine_options *options)
{
	if (options->message_api == NULL || !net_place_parse(options->message_api, "localhost", "50051", &engine->api))
		return "amqp:// needs --message-api HOST:PORT";
	if (options->message_api_token != NULL)
		(void)snprintf(engine->token, sizeof engine->token, "%s", options->message_api_token);
	return amqp_address_parse(options->url, options->password, &engine->address);
}

static bool set_up_engine(struct amqp_engine *engine) UNCHECKED;
static bool set_up_engine(struct amqp_engine *engine)
{
	engine->engine.ops = &ops;
	engine->pending_end = &engine->pending;
	mutex_init(&engine->mutex);
	condition_init(&engine->changed);
	engine->clients = calloc(AMQP_CLIENTS, sizeof *engine->clients);
	engine->asks = grpc_unary_create(&engine->api, token_of(engine));
	return amqp_tail_init(&engine->tail) && engine->clients != NULL && engine->asks != NULL &&
		make_session(engine->session) && thread_start(&engine->keeper, KEEPER_STACK, keep, engine) == 0;
}

int amqp_engine_create(const struct engine_options *options, struct engine **engine, char fault[ENGINE_FAULT_SIZE])
{
	struct amqp_engine *made = calloc(1, sizeof *made);
	const char *wrong = made == NULL ? NULL : read_options(made, options);

	if (wrong != NULL) {
		(void)snprintf(fault, ENGINE_FAULT_SIZE, "%s", wrong);
		free(made);
		return -EINVAL;
	}
	if (made == NULL || !set_up_engine(made)) {
		(void)snprintf(fault, ENGINE_FAULT_SIZE, "there is no memory for it");
		if (made != NULL)
			free_engine(made);
		return -ENOMEM;
	}
	*engine = &made->engine;
	return 0;
}
