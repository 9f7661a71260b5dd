#include "tcpserver/core/command.h"

#include <stdio.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

/* Another room than that where plain text goes. */
static void leave_another(struct session *session, struct member *place)
{
	struct telling done = {.kind = TELL_NOTICE, .code = "done", .request_id = session->request_id};
	struct room *room = room_acquire(place->room);
	char text[NAME_SIZE + 16];

	session_leave(session, place, "for another room");
	(void)snprintf(text, sizeof text, "you left %s", room_label(room));
	done.room = room_label(room);
	done.text = text;
	session_tell(session, &done);
	room_release(room);
}

static void leave_here(struct session *session)
{
	bool was_alone = session->place_count == 1;

	if (session_move_on(session, session->place, "for another room") && !was_alone)
		session_tell_here(session);
}

void command_leave(struct session *session, const char *arguments)
{
	char name[NAME_SIZE] = "";
	struct member *place;

	if (arguments[0] != '\0' && !command_take_name(session, "leave", &arguments, name))
		return;
	if (!command_ends(session, "leave", arguments))
		return;
	place = session_place(session, name);
	if (place == NULL) {
		session_error(session, "not-in-room", "you are not in %s; /leave without a name leaves where you are", name);
		return;
	}
	if (place->room == session->talk->lobby && session->place_count == 1) {
		session_error(session, "not-in-room", "you are in no room but the lobby; /quit leaves the chat");
		return;
	}
	if (place == session->place)
		leave_here(session);
	else
		leave_another(session, place);
}
