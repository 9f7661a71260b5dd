#include "tcpserver/doors/sniff.h"

#include <string.h>

#include "tests/check.h"

static enum protocol sniff(const char *text)
{
	return sniff_protocol(text, strlen(text));
}

TEST(a_request_line_is_http)
{
	CHECK_EQUAL(sniff("GET / HTTP/1.1\r\n"), PROTOCOL_HTTP);
	CHECK_EQUAL(sniff("POST /chat?name=a HTTP/1.1"), PROTOCOL_HTTP);
	CHECK_EQUAL(sniff("OPTIONS * HTTP/1.1"), PROTOCOL_HTTP);
	CHECK_EQUAL(sniff("DELETE http://a/b HTTP/1.1"), PROTOCOL_HTTP);
	CHECK_EQUAL(sniff("GET https:"), PROTOCOL_HTTP);
}

TEST(the_preface_of_http2_is_http2_and_nothing_less_is)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

	CHECK_EQUAL(sniff(preface), PROTOCOL_HTTP2);
	for (size_t size = 1; size < sizeof preface - 1; size++)
		CHECK_EQUAL(sniff_protocol(preface, size), PROTOCOL_OPEN);
	CHECK_EQUAL(sniff("PRI * HTTP/1.1\r\n"), PROTOCOL_HTTP);
	CHECK_EQUAL(sniff("PRI / HTTP/2.0\r\n"), PROTOCOL_HTTP);
	CHECK_EQUAL(sniff("PRIscilla\n"), PROTOCOL_LINES);
}

TEST(a_name_is_lines_even_if_it_is_that_of_a_method)
{
	CHECK_EQUAL(sniff("GET\n"), PROTOCOL_LINES);
	CHECK_EQUAL(sniff("POST haste\n"), PROTOCOL_LINES);
	CHECK_EQUAL(sniff("GET https\n"), PROTOCOL_LINES);
	CHECK_EQUAL(sniff("get / HTTP/1.1"), PROTOCOL_LINES);
	CHECK_EQUAL(sniff("bob"), PROTOCOL_LINES);
	CHECK_EQUAL(sniff("\n"), PROTOCOL_LINES);
	CHECK_EQUAL(sniff("{\"op\":\"session\"}"), PROTOCOL_LINES);
	CHECK_EQUAL(sniff("/join"), PROTOCOL_LINES);
	CHECK_EQUAL(sniff("\xFF\xFB\x1F"), PROTOCOL_LINES);
}

TEST(a_handshake_is_tls_and_its_first_byte_is_open)
{
	CHECK_EQUAL(sniff("\x16"), PROTOCOL_OPEN);
	CHECK_EQUAL(sniff("\x16\x03"), PROTOCOL_TLS);
	CHECK_EQUAL(sniff("\x16\x03\x01\x02"), PROTOCOL_TLS);
	CHECK_EQUAL(sniff("\x16\x02"), PROTOCOL_LINES);
	CHECK_EQUAL(sniff("\x15\x03"), PROTOCOL_LINES);
}

TEST(what_may_become_one_or_the_other_is_open)
{
	CHECK_EQUAL(sniff_protocol("", 0), PROTOCOL_OPEN);
	CHECK_EQUAL(sniff("G"), PROTOCOL_OPEN);
	CHECK_EQUAL(sniff("GET "), PROTOCOL_OPEN);
	CHECK_EQUAL(sniff("GET https"), PROTOCOL_OPEN);
	CHECK_EQUAL(sniff("P"), PROTOCOL_OPEN);
	CHECK_EQUAL(sniff("OPTIONS "), PROTOCOL_OPEN);
}

/* More bytes never change what was decided, and enough of them decide. */
TEST(what_is_decided_stays_so)
{
	static const char *const beginnings[] = {"GET /chat/join?name=bobby HTTP/1.1", "OPTIONS https://example.org/ HTTP/1.1",
		"DELETE httpd is my name, yes it is", "POST haste makes no waste at all", "\x16\x03\x01\x02\x03 and so on and on and on",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n and frames", "bob and some more of what he says"};

	for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
		enum protocol last = PROTOCOL_OPEN;

		for (size_t size = 0; size <= SNIFF_SIZE; size++) {
			enum protocol now = sniff_protocol(beginnings[i], size);

			CHECK(last == PROTOCOL_OPEN || now == last);
			last = now;
		}
		CHECK(last != PROTOCOL_OPEN);
	}
}
