#include "tcpserver/journals/amqp_rooms.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void room_free(struct amqp_room *room)
{
	if (room == NULL)
		return;
	free(room->key);
	free(room->name);
	free(room->creator);
	free(room->topic);
	free(room);
}

static char *copy(const char *text)
{
	return strdup(text == NULL ? "" : text);
}

static bool room_set_name(struct amqp_room *room, const char *name)
{
	char key[NAME_KEY_SIZE];

	if (name == NULL)
		return true;
	(void)name_key(name, key);
	room->name = strdup(name);
	room->key = strdup(key);
	room->attributes.name = room->name;
	return room->name != NULL && room->key != NULL;
}

static struct amqp_room *room_make(const struct room_attributes *attributes)
{
	struct amqp_room *room = calloc(1, sizeof *room);

	if (room == NULL)
		return NULL;
	room->attributes = *attributes;
	room->attributes.name = NULL;
	room->attributes.creator_number = 0;
	memset(room->attributes.creator_id, 0, sizeof room->attributes.creator_id);
	(void)snprintf(room->id, sizeof room->id, "%s", attributes->id);
	room->attributes.id = room->id;
	room->attributes.creator = room->creator = copy(attributes->creator);
	room->topic = copy(attributes->topic);
	if (room->creator != NULL && room->topic != NULL && room_set_name(room, attributes->name))
		return room;
	room_free(room);
	return NULL;
}

static int compare_keys(const void *one, const void *other)
{
	return strcmp(((const struct amqp_room *)one)->key, ((const struct amqp_room *)other)->key);
}

size_t amqp_rooms_after(const struct amqp_rooms *rooms, const char *after)
{
	size_t low = 0;
	size_t high = rooms->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(rooms->rooms[middle]->id, after) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool rooms_grow(struct amqp_rooms *rooms)
{
	size_t capacity = rooms->capacity == 0 ? 64 : 2 * rooms->capacity;
	struct amqp_room **grown;

	if (rooms->count < rooms->capacity)
		return true;
	grown = realloc(rooms->rooms, capacity * sizeof(struct amqp_room *));
	if (grown == NULL)
		return false;
	rooms->rooms = grown;
	rooms->capacity = capacity;
	return true;
}

struct amqp_room *amqp_rooms_add(struct amqp_rooms *rooms, const struct room_attributes *attributes)
{
	struct amqp_room *room = rooms_grow(rooms) ? room_make(attributes) : NULL;
	size_t place;

	if (room == NULL)
		return NULL;
	if (room->key != NULL && tsearch(room, &rooms->keys, compare_keys) == NULL) {
		room_free(room);
		return NULL;
	}
	place = amqp_rooms_after(rooms, room->id);
	memmove(rooms->rooms + place + 1, rooms->rooms + place, (rooms->count - place) * sizeof(struct amqp_room *));
	rooms->rooms[place] = room;
	rooms->count++;
	return room;
}

struct amqp_room *amqp_rooms_find(const struct amqp_rooms *rooms, const char *id)
{
	size_t place = amqp_rooms_after(rooms, id);

	return place > 0 && strcmp(rooms->rooms[place - 1]->id, id) == 0 ? rooms->rooms[place - 1] : NULL;
}

struct amqp_room *amqp_rooms_find_key(const struct amqp_rooms *rooms, const char *key)
{
	const struct amqp_room wanted = {.key = (char *)(uintptr_t)key}; /* only compared */
	void *found = tfind(&wanted, &rooms->keys, compare_keys);

	return found == NULL ? NULL : *(struct amqp_room **)found;
}

void amqp_rooms_remove(struct amqp_rooms *rooms, const char *id)
{
	size_t place = amqp_rooms_after(rooms, id);
	struct amqp_room *room = amqp_rooms_find(rooms, id);

	if (room == NULL)
		return;
	if (room->key != NULL)
		(void)tdelete(room, &rooms->keys, compare_keys);
	memmove(rooms->rooms + place - 1, rooms->rooms + place, (rooms->count - place) * sizeof(struct amqp_room *));
	rooms->count--;
	room_free(room);
}

static void leave(void *room)
{
	(void)room; /* it is freed with the others */
}

void amqp_rooms_fini(struct amqp_rooms *rooms)
{
	tdestroy(rooms->keys, leave);
	for (size_t i = 0; i < rooms->count; i++)
		room_free(rooms->rooms[i]);
	free(rooms->rooms);
	*rooms = (struct amqp_rooms){0};
}

void amqp_room_set_topic(struct amqp_room *room, const char *topic, size_t size)
{
	char *set = strndup(size == 0 ? "" : topic, size);

	if (set == NULL)
		return;
	free(room->topic);
	room->topic = set;
}

void amqp_room_describe(const struct amqp_room *room, struct room_record *record)
{
	*record = (struct room_record){.attributes = room->attributes, .last = room->last};
	(void)snprintf(record->id, sizeof record->id, "%s", room->id);
	(void)snprintf(record->name, sizeof record->name, "%s", room->name == NULL ? "" : room->name);
	(void)snprintf(record->creator, sizeof record->creator, "%s", room->creator);
	(void)snprintf(record->topic, sizeof record->topic, "%s", room->topic);
	record->attributes.id = record->id;
	record->attributes.name = room->name == NULL ? NULL : record->name;
	record->attributes.creator = record->creator;
	record->attributes.topic = record->topic[0] == '\0' ? NULL : record->topic;
}
