#include "tcpserver/core/strangers.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/rooms.h"

enum { MEET_TRIES = 1000 }; /* each takes an offer away */

static void strangers_lock(struct strangers *strangers) ACQUIRES(STRANGERS_LOCK) UNCHECKED;
static void strangers_unlock(struct strangers *strangers) RELEASES(STRANGERS_LOCK) UNCHECKED;

static void strangers_lock(struct strangers *strangers)
{
	mutex_lock(&strangers->mutex);
}

static void strangers_unlock(struct strangers *strangers)
{
	mutex_unlock(&strangers->mutex);
}

void strangers_init(struct strangers *strangers,
	bool (*may_meet)(const void *one, const void *other, void *context), void *context)
{
	*strangers = (struct strangers){.may_meet = may_meet, .context = context, .end = &strangers->first};
	mutex_init(&strangers->mutex);
}

void strangers_fini(struct strangers *strangers)
{
	assert(strangers->first == NULL);
	mutex_fini(&strangers->mutex);
}

/* ---- The list of several servers. ---- */

/* An offer, with what it points to. */
struct description {
	struct stranger_offer offer;
	const char **avoid; /* owned */
	char key[NAME_KEY_SIZE];
};

void strangers_share(struct strangers *strangers, struct rooms *rooms,
	void (*describe)(const void *person, char *key, const char ***avoid, size_t *avoid_count, void *context))
{
	strangers->rooms = rooms;
	strangers->describe = describe;
}

void stranger_note_partner(struct stranger *stranger, const char *name)
{
	char key[NAME_KEY_SIZE];

	(void)name_key(name, key);
	free(stranger->last_key);
	stranger->last_key = strdup(key); /* without memory it may meet the same one again */
}

/* What the journal is told of the stranger; NULL without memory. */
static struct description *strangers_describe(struct strangers *strangers, const struct stranger *stranger)
{
	struct description *description = malloc(sizeof *description);

	if (description == NULL)
		return NULL;
	description->avoid = NULL;
	description->offer = (struct stranger_offer){
		.key = description->key, .last = stranger->last_key == NULL ? "" : stranger->last_key};
	strangers->describe(stranger->person, description->key, &description->avoid, &description->offer.avoid_count,
		strangers->context);
	description->offer.avoid = description->avoid;
	return description;
}

static void description_free(struct description *description)
{
	free(description->avoid);
	free(description);
}

/* The room of an offer that was taken; NULL: it is over by now. */
static struct room *strangers_open(
	const struct strangers *strangers, struct stranger *stranger, const struct room_record *record)
{
	struct room *room = NULL;

	if (rooms_find(strangers->rooms, record->id, &room) != ROOMS_DONE)
		return NULL;
	stranger_note_partner(stranger, record->creator);
	return room;
}

/* As strangers_match(). */
static struct room *strangers_meet(struct strangers *strangers, struct stranger *stranger)
{
	struct journal *journal = strangers->rooms->journal;
	struct description *description = strangers_describe(strangers, stranger);
	struct room_record *record = malloc(sizeof *record);
	struct room *room = NULL;
	int error = description == NULL || record == NULL ? -ENOMEM : 0;

	for (int tries = 0; error == 0 && room == NULL && tries < MEET_TRIES; tries++) {
		error = journal->ops->meet(journal, &description->offer, record);
		if (error == 0)
			room = strangers_open(strangers, stranger, record);
	}
	stranger->error = error == -ENOENT ? 0 : -error;
	free(record);
	if (description != NULL)
		description_free(description);
	return room;
}

/* Returns 0 or -errno; -EEXIST, unless 'always': there is somebody to meet. */
static int strangers_offer(struct strangers *strangers, struct stranger *stranger, struct room *room, bool always)
{
	struct description *description = strangers_describe(strangers, stranger);
	int error = -ENOMEM;

	if (description != NULL) {
		description->offer.always = always;
		error = room_offer(room, &description->offer);
		description_free(description);
	}
	stranger->error = error == -EEXIST ? 0 : -error;
	return error;
}

/* As strangers_match_or_wait(). */
static struct room *strangers_meet_or_offer(struct strangers *strangers, struct stranger *stranger, struct room *room)
{
	struct room *found = NULL;
	int error = -EEXIST;

	for (int tries = 0; error == -EEXIST && found == NULL && tries < MEET_TRIES; tries++) {
		found = strangers_meet(strangers, stranger);
		if (found == NULL && stranger->error == 0)
			error = strangers_offer(strangers, stranger, room, false);
		else
			error = -stranger->error;
	}
	if (found == NULL && error == -EEXIST)
		stranger->error = EAGAIN; /* others were always faster */
	return found;
}

/* ---- The list of this server. ---- */

/* Where in the list the best one for 'stranger' is: the first who may meet it, the last partner only when nobody else may. */
static struct stranger **strangers_best(struct strangers *strangers, const struct stranger *stranger)
	REQUIRES(STRANGERS_LOCK);
static struct stranger **strangers_best(struct strangers *strangers, const struct stranger *stranger)
{
	struct stranger **again = NULL;

	for (struct stranger **place = &strangers->first; *place != NULL; place = &(*place)->next) {
		struct stranger *other = *place;

		if (other == stranger || !strangers->may_meet(stranger->person, other->person, strangers->context))
			continue;
		if (other->number != stranger->last_partner && stranger->number != other->last_partner)
			return place;
		if (again == NULL)
			again = place;
	}
	return again;
}

static void strangers_unlink(struct strangers *strangers, struct stranger **place) REQUIRES(STRANGERS_LOCK);
static void strangers_unlink(struct strangers *strangers, struct stranger **place)
{
	struct stranger *stranger = *place;

	*place = stranger->next;
	if (stranger->next == NULL)
		strangers->end = place;
	stranger->next = NULL;
	stranger->waits_in = NULL;
}

static struct room *strangers_match_locked(struct strangers *strangers, struct stranger *stranger)
	REQUIRES(STRANGERS_LOCK);
static struct room *strangers_match_locked(struct strangers *strangers, struct stranger *stranger)
{
	struct stranger **place = strangers_best(strangers, stranger);
	struct stranger *other;
	struct room *room;

	if (place == NULL)
		return NULL;
	other = *place;
	room = room_acquire(other->waits_in); /* it is in there until it has withdrawn */
	strangers_unlink(strangers, place);
	other->last_partner = stranger->number;
	stranger->last_partner = other->number;
	return room;
}

struct room *strangers_match(struct strangers *strangers, struct stranger *stranger)
{
	struct room *room;

	if (strangers->rooms != NULL)
		return strangers_meet(strangers, stranger);
	strangers_lock(strangers);
	room = strangers_match_locked(strangers, stranger);
	strangers_unlock(strangers);
	return room;
}

/* The place behind those who wait since then, or longer. */
static struct stranger **strangers_after(struct strangers *strangers, int64_t since) REQUIRES(STRANGERS_LOCK);
static struct stranger **strangers_after(struct strangers *strangers, int64_t since)
{
	struct stranger **place = &strangers->first;

	while (*place != NULL && (*place)->waits_since <= since)
		place = &(*place)->next;
	return place;
}

static void strangers_append(struct strangers *strangers, struct stranger *stranger, struct room *room)
	REQUIRES(STRANGERS_LOCK);
static void strangers_append(struct strangers *strangers, struct stranger *stranger, struct room *room)
{
	struct stranger **place = strangers->end;

	assert(stranger->waits_in == NULL);
	stranger->waits_in = room;
	stranger->waits_since = room_attributes(room)->created_ns;
	if (stranger->waits_since < strangers->latest) /* one who comes back after a restart */
		place = strangers_after(strangers, stranger->waits_since);
	else
		strangers->latest = stranger->waits_since;
	stranger->next = *place;
	*place = stranger;
	if (stranger->next == NULL)
		strangers->end = &stranger->next;
}

void strangers_wait(struct strangers *strangers, struct stranger *stranger, struct room *room)
{
	if (strangers->rooms != NULL) {
		(void)strangers_offer(strangers, stranger, room, true); /* the stranger knows how it went */
		return;
	}
	strangers_lock(strangers);
	strangers_append(strangers, stranger, room);
	strangers_unlock(strangers);
}

struct room *strangers_match_or_wait(struct strangers *strangers, struct stranger *stranger, struct room *room)
{
	struct room *found;

	if (strangers->rooms != NULL)
		return strangers_meet_or_offer(strangers, stranger, room);
	strangers_lock(strangers);
	found = strangers_match_locked(strangers, stranger);
	if (found == NULL)
		strangers_append(strangers, stranger, room);
	strangers_unlock(strangers);
	return found;
}

void strangers_withdraw(struct strangers *strangers, struct stranger *stranger, struct room *room)
{
	if (strangers->rooms != NULL) {
		if (room_attributes(room)->ends_with_member)
			room_set_waits(room, false);
		return;
	}
	strangers_lock(strangers);
	for (struct stranger **place = &strangers->first; *place != NULL; place = &(*place)->next) {
		if (*place == stranger && stranger->waits_in == room) {
			strangers_unlink(strangers, place);
			break;
		}
	}
	strangers_unlock(strangers);
}
