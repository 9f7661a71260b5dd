#include "common/protobuf_wire.h"

#include <assert.h>

enum { KIND_VARINT = 0, KIND_FIXED64 = 1, KIND_BYTES = 2, KIND_FIXED32 = 5, KIND_BITS = 3 };

static bool take_varint(struct protobuf_wire *wire, uint64_t *value)
{
	*value = 0;
	for (unsigned shift = 0; shift < 64 && wire->size > 0; shift += 7) {
		unsigned char byte = *wire->next++;

		wire->size--;
		*value |= (uint64_t)(byte & 0x7F) << shift;
		if (byte < 0x80)
			return true;
	}
	return false;
}

static bool take_bytes(struct protobuf_wire *wire, uint64_t size, struct protobuf_wire *taken)
{
	if (size > wire->size)
		return false;
	*taken = (struct protobuf_wire){wire->next, (size_t)size};
	wire->next += size;
	wire->size -= (size_t)size;
	return true;
}

static bool take_content(struct protobuf_wire *wire, unsigned kind, struct protobuf_wire *content)
{
	uint64_t value;

	switch (kind) {
	case KIND_VARINT:
		return take_varint(wire, &value);
	case KIND_FIXED64:
		return take_bytes(wire, 8, content);
	case KIND_BYTES:
		return take_varint(wire, &value) && take_bytes(wire, value, content);
	case KIND_FIXED32:
		return take_bytes(wire, 4, content);
	default:
		return false;
	}
}

enum protobuf_found protobuf_next(struct protobuf_wire *wire, struct protobuf_field *field)
{
	uint64_t tag;
	unsigned kind;

	if (wire->size == 0)
		return PROTOBUF_END;
	if (!take_varint(wire, &tag))
		return PROTOBUF_BROKEN;
	kind = tag & ((1 << KIND_BITS) - 1);
	*field = (struct protobuf_field){.number = tag >> KIND_BITS, .has_bytes = kind == KIND_BYTES};
	return take_content(wire, kind, &field->content) ? PROTOBUF_FIELD : PROTOBUF_BROKEN;
}

size_t protobuf_head_size(size_t size)
{
	size_t needed = 2;

	for (; size >= 0x80; size >>= 7)
		needed++;
	return needed;
}

char *protobuf_head_write(unsigned number, size_t size, char *out)
{
	assert(number <= PROTOBUF_NUMBER_MAX);
	*out++ = (char)(number << KIND_BITS | KIND_BYTES);
	for (; size >= 0x80; size >>= 7)
		*out++ = (char)(0x80 | (size & 0x7F));
	*out++ = (char)size;
	return out;
}
