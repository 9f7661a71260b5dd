/*
 * The telnet filter: however the bytes are cut into chunks, text and replies are the same, and fit.
 *
 * Input: a seed for the chunks (a byte), the bytes.
 */
#include "tcpserver/doors/telnet.h"

#include "tests/fuzz/fuzz.h"

struct output {
	char *text;
	size_t text_size;
	char *replies;
	size_t replies_size;
};

/* Filters in chunks, the first seed's; 0 for all at once. */
static struct output filter(struct fuzz_input input, uint32_t seed)
{
	struct telnet telnet = {.state = TELNET_TEXT};
	struct output output = {.text = fuzz_room(TELNET_TEXT_SIZE(input.size)),
		.replies = fuzz_room(TELNET_REPLIES_SIZE(input.size))};

	while (input.size > 0) {
		size_t chunk_size = seed == 0 ? input.size : 1 + fuzz_random(&seed) % 5;
		char *chunk;
		char *text;
		char *replies;
		size_t text_size;
		size_t replies_size;

		if (chunk_size > input.size)
			chunk_size = input.size;
		chunk = fuzz_copy(input.bytes, chunk_size);
		text = fuzz_room(TELNET_TEXT_SIZE(chunk_size));
		replies = fuzz_room(TELNET_REPLIES_SIZE(chunk_size));
		text_size = chunk_size;
		replies_size = 0;
		if (telnet_concerns(&telnet, chunk, chunk_size)) {
			text_size = telnet_filter(&telnet, chunk, chunk_size, text, replies, &replies_size);
		} else {
			memcpy(text, chunk, chunk_size);
		}
		MUST(text_size <= TELNET_TEXT_SIZE(chunk_size) && replies_size <= TELNET_REPLIES_SIZE(chunk_size));
		memcpy(output.text + output.text_size, text, text_size);
		memcpy(output.replies + output.replies_size, replies, replies_size);
		output.text_size += text_size;
		output.replies_size += replies_size;
		free(chunk);
		free(text);
		free(replies);
		input.bytes += chunk_size;
		input.size -= chunk_size;
	}
	return output;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = {bytes, size};
	uint32_t seed = 1U + fuzz_byte(&input);
	struct output whole = filter(input, 0);
	struct output cut = filter(input, seed);

	MUST(whole.text_size == cut.text_size && memcmp(whole.text, cut.text, cut.text_size) == 0);
	MUST(whole.replies_size == cut.replies_size && memcmp(whole.replies, cut.replies, cut.replies_size) == 0);
	MUST(whole.text_size <= input.size);
	MUST(whole.replies_size <= input.size && whole.replies_size % TELNET_REPLY_SIZE == 0);
	if (input.size == 0 || memchr(input.bytes, 0xFF, input.size) == NULL)
		MUST(whole.text_size == input.size);
	free(whole.text);
	free(whole.replies);
	free(cut.text);
	free(cut.replies);
	return 0;
}
