#include "tcpserver/doors/credentials.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

#include "common/hex.h"
#include "common/log.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

enum { PAUSE_FIRST_MS = 250 }; /* before the first wrong password is refused; twice as long each time */

static int base64_value(char byte)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *place = byte == '\0' ? NULL : strchr(digits, byte);

	return place == NULL ? -1 : (int)(place - digits);
}

/* Decodes base64. Returns whether it was, and fits. */
static bool base64_decode(const char *text, char *out, size_t size)
{
	size_t length = strcspn(text, "=");
	unsigned bits = 0;
	size_t used = 0;

	if (strspn(text + length, "=") != strlen(text + length) || strlen(text) % 4 != 0)
		return false;
	for (size_t i = 0; i < length; i++) {
		int value = base64_value(text[i]);

		if (value < 0 || used + 1 >= size)
			return false;
		bits = bits << 6 | (unsigned)value;
		if (i % 4 != 0)
			out[used++] = (char)(bits >> (6 - 2 * (i % 4)));
	}
	out[used] = '\0';
	return strlen(out) == used;
}

/* What follows the scheme in the field; NULL without it. */
static const char *credentials_after(const char *authorization, const char *scheme)
{
	size_t length = strlen(scheme);

	if (authorization == NULL || strncasecmp(authorization, scheme, length) != 0 || authorization[length] != ' ')
		return NULL;
	return authorization + length + strspn(authorization + length, " ");
}

bool credentials_read(const char *authorization, char user[CREDENTIALS_SIZE], char password[CREDENTIALS_SIZE])
{
	const char *basic = credentials_after(authorization, "Basic");
	char *colon;

	if (basic == NULL || !base64_decode(basic, user, CREDENTIALS_SIZE))
		return false;
	colon = strchr(user, ':');
	if (colon == NULL)
		return false;
	*colon = '\0';
	memcpy(password, colon + 1, strlen(colon + 1) + 1);
	return true;
}

/* Takes as long for any two texts, whatever they have in common: what is compared is their hashes. */
static bool is_same(const char *left, const char *right)
{
	unsigned char hashes[2][SHA256_DIGEST_LENGTH];

	(void)SHA256((const unsigned char *)left, strlen(left), hashes[0]);
	(void)SHA256((const unsigned char *)right, strlen(right), hashes[1]);
	return CRYPTO_memcmp(hashes[0], hashes[1], sizeof hashes[0]) == 0;
}

bool credentials_are_administrators(struct session *session, const char *authorization)
{
	const char *wanted = session->talk->admin_password;
	const char *given = credentials_after(authorization, "Bearer");
	char user[CREDENTIALS_SIZE];
	char password[CREDENTIALS_SIZE];
	bool is_right;
	int before;

	if (given == NULL && credentials_read(authorization, user, password))
		given = password;
	if (given == NULL)
		return false;
	is_right = wanted != NULL && is_same(given, wanted);
	/* After the comparison: of guesses at the same time none is looked at that others came before. */
	if (is_right && session_wrong_passwords(session) < SESSION_PASSWORDS_MAX) {
		log_event(LOG_WARNING, "administrator", "from", session->address, NULL);
		return true;
	}
	before = session_note_wrong_password(session);
	if (before >= SESSION_PASSWORDS_MAX) /* it did not wait for the answer that closes */
		return false;
	log_event(LOG_WARNING, "wrong password", "from", session->address, NULL);
	/* Who guesses waits longer each time, and nobody else does. */
	session_pause(session, PAUSE_FIRST_MS << before);
	return false;
}

bool credentials_session_id(const char *text, unsigned char id[CLIENT_ID_SIZE])
{
	static const unsigned char none[CLIENT_ID_SIZE];

	if (text != NULL && hex_read(text, id, CLIENT_ID_SIZE))
		return memcmp(id, none, CLIENT_ID_SIZE) != 0;
	memset(id, 0, CLIENT_ID_SIZE);
	return false;
}
