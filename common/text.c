#include "common/text.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>
#include <unictype.h>

/* More marks than any living script puts on one letter only serve to deface the lines above and below. */
#define NAME_MARKS_MAX 4

/* The bytes of a name before it is brought to NFC. */
#define NAME_DECOMPOSED_SIZE_MAX (9 * NAME_LENGTH_MAX)

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

static bool is_control(ucs4_t character)
{
	return (character < 0x20 && character != '\t') || (character >= 0x7F && character < 0xA0);
}

/* The printable ASCII at the start of 'text'; nearly always all of it. */
static size_t plain_prefix(const char *text, size_t size)
{
	size_t length = 0;

	while (length < size && (unsigned char)(text[length] - 0x20) < 0x7F - 0x20)
		length++;
	return length;
}

/*
 * The bytes of the maximal subpart at the start of 'text', which is ill-formed: those that could still have begun a
 * character, or else one. (u8_mbtouc() would take more.) Source: Unicode 15, 3.9, table 3-7.
 */
static size_t ill_formed_size(const char *text, size_t size)
{
	unsigned char first = (unsigned char)text[0];
	unsigned char least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
	unsigned char most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
	size_t length = 1;

	if (first < 0xC2 || first > 0xF4)
		return 1;
	while (length < size && (unsigned char)text[length] >= least && (unsigned char)text[length] <= most) {
		length++;
		least = 0x80;
		most = 0xBF;
	}
	return length;
}

/*
 * The first character of 'text' and its bytes; 0xFFFD and the bytes of the maximal subpart when it is ill-formed.
 * '*valid' tells a real U+FFFD from a made one.
 */
static size_t first_character(const char *text, size_t size, ucs4_t *character, bool *valid)
{
	int length = u8_mbtoucr(character, (const uint8_t *)text, size);

	*valid = length > 0;
	if (*valid)
		return (size_t)length;
	*character = 0xFFFD;
	return ill_formed_size(text, size);
}

size_t text_clean(const char *text, size_t size, char *out)
{
	size_t written = 0;

	while (size > 0) {
		size_t length = plain_prefix(text, size);
		ucs4_t character;
		bool valid;

		memcpy(out + written, text, length);
		written += length;
		text += length;
		size -= length;
		if (size == 0)
			break;
		length = first_character(text, size, &character, &valid);
		if (!valid) {
			memcpy(out + written, replacement, 3);
			written += 3;
		} else if (!is_control(character)) {
			memcpy(out + written, text, length);
			written += length;
		}
		text += length;
		size -= length;
	}
	return written;
}

bool text_is_clean(const char *text, size_t size)
{
	while (size > 0) {
		size_t length = plain_prefix(text, size);
		ucs4_t character;
		bool valid;

		text += length;
		size -= length;
		if (size == 0)
			break;
		length = first_character(text, size, &character, &valid);
		if (!valid || is_control(character))
			return false;
		text += length;
		size -= length;
	}
	return true;
}

enum order { ORDER_KEPT, ORDER_CHANGED, ORDER_BROKEN };

/* What the character of three bytes at 'text' does to the order. */
static enum order order_of(const unsigned char *text)
{
	if (text[0] == 0xE2 && text[1] == 0x80 && text[2] >= 0xA8 && text[2] <= 0xAE)
		return text[2] <= 0xA9 ? ORDER_BROKEN : ORDER_CHANGED;
	if (text[0] == 0xE2 && text[1] == 0x81 && text[2] >= 0xA6 && text[2] <= 0xAF)
		return ORDER_CHANGED;
	if (text[0] == 0xEF && text[1] == 0xBF && text[2] >= 0xB9 && text[2] <= 0xBB)
		return ORDER_CHANGED;
	return ORDER_KEPT;
}

size_t text_straighten(char *text, size_t size)
{
	size_t written = 0;

	for (size_t i = 0; i < size; i++) {
		bool long_enough = ((unsigned char)text[i] & 0xF0) == 0xE0 && size - i >= 3;
		enum order order = long_enough ? order_of((const unsigned char *)text + i) : ORDER_KEPT;

		if (order == ORDER_KEPT)
			text[written++] = text[i];
		else if (order == ORDER_BROKEN)
			text[written++] = ' ';
		if (order != ORDER_KEPT)
			i += 2;
	}
	return written;
}

size_t text_prefix(const char *text, size_t size, size_t most)
{
	if (size <= most)
		return size;
	while (most > 0 && (text[most] & 0xC0) == 0x80)
		most--;
	return most;
}

static bool is_name_letter(ucs4_t character)
{
	return uc_is_general_category_withtable(
		character, UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_Nd | UC_CATEGORY_MASK_Nl);
}

static bool is_mark(ucs4_t character)
{
	return uc_is_general_category_withtable(character, UC_CATEGORY_MASK_Mn | UC_CATEGORY_MASK_Mc);
}

static bool is_invisible(ucs4_t character)
{
	return uc_is_property_default_ignorable_code_point(character);
}

/* What a character is to the one before it, in a name. */
struct name_state {
	size_t length;
	size_t marks;       /* on the last letter                    */
	bool after_letter;  /* a mark may follow                     */
	bool after_space;   /* another space or the end may not      */
};

static bool name_accept(struct name_state *state, ucs4_t character)
{
	bool letter = is_name_letter(character);

	if (is_invisible(character) || ++state->length > NAME_LENGTH_MAX)
		return false;
	if (is_mark(character))
		return state->after_letter && ++state->marks <= NAME_MARKS_MAX;
	if (character == ' ' && (state->after_space || state->length == 1))
		return false;
	if (!letter && character != ' ' && (character > 0x7F || strchr("_-.#", (int)character) == NULL))
		return false;
	state->marks = 0;
	state->after_letter = letter;
	state->after_space = character == ' ';
	return true;
}

static bool is_name(const uint8_t *text, size_t size)
{
	struct name_state state = {0};

	while (size > 0) {
		ucs4_t character;
		int length = u8_mbtoucr(&character, text, size);

		if (length <= 0 || character == 0 || !name_accept(&state, character))
			return false;
		text += length;
		size -= (size_t)length;
	}
	return state.length > 0 && !state.after_space;
}

static bool is_white(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

bool name_make(const char *text, size_t size, char name[NAME_SIZE])
{
	uint8_t buffer[NAME_SIZE];
	size_t normal_size = sizeof buffer - 1;
	uint8_t *normal;
	bool good;

	while (size > 0 && is_white(text[0])) {
		text++;
		size--;
	}
	while (size > 0 && is_white(text[size - 1]))
		size--;
	/* Decomposed text is longer than its normal form: a Korean syllable has three parts of three bytes. */
	if (size == 0 || size > NAME_DECOMPOSED_SIZE_MAX || u8_check((const uint8_t *)text, size) != NULL)
		return false;
	normal = u8_normalize(UNINORM_NFC, (const uint8_t *)text, size, buffer, &normal_size);
	good = normal != NULL && is_name(normal, normal_size);
	if (good) {
		memcpy(name, normal, normal_size);
		name[normal_size] = '\0';
	}
	if (normal != buffer) /* what does not fit comes in memory of its own */
		free(normal);
	return good;
}

/* Folds into 'out' of NAME_KEY_SIZE bytes. Returns the bytes; 0 when there is no memory for the work. */
static size_t fold(const char *text, size_t size, char *out)
{
	size_t folded_size = NAME_KEY_SIZE - 1;
	uint8_t *folded = u8_casefold((const uint8_t *)text, size, NULL, UNINORM_NFKC, (uint8_t *)out, &folded_size);

	if (folded == (uint8_t *)out)
		return folded_size;
	free(folded); /* it always fits, see NAME_KEY_SIZE */
	return 0;
}

/* Normalising makes capital letters of some that have no case (as in mathematics), so it takes two rounds. */
size_t name_key(const char *name, char key[NAME_KEY_SIZE])
{
	char once[NAME_KEY_SIZE];
	size_t size = fold(name, strlen(name), once);

	if (size != 0)
		size = fold(once, size, key);
	if (size == 0) { /* without memory, or if it is too long for a name, it is its own key, as far as there is room */
		size = strnlen(name, NAME_KEY_SIZE - 1);
		memcpy(key, name, size);
	}
	key[size] = '\0';
	return size;
}

void name_tagged(const char *name, unsigned number, char tagged[NAME_SIZE])
{
	size_t keep = 0;
	size_t length = 0;

	while (name[keep] != '\0' && length < NAME_LENGTH_MAX - NAME_TAG_LENGTH) {
		keep++;
		while ((name[keep] & 0xC0) == 0x80)
			keep++;
		length++;
	}
	while (keep > 0 && name[keep - 1] == ' ')
		keep--;
	assert(keep + NAME_TAG_LENGTH < NAME_SIZE);
	memcpy(tagged, name, keep);
	(void)snprintf(tagged + keep, NAME_TAG_LENGTH + 1, "#%06x", number & 0xFFFFFF);
}

void name_guest(char name[NAME_SIZE])
{
	unsigned number = 0;

	(void)!getrandom(&number, sizeof number, GRND_NONBLOCK); /* a taken name gets another suffix anyhow */
	name_tagged("guest", number, name);
}
