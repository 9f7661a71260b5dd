#include "tcpserver/core/talk.h"

#include <string.h>

#include "common/text.h"
#include "tcpserver/core/room.h"

enum { FIND_TRIES = 100 };

static bool may_meet(const void *one, const void *other, void *context)
{
	struct talk *talk = context;
	const struct client *left = one;
	const struct client *right = other;

	return !client_list_either_ignores(&talk->clients, left, right);
}

static void describe(const void *person, char *key, const char ***avoid, size_t *avoid_count, void *context)
{
	struct talk *talk = context;
	const struct client *client = person;

	(void)name_key(client->name, key);
	*avoid = client_list_ignored_keys(&talk->clients, client, STRANGERS_AVOIDED_MOST, avoid_count);
}

static void talk_share(struct talk *talk)
{
	client_list_share(&talk->clients, &talk->servers);
	strangers_share(&talk->strangers, &talk->rooms, describe);
}

/* From an earlier life, or a new one; two servers may make it at the same time. */
static bool talk_open_lobby(struct talk *talk)
{
	static const struct room_attributes lobby = {.name = "lobby", .creator = "", .listed = true, .persistent = true};
	enum rooms_result result = ROOMS_EXISTS;

	for (int tries = 0; result == ROOMS_EXISTS && tries < FIND_TRIES; tries++) {
		if (rooms_find(&talk->rooms, "lobby", &talk->lobby) == ROOMS_DONE)
			return true;
		result = rooms_create(&talk->rooms, &lobby, &talk->lobby);
	}
	return result == ROOMS_DONE;
}

bool talk_init(struct talk *talk, struct journal *journal, size_t max_rooms)
{
	client_list_init(&talk->clients);
	rooms_init(&talk->rooms, journal, max_rooms);
	strangers_init(&talk->strangers, may_meet, talk);
	if (!servers_open(&talk->servers, journal, &talk->clients))
		return false;
	if (servers_are_shared(&talk->servers))
		talk_share(talk);
	if (talk_open_lobby(talk))
		return true;
	servers_close(&talk->servers);
	return false;
}

static bool is_id(const char *text)
{
	char key[NAME_KEY_SIZE];

	(void)name_key(text, key);
	return room_is_id(key);
}

enum rooms_result talk_make_room(struct talk *talk, const char *text, const struct room_attributes *made, struct room **room)
{
	struct room_attributes attributes = *made;
	char name[NAME_SIZE];

	if (!talk->rooms_are_open)
		return ROOMS_CLOSED;
	if (!name_make(text, strlen(text), name) || is_id(name))
		return ROOMS_BAD_NAME;
	attributes.name = name;
	return rooms_make(&talk->rooms, &attributes, room);
}

enum rooms_result talk_find_room(struct talk *talk, const char *text, const struct room_attributes *made, struct room **room)
{
	enum rooms_result result = ROOMS_GONE;
	char name[NAME_SIZE];

	if (name_make(text, strlen(text), name)) /* the form in which it would be made, or rooms_find() might never find it */
		text = name;
	for (int tries = 0; tries < FIND_TRIES; tries++) { /* a room may come or go between the look and the step */
		result = rooms_find(&talk->rooms, text, room);
		if (result != ROOMS_GONE || is_id(text))
			return result;
		result = talk_make_room(talk, text, made, room);
		if (result != ROOMS_EXISTS)
			return result;
	}
	return result;
}

void talk_fini(struct talk *talk)
{
	servers_close(&talk->servers);
	room_release(talk->lobby);
	rooms_fini(&talk->rooms);
	strangers_fini(&talk->strangers);
	client_list_fini(&talk->clients);
}
