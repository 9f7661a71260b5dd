#include "tcpserver/core/command.h"

#include <stdio.h>
#include <stdlib.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

enum { INVITATION_SIZE = 3 * NAME_SIZE };

/* Returns whether the other could be told. */
static bool send_invitation(struct session *session, struct outlet *outlet, const struct door *door)
{
	struct room *room = session->place->room;
	char text[INVITATION_SIZE];
	struct telling invitation = {
		.kind = TELL_NOTICE,
		.participant = session->client.name,
		.room = room_label(room),
		.text = text,
	};
	size_t size;
	char *words;
	bool told;

	(void)snprintf(text, sizeof text, "%s invites you to %s; /join %s goes there", session->client.name,
		room_label(room), room_id(room));
	words = door->words(&invitation, &size);
	told = words != NULL && outlet_tell_from_outside(outlet, words, size);
	free(words);
	return told;
}

void command_invite(struct session *session, const char *arguments)
{
	struct client_list *clients = &session->talk->clients;
	char wanted[NAME_SIZE];
	char found[NAME_SIZE];
	const struct door *door;
	struct outlet *outlet;

	if (!command_take_name(session, "invite", &arguments, wanted) || !command_ends(session, "invite", arguments))
		return;
	outlet = client_list_find(clients, wanted, &door, found);
	if (outlet == NULL) {
		command_no_such_user(session, wanted);
		return;
	}
	(void)session_settle(session); /* what was said before is seen before */
	if (client_list_is_ignored_by(clients, &session->client, found))
		session_error(session, "ignored", "%s does not want to hear from you alone", found);
	else if (!send_invitation(session, outlet, door))
		session_error(session, "not-told", "%s is too far behind to be told more now; try again later", found);
	else
		session_notice(session, "%s is invited to %s", found, room_label(session->place->room));
	outlet_release(outlet);
}
