#include "tcpclient/grpc_json.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/nesting.h"

enum { DEPTH_MAX = 8, KIND_VARINT = 0, KIND_BYTES = 2, KIND_BITS = 3, NAME_SIZE_MAX = 64, TIME_SIZE = 64 };

#define OURS_FROM (UINT64_C(1) << 62) /* numbers of requests from here on are below 0 for us */

/* ---- Requests. ---- */

static void add_varint(struct buffer *out, uint64_t value)
{
	char byte;

	for (; value >= 0x80; value >>= 7) {
		byte = (char)(0x80 | (value & 0x7F));
		buffer_add(out, &byte, 1);
	}
	byte = (char)value;
	buffer_add(out, &byte, 1);
}

static void add_number(struct buffer *out, unsigned field, uint64_t value)
{
	add_varint(out, (uint64_t)field << KIND_BITS | KIND_VARINT);
	add_varint(out, value);
}

static void add_bytes(struct buffer *out, unsigned field, const char *bytes, size_t size)
{
	add_varint(out, (uint64_t)field << KIND_BITS | KIND_BYTES);
	add_varint(out, size);
	buffer_add(out, bytes, size);
}

/* The field for a value: two of JSON's have a second one for what is no number. */
static const ProtobufCFieldDescriptor *field_of(
	const ProtobufCMessageDescriptor *descriptor, const char *name, const json_t *value)
{
	if (json_is_string(value) && strcmp(name, "history") == 0 && strcmp(json_string_value(value), "all") == 0)
		name = "all_history";
	else if (json_is_string(value) && strcmp(name, "before") == 0 &&
		 protobuf_c_message_descriptor_get_field_by_name(descriptor, "before_date") != NULL)
		name = "before_date";
	return protobuf_c_message_descriptor_get_field_by_name(descriptor, name);
}

/* What a field is where its words stand for a number or a switch: "all" and "none". */
static bool add_word(struct buffer *out, const ProtobufCFieldDescriptor *field, const char *word)
{
	bool is_all = strcmp(field->name, "all_history") == 0;
	bool is_none = strcmp(field->name, "history") == 0 && strcmp(word, "none") == 0;

	if (is_all || is_none)
		add_number(out, field->id, is_all);
	return is_all || is_none;
}

/* A value is written even if it says nothing: in a oneof that is told from nothing. */
static bool add_value(struct buffer *out, const ProtobufCFieldDescriptor *field, const json_t *value)
{
	if (field->type == PROTOBUF_C_TYPE_STRING && json_is_string(value))
		add_bytes(out, field->id, json_string_value(value), json_string_length(value));
	else if (field->type == PROTOBUF_C_TYPE_UINT64 && json_is_integer(value) && json_integer_value(value) >= 0)
		add_number(out, field->id, (uint64_t)json_integer_value(value));
	else if (field->type == PROTOBUF_C_TYPE_BOOL && json_is_boolean(value))
		add_number(out, field->id, json_is_true(value));
	else
		return json_is_string(value) && add_word(out, field, json_string_value(value));
	return true;
}

static bool add_fields(struct buffer *out, const ProtobufCMessageDescriptor *descriptor, json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value) {
		const ProtobufCFieldDescriptor *field;

		if (strcmp(name, "op") == 0 || strcmp(name, "id") == 0)
			continue;
		field = field_of(descriptor, name, value);
		if (field == NULL || !add_value(out, field, value))
			return false;
	}
	return true;
}

static bool add_request(struct buffer *out, json_t *object, long long id)
{
	const ProtobufCMessageDescriptor *descriptor = &tcpchat__v1__request__descriptor;
	const char *name = json_string_value(json_object_get(object, "op"));
	const ProtobufCFieldDescriptor *op =
		name == NULL ? NULL : protobuf_c_message_descriptor_get_field_by_name(descriptor, name);
	struct buffer content = {0};
	bool added = op != NULL && op->type == PROTOBUF_C_TYPE_MESSAGE && add_fields(&content, op->descriptor, object);

	if (added && id != 0)
		add_number(out, tcpchat__v1__request__descriptor.fields[0].id, id > 0 ? (uint64_t)id : OURS_FROM - (uint64_t)id);
	if (added)
		add_bytes(out, op->id, content.size > 0 ? content.bytes : "", content.size);
	buffer_fini(&content);
	return added;
}

static void add_line(struct buffer *out, const char *line, size_t size)
{
	struct buffer content = {0};

	add_bytes(&content, 1, line, size); /* Line.text */
	add_bytes(out, TCPCHAT__V1__REQUEST__OP_LINE, content.bytes, content.size);
	buffer_fini(&content);
}

bool grpc_json_request(struct buffer *out, const char *line, size_t size, long long *id)
{
	json_t *object = NULL;
	bool added;

	*id = 0;
	if (size == 0 || line[0] != '{') {
		add_line(out, line, size);
		return true;
	}
	if (nesting_is_within(line, size, DEPTH_MAX))
		object = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
	*id = json_integer_value(json_object_get(object, "id"));
	added = json_is_object(object) && add_request(out, object, *id);
	json_decref(object);
	return added;
}

/* ---- Events. ---- */

long long grpc_json_id(uint64_t id)
{
	return (long long)(id > OURS_FROM ? OURS_FROM - id : id); /* without a sign until then: any number may come */
}

static void put(json_t *object, const char *name, json_t *value)
{
	if (object == NULL || value == NULL || json_object_set_new(object, name, value) != 0)
		abort(); /* no memory: see buffer.h */
}

static json_t *string(const char *text)
{
	struct buffer clean = {0};
	json_t *value;

	buffer_add_clean(&clean, text, strlen(text));
	value = json_stringn(clean.size > 0 ? clean.bytes : "", clean.size);
	buffer_fini(&clean);
	return value;
}

/* KIND_ROOM_CLOSED is "room_closed"; what a later server knows has no name here. */
static void put_kind(json_t *object, int kind)
{
	static const char prefix[] = "KIND_";
	const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(&tcpchat__v1__event__kind__descriptor, kind);
	const char *long_name = value == NULL ? "KIND_OTHER" : value->name;
	char name[NAME_SIZE_MAX] = "";

	for (size_t i = 0; i + 1 < sizeof name && long_name[i + sizeof prefix - 1] != '\0'; i++)
		name[i] = (char)tolower((unsigned char)long_name[i + sizeof prefix - 1]);
	if (kind == TCPCHAT__V1__EVENT__KIND__KIND_FAREWELL) {
		put(object, "kind", string("notice"));
		put(object, "event_type", string("server_shutting_down"));
	} else {
		put(object, "kind", string(name));
	}
}

/* at_ns is "at", in words. */
static void put_time(json_t *object, const char *name, int64_t at_ns)
{
	time_t seconds = (time_t)(at_ns / 1000000000);
	char text[TIME_SIZE];
	char short_name[NAME_SIZE_MAX];
	struct buffer whole = {0};
	struct tm utc;

	if (at_ns <= 0 || gmtime_r(&seconds, &utc) == NULL || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc) == 0)
		return;
	buffer_add_format(&whole, "%s.%03dZ", text, (int)(at_ns / 1000000 % 1000));
	buffer_add(&whole, "", 1);
	(void)snprintf(short_name, sizeof short_name, "%.*s", (int)(strlen(name) - strlen("_ns")), name);
	put(object, short_name, string(whole.bytes));
	buffer_fini(&whole);
}

/* What says nothing is left out. */
static void put_field(json_t *object, const ProtobufCFieldDescriptor *field, const void *value)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_ENUM:
		put_kind(object, *(const int *)value);
		break;
	case PROTOBUF_C_TYPE_INT64:
		put_time(object, field->name, *(const int64_t *)value);
		break;
	case PROTOBUF_C_TYPE_UINT64:
		if (*(const uint64_t *)value != 0 && *(const uint64_t *)value <= INT64_MAX)
			put(object, field->name, json_integer(grpc_json_id(*(const uint64_t *)value)));
		break;
	case PROTOBUF_C_TYPE_BOOL:
		if (*(const protobuf_c_boolean *)value)
			put(object, field->name, json_true());
		break;
	case PROTOBUF_C_TYPE_STRING:
		if ((*(const char *const *)value)[0] != '\0')
			put(object, field->name, string(*(const char *const *)value));
		break;
	default:
		break; /* an event has no others */
	}
}

void grpc_json_event(struct buffer *out, const Tcpchat__V1__Event *event)
{
	const ProtobufCMessageDescriptor *descriptor = event->base.descriptor;
	json_t *object = json_object();
	char *text;

	for (unsigned i = 0; i < descriptor->n_fields; i++)
		put_field(object, &descriptor->fields[i], (const char *)event + descriptor->fields[i].offset);
	text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (text == NULL)
		abort(); /* the same */
	buffer_add_text(out, text);
	buffer_add_text(out, "\n");
	free(text);
}
