#include "tcpserver/core/command.h"

#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

void command_ignore(struct session *session, const char *arguments)
{
	char name[NAME_SIZE];
	char found[NAME_SIZE];

	if (!command_take_name(session, "ignore", &arguments, name) || !command_ends(session, "ignore", arguments))
		return;
	switch (client_list_ignore(&session->talk->clients, &session->client, name, found)) {
	case IGNORE_BEGUN:
		session_notice(session, "you ignore %s; /ignore %s again ends that", found, command_type_name(found).text);
		break;
	case IGNORE_ENDED:
		session_notice(session, "you no longer ignore %s", found);
		break;
	case IGNORE_NOBODY:
		command_no_such_user(session, name);
		break;
	case IGNORE_TOO_MANY:
		session_error(session, "too-many-ignored", "you ignore %d people, which is the most; end one first",
			IGNORED_MOST);
		break;
	case IGNORE_NO_MEMORY:
		session_error(session, "no-memory", "the server has no memory for this now; try again later");
		break;
	}
}
