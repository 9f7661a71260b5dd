/*
 * What keeps a message from being published twice: what this server has published lately is in the tail, all of it that messageapi has not
 * stored yet; a number greater than all that the client has used is new; and for any other one messageapi is asked. While that is away,
 * only who is not known yet, or repeats itself, is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/message.h"
#include "tcpserver/journals/amqp_engine.h"

enum { MICROSECOND_NS = 1000 };

/* ---- Who has sent what. ---- */

static struct amqp_client *client_slot(struct amqp_engine *engine, const unsigned char client[CLIENT_ID_SIZE])
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

	for (size_t i = 0; i < CLIENT_ID_SIZE; i++)
		hash = (hash ^ client[i]) * UINT64_C(1099511628211);
	return &engine->clients[(hash ^ hash >> 32) % AMQP_CLIENTS];
}

static bool slot_is_of(const struct amqp_client *slot, const struct entry *entry)
{
	return slot->is_known && memcmp(slot->client, entry->client, CLIENT_ID_SIZE) == 0;
}

/* Databases have no numbers beyond INT64_MAX that are in order. */
static bool is_surely_new(struct amqp_engine *engine, const struct entry *entry)
{
	const struct amqp_client *slot = client_slot(engine, entry->client);

	return slot_is_of(slot, entry) && entry->number > slot->highest && entry->number <= INT64_MAX;
}

static void note_highest(struct amqp_engine *engine, const struct entry *entry, uint64_t highest)
{
	struct amqp_client *slot = client_slot(engine, entry->client);

	if (!slot_is_of(slot, entry)) {
		slot->is_known = true;
		memcpy(slot->client, entry->client, CLIENT_ID_SIZE);
		slot->highest = 0;
	}
	if (highest > slot->highest)
		slot->highest = highest;
}

/* ---- Outcomes. ---- */

static void refuse(struct entry *entry, int error)
{
	entry->outcome = ENTRY_REFUSED;
	entry->error = error;
}

static void set_label(struct entry *entry, const struct amqp_room *room)
{
	const char *label = room == NULL ? "" : room->name == NULL ? room->id : room->name;

	memcpy(entry->label, label, strlen(label) + 1);
}

/* Whether the entry is one of the last that were published. One that nobody was told of is kept now. */
static bool find_in_tail(struct amqp_engine *engine, struct entry *entry)
{
	struct amqp_kept *kept;

	amqp_lock(engine);
	kept = amqp_tail_find_sent(&engine->tail, entry->client, entry->number);
	if (kept != NULL) {
		entry->outcome = kept->is_told || strcmp(kept->room, entry->room) != 0 ? ENTRY_REPEATED : ENTRY_KEPT;
		entry->seq = kept->seq;
		entry->at_ns = kept->at_ns;
		memcpy(entry->kept_in, kept->room, sizeof kept->room);
		set_label(entry, amqp_rooms_find(&engine->rooms, kept->room));
		kept->is_told = true;
	}
	amqp_unlock(engine);
	return kept != NULL;
}

static void repeat(struct amqp_engine *engine, struct entry *entry, const struct amqp_pair *pair)
{
	entry->outcome = ENTRY_REPEATED;
	entry->seq = pair->seq;
	entry->at_ns = pair->at_ns;
	memcpy(entry->kept_in, pair->room, sizeof pair->room);
	amqp_lock(engine);
	set_label(entry, amqp_rooms_find(&engine->rooms, pair->room));
	amqp_unlock(engine);
}

/* ---- A new message. ---- */

static bool is_too_far_behind(struct amqp_engine *engine)
{
	bool is_too_far;

	amqp_lock(engine);
	is_too_far = engine->tail.unstored >= AMQP_UNSTORED_MOST;
	amqp_unlock(engine);
	return is_too_far;
}

static int64_t time_of(const struct entry *entry, const struct amqp_room *room)
{
	int64_t now_ns = clock_wall_ns();

	if (entry->seq != 0)
		return entry->at_ns;
	now_ns -= now_ns % MICROSECOND_NS; /* as databases keep it */
	return now_ns > room->at_ns ? now_ns : room->at_ns;
}

/* Gives the entry its number. Returns 0, or a positive errno. */
static int number_entry(struct amqp_engine *engine, struct entry *entry) REQUIRES(AMQP_LOCK);
static int number_entry(struct amqp_engine *engine, struct entry *entry)
{
	const struct amqp_room *room = amqp_rooms_find(&engine->rooms, entry->room);
	uint64_t next;

	if (room == NULL || !room->is_open)
		return ENOENT;
	next = (room->given > entry->at_least ? room->given : entry->at_least) + 1;
	if (entry->seq != 0 && entry->seq < next)
		return EEXIST;
	entry->at_ns = time_of(entry, room);
	entry->seq = entry->seq != 0 ? entry->seq : next;
	return 0;
}

static int note_given(struct amqp_engine *engine, const struct entry *entry, struct amqp_item *item) REQUIRES(AMQP_LOCK);
static int note_given(struct amqp_engine *engine, const struct entry *entry, struct amqp_item *item)
{
	struct amqp_room *room = amqp_rooms_find(&engine->rooms, entry->room);

	item->kept = amqp_tail_add(&engine->tail, entry, item->position);
	if (item->kept == NULL)
		return ENOMEM;
	room->given = entry->seq;
	room->at_ns = entry->at_ns;
	return 0;
}

/* Takes the item back that was added last; its position is not used again. */
static void drop_last_item(struct amqp_engine *engine, struct amqp_item *item)
{
	struct amqp_item **link = &engine->pending;

	while (*link != item)
		link = &(*link)->next;
	*link = NULL;
	engine->pending_end = link;
	free(item->bytes);
	free(item);
}

/* Without memory it is seen after a restart. The text is not ended by NUL. */
static void set_topic(struct amqp_item *item, const struct message *message)
{
	if (message->kind != MESSAGE_TOPIC || (item->topic = malloc(message->text_size + 1)) == NULL)
		return;
	if (message->text_size > 0)
		memcpy(item->topic, message->text, message->text_size);
	item->topic[message->text_size] = '\0';
}

static int prepare(struct amqp_engine *engine, struct entry *entry)
{
	struct amqp_body body = {.kind = AMQP_MESSAGE};
	struct amqp_item *item;
	int error;

	amqp_lock(engine);
	error = number_entry(engine, entry);
	amqp_unlock(engine);
	if (error != 0)
		return error;
	body.entry = *entry;
	memcpy(body.room, entry->room, strnlen(entry->room, ROOM_ID_SIZE - 1));
	item = amqp_add_item(engine, &body);
	if (item == NULL)
		return ENOMEM;
	amqp_lock(engine);
	error = note_given(engine, entry, item);
	amqp_unlock(engine);
	if (error != 0)
		drop_last_item(engine, item);
	else
		set_topic(item, entry->message);
	return error;
}

static void take_new(struct amqp_engine *engine, struct entry *entry)
{
	uint64_t seq = entry->seq;
	int error;

	if (find_in_tail(engine, entry)) /* it is twice in the group */
		return;
	error = prepare(engine, entry);
	if (error != 0) {
		entry->seq = seq;
		refuse(entry, error);
		return;
	}
	entry->outcome = ENTRY_KEPT;
	note_highest(engine, entry, entry->number);
	find_in_tail(engine, entry); /* from now on it is told; see is_told */
}

/* ---- The group. ---- */

/* Asks for those of the group that nothing is known of. Returns how many those are; what could not be asked is refused later. */
static size_t ask_for_unknown(struct amqp_engine *engine, struct entry *entries, size_t count, struct amqp_pair *pairs, int *error)
{
	size_t asked = 0;

	for (size_t i = 0; i < count; i++) {
		bool is_known;

		amqp_lock(engine);
		is_known = amqp_tail_find_sent(&engine->tail, entries[i].client, entries[i].number) != NULL;
		amqp_unlock(engine);
		if (!is_known && !is_surely_new(engine, &entries[i]))
			pairs[asked++] = (struct amqp_pair){.entry = &entries[i]};
	}
	*error = asked == 0 ? 0 : amqp_api_find_numbers(engine->asks, pairs, asked, engine->fault);
	for (size_t i = 0; *error == 0 && i < asked; i++)
		note_highest(engine, pairs[i].entry, pairs[i].highest);
	return asked;
}

static void take_group(struct amqp_engine *engine, struct entry *entries, size_t count, struct amqp_pair *pairs)
{
	int error;
	size_t asked = ask_for_unknown(engine, entries, count, pairs, &error);
	size_t next = 0;

	for (size_t i = 0; i < count; i++) {
		const struct amqp_pair *pair = next < asked && pairs[next].entry == &entries[i] ? &pairs[next++] : NULL;

		if (pair != NULL && error != 0)
			refuse(&entries[i], EAGAIN);
		else if (pair != NULL && pair->seq != 0)
			repeat(engine, &entries[i], pair);
		else
			take_new(engine, &entries[i]);
	}
}

/* Nobody was told of what is pending: it is asked for again. */
static void untell(struct amqp_engine *engine)
{
	amqp_lock(engine);
	for (const struct amqp_item *item = engine->pending; item != NULL; item = item->next)
		if (item->kept != NULL)
			item->kept->is_told = false;
	amqp_unlock(engine);
}

static int append_with_turn(struct link *link, struct entry *entries, size_t count)
{
	struct amqp_engine *engine = link->engine;
	struct amqp_pair *pairs;
	int error = 0;

	if (engine->peer.connection == NULL || !amqp_is_up(engine))
		return -EIO;
	if (is_too_far_behind(engine))
		return -EBUSY;
	pairs = calloc(count, sizeof *pairs);
	if (pairs == NULL)
		return -ENOMEM;
	take_group(engine, entries, count, pairs);
	free(pairs);
	if (engine->pending != NULL)
		error = amqp_publish_pending(engine);
	if (error != 0)
		untell(engine);
	return error;
}

int amqp_append(struct link *link, struct entry *entries, size_t count)
{
	int error;

	amqp_take_turn(link->engine);
	error = append_with_turn(link, entries, count);
	if (error == -EBUSY)
		memcpy(link->fault, "messageapi is too far behind: too much waits to be stored",
			sizeof "messageapi is too far behind: too much waits to be stored");
	else if (error != 0)
		memcpy(link->fault, link->engine->fault, sizeof link->fault);
	amqp_give_turn(link->engine);
	return error;
}
