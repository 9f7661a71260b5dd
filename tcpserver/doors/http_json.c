#include "tcpserver/doors/http_json.h"

#include <string.h>
#include <strings.h>

#include "common/nesting.h"
#include "tcpserver/doors/http_call.h"

bool http_json_is_told(const struct http_call *call)
{
	const char *type = http_field(call->request, "Content-Type");
	size_t length = type == NULL ? 0 : strcspn(type, " \t;");

	return length == strlen("application/json") && strncasecmp(type, "application/json", length) == 0;
}

static const char *json_fault(const json_t *object, const json_error_t *error)
{
	if (object == NULL && json_error_code(error) == json_error_duplicate_key)
		return "a field of the body comes twice";
	if (object == NULL && json_error_code(error) == json_error_null_character)
		return "a text in the body has a \\u0000 in it";
	if (!json_is_object(object))
		return "the body is no JSON object in valid UTF-8";
	return NULL;
}

json_t *http_json_read(struct http_call *call)
{
	const struct http_request *request = call->request;
	json_error_t error = {.text = ""};
	json_t *object = NULL;
	const char *wrong = "the body has brackets too deep in brackets";

	if (nesting_is_within(request->body, request->body_size, HTTP_JSON_DEPTH_MAX)) {
		object = json_loadb(request->body, request->body_size, JSON_REJECT_DUPLICATES, &error);
		wrong = json_fault(object, &error);
	}
	if (wrong == NULL)
		return object;
	json_decref(object);
	http_reply_error(call->reply, 400, "bad-request", "%s", wrong);
	return NULL;
}
