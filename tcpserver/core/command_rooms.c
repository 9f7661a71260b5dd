#include "tcpserver/core/command.h"

#include <stdio.h>
#include <stdlib.h>

#include "tcpserver/core/rooms.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

enum { ROOMS_SHOWN = 100 }; /* more are counted */

/* What is shown of a room; copied, because nothing may be sent under ROOMS_LOCK. */
struct shown {
	char label[NAME_SIZE];
	char topic[ROOM_TOPIC_SIZE];
	size_t people;
	int64_t created_ns;
};

struct list {
	size_t count;
	struct shown rooms[ROOMS_SHOWN];
};

static void take_room(struct room *room, size_t people, void *context)
{
	struct list *list = context;
	struct shown *shown = &list->rooms[list->count++];

	(void)snprintf(shown->label, sizeof shown->label, "%s", room_label(room));
	room_topic(room, shown->topic);
	shown->people = people;
	shown->created_ns = room_attributes(room)->created_ns;
}

void command_rooms(struct session *session, const char *arguments)
{
	struct list *list;
	size_t count;

	if (!command_ends(session, "rooms", arguments))
		return;
	list = calloc(1, sizeof *list);
	if (list == NULL) {
		session_error(session, "no-memory", "the server has no memory for the list now; try again later");
		return;
	}
	count = rooms_visit(&session->talk->rooms, ROOMS_SHOWN, take_room, list);
	session_notice(session, "%zu room%s:", count, count == 1 ? "" : "s");
	for (size_t i = 0; i < list->count; i++) {
		const struct shown *shown = &list->rooms[i];

		session_notice_about(session, shown->label, shown->created_ns, "%s (%zu)%s%s", shown->label, shown->people,
			shown->topic[0] == '\0' ? "" : " - ", shown->topic);
	}
	if (count > list->count)
		session_notice(session, "and %zu more", count - list->count);
	free(list);
}
