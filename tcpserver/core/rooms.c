#include "tcpserver/core/rooms.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/member.h"

enum { FIND_TRIES = 100 };

static void rooms_lock(struct rooms *rooms) ACQUIRES(ROOMS_LOCK) UNCHECKED;
static void rooms_unlock(struct rooms *rooms) RELEASES(ROOMS_LOCK) UNCHECKED;

static void rooms_lock(struct rooms *rooms)
{
	mutex_lock(&rooms->mutex);
}

static void rooms_unlock(struct rooms *rooms)
{
	mutex_unlock(&rooms->mutex);
}

/* ---- The trees: a look-up compares with a name in place of a room. ---- */

static int compare_ids(const void *left, const void *right)
{
	return strcmp(room_id(left), room_id(right));
}

static int compare_keys(const void *left, const void *right)
{
	return strcmp(room_key(left), room_key(right));
}

static int compare_id_of(const void *id, const void *room)
{
	return strcmp(id, room_id(room));
}

static int compare_key_of(const void *key, const void *room)
{
	return strcmp(key, room_key(room));
}

static struct room *found_in(void *const *place)
{
	return place == NULL ? NULL : *place;
}

/* ---- The table. ---- */

void rooms_init(struct rooms *rooms, struct journal *journal, size_t most)
{
	*rooms = (struct rooms){.journal = journal, .most = most};
	mutex_init(&rooms->mutex);
	condition_init(&rooms->opened);
}

/* ---- Rooms that wait for their first guest: a list, the one that waits longest first. ---- */

static void rooms_begin_waiting(struct rooms *rooms, struct room *room) REQUIRES(ROOMS_LOCK);
static void rooms_begin_waiting(struct rooms *rooms, struct room *room)
{
	struct room_people *people = room_people(room);

	people->waits_since_ms = clock_ms();
	people->waits_before = rooms->waiting_last;
	if (rooms->waiting_last == NULL)
		rooms->waiting_first = room;
	else
		room_people(rooms->waiting_last)->waits_after = room;
	rooms->waiting_last = room;
}

static void rooms_end_waiting(struct rooms *rooms, struct room *room) REQUIRES(ROOMS_LOCK);
static void rooms_end_waiting(struct rooms *rooms, struct room *room)
{
	struct room_people *people = room_people(room);

	if (people->waits_since_ms == 0)
		return;
	if (people->waits_before == NULL)
		rooms->waiting_first = people->waits_after;
	else
		room_people(people->waits_before)->waits_after = people->waits_after;
	if (people->waits_after == NULL)
		rooms->waiting_last = people->waits_before;
	else
		room_people(people->waits_after)->waits_before = people->waits_before;
	people->waits_since_ms = 0;
	people->waits_before = people->waits_after = NULL;
}

/* ---- Coming and going. ---- */

static void rooms_unlink(struct rooms *rooms, struct room *room) REQUIRES(ROOMS_LOCK);
static void rooms_unlink(struct rooms *rooms, struct room *room)
{
	(void)tdelete(room, &rooms->by_id, compare_ids);
	if (room_key(room) != NULL)
		(void)tdelete(room, &rooms->by_key, compare_keys);
	rooms_end_waiting(rooms, room);
	room_people(room)->known = false;
	rooms->count--;
}

void rooms_fini(struct rooms *rooms)
{
	while (rooms->by_id != NULL) {
		struct room *room = *(struct room **)rooms->by_id; /* the root's */

		rooms_unlink(rooms, room);
		room_release(room);
	}
	(void)pthread_cond_destroy(&rooms->opened);
	mutex_fini(&rooms->mutex);
}

/* Unlinks a room that is to go. Returns whether the table's reference is now the caller's. */
static bool rooms_let_go(struct rooms *rooms, struct room *room) REQUIRES(ROOMS_LOCK);
static bool rooms_let_go(struct rooms *rooms, struct room *room)
{
	struct room_people *people = room_people(room);

	if (!people->known || people->count + people->observers > 0 || room_attributes(room)->persistent)
		return false;
	rooms_unlink(rooms, room);
	room_forget_unless_worth_keeping(room); /* or a list of what is kept would have it until the journal lets go of it */
	return true;
}

/* The room that gave way to a new one, with the table's reference; NULL: none did. */
static struct room *rooms_make_place(struct rooms *rooms) REQUIRES(ROOMS_LOCK);
static struct room *rooms_make_place(struct rooms *rooms)
{
	long long until_ms = clock_ms() - ROOMS_WAIT_LEAST_MS;
	struct room *room = rooms->waiting_first;

	while (room != NULL && room_people(room)->waits_since_ms <= until_ms) {
		struct room *next = room_people(room)->waits_after;

		if (rooms_let_go(rooms, room))
			return room;
		room = next; /* somebody reads it */
	}
	return NULL;
}

/* Takes the reference. '*gone' is a room that gave way, which the caller releases; or NULL. */
static enum rooms_result rooms_link(struct rooms *rooms, struct room *room, struct room **gone) REQUIRES(ROOMS_LOCK);
static enum rooms_result rooms_link(struct rooms *rooms, struct room *room, struct room **gone)
{
	*gone = NULL;
	if (tfind(room, &rooms->by_id, compare_ids) != NULL)
		return ROOMS_EXISTS;
	if (room_key(room) != NULL && tfind(room, &rooms->by_key, compare_keys) != NULL)
		return ROOMS_EXISTS;
	if (rooms->count >= rooms->most && (*gone = rooms_make_place(rooms)) == NULL)
		return ROOMS_TOO_MANY;
	if (tsearch(room, &rooms->by_id, compare_ids) == NULL)
		return ROOMS_NO_MEMORY;
	if (room_key(room) != NULL && tsearch(room, &rooms->by_key, compare_keys) == NULL) {
		(void)tdelete(room, &rooms->by_id, compare_ids);
		return ROOMS_NO_MEMORY;
	}
	room_people(room)->known = true;
	if (room_attributes(room)->creator_number != 0)
		rooms_begin_waiting(rooms, room);
	rooms->count++;
	return ROOMS_DONE;
}

enum rooms_result rooms_create(struct rooms *rooms, const struct room_attributes *attributes, struct room **room)
{
	struct room *created = room_open(attributes, rooms->journal);
	struct room *gone;
	enum rooms_result result;

	if (created == NULL)
		return errno == EEXIST ? ROOMS_EXISTS : ROOMS_NO_MEMORY;
	(void)room_acquire(created);
	rooms_lock(rooms);
	result = rooms_link(rooms, created, &gone);
	rooms_unlock(rooms);
	if (gone != NULL)
		room_release(gone);
	if (result != ROOMS_DONE) {
		room_release(created);
		room_release(created);
		return result;
	}
	*room = created;
	return ROOMS_DONE;
}

static struct room *rooms_look_up(struct rooms *rooms, const char *key) REQUIRES(ROOMS_LOCK);
static struct room *rooms_look_up(struct rooms *rooms, const char *key)
{
	struct room *room = found_in(tfind(key, &rooms->by_key, compare_key_of));

	return room != NULL ? room : found_in(tfind(key, &rooms->by_id, compare_id_of));
}

/* Whether somebody on another server has closed the room, so that it has to go here, too. */
static bool rooms_is_over(const struct room *room)
{
	return room_is_shut(room) && room_is_shared(room) && !room_attributes(room)->persistent;
}

/* The room of that key or id that is open. The name of one that is over may be another room's already. */
static struct room *rooms_find_open(struct rooms *rooms, const char *key)
{
	struct room *over = NULL;
	struct room *room;

	rooms_lock(rooms);
	room = rooms_look_up(rooms, key);
	if (room != NULL && rooms_is_over(room)) {
		over = room;
		rooms_unlink(rooms, over);
		room_forget(over); /* who closed it may have died before that */
		room = rooms_look_up(rooms, key);
	}
	if (room != NULL)
		(void)room_acquire(room);
	rooms_unlock(rooms);
	if (over != NULL)
		room_release(over);
	return room;
}

/* ---- Rooms that the journal keeps: many come back to one at the same time, and one of them opens it. ---- */

/* Lives on the stack of the thread that opens the room. */
struct rooms_opening {
	struct rooms_opening *next;
	const char *id;
};

static struct rooms_opening **rooms_find_opening(struct rooms *rooms, const char *id) REQUIRES(ROOMS_LOCK);
static struct rooms_opening **rooms_find_opening(struct rooms *rooms, const char *id)
{
	struct rooms_opening **place = &rooms->opening;

	while (*place != NULL && strcmp((*place)->id, id) != 0)
		place = &(*place)->next;
	return place;
}

static void rooms_wait_opened(struct rooms *rooms) REQUIRES(ROOMS_LOCK) UNCHECKED;
static void rooms_wait_opened(struct rooms *rooms)
{
	condition_wait(&rooms->opened, &rooms->mutex);
}

/* Returns false when another thread has opened the room, after waiting for it if need be. */
static bool rooms_begin_opening(struct rooms *rooms, struct rooms_opening *opening)
{
	bool first;

	rooms_lock(rooms);
	first = *rooms_find_opening(rooms, opening->id) == NULL;
	while (*rooms_find_opening(rooms, opening->id) != NULL)
		rooms_wait_opened(rooms);
	first = first && tfind(opening->id, &rooms->by_id, compare_id_of) == NULL;
	if (first) {
		opening->next = rooms->opening;
		rooms->opening = opening;
	}
	rooms_unlock(rooms);
	return first;
}

static void rooms_end_opening(struct rooms *rooms, const struct rooms_opening *opening)
{
	rooms_lock(rooms);
	*rooms_find_opening(rooms, opening->id) = opening->next;
	condition_broadcast(&rooms->opened);
	rooms_unlock(rooms);
}

static enum rooms_result rooms_open_kept(struct rooms *rooms, const struct room_record *record, struct room **room)
{
	struct rooms_opening opening = {.id = record->id};
	enum rooms_result result;

	if (!rooms_begin_opening(rooms, &opening))
		return ROOMS_EXISTS;
	result = rooms_create(rooms, &record->attributes, room);
	rooms_end_opening(rooms, &opening);
	return result;
}

/* Opens a room that the journal keeps. */
static enum rooms_result rooms_reopen(struct rooms *rooms, const char *key, const char *id, struct room **room)
{
	struct room_record *record = malloc(sizeof *record);
	enum rooms_result result = ROOMS_GONE;
	int error;

	*room = NULL;
	if (record == NULL)
		return ROOMS_NO_MEMORY;
	error = rooms->journal->ops->find_room(rooms->journal, key, id, record);
	if (error == 0)
		result = rooms_open_kept(rooms, record, room);
	else if (error != -ENOENT)
		result = ROOMS_NO_MEMORY; /* it may be there */
	free(record);
	return result;
}

enum rooms_result rooms_find(struct rooms *rooms, const char *name, struct room **found)
{
	enum rooms_result result = ROOMS_EXISTS;
	char key[NAME_KEY_SIZE];
	struct room *room = NULL;

	(void)name_key(name, key);
	if (key[0] == '@')
		return ROOMS_GONE;
	/* Again when another thread was faster. A damaged journal can say for ever that the room is one that is open already. */
	for (int tries = 0; room == NULL && result == ROOMS_EXISTS && tries < FIND_TRIES; tries++) {
		room = rooms_find_open(rooms, key);
		if (room == NULL)
			result = rooms_reopen(rooms, key, key, &room);
	}
	if (room == NULL)
		return result == ROOMS_EXISTS ? ROOMS_GONE : result;
	*found = room;
	return ROOMS_DONE;
}

enum rooms_result rooms_make(struct rooms *rooms, const struct room_attributes *attributes, struct room **room)
{
	struct room *found;

	switch (rooms_find(rooms, attributes->name, &found)) {
	case ROOMS_DONE:
		rooms_give_back(rooms, found);
		return ROOMS_EXISTS;
	case ROOMS_TOO_MANY: /* only the journal knows it */
		return ROOMS_EXISTS;
	case ROOMS_GONE:
		return rooms_create(rooms, attributes, room);
	default:
		return ROOMS_NO_MEMORY;
	}
}

bool rooms_is_open(struct rooms *rooms, const char *id)
{
	bool open;

	rooms_lock(rooms);
	open = tfind(id, &rooms->by_id, compare_id_of) != NULL;
	rooms_unlock(rooms);
	return open;
}

void rooms_forget_empty(struct rooms *rooms, struct room *room)
{
	bool let_go;

	rooms_lock(rooms);
	let_go = rooms_let_go(rooms, room);
	rooms_unlock(rooms);
	if (let_go)
		room_release(room);
}

void rooms_give_back(struct rooms *rooms, struct room *room)
{
	bool let_go;

	rooms_lock(rooms);
	let_go = room_people(room)->waits_since_ms == 0 && rooms_let_go(rooms, room);
	rooms_unlock(rooms);
	if (let_go)
		room_release(room);
	room_release(room);
}

void rooms_remove(struct rooms *rooms, struct room *room)
{
	bool known;

	rooms_lock(rooms);
	known = room_people(room)->known;
	if (known)
		rooms_unlink(rooms, room);
	rooms_unlock(rooms);
	if (known)
		room_release(room);
}

/* ---- People. ---- */

static enum rooms_result rooms_add_person(struct rooms *rooms, struct member *member) REQUIRES(ROOMS_LOCK);
static enum rooms_result rooms_add_person(struct rooms *rooms, struct member *member)
{
	struct room_people *people = room_people(member->room);
	size_t capacity = room_attributes(member->room)->capacity;

	if (capacity > 0 && people->count >= capacity)
		return ROOMS_FULL;
	member->next_person = people->first;
	if (people->first != NULL)
		people->first->previous_person = member;
	people->first = member;
	people->count++;
	rooms_end_waiting(rooms, member->room);
	return ROOMS_DONE;
}

static void rooms_remove_person(struct member *member) REQUIRES(ROOMS_LOCK);
static void rooms_remove_person(struct member *member)
{
	struct room_people *people = room_people(member->room);

	if (member->previous_person == NULL)
		people->first = member->next_person;
	else
		member->previous_person->next_person = member->next_person;
	if (member->next_person != NULL)
		member->next_person->previous_person = member->previous_person;
	people->count--;
}

static enum rooms_result rooms_admit(struct rooms *rooms, struct member *member) REQUIRES(ROOMS_LOCK);
static enum rooms_result rooms_admit(struct rooms *rooms, struct member *member)
{
	struct room_people *people = room_people(member->room);

	if (!people->known || room_is_shut(member->room))
		return ROOMS_GONE;
	if (!member->observes)
		return rooms_add_person(rooms, member);
	people->observers++;
	return ROOMS_DONE;
}

enum rooms_result rooms_show(struct rooms *rooms, struct member *member)
{
	enum rooms_result result;

	rooms_lock(rooms);
	result = rooms_add_person(rooms, member);
	if (result == ROOMS_DONE) {
		member->observes = false;
		room_people(member->room)->observers--;
	}
	rooms_unlock(rooms);
	return result;
}

enum rooms_result rooms_enter(struct rooms *rooms, struct member *member)
{
	enum rooms_result result;

	rooms_lock(rooms);
	result = rooms_admit(rooms, member);
	rooms_unlock(rooms);
	if (result == ROOMS_DONE)
		(void)room_acquire(member->room);
	return result;
}

void rooms_exit(struct rooms *rooms, struct member *member)
{
	bool let_go;

	rooms_lock(rooms);
	if (member->observes)
		room_people(member->room)->observers--;
	else
		rooms_remove_person(member);
	/* A room that was made, and still waits for the first to come, does not go because somebody has looked into it. */
	let_go = room_people(member->room)->waits_since_ms == 0 && rooms_let_go(rooms, member->room);
	rooms_unlock(rooms);
	if (let_go)
		room_release(member->room);
	room_release(member->room);
}

size_t rooms_count(struct rooms *rooms)
{
	size_t count;

	rooms_lock(rooms);
	count = rooms->count;
	rooms_unlock(rooms);
	return count;
}

bool rooms_are_shared(const struct rooms *rooms)
{
	return rooms->journal->ops->server_id != NULL;
}

size_t rooms_people_count(struct rooms *rooms, struct room *room)
{
	size_t count;

	if (room_is_shared(room) && room_everybody(room, NULL, 0, &count) >= 0)
		return count; /* else those who are here */
	rooms_lock(rooms);
	count = room_people(room)->count;
	rooms_unlock(rooms);
	return count;
}

size_t rooms_visit_people(struct rooms *rooms, struct room *room, size_t most,
	void (*visit)(const struct client *client, void *context), void *context)
{
	struct member *member;
	size_t count;

	rooms_lock(rooms);
	member = room_people(room)->first;
	for (size_t i = 0; i < most && member != NULL; i++, member = member->next_person)
		visit(member->client, context);
	count = room_people(room)->count;
	rooms_unlock(rooms);
	return count;
}

/* What rooms_visit() carries through the tree. */
struct rooms_walk {
	void (*visit)(struct room *room, size_t people, void *context);
	void *context;
	size_t most;
	size_t count;
};

/* twalk_r() runs under the lock; clang cannot see it. */
static void rooms_walk_node(const void *node, VISIT order, void *context) UNCHECKED;
static void rooms_walk_node(const void *node, VISIT order, void *context)
{
	struct room *room = *(struct room *const *)node;
	struct rooms_walk *walk = context;

	if ((order != postorder && order != leaf) || !room_attributes(room)->listed)
		return;
	if (walk->count++ < walk->most)
		walk->visit(room, room_people(room)->count, walk->context);
}

size_t rooms_visit(struct rooms *rooms, size_t most,
	void (*visit)(struct room *room, size_t people, void *context), void *context)
{
	struct rooms_walk walk = {.visit = visit, .context = context, .most = most};

	rooms_lock(rooms);
	twalk_r(rooms->by_key, rooms_walk_node, &walk);
	rooms_unlock(rooms);
	return walk.count;
}

void rooms_change(struct rooms *rooms, void (*change)(void *context), void *context)
{
	rooms_lock(rooms);
	change(context);
	rooms_unlock(rooms);
}
