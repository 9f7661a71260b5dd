#include "tcpserver/doors/http_call.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

#include "common/hex.h"
#include "common/log.h"
#include "tcpserver/core/client_list.h"
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

/* What follows the scheme in the field Authorization; NULL without it. */
static const char *credentials(const struct http_request *request, const char *scheme)
{
	const char *field = http_field(request, "Authorization");
	size_t length = strlen(scheme);

	if (field == NULL || strncasecmp(field, scheme, length) != 0 || field[length] != ' ')
		return NULL;
	return field + length + strspn(field + length, " ");
}

bool http_basic_read(const struct http_request *request, char user[HTTP_SECRET_SIZE], char password[HTTP_SECRET_SIZE])
{
	const char *basic = credentials(request, "Basic");
	char *colon;

	if (basic == NULL || !base64_decode(basic, user, HTTP_SECRET_SIZE))
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

bool http_is_administrator(struct http_call *call)
{
	const char *wanted = call->session->talk->admin_password;
	const char *given = credentials(call->request, "Bearer");
	char user[HTTP_SECRET_SIZE];
	char password[HTTP_SECRET_SIZE];

	if (given == NULL && http_basic_read(call->request, user, password))
		given = password;
	if (given == NULL)
		return false;
	if (wanted != NULL && is_same(given, wanted)) {
		log_event(LOG_WARNING, "administrator", "from", call->session->address, NULL);
		return true;
	}
	if (call->session->password_tries >= PASSWORD_TRIES_MAX) { /* it did not wait for the answer that closes */
		call->reply->closes = true;
		return false;
	}
	log_event(LOG_WARNING, "wrong password", "from", call->session->address, NULL);
	/* Who guesses waits longer each time, and nobody else does. */
	session_pause(call->session, PAUSE_FIRST_MS << call->session->password_tries);
	if (++call->session->password_tries >= PASSWORD_TRIES_MAX)
		call->reply->closes = true;
	return false;
}

/* All zero stands for no id. */
bool http_session_id(const struct http_request *request, unsigned char *id)
{
	static const unsigned char none[CLIENT_ID_SIZE];
	const char *field = http_field(request, "Chat-Session");

	if (field != NULL && hex_read(field, id, CLIENT_ID_SIZE))
		return memcmp(id, none, CLIENT_ID_SIZE) != 0;
	memset(id, 0, CLIENT_ID_SIZE);
	return false;
}
