/*
 * Text that came from a peer, made safe once, and the names of people.
 *
 * Threads: any; nothing here keeps state or waits.
 */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum {
	NAME_LENGTH_MAX = 50,                     /* characters (code points) */
	NAME_SIZE = 4 * NAME_LENGTH_MAX + 1,      /* bytes, with the NUL      */
	NAME_KEY_SIZE = 36 * NAME_LENGTH_MAX + 1, /* bytes: NFKC makes at most 33 of a character (U+FDFA) */
	NAME_TAG_LENGTH = 7,                      /* "#a1b2c3"                */
};

/* The room that text_clean() needs for 'size' bytes: each bad byte may become the three bytes of U+FFFD. */
#define TEXT_CLEAN_SIZE(size) (3 * (size_t)(size))

/*
 * Copies 'text' to 'out' as valid UTF-8 without control characters: each ill-formed sequence becomes one U+FFFD; C0 but
 * tab, DEL and C1 are left out. Returns the bytes written, TEXT_CLEAN_SIZE(size) at most. 'out' may not overlap 'text'.
 *
 * Source: one U+FFFD for each maximal subpart, Unicode 15, 3.9 (table 3-8).
 */
size_t text_clean(const char *text, size_t size, char *out);

/* Whether 'text' is valid UTF-8 without the characters that text_clean() leaves out. */
bool text_is_clean(const char *text, size_t size);

/*
 * Drops from valid UTF-8, in place, what would give the text that follows another order on the screen: embeddings,
 * overrides and isolates (U+202A to U+202E, U+2066 to U+2069), the deprecated and interlinear controls (U+206A to U+206F,
 * U+FFF9 to U+FFFB); U+2028 and U+2029, the ends of lines and paragraphs, become a space each. Returns the bytes that are
 * left. Letters that are written from right to left, and the marks that go with them (U+200E, U+200F, U+061C), stay.
 */
size_t text_straighten(char *text, size_t size);

/* How many of the 'size' bytes of UTF-8 to show, 'most' at most, so that no character is cut. */
size_t text_prefix(const char *text, size_t size, size_t most);

/*
 * Makes a user name of 'text': white space at both ends is dropped, the rest is brought to Unicode's form NFC and written
 * to 'name' with a NUL. Returns false, with 'name' untouched, when it is not 1 to NAME_LENGTH_MAX letters and digits of
 * any script, '_', '-', '.', '#', marks that belong to a letter, and single spaces inside.
 */
bool name_make(const char *text, size_t size, char name[NAME_SIZE]);

/*
 * Writes what two names have in common when they count as the same one (case folded, NFKC). Returns its bytes, without
 * the NUL. 'name' may be any text: one that is too long for a name has a key that no name has.
 */
size_t name_key(const char *name, char key[NAME_KEY_SIZE]);

/* Writes 'name' with the suffix "#hhhhhh" of 'number'; the name is cut so that the result is a name again. */
void name_tagged(const char *name, unsigned number, char tagged[NAME_SIZE]);
/* A name for somebody who told none: "guest#hhhhhh", by chance. Somebody may have it. */
void name_guest(char name[NAME_SIZE]);

#endif
