#include "tcpserver/core/command.h"

#include <string.h>

#include "common/log.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

/* Takes as long for any two texts of the same sizes, so that the time tells nothing. */
static bool is_same(const char *left, const char *right)
{
	size_t size = strlen(left);
	unsigned char difference = strlen(right) != size;

	for (size_t i = 0; i < size && i < strlen(right); i++)
		difference |= (unsigned char)(left[i] ^ right[i]);
	return difference == 0;
}

void command_admin(struct session *session, const char *arguments)
{
	const char *password = session->talk->admin_password;
	bool is_right;
	int before;

	if (!command_needs_text(session, "admin", arguments))
		return;
	is_right = password != NULL && is_same(arguments, password);
	/* After the comparison: of guesses at the same time none is looked at that others came before. */
	if (is_right && session_wrong_passwords(session) < SESSION_PASSWORDS_MAX) {
		session->is_administrator = true;
		log_event(LOG_WARNING, "administrator", "name", session->client.name, "from", session->address, NULL);
		session_notice(session, "you are an administrator now");
		return;
	}
	before = session_note_wrong_password(session);
	if (before < SESSION_PASSWORDS_MAX)
		log_event(LOG_WARNING, "wrong password", "name", session->client.name, "from", session->address, NULL);
	session_error(session, "wrong-password", "that is not the password; ask who runs the server");
	if (before + 1 >= SESSION_PASSWORDS_MAX)
		session_finish(session, SESSION_REFUSED);
}
