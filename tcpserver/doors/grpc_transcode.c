#include "tcpserver/doors/grpc_transcode.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/doors/json_writer.h"

/* Fields that are not in JSON as they are. */
static const struct rule {
	const char *field;
	const char *name;  /* in JSON                                                          */
	const char *value; /* a text that stands for true; NULL: the field's own value         */
	bool always;       /* also when it is empty: what is said may be nothing               */
} rules[] = {
	{"all_history", "history", "all", false},
	{"before_date", "before", NULL, false},
	{"text", "text", NULL, true},
};

static const struct rule *rule_of(const ProtobufCFieldDescriptor *field)
{
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
		if (strcmp(rules[i].field, field->name) == 0)
			return &rules[i];
	}
	return NULL;
}

static const void *value_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	return (const char *)message + field->offset;
}

static bool is_in_oneof(const ProtobufCFieldDescriptor *field)
{
	return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

/* Whether a field in a oneof is the one that is set: what says which is an enum. */
static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	uint32_t which;

	memcpy(&which, (const char *)message + field->quantifier_offset, sizeof which);
	return which == field->id;
}

static void write_number(struct json_writer *json, const char *name, uint64_t value, bool always)
{
	if (value != 0 || always)
		json_write_number(json, name, value);
}

static void write_switch(struct json_writer *json, const char *name, bool value, bool always, const char *word)
{
	if (word != NULL && value)
		json_write_text(json, name, word);
	else if (word == NULL && (value || always))
		json_write_raw(json, name, value ? "true" : "false");
}

static void write_text(struct json_writer *json, const char *name, const char *value, bool always)
{
	if (value[0] != '\0' || always)
		json_write_text(json, name, value);
}

static void write_field(
	struct json_writer *json, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const struct rule *rule = rule_of(field);
	const char *name = rule == NULL ? field->name : rule->name;
	bool always = is_in_oneof(field) || (rule != NULL && rule->always);
	const void *value = value_of(message, field);

	if (is_in_oneof(field) && !is_set(message, field))
		return;
	switch (field->type) {
	case PROTOBUF_C_TYPE_UINT64:
		write_number(json, name, *(const uint64_t *)value, always);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		write_switch(
			json, name, *(const protobuf_c_boolean *)value != 0, always, rule == NULL ? NULL : rule->value);
		break;
	case PROTOBUF_C_TYPE_STRING:
		write_text(json, name, *(const char *const *)value, always);
		break;
	default:
		assert(false); /* a field of a request is a number, a switch or a text */
	}
}

static void write_fields(struct json_writer *json, const ProtobufCMessage *message)
{
	for (unsigned i = 0; i < message->descriptor->n_fields; i++)
		write_field(json, message, &message->descriptor->fields[i]);
}

/* The field of the request that is set, which is called as the "op" in JSON; NULL: none. */
static const ProtobufCFieldDescriptor *op_of(const ProtobufCMessage *request)
{
	for (unsigned i = 0; i < request->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &request->descriptor->fields[i];

		if (is_in_oneof(field) && is_set(request, field))
			return field;
	}
	return NULL;
}

static void write_request(struct json_writer *json, const Tcpchat__V1__Request *request)
{
	const ProtobufCFieldDescriptor *op = op_of(&request->base);

	json_write_open(json);
	if (request->id != 0)
		json_write_number(json, "id", request->id);
	if (op != NULL) {
		json_write_text(json, "op", op->name);
		write_fields(json, *(const ProtobufCMessage *const *)value_of(&request->base, op));
	}
	json_write_close(json);
}

char *grpc_transcode(const Tcpchat__V1__Request *request, size_t *size)
{
	struct json_writer counted = {.size = 0};
	struct json_writer written = {.size = 0};

	write_request(&counted, request);
	written.size = counted.used;
	written.out = malloc(counted.used);
	if (written.out == NULL)
		return NULL;
	write_request(&written, request);
	*size = counted.used;
	return written.out;
}
