#include "tcpserver/core/command.h"

#include "common/text.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/session.h"

void command_mark(struct session *session, const char *arguments)
{
	char key[NAME_KEY_SIZE];
	struct member *place;
	uint64_t seq;

	if (!command_take_number(&arguments, &seq)) {
		session_error(session, "usage", "/mark takes the number of the message that you have read last; type /mark 17");
		return;
	}
	place = command_take_place(session, "mark", &arguments);
	if (place == NULL || !command_ends(session, "mark", arguments))
		return;
	(void)name_key(session->client.name, key);
	room_set_mark(place->room, key, seq);
}
