#include "tcpserver/journals/words.h"

#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

static void check_split(const char *text, const char *expected)
{
	char *words = words_split(text, strlen(text));

	CHECK_TEXT(words, expected);
	free(words);
}

static void check_query(const char *typed, const char *expected)
{
	char *query = words_query(typed);

	CHECK_TEXT(query, expected);
	free(query);
}

static bool matches(const char *text, const char *typed)
{
	int result = words_match(text, strlen(text), typed);

	CHECK(result >= 0);
	return result == 1;
}

TEST(words_are_runs_of_letters_and_digits)
{
	check_split("", "");
	check_split(" ?! -- ", "");
	check_split("Hello, World! It's 4711.", "hello world it s 4711");
	check_split("a_b-c.d@e", "a b c d e");
	check_split("\ttab\tand  spaces ", "tab and spaces");
}

TEST(case_and_form_do_not_count)
{
	check_split("STRASSE Stra\u00DFe \u1E9E", "strasse strasse ss");
	check_split("\uFF26\uFF35\uFF2C\uFF2C \u2460 x\u00B2", "full 1 x2");
	check_split("A\u030A\u212B", "aa");
	check_split("\U0001D400\U0001D401", "ab");
	check_split("\u039F\u0394\u03A5\u03A3\u03A3\u0395\u03A5\u03A3", "\u03BF\u03B4\u03C5\u03C3\u03C3\u03B5\u03C5\u03C3");
	CHECK(matches("\u041F\u0420\u0418\u0412\u0415\u0422, \u043C\u0438\u0440", "\u043F\u0440\u0438\u0432\u0435\u0442"));
}

TEST(accents_of_latin_letters_do_not_count)
{
	CHECK(matches("Un caf\u00E9 noir", "CAFE\u0301"));
	CHECK(matches("Un caf\u00E9 noir", "cafe"));
	CHECK(matches("un cafe noir", "caf\u00E9"));
	CHECK(matches("un cafe\u0301 noir", "\"cafe noir\""));
	check_split("Ti\u1EBFng Vi\u1EC7t, \u00C5ngstr\u00F6m", "tieng viet angstrom");
	check_split("x\u0301\u0323\u0301 \u0301y", "x y"); /* however many */
	check_split("\u00F8\u00E6\u0142", "\u00F8\u00E6\u0142"); /* letters of their own */
}

TEST(what_marks_add_in_other_scripts_counts)
{
	CHECK(!matches("\u043C\u043E\u0439", "\u043C\u043E\u0438"));
	CHECK(matches("\u043C\u043E\u0439", "\u043C\u043E\u0438\u0306")); /* in two parts as in one */
	CHECK(!matches("\u30AC", "\u30AB"));
	check_split("caf\u00E9 \u0439\u00E9 \uAC01", "cafe \u0439e \uAC01");
}

TEST(turkish_letters_are_folded_as_unicode_does_without_a_language)
{
	check_split("ISTANBUL", "istanbul");
	check_split("\u0130stanbul", "istanbul"); /* the dot would stay as a mark, and is dropped as one */
	check_split("\u0131s\u0131", "\u0131s\u0131");
	CHECK(matches("\u0130stanbul'da", "\u0130STANBUL"));
}

TEST(marks_belong_to_their_letters)
{
	check_split("\u0939\u093F\u0928\u094D\u0926\u0940 \u092E\u0947\u0902", "\u0939\u093F\u0928\u094D\u0926\u0940 \u092E\u0947\u0902");
	check_split("\u0301 x", "x"); /* a mark on nothing is nothing */
	check_split("\u0645\u064F\u062D", "\u0645\u064F\u062D");
}

TEST(what_nobody_sees_does_not_part_a_word)
{
	check_split("Auf\u00ADlage \u200Bzero\u200Dwidth", "auflage zerowidth");
	check_split("\u0645\u06CC\u200C\u062E\u0648\u0627\u0647\u0645", "\u0645\u06CC\u062E\u0648\u0627\u0647\u0645");
}

TEST(chinese_and_japanese_are_found_in_parts)
{
	check_split("\u6771\u4EAC\u90FD", "\u6771 \u4EAC \u90FD");
	check_split("ABC\u6771def", "abc \u6771 def");
	check_split("\u30B3\u30FC\u30D2\u30FC \uFF76\uFF9E", "\u30B3 \u30FC \u30D2 \u30FC \u30AC");
	check_split("\U00020000\u3005", "\U00020000 \u3005");
	CHECK(matches("\u6771\u4EAC\u90FD\u3078\u884C\u304F", "\u4EAC\u90FD"));
	CHECK(!matches("\u6771\u4EAC\u3068\u5927\u962A", "\u4EAC\u6771"));
	CHECK(matches("\u5317\u4EAC\u6B22\u8FCE\u4F60", "\u6B22\u8FCE \u5317"));
	CHECK(matches("\u3072\u3089\u304C\u306A", "\u3089\u304C"));
}

TEST(korean_is_found_without_its_particles)
{
	CHECK(matches("\uD55C\uAD6D\uC5B4\uB97C \uBC30\uC6CC\uC694", "\uD55C\uAD6D\uC5B4"));
	CHECK(matches("\uD55C\uAD6D\uC5B4\uB97C", "\u1112\u1161\u11AB\uAD6D")); /* in parts as in one */
	CHECK(!matches("\uD55C\uAD6D\uC5B4\uB97C", "\uC5B4\uAD6D"));
}

TEST(thai_is_found_in_parts_with_its_vowels)
{
	CHECK(matches("\u0E20\u0E32\u0E29\u0E32\u0E44\u0E17\u0E22", "\u0E44\u0E17\u0E22"));
	CHECK(!matches("\u0E01\u0E34\u0E19", "\u0E01")); /* another vowel, another word */
}

TEST(symbols_are_words)
{
	CHECK(matches("well done \U0001F44D\U0001F3FD!", "\U0001F44D"));
	CHECK(matches("I \u2764 it", "\u2764\uFE0F"));
	CHECK(!matches("\U0001F44D", "\U0001F44E"));
	check_split("a\U0001F600b", "a \U0001F600 b");
}

TEST(terms_are_joined_and_quotation_marks_hold_words_together)
{
	check_query("", "");
	check_query("  \t ", "");
	check_query("?! \"--\" \"\"", "");
	check_query("Tea coffee", "\"tea\" AND \"coffee\"");
	check_query("\"green tea\" Milk", "\"green tea\" AND \"milk\"");
	check_query("\"not closed", "\"not closed\"");
	check_query("a\"b c\"d", "\"a\" AND \"b c\" AND \"d\"");
	check_query("\u6771\u4EAC\u3000tea", "\"\u6771 \u4EAC\" AND \"tea\"");
	check_query("NEAR(a b) OR c* ^d -e AND {f} : g", "\"near a\" AND \"b\" AND \"or\" AND \"c\" AND \"d\" AND \"e\" AND "
							"\"and\" AND \"f\" AND \"g\"");
}

TEST(all_terms_have_to_be_there)
{
	CHECK(matches("green tea and milk", "milk green"));
	CHECK(matches("green tea and milk", "\"tea and\""));
	CHECK(!matches("green tea and milk", "\"green and\""));
	CHECK(!matches("green tea and milk", "milk sugar"));
	CHECK(!matches("green tea", "gree"));
	CHECK(matches("green tea", "tea ???"));
}

TEST(nothing_typed_matches_all_and_no_word_matches_nothing)
{
	CHECK(matches("tea", ""));
	CHECK(matches("", " \u3000"));
	CHECK(!matches("tea ?!", "?!"));
	CHECK(words_is_blank(" \t\u3000") && !words_is_blank(" ."));
}

TEST(of_a_long_word_only_the_start_counts)
{
	char text[3 * WORD_SIZE_MAX];
	char *words;

	memset(text, 'x', sizeof text);
	words = words_split(text, sizeof text);
	CHECK_EQUAL(strlen(words), WORD_SIZE_MAX);
	CHECK_EQUAL(words_match(text, sizeof text, words), 1);
	free(words);
	text[WORD_SIZE_MAX - 1] = '\xC3'; /* no half of a character, which is a letter without accents */
	text[WORD_SIZE_MAX] = '\xB8';
	words = words_split(text, sizeof text);
	CHECK_EQUAL(strlen(words), WORD_SIZE_MAX - 1);
	free(words);
}

TEST(of_many_typed_words_only_the_first_count)
{
	char typed[10 * WORDS_TYPED_MAX] = "";
	char *query;
	size_t terms = 1;

	for (int i = 0; i < 2 * WORDS_TYPED_MAX; i++)
		strcat(typed, i % 3 == 0 ? "\"a b\" " : "c ");
	query = words_query(typed);
	for (const char *place = query; (place = strstr(place, " AND ")) != NULL; place++)
		terms++;
	CHECK(terms < WORDS_TYPED_MAX && terms > WORDS_TYPED_MAX / 2);
	free(query);
}

TEST(what_is_not_utf_8_has_no_words)
{
	check_split("tea \xFF", "");
	check_split("\xC3", "");
	check_split("\xED\xA0\x80 x", "");
}
