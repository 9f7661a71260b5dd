#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/journals/redis_link.h"
#include "tcpserver/journals/redis_parts.h"
#include "tcpserver/journals/redis_reply.h"

enum { GHOST_FIELDS = 5, GHOSTS_PAGE = 500 };

int redis_beat(struct link *link, const char *server)
{
	struct redis_command arguments = redis_link_script(link);
	long long known;

	redis_command_text(&arguments, server);
	known = redis_link_run_number(link, REDIS_BEAT, &arguments);
	return known < 0 ? (int)known : known == 0 ? -ESTALE : 0;
}

static int servers_clear(struct link *link, const char *server, bool if_dead)
{
	long long more = 1;

	while (more == 1) {
		struct redis_command arguments = redis_link_script(link);

		redis_command_text(&arguments, server);
		redis_command_number(&arguments, if_dead ? 1 : 0);
		more = redis_link_run_number(link, REDIS_CLEAR, &arguments);
	}
	return more < 0 ? (int)more : 0;
}

static bool servers_take_ghost(redisReply *const *fields, struct ghost *ghost)
{
	return redis_reply_id(fields[0], ghost->server) && redis_reply_id(fields[1], ghost->room) &&
	       redis_reply_text(fields[2], ghost->label, sizeof ghost->label) &&
	       redis_reply_text(fields[3], ghost->name, sizeof ghost->name) &&
	       redis_reply_number(fields[4], INT64_MAX, &ghost->joined);
}

/* Clears dead servers away where nobody is left. */
static int servers_clear_all(struct link *link, const redisReply *servers)
{
	char server[ROOM_ID_SIZE];
	int error = 0;

	for (size_t i = 0; i < servers->elements && error == 0; i++) {
		if (redis_reply_id(servers->element[i], server))
			error = servers_clear(link, server, true);
	}
	return error;
}

ssize_t redis_ghosts(struct link *link, struct ghost *ghosts, size_t capacity)
{
	struct redis_command arguments = redis_link_script(link);
	redisReply *reply;
	ssize_t count = 0;
	int error;

	redis_command_number(&arguments, capacity < GHOSTS_PAGE ? capacity : GHOSTS_PAGE);
	reply = redis_link_run(link, REDIS_GHOSTS, &arguments);
	if (reply == NULL)
		return link->error;
	if (!redis_reply_is_array(reply, 2) || reply->element[0]->type != REDIS_REPLY_ARRAY ||
		reply->element[0]->elements > capacity * GHOST_FIELDS || reply->element[1]->type != REDIS_REPLY_ARRAY)
		return redis_link_distrust(link, reply);
	for (size_t i = 0; i + GHOST_FIELDS <= reply->element[0]->elements; i += GHOST_FIELDS)
		count += servers_take_ghost(reply->element[0]->element + i, &ghosts[count]);
	error = servers_clear_all(link, reply->element[1]);
	freeReplyObject(reply);
	return error < 0 ? error : count;
}

int redis_retire(struct link *link, const char *server)
{
	return servers_clear(link, server, false);
}
