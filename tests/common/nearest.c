#include "common/nearest.h"

#include <stddef.h>

#include "common/verbs.h"
#include "tests/check.h"

#define NAME_OF(function, name, arguments, help) name,

static const char *const names[] = {CHAT_VERBS(NAME_OF) NULL};

static const char *meant(const char *typed)
{
	struct nearest nearest = {.typed = typed};

	for (size_t i = 0; names[i] != NULL; i++)
		nearest_offer(&nearest, names[i]);
	return nearest.word == NULL ? "" : nearest.word;
}

TEST(a_word_with_a_letter_or_two_mistyped_is_meant)
{
	CHECK_TEXT(meant("join"), "join");
	CHECK_TEXT(meant("jion"), "join");
	CHECK_TEXT(meant("JOIN"), "join");
	CHECK_TEXT(meant("joi"), "join");
	CHECK_TEXT(meant("joinn"), "join");
	CHECK_TEXT(meant("serach"), "search");
	CHECK_TEXT(meant("newroom"), "new-room");
}

TEST(what_is_like_nothing_means_nothing)
{
	CHECK_TEXT(meant(""), "");
	CHECK_TEXT(meant("zzz"), "");
	CHECK_TEXT(meant("a-word-much-longer-than-any-other"), "");
	CHECK_TEXT(meant("x"), ""); /* all of a word's letters would be mistyped */
}

TEST(of_two_that_are_as_similar_the_first_counts)
{
	struct nearest nearest = {.typed = "cat"};

	nearest_offer(&nearest, "card");
	nearest_offer(&nearest, "bat");
	nearest_offer(&nearest, "hat");
	CHECK_TEXT(nearest.word, "bat");
	CHECK_EQUAL(nearest.distance, 1);
}
