#include "tcpserver/doors/room_desk.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/rooms.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/credentials.h"

enum { KEPT_PAGE = 50 }; /* read from the journal at a time */

void room_desk_view(struct room *room, size_t people, struct room_view *view)
{
	(void)snprintf(view->id, sizeof view->id, "%s", room_id(room));
	(void)snprintf(view->name, sizeof view->name, "%s", room_label(room));
	room_topic(room, view->topic);
	view->people = people;
	view->created_ns = room_attributes(room)->created_ns;
	view->last = room_last_seq(room);
}

/* ---- The list. ---- */

/* Rooms that are open; their own locks are not taken while the table's is held. */
struct open_rooms {
	struct room *rooms[ROOM_LIST_MAX];
	size_t people[ROOM_LIST_MAX];
	size_t count;
};

static void take_open(struct room *room, size_t people, void *context)
{
	struct open_rooms *open = context;

	open->people[open->count] = people;
	open->rooms[open->count++] = room_acquire(room);
}

static bool list_add_open(struct room_list *list, struct rooms *rooms)
{
	struct open_rooms *open = calloc(1, sizeof *open);

	if (open == NULL)
		return false;
	list->more = rooms_visit(rooms, ROOM_LIST_MAX, take_open, open) > ROOM_LIST_MAX;
	for (size_t i = 0; i < open->count; i++) {
		room_desk_view(open->rooms[i], open->people[i], &list->views[list->count++]);
		room_release(open->rooms[i]);
	}
	free(open);
	return true;
}

static void take_kept(struct room_list *list, struct rooms *rooms, const struct room_record *record)
{
	struct room_view *view = &list->views[list->count];

	if (!rooms_are_shared(rooms) && rooms_is_open(rooms, record->id))
		return; /* it is on the list */
	if (list->count == ROOM_LIST_MAX) {
		list->more = true;
		return;
	}
	list->count++;
	(void)snprintf(view->id, sizeof view->id, "%s", record->id);
	(void)snprintf(view->name, sizeof view->name, "%s", record->name[0] == '\0' ? record->id : record->name);
	(void)snprintf(view->topic, sizeof view->topic, "%s", record->topic);
	view->people = record->people;
	view->created_ns = record->attributes.created_ns;
	view->last = record->last;
}

/* Rooms that nobody is in, but that the journal keeps; where several servers share it, all. */
static bool list_add_kept(struct room_list *list, struct rooms *rooms)
{
	struct room_record *records = calloc(KEPT_PAGE, sizeof *records);
	char after[ROOM_ID_SIZE] = "";
	ssize_t count = KEPT_PAGE;

	if (records == NULL)
		return false;
	while (count == KEPT_PAGE && !list->more) {
		count = rooms->journal->ops->list_rooms(rooms->journal, after, true, records, KEPT_PAGE);
		for (ssize_t i = 0; i < count; i++) {
			(void)snprintf(after, sizeof after, "%s", records[i].id);
			take_kept(list, rooms, &records[i]);
		}
	}
	free(records);
	return count >= 0;
}

int room_desk_list(struct rooms *rooms, struct room_list *list)
{
	*list = (struct room_list){.views = calloc(ROOM_LIST_MAX, sizeof *list->views)};
	if (list->views == NULL || (!rooms_are_shared(rooms) && !list_add_open(list, rooms)))
		return -ENOMEM;
	return list_add_kept(list, rooms) ? 0 : -EIO;
}

void room_desk_free(struct room_list *list)
{
	free(list->views);
	list->views = NULL;
}

/* ---- Closing one. ---- */

static bool is_creator(const struct room *room, const char *text)
{
	unsigned char id[CLIENT_ID_SIZE];

	return credentials_session_id(text, id) &&
	       CRYPTO_memcmp(id, room_attributes(room)->creator_id, CLIENT_ID_SIZE) == 0;
}

enum room_permission room_desk_may_close(
	struct session *session, const struct room *room, const char *id, const char *authorization)
{
	if (room_attributes(room)->persistent)
		return ROOM_STAYS;
	if (is_creator(room, id) || credentials_are_administrators(session, authorization))
		return ROOM_MAY_CLOSE;
	return id != NULL && authorization == NULL ? ROOM_IS_OF_ANOTHER : ROOM_NEEDS_PROOF;
}

int room_desk_close(struct session *session, struct room *room, const char *authorization)
{
	struct client_list *clients = &session->talk->clients;
	char user[CREDENTIALS_SIZE];
	char password[CREDENTIALS_SIZE];
	char name[NAME_SIZE];

	if (!credentials_read(authorization, user, password) || !name_make(user, strlen(user), name))
		name_guest(name);
	if (client_list_register(clients, &session->client, name) != 0)
		return -ENOMEM;
	session_close_room(session, room);
	client_list_unregister(clients, &session->client);
	return room_is_shut(room) ? 0 : -EIO;
}
