#include "tcpserver/core/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/member.h"
#include "tcpserver/core/rooms.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

enum { WHO_MOST = 200 }; /* names in the answer; more are counted */

struct names {
	size_t count;
	char names[WHO_MOST][NAME_SIZE];
};

static void take_name(const struct client *client, void *context)
{
	struct names *names = context;

	(void)snprintf(names->names[names->count++], NAME_SIZE, "%s", client->name);
}

static int compare_names(const void *left, const void *right)
{
	return strcmp(left, right);
}

/* The names in alphabetical order, in new memory; NULL without any. */
static char *join_names(struct names *names)
{
	char *text = malloc(names->count * (NAME_SIZE + 2) + 1);
	size_t size = 0;

	if (text == NULL)
		return NULL;
	qsort(names->names, names->count, NAME_SIZE, compare_names);
	text[0] = '\0';
	for (size_t i = 0; i < names->count; i++)
		size += (size_t)sprintf(text + size, "%s%s", i == 0 ? "" : ", ", names->names[i]);
	return text;
}

/* Takes up to WHO_MOST names. Returns how many people are in the room, on all servers. */
static size_t take_names(struct session *session, struct room *room, struct names *names)
{
	ssize_t taken = -1;
	size_t count;

	if (room_is_shared(room))
		taken = room_everybody(room, names->names, WHO_MOST, &count);
	if (taken < 0) /* those who are here are known in any case */
		return rooms_visit_people(&session->talk->rooms, room, WHO_MOST, take_name, names);
	names->count = (size_t)taken;
	return count;
}

static void who_in(struct session *session, struct room *room, bool here)
{
	struct names *names = calloc(1, sizeof *names);
	size_t count = names == NULL ? 0 : take_names(session, room, names);
	char *text = names == NULL ? NULL : join_names(names);
	const char *where = here ? "here" : room_label(room);

	if (text == NULL)
		session_error(session, "no-memory", "the server has no memory for the list now; try again later");
	else if (count > WHO_MOST)
		session_notice_in(session, room, "%zu %s%s: %s, and %zu more", count, here ? "" : "in ", where, text, count - WHO_MOST);
	else
		session_notice_in(session, room, "%zu %s%s: %s", count, here ? "" : "in ", where, text);
	free(text);
	free(names);
}

void command_who(struct session *session, const char *arguments)
{
	char name[NAME_SIZE];
	struct room *room;
	enum rooms_result result;

	if (arguments[0] == '\0') {
		who_in(session, session->place->room, true);
		return;
	}
	if (!command_take_name(session, "who", &arguments, name) || !command_ends(session, "who", arguments))
		return;
	result = rooms_find(&session->talk->rooms, name, &room);
	if (result != ROOMS_DONE) {
		command_no_such_room(session, name, result);
		return;
	}
	who_in(session, room, false);
	rooms_give_back(&session->talk->rooms, room);
}
