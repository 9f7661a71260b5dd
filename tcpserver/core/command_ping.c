#include "tcpserver/core/command.h"

#include "tcpserver/core/door.h"
#include "tcpserver/core/session.h"

void command_ping(struct session *session, const char *arguments)
{
	struct telling pong = {.kind = TELL_PONG, .text = arguments, .request_id = session->request_id};

	session_tell(session, &pong);
}
