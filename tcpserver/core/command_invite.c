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
static bool send_invitation(struct session *session, const struct room *room, const struct addressee *other)
{
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
	words = other->door->words(&invitation, &size);
	told = words != NULL && outlet_tell_from_outside(other->outlet, words, size);
	free(words);
	return told;
}

/* Somebody on another server, if there is such a one. */
static void invite_elsewhere(struct session *session, const struct room *room, const char *wanted)
{
	struct letter letter = {.kind = LETTER_INVITE};

	(void)snprintf(letter.room, sizeof letter.room, "%s", room_label(room));
	(void)snprintf(letter.room_id, sizeof letter.room_id, "%s", room_id(room));
	if (command_send_letter(session, wanted, &letter))
		session_notice_in(session, room, "%s is invited to %s", letter.to, room_label(room));
}

static void invite(struct session *session, const struct room *room, const char *wanted)
{
	struct addressee other;

	if (!client_list_find(&session->talk->clients, &session->client, wanted, &other)) {
		invite_elsewhere(session, room, wanted);
		return;
	}
	(void)session_settle(session); /* what was said before is seen before */
	if (other.ignores)
		session_error(session, "ignored", "%s does not want to hear from you alone", other.name);
	else if (!send_invitation(session, room, &other))
		session_error(session, "not-told", "%s is too far behind to be told more now; try again later", other.name);
	else
		session_notice_in(session, room, "%s is invited to %s", other.name, room_label(room));
	outlet_release(other.outlet);
}

void command_invite(struct session *session, const char *arguments)
{
	char wanted[NAME_SIZE];
	const struct member *place;

	if (!command_take_name(session, "invite", &arguments, wanted))
		return;
	place = command_take_place(session, "invite", &arguments);
	if (place != NULL && command_ends(session, "invite", arguments))
		invite(session, place->room, wanted);
}
