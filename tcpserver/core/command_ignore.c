#include "tcpserver/core/command.h"

#include <stdio.h>
#include <string.h>

#include "tcpserver/core/journal.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

/* Whether the one of that name, whom the client does not ignore yet, is on another server; 'name' is its name then, as it is written. */
static bool is_elsewhere(struct session *session, const char *wanted, char name[NAME_SIZE])
{
	struct servers *servers = &session->talk->servers;
	struct name_holder holder;

	if (!servers_are_shared(servers) || client_list_knows(&session->talk->clients, &session->client, wanted))
		return false;
	if (servers_find_name(servers, wanted, &holder) != 0)
		return false;
	(void)snprintf(name, NAME_SIZE, "%s", holder.name);
	return true;
}

static void ignore(struct session *session, const char *wanted, bool always)
{
	struct client_list *clients = &session->talk->clients;
	char name[NAME_SIZE];
	char found[NAME_SIZE];
	enum ignore_result result;
	bool elsewhere;

	if (always && !name_make(wanted, strlen(wanted), name)) {
		session_error(session, "bad-name", "nobody can be named %s; /who lists who is in the room", wanted);
		return;
	}
	elsewhere = !always && is_elsewhere(session, wanted, name);
	always = always || elsewhere; /* there only the name tells who it is */
	result = always ? client_list_ignore_name(clients, &session->client, name, found) :
		client_list_ignore(clients, &session->client, wanted, found);
	if (elsewhere && result == IGNORE_AWAITS)
		result = IGNORE_BEGUN;
	switch (result) {
	case IGNORE_BEGUN:
		session_notice(session, "you ignore %s; /ignore %s again ends that", found, command_type_name(found).text);
		break;
	case IGNORE_AWAITS:
		session_notice(session, "you ignore %s, who is not here now, from when one of that name comes; /ignore %s --off"
			" ends that", found, command_type_name(found).text);
		break;
	case IGNORE_ENDED:
		session_notice(session, "you no longer ignore %s", found);
		break;
	case IGNORE_NOBODY:
		command_no_such_user(session, wanted);
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

void command_ignore(struct session *session, const char *arguments)
{
	char name[NAME_SIZE];
	bool on;
	bool off;

	if (!command_take_name(session, "ignore", &arguments, name))
		return;
	on = command_take_keyword(&arguments, "--on");
	off = !on && command_take_keyword(&arguments, "--off");
	if (!command_ends(session, "ignore", arguments))
		return;
	if (!off) {
		ignore(session, name, on);
		return;
	}
	client_list_heed_name(&session->talk->clients, &session->client, name);
	session_notice(session, "you no longer ignore %s", name);
}
