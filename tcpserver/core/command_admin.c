#include "tcpserver/core/command.h"

#include <string.h>

#include "common/log.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

enum { PASSWORD_TRIES_MAX = 3 }; /* wrong ones, after which a client has to connect again */

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

	if (!command_needs_text(session, "admin", arguments))
		return;
	if (password != NULL && is_same(arguments, password)) {
		session->is_administrator = true;
		log_event(LOG_WARNING, "administrator", "name", session->client.name, "from", session->address, NULL);
		session_notice(session, "you are an administrator now");
		return;
	}
	log_event(LOG_WARNING, "wrong password", "name", session->client.name, "from", session->address, NULL);
	session_error(session, "wrong-password", "that is not the password; ask who runs the server");
	if (++session->password_tries >= PASSWORD_TRIES_MAX)
		session_finish(session, SESSION_REFUSED);
}
