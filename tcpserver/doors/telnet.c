#include "tcpserver/doors/telnet.h"

#include <string.h>

/* Source: RFC 854, page 14. */
enum { IAC = 255, DONT = 254, DO = 253, WONT = 252, WILL = 251, SB = 250, SE = 240 };

int telnet_concerns(const struct telnet *telnet, const char *bytes, size_t size)
{
	return telnet->state != TELNET_TEXT || memchr(bytes, IAC, size) != NULL;
}

/* DO is answered by WONT, WILL by DONT; what is off already needs no answer. */
static size_t telnet_refuse(unsigned char command, unsigned char option, char *reply)
{
	if (command != DO && command != WILL)
		return 0;
	reply[0] = (char)IAC;
	reply[1] = (char)(command == DO ? WONT : DONT);
	reply[2] = (char)option;
	return TELNET_REPLY_SIZE;
}

/* The byte after an IAC. Returns how many bytes of text came of the two. */
static size_t telnet_command(struct telnet *telnet, unsigned char byte, char *text)
{
	telnet->state = TELNET_TEXT;
	if (byte >= WILL && byte <= DONT) {
		telnet->command = byte;
		telnet->state = TELNET_OPTION;
		return 0;
	}
	if (byte == SB) {
		telnet->subnegotiation_size = 0;
		telnet->state = TELNET_SUBNEGOTIATION;
		return 0;
	}
	if (byte >= SE && byte != IAC)
		return 0;
	text[0] = (char)IAC; /* an escaped 0xFF, or one that is no command at all */
	if (byte == IAC)
		return 1;
	text[1] = (char)byte;
	return 2;
}

static void telnet_subnegotiate(struct telnet *telnet, unsigned char byte)
{
	if (telnet->state == TELNET_SUBNEGOTIATION_IAC)
		telnet->state = byte == SE ? TELNET_TEXT : TELNET_SUBNEGOTIATION;
	else if (byte == IAC)
		telnet->state = TELNET_SUBNEGOTIATION_IAC;
	if (++telnet->subnegotiation_size >= TELNET_SUBNEGOTIATION_MAX)
		telnet->state = TELNET_TEXT;
}

size_t telnet_filter(struct telnet *telnet, const char *bytes, size_t size, char *text, char *replies,
	size_t *replies_size)
{
	size_t written = 0;

	*replies_size = 0;
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		switch (telnet->state) {
		case TELNET_TEXT:
			if (byte == IAC)
				telnet->state = TELNET_IAC;
			else
				text[written++] = (char)byte;
			break;
		case TELNET_IAC:
			written += telnet_command(telnet, byte, text + written);
			break;
		case TELNET_OPTION:
			telnet->state = TELNET_TEXT;
			*replies_size += telnet_refuse(telnet->command, byte, replies + *replies_size);
			break;
		case TELNET_SUBNEGOTIATION:
		case TELNET_SUBNEGOTIATION_IAC:
			telnet_subnegotiate(telnet, byte);
			break;
		}
	}
	return written;
}
