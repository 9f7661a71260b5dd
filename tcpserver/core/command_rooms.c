#include "tcpserver/core/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/rooms.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

enum {
	ROOMS_SHOWN = 100, /* more are counted              */
	KEPT_PAGE = 50,    /* read from the journal at a time */
	SHARED_MOST = 2000, /* looked at where several servers share it */
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
	shown->people = record->people;
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

/* Adds the rooms where somebody is, or nobody, on all servers: only the journal knows all. Returns whether there are more. */
static bool list_add_shared(struct list *list, struct rooms *rooms, bool with_people, size_t *count)
{
	struct room_record *records = calloc(KEPT_PAGE, sizeof *records);
	char after[ROOM_ID_SIZE] = "";
	ssize_t read = records == NULL ? 0 : KEPT_PAGE;

	for (size_t seen = 0; read == KEPT_PAGE && seen < SHARED_MOST; seen += KEPT_PAGE) {
		read = rooms->journal->ops->list_rooms(rooms->journal, after, true, records, KEPT_PAGE);
		for (ssize_t i = 0; i < read; i++) {
			(void)snprintf(after, sizeof after, "%s", records[i].id);
			if ((records[i].people > 0) != with_people)
				continue;
			(*count)++;
			if (list->count < ROOMS_SHOWN)
				take_kept(list, &records[i]);
		}
	}
	free(records);
	return read == KEPT_PAGE;
}

static int compare_shown(const void *left, const void *right)
{
	const struct shown *one = left;
	const struct shown *other = right;

	if ((one->people == 0) != (other->people == 0))
		return one->people == 0 ? 1 : -1;
	return strcmp(one->label, other->label);
}

/* Fills the list: where people are first. '*count' is how many rooms there are, as far as they were counted. Returns whether there are
 * more. */
static bool list_fill_shared(struct list *list, struct rooms *rooms, size_t *count)
{
	bool more;

	*count = 0;
	(void)list_add_shared(list, rooms, true, count);
	more = list_add_shared(list, rooms, false, count);
	qsort(list->rooms, list->count, sizeof *list->rooms, compare_shown);
	return more;
}

static bool list_fill(struct list *list, struct rooms *rooms, size_t *count)
{
	size_t open;
	bool more;

	if (rooms_are_shared(rooms))
		return list_fill_shared(list, rooms, count);
	*count = rooms_visit(rooms, ROOMS_SHOWN, take_room, list);
	open = list->count;
	more = list_add_kept(list, rooms);
	*count += list->count - open;
	return more;
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
	bool more;

	if (!command_ends(session, "rooms", arguments))
		return;
	list = calloc(1, sizeof *list);
	if (list == NULL) {
		session_error(session, "no-memory", "the server has no memory for the list now; try again later");
		return;
	}
	more = list_fill(list, &session->talk->rooms, &count);
	session_notice(session, "%zu room%s:", count, count == 1 ? "" : "s");
	for (size_t i = 0; i < list->count; i++) {
		const struct shown *shown = &list->rooms[i];

		session_notice_about(session, shown->label, shown->created_ns, "%s (%zu)%s%s", shown->label, shown->people,
			shown->topic[0] == '\0' ? "" : " - ", shown->topic);
	}
	tell_more(session, count - list->count, more);
	free(list);
}
