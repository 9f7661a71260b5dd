#include "tcpclient/unpack.h"

#include <stdbool.h>

#include "common/protobuf_wire.h"

enum { DEPTH_MAX = 8 }; /* of messages in messages */

static const ProtobufCMessageDescriptor *inner_of(
	const ProtobufCMessageDescriptor *descriptor, const struct protobuf_field *field)
{
	const ProtobufCFieldDescriptor *known = NULL;

	if (field->has_bytes && field->number <= UINT32_MAX)
		known = protobuf_c_message_descriptor_get_field(descriptor, (unsigned)field->number);
	return known != NULL && known->type == PROTOBUF_C_TYPE_MESSAGE ? known->descriptor : NULL;
}

/* Whether there are at most '*left' fields, in the messages inside, too; takes them from it. */
static bool count( // NOLINT(misc-no-recursion)
	const ProtobufCMessageDescriptor *descriptor, struct protobuf_wire wire, size_t *left, int depth)
{
	struct protobuf_field field;
	enum protobuf_found found;

	while ((found = protobuf_next(&wire, &field)) == PROTOBUF_FIELD && *left > 0) {
		const ProtobufCMessageDescriptor *inner = inner_of(descriptor, &field);

		(*left)--;
		if (inner != NULL && (depth == DEPTH_MAX || !count(inner, field.content, left, depth + 1)))
			return false;
	}
	return found == PROTOBUF_END;
}

ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t size)
{
	size_t left = UNPACK_FIELDS_MAX;

	if (!count(descriptor, (struct protobuf_wire){bytes, size}, &left, 0))
		return NULL;
	return protobuf_c_message_unpack(descriptor, NULL, size, bytes);
}
