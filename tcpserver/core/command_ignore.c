#include "tcpserver/core/command.h"

#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

void command_ignore(struct session *session, const char *arguments)
{
	char name[NAME_SIZE];

	if (!command_take_name(session, "ignore", &arguments, name))
		return;
	switch (client_list_ignore(&session->talk->clients, &session->client, name)) {
	case IGNORE_BEGUN:
		session_notice(session, "you ignore %s; /ignore %s again ends that", name, name);
		break;
	case IGNORE_ENDED:
		session_notice(session, "you no longer ignore %s", name);
		break;
	case IGNORE_TOO_MANY:
		session_error(session, "too-many-ignored", "you ignore %d people, which is the most; end one first",
			IGNORED_MOST);
		break;
	}
}
