/*
 * The reader of requests: whatever the bytes, the result is whole, safe, and within its bounds.
 *
 * Input: the line.
 */
#include "tcpserver/doors/request.h"

#include <jansson.h>

#include "common/text.h"
#include "tests/fuzz/fuzz.h"

static void check_clean(const char *text)
{
	MUST(text == NULL || text_is_clean(text, strlen(text)));
}

/* An id is sent back as it is: JSON on one line of ASCII. */
static void check_id(const char *id)
{
	json_t *value;

	if (id == NULL)
		return;
	MUST(strlen(id) <= REQUEST_ID_SIZE_MAX);
	for (const char *place = id; *place != '\0'; place++)
		MUST(*place >= ' ' && *place <= '~');
	value = json_loads(id, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	MUST(json_is_string(value) || json_is_integer(value));
	json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *line = fuzz_copy(bytes, size);
	struct request request;

	request_read(&request, line, size);
	free(line);
	check_id(request.id);
	check_clean(request.arguments);
	check_clean(request.room);
	check_clean(request.text);
	if (request.wrong == NULL)
		MUST((request.command != NULL) == (request.text == NULL));
	if (request.wrong == NULL && request.command != NULL)
		MUST(request.arguments != NULL);
	request_fini(&request);
	return 0;
}
