#include "tcpserver/doors/grpc_call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/protobuf_wire.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/utf8_check.h"

/* ---- The end of a call. ---- */

PRINTF_LIKE(3, 0)
static void set_status(struct grpc_call *call, enum grpc_code code, const char *format, va_list arguments)
{
	if (call->is_finished)
		return;
	call->is_finished = true;
	(void)vsnprintf(call->words, sizeof call->words, format, arguments);
	/* Release: the words are there. */
	atomic_store_explicit(&call->status, (int)code, memory_order_release);
}

void grpc_finish(struct session *session, struct grpc_call *call, enum grpc_code code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	set_status(call, code, format, arguments);
	va_end(arguments);
	session_finish(session, code == GRPC_OK ? SESSION_LEFT : SESSION_REFUSED);
}

PRINTF_LIKE(4, 5)
static void break_call(struct session *session, struct grpc_call *call, int error, const char *format, ...)
{
	enum grpc_code code = error == ENOMEM         ? GRPC_RESOURCE_EXHAUSTED
			      : error == ECONNABORTED ? GRPC_ABORTED
						      : GRPC_UNAVAILABLE;
	va_list arguments;

	va_start(arguments, format);
	set_status(call, code, format, arguments);
	va_end(arguments);
	session_break(session, error);
}

/* session_receive() has failed with 'error'. */
static void lose_call(struct session *session, struct grpc_call *call, int error)
{
	switch (error) {
	case ECANCELED:
		break_call(session, call, error, "the server is stopping");
		break;
	case ECONNABORTED:
		break_call(session, call, error, "a newer connection of the same client is here");
		break;
	case ENOMEM:
		break_call(session, call, error, "the server has no memory for this now; try again later");
		break;
	default:
		break_call(session, call, error, "the connection broke");
	}
}

/* ---- Receiving. ---- */

static bool is_cancelled(const struct grpc_call *call)
{
	/* Acquire: see the connection, which sets it before the end. */
	return atomic_load_explicit(&call->is_cancelled, memory_order_acquire);
}

/* No more comes from the client. */
static enum grpc_got end_input(struct session *session, struct grpc_call *call)
{
	if (session_ended(session))
		return GRPC_GOT_OVER;
	if (session->is_deaf || is_cancelled(call)) {
		session_finish(session, SESSION_LEFT);
		return GRPC_GOT_OVER;
	}
	if (grpc_frame_is_open(&call->reader)) {
		grpc_finish(session, call, GRPC_INVALID_ARGUMENT, "the last message has not all its bytes");
		return GRPC_GOT_OVER;
	}
	session->is_deaf = true;
	return GRPC_GOT_END;
}

static enum grpc_got refuse_frame(
	struct session *session, struct grpc_call *call, enum grpc_frame_found found, size_t size)
{
	if (found == GRPC_FRAME_TOO_LARGE)
		grpc_finish(session, call, GRPC_RESOURCE_EXHAUSTED,
			"a message of %zu bytes is longer than the %zu that one may have", size, call->reader.limit);
	else if (found == GRPC_FRAME_COMPRESSED)
		grpc_finish(session, call, GRPC_UNIMPLEMENTED,
			"compressed messages are not understood here; send them with identity");
	else
		lose_call(session, call, ENOMEM);
	return GRPC_GOT_OVER;
}

static int left_ms(long long deadline_ms)
{
	long long left = deadline_ms - clock_ms();

	return left < 0 ? 0 : (int)left;
}

enum grpc_got grpc_receive(
	struct session *session, struct grpc_call *call, int timeout_ms, const unsigned char **message, size_t *size)
{
	long long deadline_ms = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
	int error = session_keep_pace(session);
	enum grpc_frame_found found;
	const char *bytes;
	ssize_t got;

	if (error != 0)
		lose_call(session, call, -error);
	if (session_ended(session))
		return GRPC_GOT_OVER;
	while ((found = grpc_frame_next(&call->reader, message, size)) == GRPC_FRAME_MORE) {
		got = session_receive(session, deadline_ms < 0 ? -1 : left_ms(deadline_ms), &bytes);
		if (got == 0)
			return end_input(session, call);
		if (got == -ETIMEDOUT)
			return GRPC_GOT_TIMEOUT;
		if (got < 0) {
			lose_call(session, call, (int)-got);
			return GRPC_GOT_OVER;
		}
		grpc_frame_feed(&call->reader, bytes, (size_t)got);
	}
	return found == GRPC_FRAME_MESSAGE ? GRPC_GOT_MESSAGE : refuse_frame(session, call, found, *size);
}

/* ---- Unpacking. ----
 *
 * protobuf-c does not look whether a string is UTF-8, and makes one that ends at a NUL inside it. So the bytes are
 * walked along their descriptor before. What is no message at all is left for protobuf-c to refuse.
 */

enum { DEPTH_MAX = 16 }; /* of messages in messages */

static bool is_text(const unsigned char *bytes, size_t size)
{
	struct utf8_check check = {.rest = 0};

	return memchr(bytes, '\0', size) == NULL && utf8_check_feed(&check, (const char *)bytes, size) &&
	       utf8_check_is_whole(&check);
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *descriptor, uint64_t number)
{
	return number > UINT32_MAX ? NULL : protobuf_c_message_descriptor_get_field(descriptor, (unsigned)number);
}

static bool texts_are_good(
	const ProtobufCMessageDescriptor *descriptor, const unsigned char *bytes, size_t size, int depth);

static bool field_is_good(const ProtobufCFieldDescriptor *field, const unsigned char *bytes, size_t size, int depth)
{
	if (field == NULL)
		return true;
	if (field->type == PROTOBUF_C_TYPE_STRING)
		return is_text(bytes, size);
	return field->type != PROTOBUF_C_TYPE_MESSAGE || texts_are_good(field->descriptor, bytes, size, depth + 1);
}

static bool texts_are_good(
	const ProtobufCMessageDescriptor *descriptor, const unsigned char *bytes, size_t size, int depth)
{
	struct protobuf_wire wire = {bytes, size};
	struct protobuf_field field;
	enum protobuf_found found;

	if (depth > DEPTH_MAX)
		return false;
	while ((found = protobuf_next(&wire, &field)) == PROTOBUF_FIELD) {
		const ProtobufCFieldDescriptor *known = find_field(descriptor, field.number);

		if (field.has_bytes && !field_is_good(known, field.content.next, field.content.size, depth))
			return false;
	}
	return found == PROTOBUF_END;
}

ProtobufCMessage *grpc_unpack(struct session *session, struct grpc_call *call,
	const ProtobufCMessageDescriptor *descriptor, const unsigned char *message, size_t size)
{
	ProtobufCMessage *unpacked = NULL;

	if (texts_are_good(descriptor, message, size, 0))
		unpacked = protobuf_c_message_unpack(descriptor, NULL, size, message);
	if (unpacked == NULL)
		grpc_finish(session, call, GRPC_INVALID_ARGUMENT, "this is no %s, or a text in it is no UTF-8",
			descriptor->name);
	return unpacked;
}

ProtobufCMessage *grpc_receive_request(
	struct session *session, struct grpc_call *call, const ProtobufCMessageDescriptor *descriptor)
{
	const unsigned char *message;
	size_t size;

	switch (grpc_receive(session, call, left_ms(session->name_deadline_ms), &message, &size)) {
	case GRPC_GOT_MESSAGE:
		return grpc_unpack(session, call, descriptor, message, size);
	case GRPC_GOT_END:
		grpc_finish(session, call, GRPC_INVALID_ARGUMENT, "there is no request: a %s has to come",
			descriptor->name);
		break;
	case GRPC_GOT_TIMEOUT:
		grpc_finish(session, call, GRPC_DEADLINE_EXCEEDED, "no request came in time");
		break;
	case GRPC_GOT_OVER:
		break;
	}
	return NULL;
}

/* ---- Sending. ---- */

size_t grpc_write(const ProtobufCMessage *message, char *out, size_t size)
{
	size_t packed = protobuf_c_message_get_packed_size(message);

	if (GRPC_FRAME_HEAD_SIZE + packed > size)
		return GRPC_FRAME_HEAD_SIZE + packed;
	grpc_frame_write_head((unsigned char *)out, packed);
	(void)protobuf_c_message_pack(message, (unsigned char *)out + GRPC_FRAME_HEAD_SIZE);
	return GRPC_FRAME_HEAD_SIZE + packed;
}

char *grpc_make(const ProtobufCMessage *message, size_t *size)
{
	size_t needed = grpc_write(message, NULL, 0);
	char *made = malloc(needed);

	if (made != NULL)
		*size = grpc_write(message, made, needed);
	return made;
}

void grpc_reply(struct session *session, const ProtobufCMessage *message)
{
	size_t size;
	char *made = grpc_make(message, &size);

	if (made == NULL)
		session_break(session, ENOMEM);
	else
		outlet_tell(session->outlet, made, size);
	free(made);
}

void grpc_tell_name(struct session *session, struct grpc_call *call)
{
	(void)snprintf(call->name, sizeof call->name, "%s", session->client.name);
	/* Release: the name is there. */
	atomic_store_explicit(&call->has_name, true, memory_order_release);
}

char *grpc_string(const char *text, size_t size, char *out)
{
	memcpy(out, text, size);
	out[size] = '\0';
	return out;
}

/* ---- The call's door. ---- */

void grpc_call_init(struct grpc_call *call)
{
	atomic_init(&call->status, GRPC_UNAVAILABLE);
	(void)snprintf(call->words, sizeof call->words, "the server has no room for one more call; try again later");
}

static void call_serve(struct session *session)
{
	struct grpc_call *call = session->carrier->context;

	call->words[0] = '\0';
	atomic_store_explicit(&call->status, GRPC_OK, memory_order_release);
	grpc_frame_init(&call->reader, session->talk->max_line + GRPC_MESSAGE_SPARE);
	call->method->serve(session, call);
	session_finish(session, SESSION_LEFT);
	grpc_frame_fini(&call->reader);
}

static char *call_words(const struct telling *telling, size_t *size)
{
	(void)telling; /* the status says what there is to say */
	*size = 0;
	return NULL;
}

static void call_turn_away(int socket, const char *why)
{
	(void)socket, (void)why; /* the status that the call begins with says it */
}

const struct door grpc_call_door = {
	.name = "grpc",
	.serve = call_serve,
	.words = call_words,
	.turn_away = call_turn_away,
};
