/*
 * Requests of our own gRPC service on their way to event mode: whatever a client sends, what is left of it is a request
 * in JSON that can be read, with the same id.
 *
 * Input: a tcpchat.v1.Request.
 */
#include "tcpserver/doors/grpc_transcode.h"

#include <stdbool.h>
#include <unistr.h>

#include "tcpserver/doors/request.h"
#include "tests/fuzz/fuzz.h"

/* The door takes no text that is not UTF-8. */
static bool texts_are_good(const ProtobufCMessage *message)
{
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		const void *value = (const char *)message + field->offset;
		uint32_t which = field->id;

		if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
			memcpy(&which, (const char *)message + field->quantifier_offset, sizeof which);
		if (which != field->id)
			continue;
		if (field->type == PROTOBUF_C_TYPE_MESSAGE && !texts_are_good(*(const ProtobufCMessage *const *)value))
			return false;
		if (field->type == PROTOBUF_C_TYPE_STRING &&
			u8_check(*(const uint8_t *const *)value, strlen(*(const char *const *)value)) != NULL)
			return false;
	}
	return true;
}

static void check(const Tcpchat__V1__Request *request)
{
	struct request read;
	size_t size;
	char *json = grpc_transcode(request, &size);

	MUST(json != NULL);
	request_read(&read, json, size);
	MUST(read.wrong == NULL || strstr(read.wrong, "no JSON") == NULL);
	MUST(read.wrong == NULL || strstr(read.wrong, "twice") == NULL);
	MUST(read.wrong == NULL || strstr(read.wrong, "no such \"op\"") == NULL);
	MUST(request->id != 0 || read.id == NULL);
	if (request->id != 0 && request->id <= INT64_MAX)
		MUST(read.id != NULL && strtoull(read.id, NULL, 10) == request->id);
	request_fini(&read);
	free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	Tcpchat__V1__Request *request = tcpchat__v1__request__unpack(NULL, size, bytes);

	/* A line is none of event mode's. */
	if (request != NULL && request->op_case != TCPCHAT__V1__REQUEST__OP_LINE && texts_are_good(&request->base))
		check(request);
	if (request != NULL)
		tcpchat__v1__request__free_unpacked(request, NULL);
	return 0;
}
