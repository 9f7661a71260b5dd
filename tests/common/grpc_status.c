#include "common/grpc_status.h"

#include <string.h>

#include "tests/check.h"

static char encoded[3 * GRPC_WORDS_SIZE];
static char decoded[GRPC_WORDS_SIZE];

TEST(codes_have_their_names)
{
	CHECK_TEXT(grpc_code_name(GRPC_OK), "OK");
	CHECK_TEXT(grpc_code_name(GRPC_NOT_FOUND), "NOT_FOUND");
	CHECK_TEXT(grpc_code_name(GRPC_UNAUTHENTICATED), "UNAUTHENTICATED");
	CHECK_TEXT(grpc_code_name(-1), "UNKNOWN");
	CHECK_TEXT(grpc_code_name(17), "UNKNOWN");
}

TEST(words_are_percent_encoded)
{
	CHECK_EQUAL(grpc_words_encode("a b~", encoded), 4);
	CHECK_TEXT(encoded, "a b~");
	(void)grpc_words_encode("100%\n\x1B[2J ü", encoded);
	CHECK_TEXT(encoded, "100%25%0A%1B[2J %C3%BC");
	(void)grpc_words_encode("\x7F", encoded);
	CHECK_TEXT(encoded, "%7F");
	(void)grpc_words_encode("", encoded);
	CHECK_TEXT(encoded, "");
}

TEST(words_come_back_as_they_were)
{
	static const char words[] = "room \"tea\" is 100% closed: \xE2\x9C\x93\r\n";
	size_t size = grpc_words_encode(words, encoded);

	grpc_words_decode(encoded, size, decoded);
	CHECK_TEXT(decoded, words);
}

TEST(what_is_no_escape_stays)
{
	static const char field[] = "%zz 5% %4 %00 %41";

	grpc_words_decode(field, strlen(field), decoded);
	CHECK_TEXT(decoded, "%zz 5% %4 %00 A");
}

TEST(what_does_not_fit_is_cut)
{
	char field[2 * GRPC_WORDS_SIZE];

	memset(field, 'x', sizeof field);
	grpc_words_decode(field, sizeof field, decoded);
	CHECK_EQUAL(strlen(decoded), GRPC_WORDS_SIZE - 1);
}

TEST(the_longest_words_fit_encoded)
{
	char words[GRPC_WORDS_SIZE];

	memset(words, '\n', sizeof words - 1);
	words[sizeof words - 1] = '\0';
	CHECK_EQUAL(grpc_words_encode(words, encoded), 3 * (GRPC_WORDS_SIZE - 1));
}
