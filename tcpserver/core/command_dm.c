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

/* Somebody on another server, if there is such a one. */
static void tell_elsewhere(struct session *session, const char *wanted, const char *text)
{
	struct letter letter = {.kind = LETTER_DIRECT, .text = text};
	struct telling direct = {
		.kind = TELL_DIRECT, .participant = session->client.name, .to = letter.to, .text = text, .request_id = session->request_id};

	if (command_send_letter(session, wanted, &letter))
		session_tell(session, &direct);
}

void command_dm(struct session *session, const char *arguments)
{
	struct client_list *clients = &session->talk->clients;
	char wanted[NAME_SIZE];
	struct addressee other;
	struct telling direct = {.kind = TELL_DIRECT, .participant = session->client.name, .to = other.name};

	if (!command_take_name(session, "dm", &arguments, wanted) || !command_needs_text(session, "dm", arguments))
		return;
	if (!client_list_find(clients, &session->client, wanted, &other)) {
		tell_elsewhere(session, wanted, arguments);
		return;
	}
	(void)session_settle(session); /* what was said before is seen before */
	direct.text = arguments;
	if (other.outlet == session->outlet)
		direct.request_id = session->request_id;
	if (other.ignores) {
		session_error(session, "ignored", "%s does not want to hear from you alone; say it in a room", other.name);
	} else if (!tell_other(other.outlet, other.door, &direct)) {
		session_error(session, "not-told", "%s is too far behind to be told more now; try again later", other.name);
	} else if (other.outlet != session->outlet) {
		direct.request_id = session->request_id;
		session_tell(session, &direct);
	} else {
		session->request_answered = true;
	}
	outlet_release(other.outlet);
}
