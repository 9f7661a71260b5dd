#include "tcpserver/core/command.h"

#include <stdlib.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

/* Tells the other in the words of its own door. Returns whether it could be told. */
static bool tell_other(struct outlet *outlet, const struct door *door, const struct telling *telling)
{
	size_t size;
	char *words = door->words(telling, &size);
	bool told = words != NULL && outlet_tell_from_outside(outlet, words, size);

	free(words);
	return told;
}

void command_dm(struct session *session, const char *arguments)
{
	struct client_list *clients = &session->talk->clients;
	char wanted[NAME_SIZE];
	char found[NAME_SIZE];
	struct telling direct = {.kind = TELL_DIRECT, .participant = session->client.name, .to = found};
	const struct door *door;
	struct outlet *outlet;

	if (!command_take_name(session, "dm", &arguments, wanted) || !command_needs_text(session, "dm", arguments))
		return;
	outlet = client_list_find(clients, wanted, &door, found);
	if (outlet == NULL) {
		command_no_such_user(session, wanted);
		return;
	}
	(void)session_settle(session); /* what was said before is seen before */
	direct.text = arguments;
	if (outlet == session->outlet)
		direct.request_id = session->request_id;
	if (client_list_is_ignored_by(clients, &session->client, found)) {
		session_error(session, "ignored", "%s does not want to hear from you alone; say it in a room", found);
	} else if (!tell_other(outlet, door, &direct)) {
		session_error(session, "not-told", "%s is too far behind to be told more now; try again later", found);
	} else if (outlet != session->outlet) {
		direct.request_id = session->request_id;
		session_tell(session, &direct);
	} else {
		session->request_answered = true;
	}
	outlet_release(outlet);
}
