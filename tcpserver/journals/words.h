/*
 * The words of a text, for searching: what is written alike but for case, form and accents counts as the same.
 *
 * A word is a run of letters and digits with the marks that belong to them, case folded and in Unicode's form NFKC. Latin letters
 * lose their accents: "cafe" is "café". In other scripts what a mark adds stays. Scripts that are written without spaces between words (Han, kana, Thai, Lao, Khmer,
 * Burmese), and Hangul, where particles grow together with their word, have words of one letter each, so that any part of
 * what was said can be found. A symbol such as an emoji is a word of its own, too; its variants (skin, colour) are not told
 * apart. Characters that nobody sees are left out. Of a very long word only the first WORD_SIZE_MAX bytes count.
 *
 * Who searches types terms, separated by white space; "a few words in quotation marks" are one term. The words of a term
 * have to follow each other; all terms have to be in the text, in any order. A term without a word (as "?!") asks for
 * nothing; WORDS_TYPED_MAX words are looked at.
 *
 * Threads: any; nothing here keeps state or waits.
 */
#ifndef TCPSERVER_JOURNALS_WORDS_H
#define TCPSERVER_JOURNALS_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"

enum {
	WORD_SIZE_MAX = 128,  /* bytes that count of a word        */
	WORDS_TYPED_MAX = 32, /* words that count of what is typed */
};

/*
 * The words of 'text', UTF-8, with single spaces between them, in new memory, ended by NUL. Each byte is an ASCII small
 * letter, a digit, a space, or part of a character beyond ASCII. Text that is not UTF-8 has no words. NULL without memory.
 */
char *words_split(const char *text, size_t size) MUST_CHECK;

/*
 * What was typed as a query for SQLite's FTS5, in new memory: each term a phrase in quotation marks, joined by AND. "" if
 * there is no word. NULL without memory.
 */
char *words_query(const char *typed) MUST_CHECK;

/*
 * Whether nothing was asked for: only white space was typed. All texts match then.
 */
bool words_is_blank(const char *typed);

/* Looks through 'text': 1 when it has all terms that were typed, 0 when it has not, or no word was typed; -ENOMEM. */
int words_match(const char *text, size_t size, const char *typed) MUST_CHECK;

#endif
