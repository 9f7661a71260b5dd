/*
 * The reader of WebSocket frames: however the bytes are cut into chunks, the same is heard; no message is longer than the limit,
 * no text is ill-formed, and nothing is heard after the end.
 *
 * Input: the limit divided by four and a seed for the chunks (a byte each), the frames.
 */
#include "tcpserver/doors/websocket_frame.h"

#include "common/text.h"
#include "tcpserver/doors/websocket.h"

#include "tests/fuzz/fuzz.h"

enum { HEARD_SIZE = 1 << 17 };

/* What was heard: for each its kind, its size, its bytes. */
struct record {
	char *bytes;
	size_t size;
	unsigned close_code;
};

static void record_add(struct record *record, const void *bytes, size_t size)
{
	MUST(record->size + size <= HEARD_SIZE);
	memcpy(record->bytes + record->size, bytes, size);
	record->size += size;
}

static void check_heard(
	const struct websocket_reader *reader, enum websocket_heard heard, const char *payload, size_t size)
{
	char *copy;

	if (heard != WEBSOCKET_HEARD_TEXT) {
		MUST(size <= WEBSOCKET_CONTROL_MAX);
		return;
	}
	MUST(size <= reader->limit);
	copy = fuzz_room(TEXT_CLEAN_SIZE(size));
	if (memmem(payload, size, "\xEF\xBF\xBD", 3) == NULL)
		MUST(memmem(copy, text_clean(payload, size, copy), "\xEF\xBF\xBD", 3) == NULL);
	free(copy);
}

/* Reads in chunks, the first seed's; 0 for all at once. */
static struct record read_all(const char *bytes, size_t size, size_t limit, uint32_t seed)
{
	struct record record = {.bytes = fuzz_room(HEARD_SIZE)};
	struct websocket_reader reader;
	bool ended = false;

	websocket_reader_init(&reader, limit);
	while (size > 0) {
		size_t chunk_size = seed == 0 ? size : 1 + fuzz_random(&seed) % (seed % 2 == 0 ? 3 : 200);
		enum websocket_heard heard;
		const char *payload = "";
		size_t payload_size = 0;
		char *chunk;

		if (chunk_size > size)
			chunk_size = size;
		chunk = fuzz_copy(bytes, chunk_size);
		websocket_reader_feed(&reader, chunk, chunk_size);
		while ((heard = websocket_reader_next(&reader, &payload, &payload_size)) != WEBSOCKET_HEARD_NOTHING) {
			char kind = (char)heard;

			MUST(!ended);
			ended = heard == WEBSOCKET_HEARD_CLOSE || heard == WEBSOCKET_HEARD_FAULT;
			if (heard == WEBSOCKET_HEARD_FAULT)
				payload_size = 0;
			check_heard(&reader, heard, payload, payload_size);
			record_add(&record, &kind, 1);
			record_add(&record, &payload_size, sizeof payload_size);
			record_add(&record, payload, payload_size);
		}
		MUST(reader.message_size <= limit);
		free(chunk);
		bytes += chunk_size;
		size -= chunk_size;
	}
	record.close_code = reader.close_code;
	websocket_reader_fini(&reader);
	return record;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = {bytes, size};
	size_t limit = 4U * fuzz_byte(&input);
	uint32_t seed = 1U + fuzz_byte(&input);
	struct record whole = read_all((const char *)input.bytes, input.size, limit, 0);
	struct record cut = read_all((const char *)input.bytes, input.size, limit, seed);

	MUST(whole.size == cut.size && memcmp(whole.bytes, cut.bytes, cut.size) == 0);
	MUST(whole.close_code == cut.close_code);
	MUST(whole.close_code == 0 || whole.close_code == WEBSOCKET_CLOSE_NO_CODE ||
		websocket_close_code_is_valid(whole.close_code));
	free(whole.bytes);
	free(cut.bytes);
	return 0;
}
