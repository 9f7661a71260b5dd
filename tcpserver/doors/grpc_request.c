#include "tcpserver/doors/grpc_request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tcpserver/doors/grpc_call.h"

enum { FIELD_COST = 32, TIMEOUT_DIGITS = 8 };

static bool is_word(const char *bytes, size_t size, const char *word)
{
	return strlen(word) == size && memcmp(bytes, word, size) == 0;
}

/* "application/grpc", and with "+proto" or parameters behind it. */
static bool is_grpc_type(const char *value, size_t size)
{
	static const char type[] = "application/grpc";
	static const char format[] = "+proto";
	size_t length = sizeof type - 1;

	if (size < length || strncasecmp(value, type, length) != 0)
		return false;
	if (size - length >= sizeof format - 1 && strncasecmp(value + length, format, sizeof format - 1) == 0)
		length += sizeof format - 1;
	return length == size || value[length] == ';' || value[length] == ' ';
}

bool grpc_timeout_read(const char *value, size_t size, long long *timeout_ms)
{
	static const char units[] = "numSMH";
	static const long long nanoseconds[] = {1, 1000, 1000000, 1000000000LL, 60 * 1000000000LL, 3600 * 1000000000LL};
	const char *unit = size < 2 ? NULL : memchr(units, value[size - 1], sizeof units - 1);
	long long amount = 0;
	long long each;

	if (unit == NULL || size - 1 > TIMEOUT_DIGITS)
		return false;
	for (size_t i = 0; i < size - 1; i++) {
		if (value[i] < '0' || value[i] > '9')
			return false;
		amount = 10 * amount + (value[i] - '0');
	}
	each = nanoseconds[unit - units];
	*timeout_ms = each >= 1000000 ? amount * (each / 1000000) : (amount * each + 999999) / 1000000;
	return true;
}

/* What does not fit is nothing of ours: clients add tokens by themselves that are meant for others. */
static void keep(char *kept, size_t kept_size, const char *value, size_t size)
{
	if (size >= kept_size)
		size = 0;
	memcpy(kept, value, size);
	kept[size] = '\0';
}

void grpc_request_take(struct grpc_request *request, struct grpc_call *call, const char *name, size_t name_size,
	const char *value, size_t value_size)
{
	request->size += name_size + value_size + FIELD_COST;
	if (request->size > GRPC_HEADERS_MOST) {
		request->is_too_large = true;
	} else if (is_word(name, name_size, ":method")) {
		request->is_post = is_word(value, value_size, "POST");
	} else if (is_word(name, name_size, ":path")) {
		(void)snprintf(request->path, sizeof request->path, "%.*s", (int)value_size, value);
		call->method = grpc_method_find(value, value_size);
	} else if (is_word(name, name_size, "content-type")) {
		request->is_grpc = is_grpc_type(value, value_size);
	} else if (is_word(name, name_size, "grpc-encoding")) {
		request->is_encoded = !is_word(value, value_size, "identity");
	} else if (is_word(name, name_size, "grpc-timeout")) {
		request->has_timeout = true;
		request->has_bad_timeout = !grpc_timeout_read(value, value_size, &request->timeout_ms);
	} else if (is_word(name, name_size, "authorization")) {
		keep(call->authorization, sizeof call->authorization, value, value_size);
	} else if (is_word(name, name_size, "chat-session")) {
		keep(call->chat_session, sizeof call->chat_session, value, value_size);
	}
}

PRINTF_LIKE(4, 5)
static bool refuse(struct grpc_refusal *refusal, unsigned http_status, enum grpc_code code, const char *format, ...)
{
	va_list arguments;

	refusal->http_status = http_status;
	refusal->code = code;
	va_start(arguments, format);
	(void)vsnprintf(refusal->words, sizeof refusal->words, format, arguments);
	va_end(arguments);
	return false;
}

bool grpc_request_is_good(
	const struct grpc_request *request, const struct grpc_call *call, struct grpc_refusal *refusal)
{
	if (request->is_too_large)
		return refuse(refusal, 431, GRPC_RESOURCE_EXHAUSTED, "the headers are too large");
	if (!request->is_post)
		return refuse(refusal, 405, GRPC_UNIMPLEMENTED, "calls of gRPC are made with POST");
	if (!request->is_grpc)
		return refuse(refusal, 415, GRPC_UNIMPLEMENTED,
			"over HTTP/2 this server speaks gRPC alone: application/grpc");
	if (call->method == NULL)
		return refuse(refusal, 200, GRPC_UNIMPLEMENTED, "unknown method %s", request->path);
	if (request->is_encoded)
		return refuse(refusal, 200, GRPC_UNIMPLEMENTED,
			"compressed messages are not understood here; send them with identity");
	if (request->has_bad_timeout)
		return refuse(refusal, 200, GRPC_INVALID_ARGUMENT,
			"grpc-timeout is up to eight digits and one of H, M, S, m, u, n");
	return true;
}
