#include "tcpserver/doors/grpc_schema.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "proto/descriptors.h"

const char *const grpc_schema_services[GRPC_SCHEMA_SERVICES] = {
	"MessageService",
	"grpc.health.v1.Health",
	"grpc.reflection.v1.ServerReflection",
	"grpc.reflection.v1alpha.ServerReflection",
	"rpc.ChatService",
	"tcpchat.v1.Chat",
};

bool grpc_schema_has_service(const char *name)
{
	for (size_t i = 0; i < GRPC_SCHEMA_SERVICES; i++) {
		if (strcmp(grpc_schema_services[i], name) == 0)
			return true;
	}
	return false;
}

static const struct embedded {
	const unsigned char *bytes;
	const size_t *size;
} embedded[] = {
	{descriptors_go_chat_message, &descriptors_go_chat_message_size},
	{descriptors_grpc_health_v1_health, &descriptors_grpc_health_v1_health_size},
	{descriptors_grpc_reflection_v1_reflection, &descriptors_grpc_reflection_v1_reflection_size},
	{descriptors_grpc_reflection_v1alpha_reflection, &descriptors_grpc_reflection_v1alpha_reflection_size},
	{descriptors_rpc_chat, &descriptors_rpc_chat_size},
	{descriptors_tcpchat_v1_chat, &descriptors_tcpchat_v1_chat_size},
};

enum { EMBEDDED_COUNT = sizeof embedded / sizeof *embedded };

/* ---- Protobuf's wire. Source: protobuf's "Encoding". ---- */

struct bytes {
	const unsigned char *next;
	size_t size;
};

/* Whoever wrote the descriptors made them whole; a build that is broken is our own bug. */
static void skip(struct bytes *in, uint64_t size)
{
	assert(size <= in->size);
	in->next += size;
	in->size -= (size_t)size;
}

static uint64_t take_number(struct bytes *in)
{
	uint64_t number = 0;

	for (unsigned shift = 0;; shift += 7) {
		unsigned char byte;

		assert(in->size > 0 && shift < 64);
		byte = *in->next;
		skip(in, 1);
		number |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return number;
	}
}

static struct bytes take_bytes(struct bytes *in)
{
	struct bytes out = {.size = (size_t)take_number(in)};

	out.next = in->next;
	skip(in, out.size);
	return out;
}

/* Takes the next field with that number that has bytes: a text or a message. Returns false at the end. */
static bool take_field(struct bytes *in, unsigned number, struct bytes *value)
{
	enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

	while (in->size > 0) {
		uint64_t tag = take_number(in);
		struct bytes taken;

		switch (tag & 7) {
		case VARINT:
			(void)take_number(in);
			break;
		case FIXED64:
			skip(in, 8);
			break;
		case FIXED32:
			skip(in, 4);
			break;
		default:
			assert((tag & 7) == BYTES);
			taken = take_bytes(in);
			if (tag >> 3 == number) {
				*value = taken;
				return true;
			}
		}
	}
	return false;
}

/* The field of that number; empty when there is none. */
static struct bytes field(struct bytes in, unsigned number)
{
	struct bytes value = {NULL, 0};

	(void)take_field(&in, number, &value);
	return value;
}

/* ---- Files. ---- */

enum { FILES_FILE = 1, FILE_NAME = 1, FILE_PACKAGE = 2, NAME = 1 }; /* numbers of fields in descriptor.proto */

static struct bytes file_at(size_t index)
{
	return field((struct bytes){embedded[index].bytes, *embedded[index].size}, FILES_FILE);
}

static bool is_text(struct bytes bytes, const char *text)
{
	return bytes.size == strlen(text) && memcmp(bytes.next, text, bytes.size) == 0;
}

static void give_file(struct bytes bytes, struct grpc_schema_file *file)
{
	*file = (struct grpc_schema_file){.bytes = bytes.next, .size = bytes.size};
}

bool grpc_schema_find_file(const char *name, struct grpc_schema_file *file)
{
	for (size_t i = 0; i < EMBEDDED_COUNT; i++) {
		if (is_text(field(file_at(i), FILE_NAME), name)) {
			give_file(file_at(i), file);
			return true;
		}
	}
	return false;
}

/* ---- Symbols. ---- */

enum kind { IN_FILE, MESSAGE, ENUM, SERVICE, LEAF, KIND_COUNT };

/* Where the parts of each kind are: numbers of fields in descriptor.proto, ended by 0. */
static const struct part {
	unsigned number;
	enum kind kind;
} parts[KIND_COUNT][6] = {
	[IN_FILE] = {{4, MESSAGE}, {5, ENUM}, {6, SERVICE}, {7, LEAF}},
	[MESSAGE] = {{2, LEAF}, {3, MESSAGE}, {4, ENUM}, {6, LEAF}, {8, LEAF}},
	[ENUM] = {{2, LEAF}},
	[SERVICE] = {{2, LEAF}},
};

/* What follows 'name' and a dot in 'symbol'; "" when nothing does; NULL when it has another name. */
static const char *after_name(const char *symbol, struct bytes name)
{
	if (name.size == 0)
		return symbol; /* files need no package */
	if (strncmp(symbol, (const char *)name.next, name.size) != 0)
		return NULL;
	symbol += name.size;
	return *symbol == '.' && symbol[1] != '\0' ? symbol + 1 : *symbol == '\0' ? symbol : NULL;
}

/* Whether 'symbol' names something in 'scope', and, if 'wanted' is not LEAF, of that kind. Goes no deeper than the declarations do. */
static bool scope_has(enum kind kind, struct bytes scope, const char *symbol, enum kind wanted) // NOLINT(misc-no-recursion)
{
	for (const struct part *part = parts[kind]; part->number != 0; part++) {
		struct bytes rest = scope;
		struct bytes value;

		while (take_field(&rest, part->number, &value)) {
			const char *inner = after_name(symbol, field(value, NAME));

			if (inner != NULL && *inner == '\0' && (wanted == LEAF || wanted == part->kind))
				return true;
			if (part->kind == ENUM) /* its values are named as if they stood beside it */
				inner = symbol;
			if (inner != NULL && *inner != '\0' && scope_has(part->kind, value, inner, wanted))
				return true;
		}
	}
	return false;
}

static bool find(const char *symbol, enum kind wanted, struct grpc_schema_file *file)
{
	for (size_t i = 0; i < EMBEDDED_COUNT; i++) {
		const char *inner = after_name(symbol, field(file_at(i), FILE_PACKAGE));

		if (inner != NULL && *inner != '\0' && scope_has(IN_FILE, file_at(i), inner, wanted)) {
			give_file(file_at(i), file);
			return true;
		}
	}
	return false;
}

bool grpc_schema_find_symbol(const char *symbol, struct grpc_schema_file *file)
{
	return find(symbol, LEAF, file);
}

bool grpc_schema_find_message(const char *symbol, struct grpc_schema_file *file)
{
	return find(symbol, MESSAGE, file);
}
