#include "tcpserver/doors/websocket_handshake.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "tcpserver/doors/websocket.h"

enum {
	KEY_LENGTH = 24, /* of base64, "==" included */
	SHA1_SIZE = 20,
};

bool websocket_key_is_valid(const char *key)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	return strlen(key) == KEY_LENGTH && strspn(key, digits) == KEY_LENGTH - 2 &&
	       strcmp(key + KEY_LENGTH - 2, "==") == 0;
}

void websocket_accept(const char *key, char accept[WEBSOCKET_ACCEPT_SIZE])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	char text[KEY_LENGTH + sizeof guid];
	unsigned char digest[SHA1_SIZE] = {0};
	int size = snprintf(text, sizeof text, "%s%s", key, guid);

	/* Without memory the client sees a wrong answer, and closes. */
	(void)!EVP_Digest(text, (size_t)size, digest, NULL, EVP_sha1(), NULL);
	(void)EVP_EncodeBlock((unsigned char *)accept, digest, SHA1_SIZE);
}

size_t websocket_handshake(const char *key, char answer[WEBSOCKET_HANDSHAKE_SIZE_MAX])
{
	char accept[WEBSOCKET_ACCEPT_SIZE];

	websocket_accept(key, accept);
	return (size_t)snprintf(answer, WEBSOCKET_HANDSHAKE_SIZE_MAX,
		"HTTP/1.1 101 Switching Protocols\r\n"
		"Upgrade: websocket\r\n"
		"Connection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %s\r\n\r\n",
		accept);
}
