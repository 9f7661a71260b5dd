#include "tcpserver/doors/http_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/sync.h"
#include "tcpserver/doors/http_message.h"
#include "tests/check.h"

enum { BODY_LIMIT = 100000, OUTPUT_SIZE = 1 << 20 };

/* A client of an engine whose handler tells what it was asked. */
struct visitor {
	struct http_engine *engine;
	char *output;
	size_t size;
	size_t requests;
	size_t unread; /* bytes behind a request after which the handler took over */
};

static ssize_t source_read(void *context, char *out, size_t size)
{
	size_t *left = context;
	size_t length = *left < size ? *left : size;

	memset(out, 's', length);
	*left -= length;
	return (ssize_t)length;
}

static void handle(void *context, struct http_request *request, struct http_reply *reply)
{
	struct visitor *visitor = context;
	char *text;
	int size;

	visitor->requests++;
	if (strcmp(request->target, "/take") == 0) {
		reply->takes_over = true;
		return;
	}
	reply->closes = strcmp(request->target, "/close") == 0;
	if (strcmp(request->target, "/source") == 0) {
		size_t *left = malloc(sizeof *left);

		CHECK(left != NULL);
		*left = 500000;
		reply->status = 200;
		reply->source = (struct http_source){source_read, free, left};
		return;
	}
	if (strcmp(request->target, "/error") == 0) {
		http_reply_error(reply, 404, "no-such-room", "there is \"none\"");
		return;
	}
	size = asprintf(&text, "%s %s%s[%.*s]", request->method, request->target, request->is_old ? " old" : "",
		(int)request->body_size, request->body);
	CHECK(size >= 0);
	http_reply_give(reply, 200, "text/plain", text, (size_t)size);
	http_reply_add(reply, "X-Field", "%s", http_field(request, "X-Field") == NULL ? "-" : http_field(request, "X-Field"));
}

static void drain(struct visitor *visitor)
{
	size_t size;

	while ((size = http_engine_drain(visitor->engine, visitor->output + visitor->size, OUTPUT_SIZE - visitor->size - 1)) > 0)
		visitor->size += size;
	visitor->output[visitor->size] = '\0';
}

static struct visitor come(void)
{
	struct visitor visitor = {.output = calloc(1, OUTPUT_SIZE)};

	CHECK(visitor.output != NULL);
	return visitor;
}

/* The visitor stays where it is from here on. */
static void begin(struct visitor *visitor)
{
	struct http_engine_options options = {.body_limit = BODY_LIMIT, .handle = handle, .context = visitor};

	visitor->engine = http_engine_create(&options);
	CHECK(visitor->engine != NULL);
}

static void say(struct visitor *visitor, const char *bytes, size_t step)
{
	size_t size = strlen(bytes);

	while (size > 0 && visitor->engine->state == HTTP_ENGINE_LISTENS) {
		size_t taken = http_engine_feed(visitor->engine, bytes, size < step ? size : step);

		drain(visitor);
		bytes += taken;
		size -= taken;
	}
	visitor->unread = size;
}

static void leave(struct visitor *visitor)
{
	http_engine_destroy(visitor->engine);
	free(visitor->output);
}

/* Says the bytes, and returns a copy of the answer. */
static char *answer(const char *bytes, size_t step, enum http_engine_state state)
{
	struct visitor visitor = come();
	char *output;

	begin(&visitor);
	say(&visitor, bytes, step);
	CHECK_EQUAL(visitor.engine->state, state);
	output = strdup(visitor.output);
	CHECK(output != NULL);
	leave(&visitor);
	return output;
}

static void expect(const char *bytes, enum http_engine_state state, const char *part)
{
	for (size_t step = 1; step < 100000; step *= 7) {
		char *output = answer(bytes, step, state);

		CHECK_CONTAINS(output, part);
		free(output);
	}
}

TEST(a_request_is_answered_however_it_is_cut)
{
	expect("GET /a?b=%2F HTTP/1.1\r\nHost: a\r\nX-Field: y\r\n\r\n", HTTP_ENGINE_LISTENS, "GET /a?b=%2F[]");
	expect("GET / HTTP/1.1\r\nHost: a\r\nX-Field: y\r\n\r\n", HTTP_ENGINE_LISTENS, "X-Field: y\r\n");
	expect("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\na\r\n\r\nbc", HTTP_ENGINE_LISTENS, "POST /a[a\r\n\r\nbc]");
	expect("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x\r\nd\r\n0\r\nT: t\r\n\r\n",
		HTTP_ENGINE_LISTENS, "POST /a[abcd]");
	expect("GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_ENGINE_LISTENS, "GET http://a/b[]");
	expect("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_ENGINE_LISTENS, "OPTIONS *[]");
	expect("GET /error HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_ENGINE_LISTENS,
		"{\"error\":{\"code\":\"no-such-room\",\"text\":\"there is \\\"none\\\"\"}}");
}

TEST(a_connection_stays_or_closes_as_the_client_and_the_handler_want)
{
	expect("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", HTTP_ENGINE_CLOSES, "GET /[]");
	expect("GET / HTTP/1.0\r\n\r\n", HTTP_ENGINE_CLOSES, "GET / old[]");
	expect("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", HTTP_ENGINE_LISTENS, "GET / old[]");
	expect("GET /close HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_ENGINE_CLOSES, "Connection: close");
}

TEST(requests_that_follow_each_other_are_answered_in_order)
{
	for (size_t step = 1; step < 2000; step *= 3) {
		char *output = answer("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb"
			"\r\nPOST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\n\r\n"
			"GET /4 HTTP/1.1\r\nHost: a\r\n\r\n", step, HTTP_ENGINE_LISTENS);
		const char *first = strstr(output, "GET /1[]");
		const char *second = first == NULL ? NULL : strstr(first, "POST /2[b]");
		const char *third = second == NULL ? NULL : strstr(second, "POST /3[c]");

		CHECK(third != NULL && strstr(third, "GET /4[]") != NULL);
		free(output);
	}
}

TEST(a_head_has_no_body)
{
	char *output = answer("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n", 1000, HTTP_ENGINE_LISTENS);

	CHECK_CONTAINS(output, "Content-Length: 9\r\n");
	CHECK(strstr(output, "HEAD /a[]") == NULL);
	free(output);
}

TEST(who_wants_to_be_told_to_go_on_is_told)
{
	struct visitor visitor = come();

	begin(&visitor);
	say(&visitor, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", 1000);
	CHECK_TEXT(visitor.output, "HTTP/1.1 100 Continue\r\n\r\n");
	say(&visitor, "x", 1);
	CHECK_CONTAINS(visitor.output, "POST /[x]");
	leave(&visitor);
}

TEST(what_is_too_large_is_refused_before_it_comes)
{
	struct visitor visitor = come();

	begin(&visitor);
	say(&visitor, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\nExpect: 100-continue\r\n\r\n", 1000);
	CHECK_EQUAL(visitor.engine->state, HTTP_ENGINE_REFUSES);
	CHECK_EQUAL(visitor.engine->frame.status, 413);
	CHECK_EQUAL(visitor.size, 0);
	leave(&visitor);
}

TEST(a_large_body_comes_whole)
{
	struct visitor visitor = come();
	char *body = malloc(BODY_LIMIT + 1);

	CHECK(body != NULL);
	memset(body, 'b', BODY_LIMIT);
	body[BODY_LIMIT] = '\0';
	begin(&visitor);
	say(&visitor, "POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", 1000);
	say(&visitor, body, 65536);
	CHECK_CONTAINS(visitor.output, body);
	free(body);
	leave(&visitor);
}

TEST(a_source_is_streamed)
{
	char *output = answer("GET /source HTTP/1.1\r\nHost: a\r\n\r\n", 1000, HTTP_ENGINE_LISTENS);
	size_t count = 0;

	CHECK_CONTAINS(output, "Transfer-Encoding: chunked\r\n");
	for (const char *byte = strstr(output, "\r\n\r\n"); *byte != '\0'; byte++)
		count += *byte == 's';
	CHECK_EQUAL(count, 500000);
	CHECK_TEXT(output + strlen(output) - 5, "0\r\n\r\n");
	free(output);
}

TEST(a_handler_takes_over_with_all_that_follows)
{
	for (size_t step = 1; step < 2000; step *= 3) {
		struct visitor visitor = come();

		begin(&visitor);
		say(&visitor, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /take HTTP/1.1\r\nHost: a\r\n\r\n\x81\x80\r\n\r\nabc", step);
		CHECK_EQUAL(visitor.engine->state, HTTP_ENGINE_YIELDS);
		CHECK_EQUAL(visitor.unread, 9);
		CHECK_CONTAINS(visitor.output, "GET /1[]");
		CHECK(strstr(strstr(visitor.output, "GET /1[]"), "HTTP/1.1") == NULL);
		leave(&visitor);
	}
}

TEST(an_engine_that_rests_goes_on)
{
	struct visitor visitor = come();

	begin(&visitor);
	CHECK(visitor.engine->daemon == NULL);
	say(&visitor, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HT", 1000);
	CHECK(http_engine_is_fed(visitor.engine));
	http_engine_rest(visitor.engine);
	say(&visitor, "TP/1.1\r\nHost: a\r\n\r\n", 1000);
	CHECK_CONTAINS(visitor.output, "GET /2[]");
	CHECK(!http_engine_is_fed(visitor.engine));
	leave(&visitor);
}

TEST(descriptors_may_be_above_1024)
{
	struct rlimit limit = {0};

	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	if (limit.rlim_cur < 1200)
		SKIP("the limit of descriptors here is below 1200");
	for (int i = 0; i < 1100; i++)
		CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
	expect("GET /high HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_ENGINE_LISTENS, "GET /high[]");
}

TEST(nothing_is_left_of_many_engines)
{
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int after;

	for (int i = 0; i < 100; i++)
		expect("GET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_ENGINE_LISTENS, "GET /[]");
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK_EQUAL(after, before + 1);
}

/* Not a test of speed, but where the figures in ARCHITECTURE.md come from. */
TEST(a_request_costs_some_microseconds)
{
	struct visitor visitor = come();
	long long begun_ms;
	enum { COUNT = 2000 };

	begin(&visitor);
	begun_ms = clock_ms();
	for (int i = 0; i < COUNT; i++, visitor.size = 0)
		say(&visitor, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1000);
	(void)printf("%.1f us a request\n", (double)(clock_ms() - begun_ms) * 1000 / COUNT);
	begun_ms = clock_ms();
	for (int i = 0; i < COUNT; i++, visitor.size = 0) {
		say(&visitor, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1000);
		http_engine_rest(visitor.engine);
	}
	(void)printf("%.1f us a request with a new daemon\n", (double)(clock_ms() - begun_ms) * 1000 / COUNT);
	CHECK_EQUAL(visitor.requests, 2 * COUNT);
	leave(&visitor);
}
