#include "tcpserver/doors/grpc_event.h"

#include <stdlib.h>
#include <string.h>

#include "common/grpc_frame.h"
#include "tcpchat/v1/chat.pb-c.h"
#include "tcpserver/core/message.h"

#include "tests/check.h"

enum { HEAD = GRPC_FRAME_HEAD_SIZE };

/* The event in a record with its head. */
static Tcpchat__V1__Event *read_record(const char *record, size_t size)
{
	unsigned char head[HEAD];
	Tcpchat__V1__Event *event;

	CHECK(size >= HEAD);
	grpc_frame_write_head(head, size - HEAD);
	CHECK_BYTES(record, HEAD, head, HEAD);
	event = tcpchat__v1__event__unpack(NULL, size - HEAD, (const uint8_t *)record + HEAD);
	CHECK(event != NULL);
	return event;
}

static void check_message(
	enum message_kind kind, Tcpchat__V1__Event__Kind expected, const char *text, size_t text_size, bool history)
{
	struct message *message = message_create(kind, "tea", "bob", text, text_size);
	size_t (*write)(const struct message *, char *, size_t) =
		history ? grpc_event_format.recall : grpc_event_format.encode;
	size_t size;
	char *record;
	Tcpchat__V1__Event *event;

	CHECK(message != NULL);
	message->seq = 17;
	message->at_ns = INT64_C(1763712000123456789);
	size = write(message, NULL, 0);
	record = malloc(size);
	CHECK(record != NULL);
	for (size_t less = 0; less < size; less += 1 + size / 50)
		CHECK_EQUAL(write(message, record, less), size); /* and nothing is written behind the end */
	CHECK_EQUAL(write(message, record, size), size);
	event = read_record(record, size);
	CHECK_EQUAL(event->kind, expected);
	CHECK_EQUAL(event->seq, 17);
	CHECK_EQUAL(event->at_ns, INT64_C(1763712000123456789));
	CHECK_TEXT(event->room, "tea");
	CHECK_TEXT(event->participant, "bob");
	CHECK_BYTES(event->text, strlen(event->text), text_size == 0 ? "" : text, text_size);
	CHECK_EQUAL(event->history, history);
	CHECK_EQUAL(event->base.n_unknown_fields, 0);
	tcpchat__v1__event__free_unpacked(event, NULL);
	free(record);
	message_release(message);
}

TEST(a_message_is_an_event_with_its_head)
{
	check_message(MESSAGE_TEXT, TCPCHAT__V1__EVENT__KIND__KIND_MESSAGE, "h\xC3\xA4llo", 6, false);
	check_message(MESSAGE_ACTION, TCPCHAT__V1__EVENT__KIND__KIND_ACTION, "waves", 5, false);
	check_message(MESSAGE_TEXT, TCPCHAT__V1__EVENT__KIND__KIND_MESSAGE, "", 0, false);
}

TEST(history_is_marked)
{
	check_message(MESSAGE_TEXT, TCPCHAT__V1__EVENT__KIND__KIND_MESSAGE, "hello", 5, true);
}

TEST(what_happens_in_a_room_is_an_event)
{
	check_message(MESSAGE_JOINED, TCPCHAT__V1__EVENT__KIND__KIND_JOINED, NULL, 0, false);
	check_message(MESSAGE_LEFT, TCPCHAT__V1__EVENT__KIND__KIND_LEFT, "normally", 8, false);
	check_message(MESSAGE_NICK, TCPCHAT__V1__EVENT__KIND__KIND_NICK, "rob", 3, false);
	check_message(MESSAGE_TOPIC, TCPCHAT__V1__EVENT__KIND__KIND_TOPIC, "", 0, true);
	check_message(MESSAGE_ROOM_CLOSED, TCPCHAT__V1__EVENT__KIND__KIND_ROOM_CLOSED, NULL, 0, false);
}

TEST(a_text_of_any_length_is_whole)
{
	static const size_t sizes[] = {1, 127, 128, 16383, 16384, 65535};
	char *text = malloc(65535);

	CHECK(text != NULL);
	memset(text, 'x', 65535);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		check_message(MESSAGE_TEXT, TCPCHAT__V1__EVENT__KIND__KIND_MESSAGE, text, sizes[i], false);
	free(text);
}

static Tcpchat__V1__Event *words(struct telling telling)
{
	size_t size;
	char *record = grpc_talk_door.words(&telling, &size);
	Tcpchat__V1__Event *event;

	CHECK(record != NULL);
	event = read_record(record, size);
	CHECK(event->at_ns > 0);
	free(record);
	return event;
}

TEST(words_to_one_client_are_an_event)
{
	Tcpchat__V1__Event *event =
		words((struct telling){.kind = TELL_ERROR, .code = "usage", .text = "no", .request_id = "7"});

	CHECK_EQUAL(event->kind, TCPCHAT__V1__EVENT__KIND__KIND_ERROR);
	CHECK_TEXT(event->code, "usage");
	CHECK_TEXT(event->text, "no");
	CHECK_EQUAL(event->id, 7);
	tcpchat__v1__event__free_unpacked(event, NULL);
	event = words((struct telling){
		.kind = TELL_WELCOME, .participant = "bob", .room = "lobby", .room_id = "0123", .last = 5, .mark = 4});
	CHECK_EQUAL(event->kind, TCPCHAT__V1__EVENT__KIND__KIND_WELCOME);
	CHECK_TEXT(event->participant, "bob");
	CHECK_TEXT(event->room, "lobby");
	CHECK_TEXT(event->room_id, "0123");
	CHECK_EQUAL(event->last, 5);
	CHECK_EQUAL(event->mark, 4);
	tcpchat__v1__event__free_unpacked(event, NULL);
	event = words(
		(struct telling){.kind = TELL_SAID, .room = "tea", .seq = 9, .request_id = "18446744073709551615"});
	CHECK_EQUAL(event->kind, TCPCHAT__V1__EVENT__KIND__KIND_NOTICE);
	CHECK_TEXT(event->code, "said");
	CHECK_EQUAL(event->seq, 9);
	CHECK(event->id == UINT64_MAX);
	tcpchat__v1__event__free_unpacked(event, NULL);
	event = words((struct telling){.kind = TELL_DIRECT, .participant = "ann", .to = "bob", .text = "hi"});
	CHECK_EQUAL(event->kind, TCPCHAT__V1__EVENT__KIND__KIND_DIRECT);
	CHECK_TEXT(event->to, "bob");
	tcpchat__v1__event__free_unpacked(event, NULL);
	event = words(
		(struct telling){.kind = TELL_NOTICE, .code = "behind", .count = 1234, .created_ns = 5, .text = "hi"});
	CHECK_EQUAL(event->count, 1234);
	CHECK_EQUAL(event->created_at_ns, 5);
	tcpchat__v1__event__free_unpacked(event, NULL);
	event = words((struct telling){.kind = TELL_FAREWELL, .text = "127.0.0.1:7777"});
	CHECK_EQUAL(event->kind, TCPCHAT__V1__EVENT__KIND__KIND_FAREWELL);
	CHECK_TEXT(event->address, "127.0.0.1:7777");
	CHECK_TEXT(event->text, "the server is stopping");
	tcpchat__v1__event__free_unpacked(event, NULL);
}
