#include "tcpserver/doors/grpc_transcode.h"

#include <stdlib.h>
#include <string.h>

#include "tcpserver/doors/request.h"

#include "tests/check.h"

/* protobuf-c does not write to its strings. */
static char *string(const char *text)
{
	return (char *)(uintptr_t)text;
}

static void check(const Tcpchat__V1__Request *request, const char *expected)
{
	size_t size;
	char *json = grpc_transcode(request, &size);

	CHECK(json != NULL);
	CHECK_BYTES(json, size, expected, strlen(expected));
	free(json);
}

/* A request with the message as its 'op'. */
#define REQUEST(number, CASE, field, message)                                                                          \
	(&(Tcpchat__V1__Request){PROTOBUF_C_MESSAGE_INIT(&tcpchat__v1__request__descriptor), .id = (number),           \
		.op_case = TCPCHAT__V1__REQUEST__OP_##CASE, .field = &(message)})

TEST(a_request_is_an_object_with_the_names_of_its_fields)
{
	Tcpchat__V1__Send send;

	tcpchat__v1__send__init(&send);
	send.room = string("tea");
	send.text = string("a \"b\"\n\\");
	send.action = 1;
	check(REQUEST(7, SEND, send, send),
		"{\"id\":7,\"op\":\"send\",\"room\":\"tea\",\"text\":\"a \\\"b\\\"\\u000a\\\\\",\"action\":true}");
}

TEST(what_says_nothing_is_left_out_but_for_a_text_that_may_be_nothing)
{
	Tcpchat__V1__Send send;
	Tcpchat__V1__Rooms rooms;
	Tcpchat__V1__Join join;

	tcpchat__v1__join__init(&join);
	tcpchat__v1__rooms__init(&rooms);
	tcpchat__v1__send__init(&send);
	check(REQUEST(0, SEND, send, send), "{\"op\":\"send\",\"text\":\"\"}");
	check(REQUEST(0, ROOMS, rooms, rooms), "{\"op\":\"rooms\"}");
	check(REQUEST(3, JOIN, join, join), "{\"id\":3,\"op\":\"join\"}");
}

TEST(what_is_set_in_a_oneof_counts_also_when_it_is_nothing)
{
	Tcpchat__V1__Join join;
	Tcpchat__V1__Topic topic;
	Tcpchat__V1__Ignore ignore;

	tcpchat__v1__ignore__init(&ignore);
	tcpchat__v1__topic__init(&topic);
	tcpchat__v1__join__init(&join);
	join.room = string("tea");
	join.resume_case = TCPCHAT__V1__JOIN__RESUME_AFTER;
	join.past_case = TCPCHAT__V1__JOIN__PAST_HISTORY;
	check(REQUEST(0, JOIN, join, join), "{\"op\":\"join\",\"room\":\"tea\",\"after\":0,\"history\":0}");
	topic.change_case = TCPCHAT__V1__TOPIC__CHANGE_TEXT;
	topic.text = string("");
	check(REQUEST(0, TOPIC, topic, topic), "{\"op\":\"topic\",\"text\":\"\"}");
	ignore.user = string("ann");
	ignore.switch_case = TCPCHAT__V1__IGNORE__SWITCH_ON;
	check(REQUEST(0, IGNORE, ignore, ignore), "{\"op\":\"ignore\",\"user\":\"ann\",\"on\":false}");
}

TEST(fields_that_json_calls_otherwise_have_its_names)
{
	Tcpchat__V1__Session session;
	Tcpchat__V1__History history;

	tcpchat__v1__history__init(&history);
	tcpchat__v1__session__init(&session);
	session.name = string("bob");
	session.past_case = TCPCHAT__V1__SESSION__PAST_ALL_HISTORY;
	session.all_history = 1;
	check(REQUEST(0, SESSION, session, session), "{\"op\":\"session\",\"name\":\"bob\",\"history\":\"all\"}");
	history.end_case = TCPCHAT__V1__HISTORY__END_BEFORE_DATE;
	history.before_date = string("2026-11-21");
	check(REQUEST(0, HISTORY, history, history), "{\"op\":\"history\",\"before\":\"2026-11-21\"}");
}

TEST(a_request_without_anything_has_no_op)
{
	Tcpchat__V1__Request request;

	tcpchat__v1__request__init(&request);
	request.id = UINT64_MAX;
	check(&request, "{\"id\":18446744073709551615}");
}

/* Sets all fields of a message to 1, or "1", or true. */
static void fill(ProtobufCMessage *message)
{
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		void *value = (char *)message + field->offset;

		if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
			memcpy((char *)message + field->quantifier_offset, &field->id, sizeof field->id);
		if (field->type == PROTOBUF_C_TYPE_STRING)
			*(char **)value = string("1");
		else if (field->type == PROTOBUF_C_TYPE_UINT64)
			*(uint64_t *)value = 1;
		else
			*(protobuf_c_boolean *)value = 1;
	}
}

/* Whether event mode takes the op of that field of a request. */
static void check_op(const ProtobufCFieldDescriptor *field)
{
	const ProtobufCMessageDescriptor *kind = field->descriptor;
	Tcpchat__V1__Request request;
	ProtobufCMessage *op = calloc(1, kind->sizeof_message);
	struct request read;
	size_t size;
	char *json;

	tcpchat__v1__request__init(&request);
	CHECK(op != NULL);
	kind->message_init(op);
	fill(op);
	request.op_case = (Tcpchat__V1__Request__OpCase)field->id;
	memcpy((char *)&request + field->offset, &op, sizeof(ProtobufCMessage *));
	json = grpc_transcode(&request, &size);
	CHECK(json != NULL);
	request_read(&read, json, size);
	CHECK_TEXT(read.wrong == NULL ? "" : read.wrong, "");
	request_fini(&read);
	free(json);
	free(op);
}

TEST(every_request_of_the_proto_is_one_of_event_mode)
{
	const ProtobufCMessageDescriptor *descriptor = &tcpchat__v1__request__descriptor;

	CHECK(descriptor->n_fields > 20);
	for (unsigned i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

		if (field->descriptor != NULL && strcmp(field->name, "line") != 0) /* that is what event mode takes for a line */
			check_op(field);
	}
}
