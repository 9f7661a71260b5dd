#include "tcpserver/doors/utf8_check.h"

#include <stdint.h>
#include <string.h>

/* What follows a first byte from 'first' on: how many bytes, and between which two the first of these is. */
struct lead {
	unsigned char first;
	struct utf8_check follows;
};

static const struct lead leads[] = {
	{0xF5, {.rest = 0, .low = 1}}, /* no character begins so */
	{0xF4, {.rest = 3, .low = 0x80, .high = 0x8F}},
	{0xF1, {.rest = 3, .low = 0x80, .high = 0xBF}},
	{0xF0, {.rest = 3, .low = 0x90, .high = 0xBF}},
	{0xEE, {.rest = 2, .low = 0x80, .high = 0xBF}},
	{0xED, {.rest = 2, .low = 0x80, .high = 0x9F}}, /* no surrogates */
	{0xE1, {.rest = 2, .low = 0x80, .high = 0xBF}},
	{0xE0, {.rest = 2, .low = 0xA0, .high = 0xBF}},
	{0xC2, {.rest = 1, .low = 0x80, .high = 0xBF}},
	{0x80, {.rest = 0, .low = 1}}, /* nor so */
	{0x00, {.rest = 0}},
};

static bool utf8_check_lead(struct utf8_check *check, unsigned char byte)
{
	const struct lead *lead = leads;

	while (byte < lead->first)
		lead++;
	*check = lead->follows;
	return check->rest > 0 || check->low == 0;
}

static bool utf8_check_next(struct utf8_check *check, unsigned char byte)
{
	if (byte < check->low || byte > check->high)
		return false;
	check->rest--;
	check->low = 0x80;
	check->high = 0xBF;
	return true;
}

/* How many of the bytes, in steps of eight, are plain ASCII. */
static size_t ascii_size(const char *bytes, size_t size)
{
	size_t length = 0;
	uint64_t eight;

	while (length + sizeof eight <= size) {
		memcpy(&eight, bytes + length, sizeof eight);
		if ((eight & UINT64_C(0x8080808080808080)) != 0)
			break;
		length += sizeof eight;
	}
	return length;
}

bool utf8_check_feed(struct utf8_check *check, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char byte;

		if (check->rest == 0)
			i += ascii_size(bytes + i, size - i);
		if (i == size)
			break;
		byte = (unsigned char)bytes[i];
		if (check->rest > 0 ? !utf8_check_next(check, byte) : !utf8_check_lead(check, byte))
			return false;
	}
	return true;
}

bool utf8_check_is_whole(const struct utf8_check *check)
{
	return check->rest == 0;
}
