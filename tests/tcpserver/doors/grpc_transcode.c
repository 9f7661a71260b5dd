#include "tcpserver/doors/grpc_transcode.h"

#include <stdlib.h>
#include <string.h>

#include "tcpserver/doors/request.h"

#include "tests/check.h"

static void check(const Tcpchat__V1__Request *request, const char *expected)
{
	size_t size;
	char *json = grpc_transcode(request, &size);

	CHECK(json != NULL);
	CHECK_BYTES(json, size, expected, strlen(expected));
	free(json);
}

/* A request with the message as its 'op'. */
#define REQUEST(number, CASE, field, message)                                                                                      \
	(&(Tcpchat__V1__Request){PROTOBUF_C_MESSAGE_INIT(&tcpchat__v1__request__descriptor), .id = (number),                       \
		.op_case = TCPCHAT__V1__REQUEST__OP_##CASE, .field = &(message)})

TEST(a_request_is_an_object_with_the_names_of_its_fields)
{
	Tcpchat__V1__Send send = TCPCHAT__V1__SEND__INIT;

	send.room = (char *)"tea";
	send.text = (char *)"a \"b\"\n\\";
	send.action = 1;
	check(REQUEST(7, SEND, send, send), "{\"id\":7,\"op\":\"send\",\"room\":\"tea\",\"text\":\"a \\\"b\\\"\\u000a\\\\\",\"action\":true}");
}

TEST(what_says_nothing_is_left_out_but_for_a_text_that_may_be_nothing)
{
	Tcpchat__V1__Send send = TCPCHAT__V1__SEND__INIT;
	Tcpchat__V1__Rooms rooms = TCPCHAT__V1__ROOMS__INIT;
	Tcpchat__V1__Join join = TCPCHAT__V1__JOIN__INIT;

	check(REQUEST(0, SEND, send, send), "{\"op\":\"send\",\"text\":\"\"}");
	check(REQUEST(0, ROOMS, rooms, rooms), "{\"op\":\"rooms\"}");
	check(REQUEST(3, JOIN, join, join), "{\"id\":3,\"op\":\"join\"}");
}

TEST(what_is_set_in_a_oneof_counts_also_when_it_is_nothing)
{
	Tcpchat__V1__Join join = TCPCHAT__V1__JOIN__INIT;
	Tcpchat__V1__Topic topic = TCPCHAT__V1__TOPIC__INIT;
	Tcpchat__V1__Ignore ignore = TCPCHAT__V1__IGNORE__INIT;

	join.room = (char *)"tea";
	join.resume_case = TCPCHAT__V1__JOIN__RESUME_AFTER;
	join.past_case = TCPCHAT__V1__JOIN__PAST_HISTORY;
	check(REQUEST(0, JOIN, join, join), "{\"op\":\"join\",\"room\":\"tea\",\"after\":0,\"history\":0}");
	topic.change_case = TCPCHAT__V1__TOPIC__CHANGE_TEXT;
	topic.text = (char *)"";
	check(REQUEST(0, TOPIC, topic, topic), "{\"op\":\"topic\",\"text\":\"\"}");
	ignore.user = (char *)"ann";
	ignore.switch_case = TCPCHAT__V1__IGNORE__SWITCH_ON;
	check(REQUEST(0, IGNORE, ignore, ignore), "{\"op\":\"ignore\",\"user\":\"ann\",\"on\":false}");
}

TEST(fields_that_json_calls_otherwise_have_its_names)
{
	Tcpchat__V1__Session session = TCPCHAT__V1__SESSION__INIT;
	Tcpchat__V1__History history = TCPCHAT__V1__HISTORY__INIT;

	session.name = (char *)"bob";
	session.past_case = TCPCHAT__V1__SESSION__PAST_ALL_HISTORY;
	session.all_history = 1;
	check(REQUEST(0, SESSION, session, session), "{\"op\":\"session\",\"name\":\"bob\",\"history\":\"all\"}");
	history.end_case = TCPCHAT__V1__HISTORY__END_BEFORE_DATE;
	history.before_date = (char *)"2026-11-21";
	check(REQUEST(0, HISTORY, history, history), "{\"op\":\"history\",\"before\":\"2026-11-21\"}");
}

TEST(a_request_without_anything_has_no_op)
{
	Tcpchat__V1__Request request = TCPCHAT__V1__REQUEST__INIT;

	request.id = UINT64_MAX;
	check(&request, "{\"id\":18446744073709551615}");
}

/* Every op of the proto is one of event mode: with what it needs, nothing is wrong with it. */
TEST(every_request_of_the_proto_is_one_of_event_mode)
{
	const ProtobufCMessageDescriptor *descriptor = &tcpchat__v1__request__descriptor;
	unsigned checked = 0;

	for (unsigned i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
		const ProtobufCMessageDescriptor *kind = field->descriptor;
		Tcpchat__V1__Request request = TCPCHAT__V1__REQUEST__INIT;
		ProtobufCMessage *op;
		struct request read;
		size_t size;
		char *json;

		if (kind == NULL)
			continue;
		op = calloc(1, kind->sizeof_message);
		CHECK(op != NULL);
		kind->message_init(op);
		for (unsigned j = 0; j < kind->n_fields; j++) {
			void *value = (char *)op + kind->fields[j].offset;

			if (kind->fields[j].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
				uint32_t which = kind->fields[j].id;

				memcpy((char *)op + kind->fields[j].quantifier_offset, &which, sizeof which);
			}
			if (kind->fields[j].type == PROTOBUF_C_TYPE_STRING)
				*(const char **)value = "1";
			else if (kind->fields[j].type == PROTOBUF_C_TYPE_UINT64)
				*(uint64_t *)value = 1;
			else
				*(protobuf_c_boolean *)value = 1;
		}
		request.op_case = (Tcpchat__V1__Request__OpCase)field->id;
		request.session = (Tcpchat__V1__Session *)op;
		json = grpc_transcode(&request, &size);
		CHECK(json != NULL);
		request_read(&read, json, size);
		if (read.wrong != NULL)
			printf("%.*s: %s\n", (int)size, json, read.wrong);
		CHECK(read.wrong == NULL);
		request_fini(&read);
		free(json);
		free(op);
		checked++;
	}
	CHECK_EQUAL(checked, descriptor->n_fields - 1);
}
