/*
 * The answer is one message, whose size stands before it: so the journal is read twice, first from its end, for how much
 * there is to send, then from there on, to send it. It never is in memory as a whole.
 */
#include "tcpserver/doors/grpc_go_chat.h"

#include <errno.h>
#include <stdlib.h>

#include "common/protobuf_wire.h"
#include "go_chat/message.pb-c.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/go_chat.h"
#include "tcpserver/doors/grpc_call.h"
#include "tcpserver/doors/grpc_speech.h"

enum {
	ANSWER_SIZE_MAX = 4000000,  /* bytes; clients take messages of 4 MiB, if nobody tells them otherwise */
	FRAGMENT_SIZE = 32 * 1024,  /* bytes that are sent at a time, about                                  */
	PAGE_MESSAGES = 32,         /* read at a time, at most                                               */
	DATA_FIELD = 1,             /* the number of 'data' in the proto                                     */
};

/* What is to be sent. */
struct span {
	uint64_t from; /* number of the first message                  */
	uint64_t last; /* and of the last                              */
	size_t size;   /* bytes that those take that were said in it   */
};

static bool is_shown(const struct message *message)
{
	return message->kind == MESSAGE_TEXT || message->kind == MESSAGE_ACTION;
}

static size_t record_size(const struct message *message)
{
	struct grpc_speech speech = grpc_speech_of(message);
	size_t size = grpc_speech_size(&speech);

	return protobuf_head_size(size) + size;
}

static char *record_write(const struct message *message, char *out)
{
	struct grpc_speech speech = grpc_speech_of(message);

	return grpc_speech_write(&speech, protobuf_head_write(DATA_FIELD, grpc_speech_size(&speech), out));
}

/* ---- How much. ---- */

/* Takes a message that is older than those in the span, if it is to be sent. Returns whether older ones may be, too. */
static bool span_take(struct span *span, const struct message *message)
{
	size_t size = is_shown(message) ? record_size(message) : 0;

	if (span->size + size > ANSWER_SIZE_MAX)
		return false;
	span->size += size;
	span->from = message->seq;
	return true;
}

/* Adds messages 'from' to that before the span. Returns whether older ones may be added, or -errno. */
static int span_take_page(struct span *span, struct room *room, uint64_t from)
{
	struct message *messages[PAGE_MESSAGES];
	uint64_t before = span->from;
	ssize_t count = room_read(room, from, messages, (size_t)(before - from));
	int more = 1;

	if (count < 0)
		return (int)count;
	for (ssize_t i = count; i > 0; i--) {
		if (more != 0 && messages[i - 1]->seq < before) /* or there is a hole */
			more = span_take(span, messages[i - 1]);
		message_release(messages[i - 1]);
	}
	return more;
}

/* Returns false when the journal cannot be read. */
static bool span_find(struct span *span, struct room *room)
{
	uint64_t oldest = room_find_said(room, UINT64_MAX, GO_CHAT_HISTORY_MOST);
	uint64_t from;
	int more = 1;

	*span = (struct span){.last = room_last_seq(room)};
	span->from = span->last + 1;
	if (oldest == ROOM_UNREADABLE)
		return false;
	for (uint64_t before = span->from; more > 0 && oldest != 0 && before > oldest; before = from) {
		from = before - oldest > PAGE_MESSAGES ? before - PAGE_MESSAGES : oldest;
		more = span_take_page(span, room, from);
	}
	return more >= 0;
}

/* ---- Sending it. ---- */

struct answer {
	struct session *session;
	char *bytes;
	size_t capacity;
	size_t used;
	size_t sent;
	int error; /* positive errno: it cannot go on */
};

/* Makes room for 'size' more bytes. */
static bool answer_reserve(struct answer *answer, size_t size)
{
	char *grown;

	if (answer->used + size <= answer->capacity)
		return true;
	grown = realloc(answer->bytes, answer->used + size);
	if (grown == NULL) {
		answer->error = ENOMEM;
		return false;
	}
	answer->bytes = grown;
	answer->capacity = answer->used + size;
	return true;
}

static void answer_flush(struct answer *answer)
{
	if (answer->used > 0)
		outlet_tell(answer->session->outlet, answer->bytes, answer->used);
	answer->sent += answer->used;
	answer->used = 0;
	answer->error = -session_send_rest(answer->session, -1);
}

static void answer_add(struct answer *answer, const struct message *message)
{
	if (!answer_reserve(answer, record_size(message)))
		return;
	answer->used = (size_t)(record_write(message, answer->bytes + answer->used) - answer->bytes);
}

/* How many messages are about a fragment: none is read for nothing. */
static size_t page_count(const struct span *span)
{
	size_t average = 1 + span->size / (size_t)(span->last + 1 - span->from);
	size_t count = 1 + FRAGMENT_SIZE / average;

	return count > PAGE_MESSAGES ? PAGE_MESSAGES : count;
}

/* Adds messages from '*from' on, and steps behind them, until there is a fragment: what is left of the page is not kept while the
 * client reads. */
static void answer_add_page(struct answer *answer, struct room *room, uint64_t *from, const struct span *span)
{
	struct message *messages[PAGE_MESSAGES];
	ssize_t count = room_read(room, *from, messages, page_count(span));

	if (count < 0)
		answer->error = EIO;
	if (count <= 0)
		*from = span->last + 1;
	for (ssize_t i = 0; i < count; i++) {
		if (answer->error == 0 && answer->used < FRAGMENT_SIZE) {
			*from = messages[i]->seq + 1;
			if (messages[i]->seq <= span->last && is_shown(messages[i]))
				answer_add(answer, messages[i]);
		}
		message_release(messages[i]);
	}
	if (answer->error == 0 && answer->used >= FRAGMENT_SIZE)
		answer_flush(answer);
}

/* Sends what is in the span, behind the head of the message. Returns whether that has become whole. */
static bool answer_send(struct answer *answer, struct room *room, const struct span *span)
{
	unsigned char head[GRPC_FRAME_HEAD_SIZE];
	uint64_t from = span->from;

	grpc_frame_write_head(head, span->size);
	outlet_tell(answer->session->outlet, (const char *)head, sizeof head);
	while (answer->error == 0 && from <= span->last)
		answer_add_page(answer, room, &from, span);
	if (answer->error == 0)
		answer_flush(answer);
	return answer->error == 0 && answer->sent == span->size;
}

static void send_history(struct session *session, struct grpc_call *call, struct answer *answer)
{
	struct room *lobby = session->talk->lobby;
	struct span span;

	if (!span_find(&span, lobby))
		grpc_finish(session, call, GRPC_UNAVAILABLE, "the journal cannot be read now; try again later");
	else if (answer_send(answer, lobby, &span))
		return;
	else if (answer->error == ECANCELED)
		grpc_finish(session, call, GRPC_UNAVAILABLE, "the server is stopping");
	else if (answer->error == ENOMEM)
		grpc_finish(session, call, GRPC_UNAVAILABLE, "the server has no memory for this now; try again later");
	else if (answer->error == 0 || answer->error == EIO)
		grpc_finish(session, call, GRPC_ABORTED, "the journal has changed, or cannot be read any more; try again");
	else
		session_break(session, answer->error);
}

static void find_all(struct session *session, struct grpc_call *call)
{
	ProtobufCMessage *request = grpc_receive_request(session, call, &message_request__descriptor);
	struct answer answer = {.session = session};

	if (request == NULL)
		return;
	protobuf_c_message_free_unpacked(request, NULL);
	send_history(session, call, &answer);
	free(answer.bytes);
}

const struct grpc_method grpc_go_chat_methods[] = {
	{"/MessageService/FindAll", find_all},
	{NULL, NULL},
};
