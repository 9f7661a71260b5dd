#include "tcpserver/doors/grpc_event.h"

#include <stdlib.h>
#include <string.h>

#include "common/grpc_frame.h"
#include "common/protobuf_wire.h"
#include "common/sync.h"
#include "tcpchat/v1/chat.pb-c.h"
#include "tcpserver/core/message.h"
#include "tcpserver/doors/grpc_call.h"

enum { TEXT_FIELD = 6 }; /* its number in the proto */

/* protobuf-c does not write to its strings. */
static char *string(const char *text)
{
	return (char *)(uintptr_t)(text == NULL ? "" : text);
}

/* ---- Messages. ---- */

static Tcpchat__V1__Event event_of(const struct message *message, bool history)
{
	static const Tcpchat__V1__Event__Kind kinds[MESSAGE_KINDS] = {
		[MESSAGE_TEXT] = TCPCHAT__V1__EVENT__KIND__KIND_MESSAGE,
		[MESSAGE_ACTION] = TCPCHAT__V1__EVENT__KIND__KIND_ACTION,
		[MESSAGE_JOINED] = TCPCHAT__V1__EVENT__KIND__KIND_JOINED,
		[MESSAGE_LEFT] = TCPCHAT__V1__EVENT__KIND__KIND_LEFT,
		[MESSAGE_NICK] = TCPCHAT__V1__EVENT__KIND__KIND_NICK,
		[MESSAGE_TOPIC] = TCPCHAT__V1__EVENT__KIND__KIND_TOPIC,
		[MESSAGE_ROOM_CLOSED] = TCPCHAT__V1__EVENT__KIND__KIND_ROOM_CLOSED,
	};
	Tcpchat__V1__Event event;

	tcpchat__v1__event__init(&event);
	event.kind = kinds[message->kind];
	event.seq = message->seq;
	event.room = string(message->room);
	event.at_ns = message->at_ns;
	event.participant = string(message->participant);
	event.history = history;
	return event;
}

size_t grpc_event_body(const struct message *message, bool history, char *out, size_t size)
{
	Tcpchat__V1__Event event = event_of(message, history);
	size_t packed = tcpchat__v1__event__get_packed_size(&event);
	size_t head_size = message->text_size == 0 ? 0 : protobuf_head_size(message->text_size);
	size_t needed = packed + head_size + message->text_size;

	if (needed > size)
		return needed;
	(void)tcpchat__v1__event__pack(&event, (uint8_t *)out);
	if (head_size > 0)
		memcpy(protobuf_head_write(TEXT_FIELD, message->text_size, out + packed), message->text,
			message->text_size);
	return needed;
}

static size_t write_record(const struct message *message, bool history, char *out, size_t size)
{
	bool has_head = size >= GRPC_FRAME_HEAD_SIZE;
	size_t left = has_head ? size - GRPC_FRAME_HEAD_SIZE : 0;
	size_t body = grpc_event_body(message, history, has_head ? out + GRPC_FRAME_HEAD_SIZE : NULL, left);

	if (has_head && body <= left)
		grpc_frame_write_head((unsigned char *)out, body);
	return GRPC_FRAME_HEAD_SIZE + body;
}

static size_t encode(const struct message *message, char *out, size_t size)
{
	return write_record(message, false, out, size);
}

static size_t recall(const struct message *message, char *out, size_t size)
{
	return write_record(message, true, out, size);
}

const struct format grpc_event_format = {.name = "grpc", .encode = encode, .recall = recall};

/* ---- Words to one client. ---- */

static void fill_farewell(Tcpchat__V1__Event *event, const struct telling *telling)
{
	event->address = string(telling->text);
	event->text = string("the server is stopping");
}

static Tcpchat__V1__Event telling_event(const struct telling *telling)
{
	static const Tcpchat__V1__Event__Kind kinds[] = {
		[TELL_NOTICE] = TCPCHAT__V1__EVENT__KIND__KIND_NOTICE,
		[TELL_ERROR] = TCPCHAT__V1__EVENT__KIND__KIND_ERROR,
		[TELL_WELCOME] = TCPCHAT__V1__EVENT__KIND__KIND_WELCOME,
		[TELL_DIRECT] = TCPCHAT__V1__EVENT__KIND__KIND_DIRECT,
		[TELL_PONG] = TCPCHAT__V1__EVENT__KIND__KIND_PONG,
		[TELL_SAID] = TCPCHAT__V1__EVENT__KIND__KIND_NOTICE,
		[TELL_ROOM_CLOSED] = TCPCHAT__V1__EVENT__KIND__KIND_ROOM_CLOSED,
		[TELL_FAREWELL] = TCPCHAT__V1__EVENT__KIND__KIND_FAREWELL,
	};
	Tcpchat__V1__Event event;

	tcpchat__v1__event__init(&event);
	event.kind = kinds[telling->kind];
	event.at_ns = clock_wall_ns();
	event.code = string(telling->kind == TELL_SAID ? "said" : telling->code);
	event.id =
		telling->request_id == NULL ? 0 : strtoull(telling->request_id, NULL, 10); /* it was made of a number */
	event.seq = telling->seq;
	event.room = string(telling->room);
	event.room_id = string(telling->room_id);
	event.last = telling->last;
	event.mark = telling->mark;
	event.count = telling->count;
	event.created_at_ns = telling->created_ns;
	event.participant = string(telling->participant);
	event.to = string(telling->to);
	event.text = string(telling->text);
	if (telling->kind == TELL_FAREWELL)
		fill_farewell(&event, telling);
	return event;
}

static char *words(const struct telling *telling, size_t *size)
{
	Tcpchat__V1__Event event = telling_event(telling);

	*size = 0;
	return grpc_make(&event.base, size);
}

/* Nobody comes in by these doors, but by grpc_talk.c. */
const struct door grpc_talk_door = {.name = "grpc", .format = &grpc_event_format, .many_rooms = true, .words = words};
const struct door grpc_subscribe_door = {.name = "grpc-subscribe", .format = &grpc_event_format, .words = words};
