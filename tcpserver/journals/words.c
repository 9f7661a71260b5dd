#include "tcpserver/journals/words.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>
#include <unictype.h>

/* ---- Characters. ---- */

/* What a character does in a text. */
enum role {
	ROLE_BREAK,   /* ends a word                   */
	ROLE_NOTHING, /* is left out                   */
	ROLE_LETTER,  /* begins a word, or goes on     */
	ROLE_ALONE,   /* is a word                     */
	ROLE_MARK,    /* belongs to the one before it  */
};

/* The letters that are words, in order. */
static const struct {
	ucs4_t first;
	ucs4_t last;
} alone[] = {
	{0x0E00, 0x0EFF},   /* Thai, Lao                                */
	{0x1000, 0x109F},   /* Burmese                                  */
	{0x1100, 0x11FF},   /* Hangul's parts                           */
	{0x1780, 0x17FF},   /* Khmer                                    */
	{0x2E80, 0x2FDF},   /* the radicals of Han                      */
	{0x3005, 0x3007},   /* Han's marks of repetition, zero          */
	{0x3021, 0x3029},   /* Hangzhou's numbers                       */
	{0x3031, 0x303C},   /* kana's marks of repetition               */
	{0x3040, 0x31BF},   /* kana, Bopomofo                           */
	{0x31F0, 0x31FF},   /* more kana                                */
	{0x3400, 0x4DBF},   /* Han                                      */
	{0x4E00, 0x9FFF},   /* Han                                      */
	{0xA9E0, 0xA9FF},   /* more Burmese                             */
	{0xAA60, 0xAA7F},   /* more Burmese                             */
	{0xAC00, 0xD7FF},   /* Hangul                                   */
	{0xF900, 0xFAFF},   /* Han, for compatibility                   */
	{0x1AFF0, 0x1B16F}, /* more kana                                */
	{0x20000, 0x3FFFF}, /* more Han                                 */
};

static bool stands_alone(ucs4_t character)
{
	size_t i = 0;

	while (i < sizeof alone / sizeof *alone && alone[i].last < character)
		i++;
	return i < sizeof alone / sizeof *alone && alone[i].first <= character;
}

static enum role role_of_ascii(ucs4_t character)
{
	bool letter = (character >= '0' && character <= '9') || (character >= 'a' && character <= 'z') ||
		(character >= 'A' && character <= 'Z');

	return letter ? ROLE_LETTER : ROLE_BREAK;
}

static enum role role_of(ucs4_t character)
{
	if (character < 0x80)
		return role_of_ascii(character);
	if (uc_is_property_default_ignorable_code_point(character))
		return ROLE_NOTHING;
	if (character == 0xFFFD) /* a symbol, but for what could not be read */
		return ROLE_BREAK;
	if (uc_is_general_category_withtable(character, UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_N))
		return stands_alone(character) ? ROLE_ALONE : ROLE_LETTER;
	if (uc_is_general_category_withtable(character, UC_CATEGORY_MASK_M))
		return ROLE_MARK;
	if (uc_is_general_category_withtable(character, UC_CATEGORY_MASK_So))
		return ROLE_ALONE;
	/* The colours of skin follow what they colour. */
	return character >= 0x1F3FB && character <= 0x1F3FF ? ROLE_NOTHING : ROLE_BREAK;
}

/* ---- From text to words. ---- */

/* Words as they are written down. */
struct splitting {
	char *out;
	size_t used;
	size_t word_size; /* of the last word; 0: it is over, the next character begins one */
	bool alone;       /* the last word takes nothing but marks                          */
};

/* The first character of a word has the space before it. */
static void words_begin(struct splitting *splitting)
{
	if (splitting->used > 0)
		splitting->out[splitting->used++] = ' ';
	splitting->word_size = 0;
}

static void words_add(struct splitting *splitting, const uint8_t *character, size_t size)
{
	bool fits = splitting->word_size + size <= WORD_SIZE_MAX;

	if (fits)
		memcpy(splitting->out + splitting->used, character, size);
	if (fits)
		splitting->used += size;
	splitting->word_size += size; /* too long for good: nothing shorter that follows fits */
}

static void words_take(struct splitting *splitting, enum role role, const uint8_t *character, size_t size)
{
	bool open = splitting->word_size > 0;

	if (role == ROLE_NOTHING)
		return;
	if (role == ROLE_BREAK || (role == ROLE_MARK && !open)) {
		splitting->word_size = 0;
		return;
	}
	if (!open || role == ROLE_ALONE || (role == ROLE_LETTER && splitting->alone)) {
		words_begin(splitting);
		splitting->alone = role == ROLE_ALONE;
	}
	words_add(splitting, character, size);
}

static bool is_ascii(const char *text, size_t size)
{
	unsigned char all = 0;

	for (size_t i = 0; i < size; i++)
		all |= (unsigned char)text[i];
	return all < 0x80;
}

/* Small letters, in new memory. */
static uint8_t *fold_ascii(const char *text, size_t size)
{
	uint8_t *folded = malloc(size + 1);

	for (size_t i = 0; folded != NULL && i < size; i++)
		folded[i] = (uint8_t)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]);
	return folded;
}

/* Normalising makes capital letters of some that have no case (as in mathematics), so it takes two rounds. */
static uint8_t *fold_unicode(const char *text, size_t *size)
{
	uint8_t *once = u8_casefold((const uint8_t *)text, *size, NULL, UNINORM_NFKC, NULL, size);
	uint8_t *twice;

	if (once == NULL)
		return NULL;
	twice = u8_casefold(once, *size, NULL, UNINORM_NFKC, NULL, size);
	free(once);
	return twice;
}

static bool is_latin(ucs4_t character)
{
	return (character >= 'a' && character <= 'z') || (character >= 0xC0 && character <= 0x2AF) ||
	       (character >= 0x1E00 && character <= 0x1EFF);
}

static bool is_accent(ucs4_t character)
{
	return character >= 0x300 && character <= 0x36F;
}

/* Most text has neither; and what has no letter with an accent has none without either. */
static bool may_have_accents(const uint8_t *text, size_t size)
{
	bool found = false;

	while (size > 0 && !found) {
		ucs4_t character;
		int length = u8_mbtouc(&character, text, size);

		found = character >= 0xC0 && (is_latin(character) || is_accent(character));
		text += length;
		size -= (size_t)length;
	}
	return found;
}

/* Takes accents off Latin letters, in text that is taken apart. Returns its size then. */
static size_t drop_accents(uint8_t *text, size_t size)
{
	size_t kept = 0;
	bool latin = false; /* the letter to which marks belong */

	for (size_t at = 0, length; at < size; at += length) {
		ucs4_t character;

		length = (size_t)u8_mbtouc(&character, text + at, size - at);
		if (is_accent(character) && latin)
			continue;
		if (!uc_is_general_category_withtable(character, UC_CATEGORY_MASK_M))
			latin = is_latin(character);
		memmove(text + kept, text + at, length);
		kept += length;
	}
	return kept;
}

/* Folded text without accents, in new memory; takes 'folded'. */
static uint8_t *fold_accents(uint8_t *folded, size_t *size)
{
	uint8_t *apart;
	uint8_t *together;

	if (folded == NULL || !may_have_accents(folded, *size))
		return folded;
	apart = u8_normalize(UNINORM_NFD, folded, *size, NULL, size);
	free(folded);
	if (apart == NULL)
		return NULL;
	*size = drop_accents(apart, *size);
	together = u8_normalize(UNINORM_NFC, apart, *size, NULL, size);
	free(apart);
	return together;
}

static char *split_folded(const uint8_t *text, size_t size)
{
	struct splitting splitting = {.out = malloc(2 * size + 1)}; /* at most a space for each character */

	if (splitting.out == NULL)
		return NULL;
	while (size > 0) {
		ucs4_t character;
		int length = u8_mbtouc(&character, text, size);

		words_take(&splitting, role_of(character), text, (size_t)length);
		text += length;
		size -= (size_t)length;
	}
	splitting.out[splitting.used] = '\0';
	return splitting.out;
}

char *words_split(const char *text, size_t size)
{
	uint8_t *folded;
	char *words;

	if (size == 0 || u8_check((const uint8_t *)text, size) != NULL)
		return strdup("");
	folded = is_ascii(text, size) ? fold_ascii(text, size) : fold_accents(fold_unicode(text, &size), &size);
	if (folded == NULL)
		return NULL;
	words = split_folded(folded, size);
	free(folded);
	return words;
}

/* ---- What was typed. ---- */

static const char ideographic_space[] = "\xE3\x80\x80"; /* U+3000 */

/* The bytes of the white space at the start of 'typed'. */
static size_t white_size(const char *typed)
{
	if (*typed == ' ' || (*typed >= '\t' && *typed <= '\r'))
		return 1;
	return strncmp(typed, ideographic_space, 3) == 0 ? 3 : 0;
}

static const char *skip_white(const char *typed)
{
	while (white_size(typed) > 0)
		typed += white_size(typed);
	return typed;
}

bool words_is_blank(const char *typed)
{
	return *skip_white(typed) == '\0';
}

/* Takes the next term off '*typed'. Returns its start, without the quotation mark, and its size; NULL at the end. */
static const char *next_term(const char **typed, size_t *size)
{
	const char *start = skip_white(*typed);
	const char *end;

	if (*start == '\0')
		return NULL;
	if (*start == '"') {
		start++;
		end = strchrnul(start, '"');
		*typed = *end == '"' ? end + 1 : end;
	} else {
		for (end = start; *end != '\0' && *end != '"' && white_size(end) == 0;)
			end++;
		*typed = end;
	}
	*size = (size_t)(end - start);
	return start;
}

/* Cuts 'words' after '*left' of them, and takes what is there off '*left'. */
static void cut_words(char *words, size_t *left)
{
	char *place = words;

	while (*left > 0 && *place != '\0') {
		place += strcspn(place, " ");
		--*left;
		if (*left > 0 && *place == ' ')
			place++;
	}
	*place = '\0';
}

/* Calls 'take' with the words of each term that has some, until it returns other than 0. Returns that, or -ENOMEM. */
static int each_term(const char *typed, int (*take)(const char *words, void *context), void *context)
{
	size_t left = WORDS_TYPED_MAX;
	size_t size;
	const char *term;
	int result = 0;

	while (result == 0 && left > 0 && (term = next_term(&typed, &size)) != NULL) {
		char *words = words_split(term, size);

		if (words == NULL)
			return -ENOMEM;
		cut_words(words, &left);
		if (words[0] != '\0')
			result = take(words, context);
		free(words);
	}
	return result;
}

static int add_phrase(const char *words, void *context)
{
	char **query = context;
	char *longer;

	if (asprintf(&longer, "%s%s\"%s\"", *query, (*query)[0] == '\0' ? "" : " AND ", words) < 0)
		return -ENOMEM;
	free(*query);
	*query = longer;
	return 0;
}

char *words_query(const char *typed)
{
	char *query = strdup("");

	if (query == NULL || each_term(typed, add_phrase, &query) == 0)
		return query;
	free(query);
	return NULL;
}

/* ---- Without an index. ---- */

struct matching {
	const char *words; /* of the text, with a space at both ends */
	bool any;          /* a word was asked for                   */
};

/* Returns 1 when the phrase is missing. */
static int miss_phrase(const char *words, void *context)
{
	struct matching *matching = context;
	char *spaced;
	int missing;

	matching->any = true;
	if (asprintf(&spaced, " %s ", words) < 0)
		return -ENOMEM;
	missing = strstr(matching->words, spaced) == NULL;
	free(spaced);
	return missing;
}

int words_match(const char *text, size_t size, const char *typed)
{
	struct matching matching = {.any = words_is_blank(typed)};
	char *words = words_split(text, size);
	char *spaced = NULL;
	int result = -ENOMEM;

	if (words != NULL && asprintf(&spaced, " %s ", words) >= 0) {
		matching.words = spaced;
		result = each_term(typed, miss_phrase, &matching);
		free(spaced);
	}
	free(words);
	return result < 0 ? result : result == 0 && matching.any;
}
