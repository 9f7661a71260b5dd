#include "tcpserver/doors/http_message.h"

#include <stdlib.h>
#include <string.h>

#include "tcpserver/doors/http_call.h"
#include "tests/check.h"

static struct http_request request_of(const char *method, const char *target)
{
	struct http_request request = {.method = method, .target = target};

	CHECK_TEXT(http_request_split(&request), NULL);
	return request;
}

TEST(a_target_is_split_and_decoded)
{
	struct http_request request = request_of("GET", "/rooms/a%2Fb%20c/?x=1&y=a+b%26&x=2&z&=no#part");

	CHECK_EQUAL(request.segment_count, 3);
	CHECK_TEXT(request.segments[0], "rooms");
	CHECK_TEXT(request.segments[1], "a/b c");
	CHECK_TEXT(request.segments[2], "");
	CHECK_TEXT(http_query(&request, "x"), "1");
	CHECK_TEXT(http_query(&request, "y"), "a b&");
	CHECK_TEXT(http_query(&request, "z"), "");
	CHECK_TEXT(http_query(&request, "w"), NULL);
	http_request_fini(&request);
	request = request_of("GET", "http://user@host:80/path?a=b");
	CHECK_TEXT(request.authority, "user@host:80");
	CHECK_TEXT(request.segments[0], "path");
	CHECK_TEXT(http_query(&request, "a"), "b");
	http_request_fini(&request);
}

TEST(a_target_that_is_none_is_refused)
{
	static const char *const wrong[] = {"x", "*", "http://host", "/%", "/%1", "/%zz", "/%00", "/%ff", "/%c3", "/%0a", "/\xff",
		"/?%", "/?a=%00", "/?a=%ed%a0%80", "/a/a/a/a/a/a/a/a/a", "/?a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a"};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct http_request request = {.method = "GET", .target = wrong[i]};

		if (http_request_split(&request) == NULL)
			FAIL("not refused: %s", wrong[i]);
		http_request_fini(&request);
	}
}

TEST(numbers_are_decimal_digits_alone)
{
	uint64_t number = 7;

	CHECK(http_number("0", &number) && number == 0);
	CHECK(http_number("999999999999999999", &number) && number == 999999999999999999);
	CHECK(!http_number("", &number) && !http_number("-1", &number) && !http_number("+1", &number));
	CHECK(!http_number(" 1", &number) && !http_number("1x", &number) && !http_number("1000000000000000000", &number));
}

TEST(a_request_finds_its_handler_or_what_is_allowed)
{
	static const struct {
		const char *method;
		const char *target;
		void (*handle)(struct http_call *call);
		const char *allowed;
	} routes[] = {
		{"GET", "/", http_root, "GET, HEAD"},
		{"HEAD", "/", http_root, "GET, HEAD"},
		{"GET", "/rooms/tea", http_room_show, "GET, HEAD, DELETE"},
		{"DELETE", "/rooms/tea?x", http_room_delete, "GET, HEAD, DELETE"},
		{"POST", "/rooms/tea", NULL, "GET, HEAD, DELETE"},
		{"POST", "/rooms/a%2Fb/messages", http_messages_post, "GET, HEAD, POST"},
		{"GET", "/rooms/tea/stream", http_room_stream, "GET, HEAD"},
		{"get", "/rooms", NULL, "GET, HEAD, POST"},
		{"GET", "/rooms/", NULL, ""},
		{"GET", "/rooms//stream", NULL, ""},
		{"GET", "/rooms/tea/stream/", NULL, ""},
		{"GET", "/Rooms", NULL, ""},
		{"GET", "//", NULL, ""},
		{"OPTIONS", "*", NULL, ""},
	};

	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		struct http_request request = request_of(routes[i].method, routes[i].target);
		const char *captures[HTTP_CAPTURES_MAX] = {NULL};
		char allowed[HTTP_ALLOWED_SIZE];
		const struct http_route *found = http_route_find(&request, captures, allowed);

		CHECK((found == NULL ? NULL : found->handle) == routes[i].handle);
		CHECK_TEXT(allowed, routes[i].allowed);
		http_request_fini(&request);
	}
}

TEST(a_reply_cannot_be_given_another_field)
{
	struct http_reply reply = {.status = 0};
	char *bytes;
	size_t size;

	http_reply_error(&reply, 404, "no-such-room", "%s", "\"<b>\"\n");
	http_reply_add(&reply, "Location", "%s", "/a\r\nSet-Cookie: b");
	http_reply_add(&reply, "X-Fine", "%d", 1);
	bytes = http_reply_print(&reply, true, &size);
	CHECK(bytes != NULL);
	CHECK_CONTAINS(bytes, "HTTP/1.1 404 Not Found\r\n");
	CHECK_CONTAINS(bytes, "X-Fine: 1\r\n");
	CHECK_CONTAINS(bytes, "{\"error\":{\"code\":\"no-such-room\",\"text\":\"\\\"<b>\\\"\\u000a\"}}\n");
	CHECK(strstr(bytes, "Set-Cookie") == NULL);
	free(bytes);
	http_reply_fini(&reply);
}
