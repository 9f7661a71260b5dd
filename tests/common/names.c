#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

#include "tests/check.h"

/* 'expected' NULL: refused. */
static void check_name(const char *file, int line, const char *text, size_t size, const char *expected)
{
	char name[NAME_SIZE] = "untouched";
	char *copy = malloc(size == 0 ? 1 : size); /* so that reading past the end is noticed */
	bool made;

	if (copy == NULL)
		abort();
	memcpy(copy, text, size);
	made = name_make(copy, size, name);
	free(copy);
	if (expected == NULL && made)
		check_fail(file, line, "\"%s\" is a name", text);
	check_text(file, line, text, name, expected == NULL ? "untouched" : expected);
}

#define IS_NAME(text)         check_name(__FILE__, __LINE__, text, sizeof(text) - 1, text)
#define MAKES_NAME(text, made) check_name(__FILE__, __LINE__, text, sizeof(text) - 1, made)
#define IS_NO_NAME(text)      check_name(__FILE__, __LINE__, text, sizeof(text) - 1, NULL)

/* 'count' times 'part'; lives until the program ends. */
static char *repeat(const char *part, size_t count)
{
	static char text[16384];
	size_t size = strlen(part);

	CHECK(size * count + NAME_TAG_LENGTH < sizeof text);
	for (size_t i = 0; i < count; i++)
		memcpy(text + i * size, part, size);
	text[size * count] = '\0';
	return text;
}

static bool is_name(const char *text)
{
	char name[NAME_SIZE];

	return name_make(text, strlen(text), name);
}

static bool same(const char *left, const char *right)
{
	char left_key[NAME_KEY_SIZE];
	char right_key[NAME_KEY_SIZE];

	size_t left_size = name_key(left, left_key);
	size_t right_size = name_key(right, right_key);

	CHECK_EQUAL(left_size, strlen(left_key));
	CHECK_EQUAL(right_size, strlen(right_key));
	return strcmp(left_key, right_key) == 0;
}

TEST(letters_digits_and_four_signs_make_a_name)
{
	IS_NAME("b");
	IS_NAME("bob");
	IS_NAME("Bob_2-the.3rd#a1b2c3");
	IS_NAME("_");
	IS_NAME("42");
	IS_NAME("...");
}

TEST(a_name_may_be_of_any_script)
{
	IS_NAME("Jürgen");
	IS_NAME("Ольга");
	IS_NAME("Αθηνά");
	IS_NAME("محمد");
	IS_NAME("فاطمة٣");
	IS_NAME("דוד");
	IS_NAME("李小龍");
	IS_NAME("さくら");
	IS_NAME("カナ");
	IS_NAME("세종");
	IS_NAME("हिन्दी");       /* vowel signs and a virama */
	IS_NAME("தமிழ்");
	IS_NAME("ไทยนิยม");
	IS_NAME("Nguyễn");
	IS_NAME("Ⅷ");
}

TEST(a_name_is_brought_to_its_composed_form)
{
	MAKES_NAME("Ju\xCC\x88rgen", "Jürgen");
	MAKES_NAME("\xE2\x84\xAB", "Å"); /* the angstrom sign */
	MAKES_NAME("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "한");
}

TEST(single_spaces_may_stand_inside)
{
	IS_NAME("Johnny Boi");
	IS_NAME("a b c");
	IS_NO_NAME("a  b");
	IS_NO_NAME("a\tb");
	IS_NO_NAME("a\xC2\xA0" "b");
	IS_NO_NAME("a\xE3\x80\x80" "b");
	IS_NO_NAME("a\rb");
}

TEST(white_space_at_both_ends_is_dropped)
{
	MAKES_NAME("  bob\t ", "bob");
	MAKES_NAME("bob\r", "bob");
	MAKES_NAME("\t a b \r", "a b");
	IS_NO_NAME("");
	IS_NO_NAME(" ");
	IS_NO_NAME(" \t\r ");
}

TEST(a_name_has_at_most_fifty_characters)
{
	CHECK(is_name(repeat("x", 50)));
	CHECK(!is_name(repeat("x", 51)));
	CHECK(is_name(repeat("李", 50)));
	CHECK(!is_name(repeat("李", 51)));
	CHECK(is_name(repeat("𝕏", 50)));
	CHECK(!is_name(repeat("𝕏", 51)));
	CHECK(!is_name(repeat("x", 10000)));
}

/*
 * Composed text of 50 characters passed, while the same name as a Mac sends it (decomposed, for Korean three times as
 * many bytes) was refused for its size before it was composed.
 */
TEST(a_long_name_may_come_decomposed)
{
	char name[NAME_SIZE];
	const char *text = repeat("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", 50); /* 한, in three parts */

	CHECK(name_make(text, strlen(text), name));
	CHECK_TEXT(name, repeat("한", 50));
	text = repeat("\xCE\xB1\xCC\x93\xCC\x80\xCD\x85", 50); /* ᾂ, in four */
	CHECK(name_make(text, strlen(text), name));
	CHECK_TEXT(name, repeat("ᾂ", 50));
}

TEST(signs_and_symbols_make_no_name)
{
	IS_NO_NAME("b*b");
	IS_NO_NAME("/who");
	IS_NO_NAME("a:b");
	IS_NO_NAME("a\"b");
	IS_NO_NAME("a@b");
	IS_NO_NAME("hi!");
	IS_NO_NAME("👋");
	IS_NO_NAME("a…");
	IS_NO_NAME("x²");
	IS_NO_NAME("\xEF\xBF\xBD");
	IS_NO_NAME("\xE2\xA0\x80"); /* U+2800, a Braille pattern without a dot */
}

TEST(control_characters_make_no_name)
{
	IS_NO_NAME("a\0b");
	IS_NO_NAME("\0");
	IS_NO_NAME("bob\0");
	IS_NO_NAME("a\x1b[31m");
	IS_NO_NAME("a\x7F");
	IS_NO_NAME("a\xC2\x9B" "b");
	IS_NO_NAME("a\nb");
}

TEST(what_is_no_utf_8_makes_no_name)
{
	IS_NO_NAME("a\xFF");
	IS_NO_NAME("\xC3");
	IS_NO_NAME("\xED\xA0\x80");
	IS_NO_NAME("\xC0\x80");
}

TEST(what_turns_the_direction_makes_no_name)
{
	static const char *const marks[] = {"\xE2\x80\x8E", "\xE2\x80\x8F", "\xE2\x80\xAA", "\xE2\x80\xAB", "\xE2\x80\xAC",
		"\xE2\x80\xAD", "\xE2\x80\xAE", "\xE2\x81\xA6", "\xE2\x81\xA7", "\xE2\x81\xA8", "\xE2\x81\xA9", "\xD8\x9C"};

	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
		char text[16];

		(void)snprintf(text, sizeof text, "bob%s", marks[i]);
		CHECK(!is_name(text));
		(void)snprintf(text, sizeof text, "%sbob", marks[i]);
		CHECK(!is_name(text));
		(void)snprintf(text, sizeof text, "bo%sb", marks[i]);
		CHECK(!is_name(text));
	}
}

TEST(nothing_invisible_makes_a_name)
{
	IS_NO_NAME("bo\xE2\x80\x8B" "b");     /* zero width space            */
	IS_NO_NAME("bo\xE2\x80\x8C" "b");     /* zero width non-joiner       */
	IS_NO_NAME("bo\xE2\x80\x8D" "b");     /* zero width joiner           */
	IS_NO_NAME("bo\xE2\x81\xA0" "b");     /* word joiner                 */
	IS_NO_NAME("bo\xEF\xBB\xBF" "b");     /* byte order mark             */
	IS_NO_NAME("bo\xC2\xAD" "b");         /* soft hyphen                 */
	IS_NO_NAME("bo\xCD\x8F" "b");         /* combining grapheme joiner   */
	IS_NO_NAME("bob\xEF\xB8\x8F");        /* variation selector          */
	IS_NO_NAME("bob\xF3\xA0\x81\xA2");    /* tag letter                  */
	IS_NO_NAME("\xE1\x85\x9F");           /* Hangul choseong filler      */
	IS_NO_NAME("\xE1\x85\xA0");           /* Hangul jungseong filler     */
	IS_NO_NAME("\xE3\x85\xA4");           /* Hangul filler               */
	IS_NO_NAME("\xEF\xBE\xA0");           /* halfwidth Hangul filler     */
	IS_NO_NAME("\xE1\x9E\xB4");           /* Khmer inherent vowel        */
	IS_NO_NAME("\xE2\x80\xA8");           /* line separator              */
}

TEST(marks_belong_to_a_letter_and_are_few)
{
	IS_NO_NAME("\xCC\x88");               /* alone                */
	IS_NO_NAME("\xCC\x88" "a");
	IS_NO_NAME("_\xCC\x88");
	IS_NO_NAME("a \xCC\x88");
	IS_NO_NAME("a\xE2\x83\x9D");          /* an enclosing circle  */
	MAKES_NAME("x\xCC\xB2\xCC\xB3\xCC\xB6\xCC\xB8" "y", "x\xCC\xB6\xCC\xB8\xCC\xB2\xCC\xB3" "y");
	IS_NO_NAME("x\xCC\xB2\xCC\xB2\xCC\xB2\xCC\xB2\xCC\xB2");
	IS_NAME("क्रिस्टीना");   /* five in all, but one or two on a letter */
}

TEST(keys_know_no_case)
{
	CHECK(same("Bob", "bOB"));
	CHECK(same("ОЛЬГА", "ольга"));
	CHECK(same("STRASSE", "straße"));
	CHECK(same("ΣΊΣΥΦΟΣ", "σίσυφος"));
	CHECK(same("JÜRGEN", "jürgen"));
	CHECK(!same("bob", "rob"));
	CHECK(!same("bob", "bob2"));
	CHECK(!same("jurgen", "jürgen"));
	CHECK(!same("a b", "a_b"));
}

TEST(keys_know_no_width)
{
	CHECK(same("ｂｏｂ", "bob"));
	CHECK(same("ﾊﾝ", "ハン"));
	CHECK(same("ﬁn", "fin"));
}

/* Mathematical letters have no case of their own: "𝐁𝐨𝐛" became "Bob", which nobody folded any more, and stood beside "bob". */
TEST(keys_fold_what_becomes_a_capital_letter_by_normalising)
{
	CHECK(same("𝐁𝐨𝐛", "bob"));
	CHECK(same("𝔹𝕆𝔹", "bob"));
	CHECK(same("Ⅷ", "viii"));
}

TEST(a_tag_is_a_hash_and_six_hex_digits)
{
	char tagged[NAME_SIZE];

	name_tagged("bob", 0xa1b2c3, tagged);
	CHECK_TEXT(tagged, "bob#a1b2c3");
	name_tagged("bob", 7, tagged);
	CHECK_TEXT(tagged, "bob#000007");
	name_tagged("bob", 0xff000001, tagged);
	CHECK_TEXT(tagged, "bob#000001");
}

TEST(a_guest_is_tagged_by_chance)
{
	char one[NAME_SIZE];
	char other[NAME_SIZE];
	int tries = 0;

	name_guest(one);
	CHECK(strncmp(one, "guest#", strlen("guest#")) == 0);
	CHECK_EQUAL(strlen(one), strlen("guest#000000"));
	CHECK(is_name(one));
	do
		name_guest(other);
	while (strcmp(one, other) == 0 && ++tries < 10);
	CHECK(tries < 10);
}

TEST(a_tagged_name_is_cut_to_be_a_name)
{
	char tagged[NAME_SIZE];

	name_tagged(repeat("x", 50), 0, tagged);
	CHECK_TEXT(tagged, strcat(repeat("x", 43), "#000000"));
	name_tagged(repeat("𝕏", 50), 0, tagged);
	CHECK_TEXT(tagged, strcat(repeat("𝕏", 43), "#000000"));
	CHECK(is_name(tagged));
	name_tagged("123456789 123456789 123456789 123456789 12 45678", 0, tagged);
	CHECK_TEXT(tagged, "123456789 123456789 123456789 123456789 12#000000");
	CHECK(is_name(tagged));
}

static size_t encode(uint32_t character, char *out)
{
	if (character < 0x80) {
		out[0] = (char)character;
		return 1;
	}
	if (character < 0x800) {
		out[0] = (char)(0xC0 | character >> 6);
		out[1] = (char)(0x80 | (character & 0x3F));
		return 2;
	}
	if (character < 0x10000) {
		out[0] = (char)(0xE0 | character >> 12);
		out[1] = (char)(0x80 | (character >> 6 & 0x3F));
		out[2] = (char)(0x80 | (character & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | character >> 18);
	out[1] = (char)(0x80 | (character >> 12 & 0x3F));
	out[2] = (char)(0x80 | (character >> 6 & 0x3F));
	out[3] = (char)(0x80 | (character & 0x3F));
	return 4;
}

/* What must be true of any name that was made. */
static void check_made(const char *name)
{
	char again[NAME_SIZE];
	char tagged[NAME_SIZE];
	char key[NAME_KEY_SIZE];
	char key_again[NAME_KEY_SIZE];
	size_t size = strlen(name);
	size_t key_size;

	CHECK(size > 0 && size < NAME_SIZE && text_is_clean(name, size));
	CHECK(name_make(name, size, again));
	CHECK_TEXT(again, name);
	name_tagged(name, 0xabcdef, tagged);
	CHECK(name_make(tagged, strlen(tagged), again));
	CHECK_TEXT(again, tagged);
	key_size = name_key(name, key);
	CHECK(key_size > 0 && key_size == strlen(key));
	if (name_make(key, key_size, again) && strcmp(again, key) == 0) {
		(void)name_key(again, key_again);
		CHECK_TEXT(key_again, key);
	}
}

TEST(every_name_of_one_character_is_the_name_of_itself)
{
	for (uint32_t character = 0; character < 0x110000; character++) {
		char text[5];
		char name[NAME_SIZE];

		if (name_make(text, encode(character, text), name))
			check_made(name);
	}
}

TEST(every_name_that_repeats_a_character_is_the_name_of_itself)
{
	for (uint32_t character = 0x20; character < 0x110000; character++) {
		char text[5];
		char name[NAME_SIZE];
		size_t size = encode(character, text);

		if (!name_make(text, size, name))
			continue;
		text[size] = '\0';
		for (size_t count = NAME_LENGTH_MAX; count > NAME_LENGTH_MAX - 2; count--) {
			const char *many = repeat(text, count);

			if (name_make(many, strlen(many), name))
				check_made(name);
		}
		if (character >= 0x4E10 && character < 0x9F00) /* most Chinese characters are as the others */
			character += 16;
		if (character >= 0xAC10 && character < 0xD700)
			character += 16;
		if (character >= 0x17010 && character < 0x32000)
			character += 64;
	}
}

TEST(every_mark_after_a_letter_leaves_a_name_that_is_the_name_of_itself)
{
	for (uint32_t character = 0x300; character < 0x20000; character++) {
		char text[6] = "a";
		char name[NAME_SIZE];

		if (name_make(text, 1 + encode(character, text + 1), name))
			check_made(name);
	}
}
