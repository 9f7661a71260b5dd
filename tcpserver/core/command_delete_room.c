#include "tcpserver/core/command.h"

#include "tcpserver/core/rooms.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

void command_delete_room(struct session *session, const char *arguments)
{
	char name[NAME_SIZE];
	char creator[NAME_SIZE];
	struct room *room;
	enum rooms_result result;
	bool may;

	if (!command_take_name(session, "delete-room", &arguments, name) || !command_ends(session, "delete-room", arguments))
		return;
	result = rooms_find(&session->talk->rooms, name, &room);
	if (result != ROOMS_DONE) {
		command_no_such_room(session, name, result);
		return;
	}
	session_find_creator(session, room, creator);
	may = session->is_administrator || session_is_creator(session, room);
	if (room_attributes(room)->persistent)
		session_error(session, "not-allowed", "%s always stays; nobody may close it", name);
	else if (room_attributes(room)->creator_number == 0 && !may)
		session_error(session, "not-allowed", "only an administrator may close %s, because it was empty, or the server was"
			" restarted, since it was made", name);
	else if (!may)
		session_error(session, "not-allowed", "only who made %s, or an administrator, may close it; ask %s", name,
			creator);
	else
		session_close_room(session, room);
	rooms_give_back(&session->talk->rooms, room);
}
