#include "tcpserver/doors/grpc_request.h"

#include <stdlib.h>
#include <string.h>

#include "tcpserver/doors/grpc_call.h"
#include "tests/check.h"

static struct grpc_request request;
static struct grpc_call call;
static struct grpc_refusal refusal;

static void take(const char *name, const char *value)
{
	grpc_request_take(&request, &call, name, strlen(name), value, strlen(value));
}

static void take_good(void)
{
	take(":method", "POST");
	take(":scheme", "http");
	take(":path", "/rpc.ChatService/Chat");
	take("content-type", "application/grpc");
	take("te", "trailers");
}

static bool is_good(void)
{
	return grpc_request_is_good(&request, &call, &refusal);
}

static long long timeout(const char *value)
{
	long long timeout_ms = -1;

	return grpc_timeout_read(value, strlen(value), &timeout_ms) ? timeout_ms : -1;
}

TEST(a_call_of_a_method_that_is_there_is_good)
{
	take_good();
	CHECK(is_good());
	CHECK_TEXT(call.method->path, "/rpc.ChatService/Chat");
	CHECK(!request.has_timeout);
}

TEST(a_content_type_is_that_of_grpc_with_proto_or_parameters)
{
	static const char *const good[] = {"application/grpc", "application/grpc+proto", "Application/GRPC",
		"application/grpc;x=y", "application/grpc+proto; x"};
	static const char *const bad[] = {"", "application/json", "application/grpcx", "application/grpc+json",
		"application/grpc-web", "application/gr"};

	take_good();
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		take("content-type", good[i]);
		CHECK(is_good());
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		take("content-type", bad[i]);
		CHECK(!is_good());
		CHECK_EQUAL(refusal.http_status, 415);
	}
}

TEST(only_post_calls)
{
	take_good();
	take(":method", "GET");
	CHECK(!is_good());
	CHECK_EQUAL(refusal.http_status, 405);
}

TEST(an_unknown_method_is_unimplemented_and_named)
{
	take_good();
	take(":path", "/rpc.ChatService/Chatter");
	CHECK(!is_good());
	CHECK_EQUAL(refusal.http_status, 200);
	CHECK_EQUAL(refusal.code, GRPC_UNIMPLEMENTED);
	CHECK_TEXT(refusal.words, "unknown method /rpc.ChatService/Chatter");
}

TEST(a_long_path_is_cut)
{
	char path[2 * GRPC_PATH_SIZE];

	memset(path, 'x', sizeof path);
	path[sizeof path - 1] = '\0';
	take_good();
	take(":path", path);
	CHECK(!is_good());
	CHECK_EQUAL(strlen(refusal.words), strlen("unknown method ") + GRPC_PATH_SIZE - 1);
}

TEST(an_encoding_that_is_not_identity_is_unimplemented)
{
	take_good();
	take("grpc-encoding", "identity");
	CHECK(is_good());
	take("grpc-encoding", "gzip");
	CHECK(!is_good());
	CHECK_EQUAL(refusal.code, GRPC_UNIMPLEMENTED);
}

TEST(a_timeout_is_digits_and_a_unit)
{
	CHECK_EQUAL(timeout("1H"), 3600 * 1000);
	CHECK_EQUAL(timeout("2M"), 120 * 1000);
	CHECK_EQUAL(timeout("3S"), 3000);
	CHECK_EQUAL(timeout("40m"), 40);
	CHECK_EQUAL(timeout("1500u"), 2);
	CHECK_EQUAL(timeout("1n"), 1);
	CHECK_EQUAL(timeout("0n"), 0);
	CHECK_EQUAL(timeout("99999999H"), 99999999LL * 3600 * 1000);
	CHECK_EQUAL(timeout("S"), -1);
	CHECK_EQUAL(timeout(""), -1);
	CHECK_EQUAL(timeout("5"), -1);
	CHECK_EQUAL(timeout("5s"), -1);
	CHECK_EQUAL(timeout("-5S"), -1);
	CHECK_EQUAL(timeout("123456789m"), -1);
}

TEST(a_bad_timeout_is_an_invalid_argument)
{
	take_good();
	take("grpc-timeout", "soon");
	CHECK(!is_good());
	CHECK_EQUAL(refusal.code, GRPC_INVALID_ARGUMENT);
}

TEST(metadata_is_kept_as_far_as_methods_know_it)
{
	take_good();
	take("authorization", "Basic YTpi");
	take("chat-session", "00");
	take("x-other", "y");
	CHECK(is_good());
	CHECK_TEXT(call.authorization, "Basic YTpi");
	CHECK_TEXT(call.chat_session, "00");
}

TEST(credentials_that_are_too_long_to_be_ours_count_as_none)
{
	char value[GRPC_METADATA_SIZE + 1];

	memset(value, 'x', sizeof value);
	value[sizeof value - 1] = '\0';
	take_good();
	take("authorization", value);
	take("chat-session", value);
	CHECK(is_good());
	CHECK_TEXT(call.authorization, "");
	CHECK_TEXT(call.chat_session, "");
	value[sizeof value - 2] = '\0';
	take("authorization", value);
	CHECK_TEXT(call.authorization, value);
}

TEST(headers_that_are_too_large_are_told_so)
{
	char value[GRPC_METADATA_SIZE + 1];

	memset(value, 'x', sizeof value);
	value[sizeof value - 1] = '\0';
	take_good();
	for (int i = 0; i < GRPC_HEADERS_MOST / GRPC_METADATA_SIZE; i++)
		take("x", value);
	CHECK(!is_good());
	CHECK_EQUAL(refusal.http_status, 431);
}
