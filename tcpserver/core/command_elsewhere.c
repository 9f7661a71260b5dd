/* What commands have to say to people on other servers. */
#include "tcpserver/core/command.h"

#include <errno.h>
#include <stdio.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

/* Why the one of that name, who is on another server, was not told. */
static void tell_result(struct session *session, enum letter_result result, const struct letter *letter)
{
	bool direct = letter->kind == LETTER_DIRECT;

	if (result == LETTER_IGNORED)
		session_error(session, "ignored", "%s does not want to hear from you alone%s", letter->to,
			direct ? "; say it in a room" : "");
	else if (result == LETTER_BEHIND)
		session_error(session, "not-told", "%s is too far behind to be told more now; try again later", letter->to);
	else if (result == LETTER_NOBODY)
		command_no_such_user(session, letter->to);
	else if (result != LETTER_TOLD)
		session_error(session, "not-told", "the server where %s is does not answer, so it is not known whether %s was told; try again"
			" later", letter->to, letter->to);
}

bool command_send_letter(struct session *session, const char *wanted, struct letter *letter)
{
	struct servers *servers = &session->talk->servers;
	struct name_holder holder;
	enum letter_result result;
	int error = servers_are_shared(servers) ? servers_find_name(servers, wanted, &holder) : -ENOENT;

	if (error == -ENOENT) {
		command_no_such_user(session, wanted);
		return false;
	}
	if (error != 0) {
		session_error(session, "not-told", "the journal cannot be asked where %s is now; try again later", wanted);
		return false;
	}
	(void)session_settle(session); /* what was said before is seen before */
	(void)snprintf(letter->from, sizeof letter->from, "%s", session->client.name);
	(void)snprintf(letter->to, sizeof letter->to, "%s", holder.name);
	result = servers_ask(servers, holder.server, letter);
	tell_result(session, result, letter);
	return result == LETTER_TOLD;
}
