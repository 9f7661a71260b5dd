#include "tcpserver/core/command.h"

#include <stdlib.h>

#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

enum { WHO_MOST = 200 }; /* names in the answer; more are counted */

void command_who(struct session *session, const char *arguments)
{
	char *names;
	long count = client_list_names(&session->talk->clients, WHO_MOST, &names);

	(void)arguments;
	if (count < 0) {
		session_error(session, "no-memory", "the server has no memory for the list now; try again later");
		return;
	}
	if (count > WHO_MOST)
		session_notice(session, "%ld here: %s, and %ld more", count, names, count - WHO_MOST);
	else
		session_notice(session, "%ld here: %s", count, names);
	free(names);
}
