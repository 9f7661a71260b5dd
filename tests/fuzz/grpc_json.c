/*
 * Event mode over gRPC, in the client: whatever a server sends as an event becomes one line that is an event; whatever line is to be sent
 * becomes a request that can be read, or nothing.
 *
 * Input: a byte that says which; then a tcpchat.v1.Event, or a line.
 */
#include "tcpclient/grpc_json.h"

#include "tcpclient/event.h"
#include "tests/fuzz/fuzz.h"

static void check_event(const struct fuzz_input *input)
{
	Tcpchat__V1__Event *told = tcpchat__v1__event__unpack(NULL, input->size, input->bytes);
	struct buffer line = {0};
	struct event event = {0};

	if (told == NULL)
		return;
	grpc_json_event(&line, told);
	MUST(memchr(line.bytes, '\n', line.size) == line.bytes + line.size - 1);
	MUST(event_read(&event, line.bytes, line.size - 1));
	event_fini(&event);
	buffer_fini(&line);
	tcpchat__v1__event__free_unpacked(told, NULL);
}

static void check_request(const struct fuzz_input *input)
{
	struct buffer out = {0};
	Tcpchat__V1__Request *request;
	long long id;

	if (grpc_json_request(&out, (const char *)input->bytes, input->size, &id)) {
		request = tcpchat__v1__request__unpack(NULL, out.size, (const uint8_t *)out.bytes);
		MUST(request != NULL && request->base.n_unknown_fields == 0 && request->op_case != TCPCHAT__V1__REQUEST__OP__NOT_SET);
		MUST(id <= -(1LL << 62) || id > 1LL << 62 || grpc_json_id(request->id) == id);
		tcpchat__v1__request__free_unpacked(request, NULL);
	} else {
		MUST(out.size == 0);
	}
	buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = {.bytes = bytes, .size = size};

	(fuzz_byte(&input) % 2 == 0 ? check_event : check_request)(&input);
	return 0;
}
