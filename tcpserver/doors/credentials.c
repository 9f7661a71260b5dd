#include "tcpserver/doors/credentials.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

#include "common/hex.h"
#include "common/log.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"

enum {
	PASSWORD_TRIES_MAX = 3, /* wrong ones, after which a client has to connect again */
	PAUSE_FIRST_MS = 250,   /* before the first is refused; twice as long each time  */
};

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

/* What follows the scheme; NULL without it. */
static const char *after_scheme(const char *field, const char *scheme)
{
	size_t length = strlen(scheme);

	if (field == NULL || strncasecmp(field, scheme, length) != 0 || field[length] != ' ')
		return NULL;
	return field + length + strspn(field + length, " ");
}

bool credentials_read_basic(const char *field, char user[CREDENTIALS_SIZE], char password[CREDENTIALS_SIZE])
{
	const char *basic = after_scheme(field, "Basic");
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

static enum credentials refuse(struct session *session)
{
	if (session->password_tries >= PASSWORD_TRIES_MAX) /* it did not wait for the answer that closes */
		return CREDENTIALS_SPENT;
	log_event(LOG_WARNING, "wrong password", "from", session->address, NULL);
	/* Who guesses waits longer each time, and nobody else does. */
	session_pause(session, PAUSE_FIRST_MS << session->password_tries);
	return ++session->password_tries >= PASSWORD_TRIES_MAX ? CREDENTIALS_SPENT : CREDENTIALS_BAD;
}

enum credentials credentials_check(struct session *session, const char *field)
{
	const char *wanted = session->talk->admin_password;
	const char *given = after_scheme(field, "Bearer");
	char user[CREDENTIALS_SIZE];
	char password[CREDENTIALS_SIZE];

	if (given == NULL && credentials_read_basic(field, user, password))
		given = password;
	if (given == NULL)
		return CREDENTIALS_BAD;
	if (wanted == NULL || !is_same(given, wanted))
		return refuse(session);
	log_event(LOG_WARNING, "administrator", "from", session->address, NULL);
	return CREDENTIALS_GOOD;
}

bool credentials_read_id(const char *field, unsigned char id[CLIENT_ID_SIZE])
{
	static const unsigned char none[CLIENT_ID_SIZE];

	if (field != NULL && hex_read(field, id, CLIENT_ID_SIZE))
		return memcmp(id, none, CLIENT_ID_SIZE) != 0;
	memset(id, 0, CLIENT_ID_SIZE);
	return false;
}
