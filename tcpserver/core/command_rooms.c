#include "tcpserver/core/command.h"

#include <stdio.h>
#include <stdlib.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/rooms.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

enum {
	ROOMS_SHOWN = 100, /* more are counted              */
	KEPT_PAGE = 50,    /* read from the journal at a time */
};

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

static void take_kept(struct list *list, const struct room_record *record)
{
	struct shown *shown = &list->rooms[list->count++];

	(void)snprintf(shown->label, sizeof shown->label, "%s", record->name[0] == '\0' ? record->id : record->name);
	(void)snprintf(shown->topic, sizeof shown->topic, "%s", record->topic);
	shown->people = 0;
	shown->created_ns = record->attributes.created_ns;
}

/* Adds rooms that nobody is in, but that the journal keeps, as far as there is place. Returns whether there are more. */
static bool list_add_kept(struct list *list, struct rooms *rooms)
{
	struct room_record *records = calloc(KEPT_PAGE, sizeof *records);
	char after[ROOM_ID_SIZE] = "";
	ssize_t count = records == NULL ? 0 : KEPT_PAGE;

	while (count == KEPT_PAGE && list->count < ROOMS_SHOWN) {
		count = rooms->journal->ops->list_rooms(rooms->journal, after, true, records, KEPT_PAGE);
		for (ssize_t i = 0; i < count; i++) {
			(void)snprintf(after, sizeof after, "%s", records[i].id);
			if (list->count < ROOMS_SHOWN && !rooms_is_open(rooms, records[i].id))
				take_kept(list, &records[i]);
		}
	}
	free(records);
	return count == KEPT_PAGE;
}

static void tell_more(struct session *session, size_t hidden, bool more)
{
	if (hidden > 0)
		session_notice(session, "and %zu more", hidden);
	else if (more)
		session_notice(session, "and more where nobody is now");
}

void command_rooms(struct session *session, const char *arguments)
{
	struct list *list;
	size_t count;
	size_t open;
	bool more;

	if (!command_ends(session, "rooms", arguments))
		return;
	list = calloc(1, sizeof *list);
	if (list == NULL) {
		session_error(session, "no-memory", "the server has no memory for the list now; try again later");
		return;
	}
	count = rooms_visit(&session->talk->rooms, ROOMS_SHOWN, take_room, list);
	open = list->count;
	more = list_add_kept(list, &session->talk->rooms);
	count += list->count - open;
	session_notice(session, "%zu room%s:", count, count == 1 ? "" : "s");
	for (size_t i = 0; i < list->count; i++) {
		const struct shown *shown = &list->rooms[i];

		session_notice_about(session, shown->label, shown->created_ns, "%s (%zu)%s%s", shown->label, shown->people,
			shown->topic[0] == '\0' ? "" : " - ", shown->topic);
	}
	tell_more(session, count - list->count, more);
	free(list);
}
