#include "tcpclient/keys.h"

#include <string.h>

#define PASTE_BEGIN "\033[200~"
#define PASTE_END   "\033[201~"

enum { ESCAPE = 0x1B, INTERRUPT = 0x03, MARK_SIZE = sizeof PASTE_END - 1, SEQUENCE_SIZE_MAX = 64 };

void keys_init(struct keys *keys)
{
	*keys = (struct keys){0};
}

void keys_fini(struct keys *keys)
{
	buffer_fini(&keys->fed);
	buffer_fini(&keys->paste);
}

void keys_feed(struct keys *keys, const char *bytes, size_t size)
{
	if (keys->place > 0) {
		keys->fed.size -= keys->place;
		memmove(keys->fed.bytes, keys->fed.bytes + keys->place, keys->fed.size);
		keys->place = 0;
	}
	buffer_add(&keys->fed, bytes, size);
	keys->gave_up = false;
}

/* The bytes of a key that starts with ESC and ends within 'size', or 0. */
static size_t escape_size(const char *bytes, size_t size)
{
	size_t at = 1;

	while (at < size && bytes[at] == ESCAPE && at < 3) /* Alt and an arrow: ESC ESC [ A */
		at++;
	if (at == size)
		return 0;
	if (bytes[at] == 'O')
		return at + 1 < size ? at + 2 : 0;
	if (bytes[at] != '[')
		return at + 1;
	if (at + 1 < size && bytes[at + 1] == '[') /* the Linux console's F1: ESC [ [ A */
		return at + 2 < size ? at + 3 : 0;
	for (at++; at < size && at < SEQUENCE_SIZE_MAX; at++) {
		if (bytes[at] < 0x20 || bytes[at] > 0x3F) /* the last byte, or one that does not belong here */
			return at + 1;
	}
	return at == SEQUENCE_SIZE_MAX ? at : 0;
}

/* The bytes of the character that ends within 'size', or 0; ill-formed bytes are characters of their own. */
static size_t character_size(const char *bytes, size_t size)
{
	unsigned char lead = (unsigned char)bytes[0];
	size_t wanted = lead < 0xC2 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 1;

	for (size_t at = 1; at < wanted; at++) {
		if (at == size)
			return 0;
		if ((bytes[at] & 0xC0) != 0x80)
			return 1;
	}
	return wanted;
}

static size_t key_size(const char *bytes, size_t size)
{
	return bytes[0] == ESCAPE ? escape_size(bytes, size) : character_size(bytes, size);
}

static void paste_add(struct keys *keys, size_t size)
{
	if (keys->paste.size + size > KEYS_PASTE_SIZE_MAX)
		keys->paste_too_long = true;
	else
		buffer_add(&keys->paste, keys->fed.bytes + keys->place, size);
	keys->place += size;
}

static enum keys_kind paste_finish(struct keys *keys, const char **bytes, size_t *size)
{
	bool too_long = keys->paste_too_long;

	keys->pasting = false;
	keys->paste_too_long = false;
	buffer_add(&keys->paste, "", 1); /* so that there is memory for an empty one too */
	*bytes = keys->paste.bytes;
	*size = keys->paste.size - 1;
	return too_long ? KEYS_PASTE_TOO_LONG : KEYS_PASTE;
}

/* Takes pasted text until its end mark. What may be the beginning of the mark stays in 'fed'. */
static enum keys_kind paste_next(struct keys *keys, const char **bytes, size_t *size)
{
	const char *start = keys->fed.bytes + keys->place;
	size_t left = keys->fed.size - keys->place;
	const char *end = left == 0 ? NULL : memmem(start, left, PASTE_END, MARK_SIZE);

	if (end != NULL) {
		paste_add(keys, (size_t)(end - start));
		keys->place += MARK_SIZE;
		return paste_finish(keys, bytes, size);
	}
	if (keys->gave_up) {
		paste_add(keys, left);
		return paste_finish(keys, bytes, size);
	}
	if (left >= MARK_SIZE)
		paste_add(keys, left - (MARK_SIZE - 1));
	return KEYS_MORE;
}

enum keys_kind keys_next(struct keys *keys, const char **bytes, size_t *size)
{
	size_t left = keys->fed.size - keys->place;
	const char *start;

	if (keys->pasting)
		return paste_next(keys, bytes, size);
	if (left == 0)
		return KEYS_MORE;
	start = keys->fed.bytes + keys->place;
	*size = key_size(start, left);
	if (*size == 0 && keys->gave_up)
		*size = left;
	if (*size == 0)
		return KEYS_MORE;
	keys->place += *size;
	*bytes = start;
	if (*size == MARK_SIZE && memcmp(start, PASTE_BEGIN, MARK_SIZE) == 0) {
		keys->pasting = true;
		buffer_clear(&keys->paste);
		return paste_next(keys, bytes, size);
	}
	if (start[0] == INTERRUPT)
		return KEYS_INTERRUPT;
	return start[0] == ESCAPE && *size > 2 && !keys->gave_up ? KEYS_SEQUENCE : KEYS_KEY;
}

int keys_waiting(const struct keys *keys)
{
	if (keys->pasting)
		return KEYS_PASTE_WAIT_MS;
	return keys->fed.size > keys->place ? KEYS_ESCAPE_WAIT_MS : -1;
}

void keys_give_up(struct keys *keys)
{
	keys->gave_up = true;
}
