#include "tcpserver/doors/http_frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

enum { BODY_LIMIT = 1000 };

/* Feeds the bytes in pieces of 'step', and checks that the request is complete with the last of 'whole' bytes. */
static void expect_whole(const char *bytes, size_t whole, size_t step)
{
	struct http_frame frame;
	size_t place = 0;

	http_frame_init(&frame, BODY_LIMIT);
	while (place < strlen(bytes) && (frame.state == HTTP_FRAME_HEADER || frame.state == HTTP_FRAME_BODY)) {
		size_t size = strlen(bytes) - place < step ? strlen(bytes) - place : step;

		while (size > 0) {
			size_t taken = http_frame_take(&frame, bytes + place, size);

			if (taken == 0)
				break;
			place += taken;
			size -= taken;
		}
	}
	if (frame.state != HTTP_FRAME_WHOLE)
		FAIL("not whole (%s) in steps of %zu: %s", frame.wrong == NULL ? "" : frame.wrong, step, bytes);
	CHECK_EQUAL(place, whole);
	http_frame_fini(&frame);
}

static void expect_wrong(const char *bytes, int status)
{
	for (size_t step = 1; step < 3; step++) {
		struct http_frame frame;
		size_t place = 0;
		size_t taken = 1;

		http_frame_init(&frame, BODY_LIMIT);
		for (; place < strlen(bytes) && taken > 0; place += taken)
			taken = http_frame_take(&frame, bytes + place, strlen(bytes + place) < step ? strlen(bytes + place) : step);
		if (frame.state != HTTP_FRAME_WRONG)
			FAIL("not refused: %s", bytes);
		CHECK_EQUAL(frame.status, status);
		http_frame_fini(&frame);
	}
}

TEST(a_request_ends_where_it_says_however_it_is_cut)
{
	static const char *const requests[] = {
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"GET http://a/b?c HTTP/1.1\r\nHost: a:80\r\nX-Empty:\r\nX-Tab:\ta\tb \r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH:\t7 \r\n\r\n\r\n\r\n\r\n!",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\r\n\r\r\n1;x=\"y\"\r\na\r\n000\r\nA: b\r\n\r\n",
	};
	char both[4096];

	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
		for (size_t step = 1; step < 200; step += step < 8 ? 1 : 37) {
			(void)snprintf(both, sizeof both, "%s%s", requests[i], "GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
			expect_whole(both, strlen(requests[i]), step);
		}
	}
}

TEST(what_two_readers_could_understand_in_two_ways_is_refused)
{
	static const struct {
		int status;
		const char *request;
	} wrong[] = {
		{400, "GET / HTTP/1.1\nHost: a\n\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\r\nA: b\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\rA: b\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\r\nno field\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n"},
		{400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET /\r\nHost: a\r\n\r\n"},
		{400, "GET / http/1.1\r\nHost: a\r\n\r\n"},
		{400, "G@T / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
		{505, "PRI * HTTP/2.0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\na"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\na"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
		{413, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"},
		{413, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\n\r\na\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n000000001\r\na\r\n0\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n folded\r\n\r\n"},
		{400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno field\r\n\r\n"},
	};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		expect_wrong(wrong[i].request, wrong[i].status);
}

TEST(a_call_of_grpc_is_refused_before_its_body)
{
	static const char *const types[] = {"application/grpc", "Application/gRPC+proto", "application/grpc-web; x=1"};

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		struct http_frame frame;
		char request[200];
		int size = snprintf(request, sizeof request,
			"POST /rpc.ChatService/Chat HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n",
			types[i]);

		http_frame_init(&frame, 1000);
		(void)http_frame_take(&frame, request, (size_t)size);
		CHECK_EQUAL(frame.state, HTTP_FRAME_WRONG);
		CHECK_EQUAL(frame.status, 505);
		http_frame_fini(&frame);
	}
}

TEST(a_header_has_limits)
{
	static char request[HTTP_HEADER_SIZE_MAX + 100];
	size_t size;

	(void)snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	size = strlen(request);
	memset(request + size, 'x', HTTP_HEADER_SIZE_MAX - 4 - size);
	(void)snprintf(request + HTTP_HEADER_SIZE_MAX - 4, 5, "\r\n\r\n");
	expect_whole(request, HTTP_HEADER_SIZE_MAX, 1000);
	(void)snprintf(request + HTTP_HEADER_SIZE_MAX - 4, 6, "x\r\n\r\n");
	expect_wrong(request, 431);

	(void)snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < HTTP_FIELDS_MAX; i++)
		(void)snprintf(request + strlen(request), sizeof request - strlen(request), "X: y\r\n");
	(void)snprintf(request + strlen(request), sizeof request - strlen(request), "\r\n");
	expect_wrong(request, 431);
}

TEST(the_lines_between_chunks_have_limits)
{
	static char request[HTTP_TRAILER_SIZE_MAX + 500];
	size_t size;

	(void)snprintf(request, sizeof request, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;");
	size = strlen(request);
	memset(request + size, 'x', HTTP_CHUNK_LINE_MAX);
	expect_wrong(request, 431);
	(void)snprintf(request + size - 2, sizeof request - size, "0\r\nX:");
	size = strlen(request);
	memset(request + size, 'x', HTTP_TRAILER_SIZE_MAX);
	request[size + HTTP_TRAILER_SIZE_MAX] = '\0';
	expect_wrong(request, 431);
}
