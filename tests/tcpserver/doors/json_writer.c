#include "tcpserver/doors/json_writer.h"

#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

static void write_all(struct json_writer *json)
{
	json_write_open(json);
	json_write_number(json, "seq", UINT64_MAX);
	json_write_string(json, "name", "b\"o\\b\t\x01\x7F", 8);
	json_write_text(json, "none", NULL);
	json_write_raw(json, "none", NULL);
	json_write_text(json, "empty", "");
	json_write_raw(json, "id", "[1]");
	json_write_time(json, "at", INT64_C(1763712000123456789));
	json_write_close(json);
	json_write_bytes(json, "\n", 1);
}

static const char expected[] =
	"{\"seq\":18446744073709551615,\"name\":\"b\\\"o\\\\b\\t\\u0001\x7F\",\"empty\":\"\",\"id\":[1],"
	"\"at\":\"2025-11-21T08:00:00.123Z\"}\n";

TEST(an_object_is_written_field_by_field)
{
	char out[300];
	struct json_writer json = {.out = out, .size = sizeof out};

	write_all(&json);
	CHECK_BYTES(out, json.used, expected, strlen(expected));
}

TEST(what_does_not_fit_is_counted_and_not_written)
{
	for (size_t size = 0; size < sizeof expected; size++) {
		char *out = malloc(size + 1); /* the byte behind it is not ours */
		struct json_writer json = {.out = out, .size = size};

		CHECK(out != NULL);
		out[size] = '~';
		write_all(&json);
		CHECK_EQUAL(json.used, strlen(expected));
		CHECK_EQUAL(out[size], '~');
		free(out);
	}
}

TEST(an_object_may_be_empty)
{
	char out[3];
	struct json_writer json = {.out = out, .size = sizeof out};

	json_write_open(&json);
	json_write_close(&json);
	CHECK_BYTES(out, json.used, "{}", 2);
}

TEST(characters_of_any_script_stay_as_they_are)
{
	char out[100];
	struct json_writer json = {.out = out, .size = sizeof out};

	json_write_text(&json, "a", "Zoë 李 𝕏 /");
	CHECK_BYTES(out, json.used, "\"a\":\"Zoë 李 𝕏 /\"", strlen("\"a\":\"Zoë 李 𝕏 /\""));
}
