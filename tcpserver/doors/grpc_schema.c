#include "tcpserver/doors/grpc_schema.h"

#include <assert.h>
#include <string.h>

#include "common/protobuf_wire.h"
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

/* ---- Fields. ---- */

/* Takes the next field with that number that has bytes: a text or a message. Returns false at the end. */
static bool take_field(struct protobuf_wire *in, unsigned number, struct protobuf_wire *value)
{
	struct protobuf_field field;
	enum protobuf_found found;

	while ((found = protobuf_next(in, &field)) == PROTOBUF_FIELD) {
		if (field.has_bytes && field.number == number) {
			*value = field.content;
			return true;
		}
	}
	assert(found == PROTOBUF_END); /* whoever wrote the descriptors made them whole */
	return false;
}

/* The field of that number; empty when there is none. */
static struct protobuf_wire field(struct protobuf_wire in, unsigned number)
{
	struct protobuf_wire value = {NULL, 0};

	(void)take_field(&in, number, &value);
	return value;
}

/* ---- Files. ---- */

enum { FILES_FILE = 1, FILE_NAME = 1, FILE_PACKAGE = 2, NAME = 1 }; /* numbers of fields in descriptor.proto */

static struct protobuf_wire file_at(size_t index)
{
	return field((struct protobuf_wire){embedded[index].bytes, *embedded[index].size}, FILES_FILE);
}

static bool is_text(struct protobuf_wire bytes, const char *text)
{
	return bytes.size == strlen(text) && memcmp(bytes.next, text, bytes.size) == 0;
}

static void give_file(struct protobuf_wire bytes, struct grpc_schema_file *file)
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
static const char *after_name(const char *symbol, struct protobuf_wire name)
{
	if (name.size == 0)
		return symbol; /* files need no package */
	if (strncmp(symbol, (const char *)name.next, name.size) != 0)
		return NULL;
	symbol += name.size;
	return *symbol == '.' && symbol[1] != '\0' ? symbol + 1 : *symbol == '\0' ? symbol : NULL;
}

/* Whether 'symbol' names something in 'scope', and, if 'wanted' is not LEAF, of that kind. Goes no deeper than the declarations do. */
static bool scope_has(enum kind kind, struct protobuf_wire scope, const char *symbol, enum kind wanted) // NOLINT(misc-no-recursion)
{
	for (const struct part *part = parts[kind]; part->number != 0; part++) {
		struct protobuf_wire rest = scope;
		struct protobuf_wire value;

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
