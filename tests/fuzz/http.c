/*
 * Any bytes, in any pieces, given to the engine of the HTTP door and its handler: it answers in HTTP or not at all, and the same
 * however the bytes are cut. The first byte says how large the pieces are.
 */
#include "tests/fuzz/fuzz.h"

#include "common/text.h"
#include "tcpserver/doors/http_engine.h"
#include "tcpserver/doors/http_message.h"

enum { BODY_LIMIT = 500, OUTPUT_SIZE = 1 << 18 };

struct talker {
	struct http_engine *engine;
	char *output;
	size_t size;
	size_t taken;
};

static void check_request(const struct http_request *request)
{
	MUST(request->method[0] != '\0' && request->body_size <= BODY_LIMIT && strlen(request->target) < HTTP_HEADER_SIZE_MAX);
	for (size_t i = 0; i < request->segment_count; i++)
		MUST(text_is_clean(request->segments[i], strlen(request->segments[i])));
	for (size_t i = 0; i < request->query_count; i++)
		MUST(text_is_clean(request->query[i].value, strlen(request->query[i].value)));
}

static void handle(void *context, struct http_request *request, struct http_reply *reply)
{
	const char *wrong = http_request_split(request);
	uint64_t number = 0;

	(void)context;
	if (wrong != NULL) {
		http_reply_error(reply, 400, "bad-request", "%s", wrong);
		return;
	}
	check_request(request);
	if (http_field_has(request, "Upgrade", "websocket")) {
		reply->takes_over = true;
		return;
	}
	reply->closes = http_query(request, "close") != NULL;
	if (http_query(request, "n") != NULL)
		MUST(!http_number(http_query(request, "n"), &number) || number < 1000000000000000000);
	http_reply_give(reply, 200, "text/plain", fuzz_copy(request->body, request->body_size), request->body_size);
	http_reply_add(reply, "X-Field", "%s", http_field(request, "X-Field") == NULL ? "" : http_field(request, "X-Field"));
}

static void drain(struct talker *talker)
{
	size_t size;

	while ((size = http_engine_drain(talker->engine, talker->output + talker->size, OUTPUT_SIZE - talker->size)) > 0)
		talker->size += size;
	MUST(talker->size < OUTPUT_SIZE);
}

/* The time of day is none of the bytes' doing. */
static void blot_dates(struct talker *talker)
{
	char *date = talker->output;

	talker->output[talker->size] = '\0';
	while ((date = memmem(date, talker->size - (size_t)(date - talker->output), "\r\nDate: ", 8)) != NULL) {
		for (date += 8; *date != '\r' && *date != '\0'; date++)
			*date = '-';
	}
}

static struct talker say(const char *bytes, size_t size, size_t step)
{
	struct http_engine_options options = {.body_limit = BODY_LIMIT, .handle = handle};
	struct talker talker = {.engine = http_engine_create(&options), .output = malloc(OUTPUT_SIZE)};

	MUST(talker.engine != NULL && talker.output != NULL);
	while (talker.taken < size && talker.engine->state == HTTP_ENGINE_LISTENS) {
		size_t length = size - talker.taken < step ? size - talker.taken : step;

		talker.taken += http_engine_feed(talker.engine, bytes + talker.taken, length);
		drain(&talker);
		MUST(talker.engine->state != HTTP_ENGINE_REPLIES);
		MUST(talker.engine->state != HTTP_ENGINE_FAILED); /* what the frame let through is understood as it was */
	}
	blot_dates(&talker);
	MUST(talker.size == 0 || memcmp(talker.output, "HTTP/1.1 ", 9) == 0);
	return talker;
}

static void leave(struct talker *talker)
{
	http_engine_destroy(talker->engine);
	free(talker->output);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = {bytes, size};
	size_t step = 1 + fuzz_byte(&input) % 64;
	char *copy = fuzz_copy(input.bytes, input.size);
	struct talker whole = say(copy, input.size, SIZE_MAX);
	struct talker cut = say(copy, input.size, step);

	MUST(whole.engine->state == cut.engine->state);
	MUST(whole.taken == cut.taken);
	MUST(whole.size == cut.size && memcmp(whole.output, cut.output, cut.size) == 0);
	leave(&whole);
	leave(&cut);
	free(copy);
	return 0;
}
