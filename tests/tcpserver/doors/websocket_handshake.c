#include "tcpserver/doors/websocket_handshake.h"

#include <string.h>

#include "tcpserver/doors/websocket.h"

#include "tests/check.h"

TEST(the_key_of_the_standard_has_the_answer_of_the_standard)
{
	char accept[WEBSOCKET_ACCEPT_SIZE];

	websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", accept);
	CHECK_TEXT(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); /* RFC 6455, 1.3 */
}

TEST(the_answer_is_a_header_without_extensions)
{
	static const char expected[] = "HTTP/1.1 101 Switching Protocols\r\n"
				       "Upgrade: websocket\r\n"
				       "Connection: Upgrade\r\n"
				       "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
	char answer[WEBSOCKET_HANDSHAKE_SIZE_MAX];
	size_t size = websocket_handshake("dGhlIHNhbXBsZSBub25jZQ==", answer);

	CHECK_BYTES(answer, size, expected, sizeof expected - 1);
}

TEST(a_key_is_the_base64_of_16_bytes)
{
	CHECK(websocket_key_is_valid("dGhlIHNhbXBsZSBub25jZQ=="));
	CHECK(websocket_key_is_valid("AAAAAAAAAAAAAAAAAA+/AA=="));
	CHECK(!websocket_key_is_valid(""));
	CHECK(!websocket_key_is_valid("dGhlIHNhbXBsZSBub25jZQ="));
	CHECK(!websocket_key_is_valid("dGhlIHNhbXBsZSBub25jZQ==="));
	CHECK(!websocket_key_is_valid("dGhlIHNhbXBsZSBub25jZQAA"));
	CHECK(!websocket_key_is_valid("dGhlIHNhbXBsZSBub25jZ==="));
	CHECK(!websocket_key_is_valid("dGhlIHNhbXBs ZSBub25jZ=="));
	CHECK(!websocket_key_is_valid("dGhlIHNhbXBs\r\nZSBub25j=="));
}
