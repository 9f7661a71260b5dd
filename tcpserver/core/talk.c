#include "tcpserver/core/talk.h"

#include "tcpserver/core/room.h"

static bool may_meet(const void *one, const void *other, void *context)
{
	struct talk *talk = context;
	const struct client *left = one;
	const struct client *right = other;

	return !client_list_either_ignores(&talk->clients, left, right);
}

bool talk_init(struct talk *talk, struct journal *journal, size_t max_rooms)
{
	static const struct room_attributes lobby = {.name = "lobby", .creator = "", .listed = true, .persistent = true};

	client_list_init(&talk->clients);
	rooms_init(&talk->rooms, journal, max_rooms);
	strangers_init(&talk->strangers, may_meet, talk);
	talk->lobby = rooms_find(&talk->rooms, "lobby"); /* from an earlier life */
	return talk->lobby != NULL || rooms_create(&talk->rooms, &lobby, &talk->lobby) == ROOMS_DONE;
}

void talk_fini(struct talk *talk)
{
	room_release(talk->lobby);
	rooms_fini(&talk->rooms);
	strangers_fini(&talk->strangers);
	client_list_fini(&talk->clients);
}
