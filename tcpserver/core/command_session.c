#include "tcpserver/core/command.h"

#include <stdio.h>
#include <string.h>

#include "common/hex.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/visit.h"

static void refuse_name(struct session *session)
{
	session_error(session, "bad-name",
		"a name has 1 to 50 letters, digits, _ - . # and single spaces inside; choose another");
	session_finish(session, SESSION_REFUSED);
}

static void come(struct session *session, const char *name, const char *room, const struct reading *reading)
{
	if (!visit_come(session, name, room, reading))
		refuse_name(session);
}

void command_session(struct session *session, const char *arguments)
{
	struct reading reading = session_reading(session);
	unsigned char id[CLIENT_ID_SIZE];
	char word[COMMAND_WORD_SIZE];
	char name[NAME_SIZE] = "";
	char room[NAME_SIZE] = "";
	bool asked;

	if (!command_take_word(&arguments, word) || !hex_read(word, id, sizeof id)) {
		session_error(session, "usage", "/session takes 32 hex digits that your client made by chance, and kept");
		return;
	}
	if (!session_has_name(session) && !command_take_name(session, "session", &arguments, name))
		return;
	if (!command_take_reading(session, "session", &arguments, &reading, &asked))
		return;
	if (command_take_keyword(&arguments, "in") && !command_take_name(session, "session", &arguments, room))
		return;
	if (!command_ends(session, "session", arguments))
		return;
	session_identify(session, id);
	if (!session_has_name(session))
		come(session, name, room, &reading);
}
