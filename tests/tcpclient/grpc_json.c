/* Event mode in the messages of tcpchat.v1, and back. */
#include "tcpclient/grpc_json.h"

#include <stdlib.h>
#include <string.h>

#include "tcpclient/event.h"
#include "tcpclient/request.h"
#include "tests/check.h"

/* The request that a line becomes; the caller frees it. */
static Tcpchat__V1__Request *request_of(const char *line)
{
	struct buffer out = {0};
	Tcpchat__V1__Request *request;
	long long id;

	CHECK(grpc_json_request(&out, line, strlen(line), &id));
	request = tcpchat__v1__request__unpack(NULL, out.size, (const uint8_t *)out.bytes);
	CHECK(request != NULL && request->base.n_unknown_fields == 0);
	buffer_fini(&out);
	return request;
}

static void done(Tcpchat__V1__Request *request)
{
	tcpchat__v1__request__free_unpacked(request, NULL);
}

TEST(a_message_to_be_said_has_its_number_and_its_room)
{
	Tcpchat__V1__Request *request = request_of("{\"op\":\"send\",\"room\":\"tea\",\"action\":true,\"text\":\"h\\u00f6t\",\"id\":7}");

	CHECK_EQUAL(request->op_case, TCPCHAT__V1__REQUEST__OP_SEND);
	CHECK_EQUAL(request->id, 7);
	CHECK_TEXT(request->send->room, "tea");
	CHECK_TEXT(request->send->text, "h\xC3\xB6t");
	CHECK(request->send->action);
	done(request);
}

TEST(where_to_read_on_is_told_from_what_was_said_before)
{
	Tcpchat__V1__Request *request = request_of("{\"op\":\"join\",\"room\":\"tea\",\"after\":0,\"history\":\"none\"}");

	CHECK_EQUAL(request->join->resume_case, TCPCHAT__V1__JOIN__RESUME_AFTER);
	CHECK_EQUAL(request->join->past_case, TCPCHAT__V1__JOIN__PAST_HISTORY);
	CHECK_EQUAL(request->join->history, 0);
	done(request);
	request = request_of("{\"op\":\"join\",\"history\":\"all\"}");
	CHECK(request->join->past_case == TCPCHAT__V1__JOIN__PAST_ALL_HISTORY && request->join->all_history);
	CHECK_EQUAL(request->join->resume_case, TCPCHAT__V1__JOIN__RESUME__NOT_SET);
	done(request);
	request = request_of("{\"op\":\"history\",\"count\":3,\"before\":\"2026-11-21\"}");
	CHECK_EQUAL(request->history->end_case, TCPCHAT__V1__HISTORY__END_BEFORE_DATE);
	CHECK_TEXT(request->history->before_date, "2026-11-21");
	done(request);
	request = request_of("{\"op\":\"history\",\"before\":9}");
	CHECK_EQUAL(request->history->before, 9);
	done(request);
	request = request_of("{\"op\":\"search\",\"words\":\"x\",\"before\":\"2026-11-21\"}");
	CHECK_TEXT(request->search->before, "2026-11-21");
	done(request);
}

/* All that a person may type becomes something. */
TEST(what_is_typed_becomes_a_request_or_a_line)
{
	static const char *const typed[] = {"hello", "//x", "/me waves", "/dm \"ann b\" hi", "/join tea --history 3 after 7", "/leave", "/nick bob",
		"/who tea", "/rooms", "/search a b", "/ignore ann --on", "/topic x", "/mark 7 tea", "/history 5 before 2026-11-21 in tea",
		"/ping", "/help", "/help dm", "/switch tea", "/latest", "/invite ann", "/admin x", "/new-room", "/delete-room tea"};

	for (size_t i = 0; i < sizeof typed / sizeof typed[0]; i++) {
		struct buffer out = {0};
		Tcpchat__V1__Request *request;

		CHECK(request_write(&out, "tea", typed[i], strlen(typed[i]), -9));
		out.bytes[out.size - 1] = '\0';
		request = request_of(out.bytes);
		CHECK(request->op_case != TCPCHAT__V1__REQUEST__OP__NOT_SET && request->op_case != TCPCHAT__V1__REQUEST__OP_LINE);
		CHECK(grpc_json_id(request->id) == -9);
		done(request);
		buffer_fini(&out);
	}
	Tcpchat__V1__Request *request = request_of("/topic --clear");

	CHECK_EQUAL(request->op_case, TCPCHAT__V1__REQUEST__OP_LINE);
	CHECK_TEXT(request->line->text, "/topic --clear");
	done(request);
}

/* A server that is none of ours may tell any number. */
TEST(numbers_of_requests_are_read_back_whatever_they_are)
{
	const uint64_t ours_from = UINT64_C(1) << 62;

	CHECK(grpc_json_id(7) == 7);
	CHECK(grpc_json_id(ours_from) == INT64_C(1) << 62);
	CHECK(grpc_json_id(ours_from + 9) == -9);
	CHECK(grpc_json_id(ours_from + (UINT64_C(1) << 63)) == INT64_MIN);
	CHECK(grpc_json_id(UINT64_MAX) != -9);
}

TEST(what_has_no_place_in_a_message_is_refused_with_its_number)
{
	static const char *const wrong[] = {"{\"op\":\"frobnicate\",\"id\":3}", "{\"id\":3}", "{\"op\":\"id\",\"id\":3}",
		"{\"op\":\"who\",\"more\":1,\"id\":3}", "{\"op\":\"who\",\"room\":1,\"id\":3}", "{\"op\":\"mark\",\"seq\":-1,\"id\":3}"};
	struct buffer out = {0};
	long long id;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		CHECK(!grpc_json_request(&out, wrong[i], strlen(wrong[i]), &id));
		CHECK_EQUAL(id, 3);
		CHECK_EQUAL(out.size, 0);
	}
	CHECK(!grpc_json_request(&out, "{no", 3, &id));
	CHECK_EQUAL(id, 0);
	buffer_fini(&out);
}

TEST(an_event_is_read_as_event_mode_tells_it)
{
	Tcpchat__V1__Event told;
	struct event event = {0};
	struct buffer line = {0};
	char text[] = "old \"words\"", room[] = "tea", name[] = "ann", code[] = "found";

	tcpchat__v1__event__init(&told);
	told.kind = TCPCHAT__V1__EVENT__KIND__KIND_ROOM_CLOSED;
	told.seq = 9;
	told.room = room;
	told.participant = name;
	told.text = text;
	told.code = code;
	told.history = true;
	told.last = 12;
	told.at_ns = 1763712000123456789;
	told.id = (UINT64_C(1) << 62) + 4;
	grpc_json_event(&line, &told);
	CHECK(event_read(&event, line.bytes, line.size - 1));
	CHECK_EQUAL(event.kind, EVENT_ROOM_CLOSED);
	CHECK(event.seq == 9 && event.last == 12 && event.at == 1763712000 && event.id == -4 && event.history);
	CHECK_TEXT(event.room, "tea");
	CHECK_TEXT(event.participant, "ann");
	CHECK_TEXT(event.text, text);
	CHECK_TEXT(event.code, "found");
	event_fini(&event);
	buffer_fini(&line);
}

TEST(a_farewell_and_what_nobody_knows_are_events_too)
{
	Tcpchat__V1__Event told;
	struct event event = {0};
	struct buffer line = {0};
	char bad[] = "\xff\n";

	tcpchat__v1__event__init(&told);
	told.kind = TCPCHAT__V1__EVENT__KIND__KIND_FAREWELL;
	grpc_json_event(&line, &told);
	CHECK(event_read(&event, line.bytes, line.size - 1));
	CHECK_EQUAL(event.kind, EVENT_NOTICE);
	CHECK_TEXT(event.type, "server_shutting_down");
	buffer_clear(&line);
	told.kind = (Tcpchat__V1__Event__Kind)99;
	told.text = bad;
	told.at_ns = INT64_MIN;
	grpc_json_event(&line, &told);
	CHECK(memchr(line.bytes, '\n', line.size) == line.bytes + line.size - 1);
	CHECK(event_read(&event, line.bytes, line.size - 1));
	CHECK_EQUAL(event.kind, EVENT_OTHER);
	event_fini(&event);
	buffer_fini(&line);
}
