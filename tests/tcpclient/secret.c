#include "tcpclient/secret.h"

#include <string.h>

#include "tests/check.h"

static bool is_secret(const char *text)
{
	return secret_is_in(text, strlen(text));
}

TEST(a_password_is_a_secret)
{
	CHECK(is_secret("/admin 12345"));
	CHECK(is_secret("/admin\t12345"));
	CHECK(is_secret("/ADMIN 12345"));
	CHECK(is_secret("/amdin 12345"));
	CHECK(is_secret("/admn 12345"));
	CHECK(is_secret(" /admin 12345"));
	CHECK(is_secret("hello\n/admin 12345\n"));
}

TEST(what_else_is_said_is_none)
{
	CHECK(!is_secret(""));
	CHECK(!is_secret("\n\n"));
	CHECK(!is_secret("/"));
	CHECK(!is_secret("admin 12345"));
	CHECK(!is_secret("//admin is a command"));
	CHECK(!is_secret("/help admin"));
	CHECK(!is_secret("/join admin"));
	CHECK(!is_secret("/dm admin hello"));
	CHECK(!is_secret("/administrators-of-all-lands hello"));
}
