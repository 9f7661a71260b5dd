#include "tcpclient/keys.h"

#include <string.h>

#include "tests/check.h"

/* Takes the next one and compares it. */
static void expect(struct keys *keys, enum keys_kind kind, const char *wanted)
{
	const char *bytes = NULL;
	size_t size = 0;

	CHECK_EQUAL(keys_next(keys, &bytes, &size), kind);
	if (kind != KEYS_MORE)
		CHECK_BYTES(bytes, size, wanted, strlen(wanted));
}

static void feed(struct keys *keys, const char *text)
{
	keys_feed(keys, text, strlen(text));
}

TEST(a_character_is_a_key)
{
	struct keys keys;

	keys_init(&keys);
	feed(&keys, "a日😀\x03");
	expect(&keys, KEYS_KEY, "a");
	expect(&keys, KEYS_KEY, "日");
	expect(&keys, KEYS_KEY, "😀");
	expect(&keys, KEYS_INTERRUPT, "\x03");
	expect(&keys, KEYS_MORE, "");
	CHECK_EQUAL(keys_waiting(&keys), -1);
	keys_fini(&keys);
}

TEST(a_key_is_whole_in_whatever_pieces_it_comes)
{
	static const char *const sequences[] = {
		"\033[A", "\033OP", "\033[15~", "\033[1;5C", "\033\033[D", "\033[[A", "日", "😀"};

	for (size_t i = 0; i < sizeof sequences / sizeof sequences[0]; i++) {
		struct keys keys;

		keys_init(&keys);
		for (const char *byte = sequences[i]; byte[1] != '\0'; byte++) {
			keys_feed(&keys, byte, 1);
			expect(&keys, KEYS_MORE, "");
			CHECK_EQUAL(keys_waiting(&keys), KEYS_ESCAPE_WAIT_MS);
		}
		feed(&keys, sequences[i] + strlen(sequences[i]) - 1);
		expect(&keys, sequences[i][0] == '\033' ? KEYS_SEQUENCE : KEYS_KEY, sequences[i]);
		expect(&keys, KEYS_MORE, "");
		keys_fini(&keys);
	}
}

TEST(the_escape_key_is_one_after_a_while)
{
	struct keys keys;

	keys_init(&keys);
	feed(&keys, "\033");
	expect(&keys, KEYS_MORE, "");
	keys_give_up(&keys);
	expect(&keys, KEYS_KEY, "\033");
	expect(&keys, KEYS_MORE, "");
	feed(&keys, "\033x");
	expect(&keys, KEYS_KEY, "\033x");
	keys_fini(&keys);
}

TEST(bytes_that_are_no_text_are_keys_of_their_own)
{
	struct keys keys;

	keys_init(&keys);
	feed(&keys, "\xff\xe6"
		    "a");
	expect(&keys, KEYS_KEY, "\xff");
	expect(&keys, KEYS_KEY, "\xe6");
	expect(&keys, KEYS_KEY, "a");
	keys_fini(&keys);
}

TEST(pasted_text_is_one_piece_however_it_comes)
{
	const char *text = "x\033[200~one\r\033[A\x03 two\033[201\033[201~y";
	struct keys keys;

	keys_init(&keys);
	for (const char *byte = text; *byte != '\0'; byte++) {
		const char *bytes = NULL;
		size_t size = 0;
		enum keys_kind kind;

		keys_feed(&keys, byte, 1);
		kind = keys_next(&keys, &bytes, &size);
		if (byte == text || byte[1] == '\0')
			CHECK_EQUAL(kind, KEYS_KEY);
		else if (byte[1] == 'y' && byte[0] == '~')
			CHECK_BYTES(bytes, size, "one\r\033[A\x03 two\033[201", 17);
		else
			CHECK_EQUAL(kind, KEYS_MORE);
	}
	keys_fini(&keys);
}

TEST(an_empty_paste_is_one)
{
	struct keys keys;

	keys_init(&keys);
	feed(&keys, "\033[200~\033[201~a");
	expect(&keys, KEYS_PASTE, "");
	expect(&keys, KEYS_KEY, "a");
	keys_fini(&keys);
}

TEST(a_paste_without_an_end_ends_after_a_while)
{
	struct keys keys;

	keys_init(&keys);
	feed(&keys, "\033[200~text");
	expect(&keys, KEYS_MORE, "");
	CHECK_EQUAL(keys_waiting(&keys), KEYS_PASTE_WAIT_MS);
	keys_give_up(&keys);
	expect(&keys, KEYS_PASTE, "text");
	expect(&keys, KEYS_MORE, "");
	CHECK_EQUAL(keys_waiting(&keys), -1);
	keys_fini(&keys);
}

TEST(a_paste_is_bounded)
{
	static char block[1024 * 1024];
	struct keys keys;
	const char *bytes = NULL;
	size_t size = 0;

	memset(block, 'x', sizeof block);
	keys_init(&keys);
	feed(&keys, "\033[200~");
	for (int i = 0; i < 10; i++) {
		keys_feed(&keys, block, sizeof block);
		expect(&keys, KEYS_MORE, "");
	}
	CHECK(keys.paste.capacity + keys.fed.capacity <= 16 * 1024 * 1024);
	feed(&keys, "\033[201~a");
	CHECK_EQUAL(keys_next(&keys, &bytes, &size), KEYS_PASTE_TOO_LONG);
	expect(&keys, KEYS_KEY, "a");
	feed(&keys, "\033[200~fine\033[201~");
	expect(&keys, KEYS_PASTE, "fine");
	keys_fini(&keys);
}
