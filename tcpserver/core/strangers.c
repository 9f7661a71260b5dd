#include "tcpserver/core/strangers.h"

#include <assert.h>
#include <stddef.h>

#include "tcpserver/core/room.h"

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
	strangers_lock(strangers);
	strangers_append(strangers, stranger, room);
	strangers_unlock(strangers);
}

struct room *strangers_match_or_wait(struct strangers *strangers, struct stranger *stranger, struct room *room)
{
	struct room *found;

	strangers_lock(strangers);
	found = strangers_match_locked(strangers, stranger);
	if (found == NULL)
		strangers_append(strangers, stranger, room);
	strangers_unlock(strangers);
	return found;
}

void strangers_withdraw(struct strangers *strangers, struct stranger *stranger, const struct room *room)
{
	strangers_lock(strangers);
	for (struct stranger **place = &strangers->first; *place != NULL; place = &(*place)->next) {
		if (*place == stranger && stranger->waits_in == room) {
			strangers_unlink(strangers, place);
			break;
		}
	}
	strangers_unlock(strangers);
}
