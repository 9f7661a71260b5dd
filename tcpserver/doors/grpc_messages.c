#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/protobuf_wire.h"
#include "common/text.h"
#include "tcpchat/v1/chat.pb-c.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/rooms.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/credentials.h"
#include "tcpserver/doors/grpc_call.h"
#include "tcpserver/doors/grpc_event.h"
#include "tcpserver/doors/grpc_talk.h"
#include "tcpserver/doors/request.h"

enum {
	LIMIT_USUAL = 100,
	LIMIT_MOST = 1000,
	PAGE_MESSAGES = 32,      /* read from the journal at a time                                         */
	LISTING_BYTES = 4000000, /* of the messages in an answer: clients take 4 MiB                       */
	FRAGMENT_BYTES = 32768,  /* of them that are sent at a time, about                                  */
	MESSAGES_FIELD = 3,      /* the number of 'messages' in the proto                                   */
	REST_BYTES = 2 * NAME_SIZE + ROOM_ID_SIZE + 64, /* at most, of an answer without its messages       */
};

/* ---- Saying something. ---- */

/* What is to be said, by whom. */
struct post {
	struct saying saying;
	unsigned char client[CLIENT_ID_SIZE];
	char name[NAME_SIZE];
	char *text; /* clean, in new memory */
};

static bool take_text(
	struct session *session, struct grpc_call *call, const Tcpchat__V1__SendRequest *request, struct post *post)
{
	size_t size = strlen(request->text);

	post->text = malloc(TEXT_CLEAN_SIZE(size) + 1);
	if (post->text == NULL) {
		grpc_finish(session, call, GRPC_UNAVAILABLE,
			"no-memory: the server has no memory for this now; try again later");
		return false;
	}
	post->saying.text = post->text;
	post->saying.text_size = request_clean(request->text, size, post->text);
	if (post->saying.text_size > session->talk->max_line)
		grpc_finish(session, call, GRPC_INVALID_ARGUMENT,
			"line-too-long: a text may have %zu bytes when it is clean UTF-8 in one line;"
			" send it in parts",
			session->talk->max_line);
	else if (post->saying.text_size == 0)
		grpc_finish(session, call, GRPC_INVALID_ARGUMENT, "bad-request: there is nothing to be said");
	else
		return true;
	return false;
}

static bool take_name(struct session *session, struct grpc_call *call, const char *name, char made[NAME_SIZE])
{
	if (name[0] == '\0')
		name_guest(made);
	else if (!name_make(name, strlen(name), made)) {
		grpc_finish(session, call, GRPC_INVALID_ARGUMENT,
			"bad-name: a name has 1 to 50 letters, digits, _ - . # and single spaces inside; choose "
			"another");
		return false;
	}
	return true;
}

/* With both it is kept once. */
static bool take_number(
	struct session *session, struct grpc_call *call, const Tcpchat__V1__SendRequest *request, struct post *post)
{
	bool has_session = credentials_session_id(request->session, post->client);

	if (request->session[0] == '\0' && request->number == 0)
		return true;
	if (has_session && request->number >= 1 && request->number <= INT64_MAX) {
		post->saying.client = post->client;
		post->saying.number = request->number;
		return true;
	}
	grpc_finish(session, call, GRPC_INVALID_ARGUMENT,
		"usage: what is to be kept once needs a session of 32 hex digits that are not all 0, and a number from "
		"1 to %" PRId64,
		INT64_MAX);
	return false;
}

/* The room, which is made if there is none and anybody may. */
static struct room *find_or_make_room(
	struct session *session, struct grpc_call *call, const char *name, const struct post *post)
{
	struct room_attributes attributes = {
		.creator = post->name, .creator_number = session->client.number, .listed = true};
	struct room *room;
	enum rooms_result result;

	if (name[0] == '\0')
		return room_acquire(session->talk->lobby);
	memcpy(attributes.creator_id, post->client, CLIENT_ID_SIZE);
	result = talk_find_room(session->talk, name, &attributes, &room);
	if (result == ROOMS_DONE)
		return grpc_unless_pair(session, call, name, room);
	grpc_refuse_room(session, call, name, result == ROOMS_CLOSED ? ROOMS_GONE : result);
	return NULL;
}

/* Who said a message; "" when that cannot be found out any more. */
static void find_author(struct room *room, uint64_t seq, char name[NAME_SIZE])
{
	struct message *message;
	ssize_t count = room_read(room, seq, &message, 1);

	name[0] = '\0';
	if (count <= 0)
		return;
	if (message->seq == seq)
		(void)snprintf(name, NAME_SIZE, "%s", message->participant);
	message_release(message);
}

/* What had been kept before was said by whoever the client was then, perhaps in another room. */
static void find_first_author(struct session *session, struct room *room, const struct receipt *receipt, char name[NAME_SIZE])
{
	struct room *other = NULL;

	name[0] = '\0';
	if (strcmp(receipt->room, room_label(room)) == 0)
		find_author(room, receipt->seq, name);
	else if (receipt->room[0] != '\0' && rooms_find(&session->talk->rooms, receipt->room, &other) == ROOMS_DONE)
		find_author(other, receipt->seq, name);
	if (other != NULL)
		rooms_give_back(&session->talk->rooms, other);
}

static void reply_kept(struct session *session, struct room *room, struct receipt *receipt)
{
	char author[NAME_SIZE];
	Tcpchat__V1__SendResponse answer;
	bool is_elsewhere = strcmp(receipt->room, room_label(room)) != 0;
	char id[ROOM_ID_SIZE];

	tcpchat__v1__send_response__init(&answer);
	(void)snprintf(id, sizeof id, "%s", is_elsewhere ? "" : room_id(room));
	answer.seq = receipt->seq;
	answer.room = receipt->room;
	answer.room_id = id;
	(void)snprintf(author, sizeof author, "%s", session->client.name);
	if (receipt->repeated)
		find_first_author(session, room, receipt, author);
	answer.name = author;
	answer.repeated = receipt->repeated;
	grpc_reply(session, &answer.base);
}

static void say(struct session *session, struct grpc_call *call, const struct post *post, struct room *room)
{
	struct receipt receipt;

	if (!session_post(session, room, post->name, &post->saying, &receipt)) /* which it is: see take_name() */
		grpc_finish(session, call, GRPC_INVALID_ARGUMENT, "bad-name: this is no name");
	else if (receipt.error != 0)
		grpc_finish(session, call, GRPC_UNAVAILABLE,
			"not-stored: this could not be kept (%s), nobody saw it; try again later",
			strerror(receipt.error));
	else
		reply_kept(session, room, &receipt);
}

static void send_request(struct session *session, struct grpc_call *call, const Tcpchat__V1__SendRequest *request)
{
	struct post post = {.saying = {.kind = request->action ? MESSAGE_ACTION : MESSAGE_TEXT}};
	struct room *room = NULL;

	if (take_number(session, call, request, &post) && take_name(session, call, request->name, post.name) &&
		take_text(session, call, request, &post))
		room = find_or_make_room(session, call, request->room, &post);
	if (room != NULL) {
		say(session, call, &post, room);
		rooms_give_back(&session->talk->rooms, room);
	}
	free(post.text);
}

void grpc_talk_send(struct session *session, struct grpc_call *call)
{
	ProtobufCMessage *request = grpc_receive_request(session, call, &tcpchat__v1__send_request__descriptor);

	if (request == NULL)
		return;
	send_request(session, call, (const Tcpchat__V1__SendRequest *)request);
	protobuf_c_message_free_unpacked(request, NULL);
}

/* ---- Reading. ----
 *
 * An answer is one message, whose size stands before it: so the journal is read twice, first for how much there is to send, then to
 * send it. It never is in memory as a whole, however slowly it is read.
 */

/* A message for an answer. */
struct listed {
	uint64_t seq;
	size_t size; /* of its field */
};

/* What is to be answered: LISTING_BYTES at most. */
struct listing {
	struct listed *messages;
	size_t first; /* those before it were let go   */
	size_t count; /* with them                     */
	size_t bytes; /* of the fields of the others   */
	size_t limit; /* of 'count'                    */
	uint64_t end; /* the number not to be read     */
	bool newest_win;
	bool is_full;
};

static size_t field_size(const struct message *message)
{
	size_t body = grpc_event_body(message, false, NULL, 0);

	return protobuf_head_size(body) + body;
}

/* Notes a message, unless that is the first one too many. */
static void listing_add(struct listing *listing, const struct message *message)
{
	size_t size = field_size(message);
	bool fits = listing->newest_win || listing->count == 0 || listing->bytes + size <= LISTING_BYTES;

	listing->is_full =
		listing->is_full || message->seq >= listing->end || listing->count == listing->limit || !fits;
	if (listing->is_full)
		return;
	listing->messages[listing->count++] = (struct listed){.seq = message->seq, .size = size};
	listing->bytes += size;
	while (listing->bytes > LISTING_BYTES && listing->first + 1 < listing->count)
		listing->bytes -= listing->messages[listing->first++].size;
}

/* Reads from message 'next' on. Returns 0, or -errno when the journal cannot be read. */
static int listing_read(struct listing *listing, struct room *room, uint64_t next)
{
	struct message *page[PAGE_MESSAGES];

	while (next < listing->end && !listing->is_full && listing->count < listing->limit) {
		ssize_t count = room_read(room, next, page, PAGE_MESSAGES);

		if (count <= 0)
			return (int)count;
		next = page[count - 1]->seq + 1;
		for (ssize_t i = 0; i < count; i++) {
			listing_add(listing, page[i]);
			message_release(page[i]);
		}
	}
	return 0;
}

/* ---- Sending it. ---- */

/* How many messages, from that one on, are about one fragment: at least one, and no more than a page. */
static size_t fragment_count(const struct listing *listing, size_t next)
{
	size_t bytes = 0;
	size_t count = 0;

	while (next + count < listing->count && count < PAGE_MESSAGES && bytes < FRAGMENT_BYTES)
		bytes += listing->messages[next + count++].size;
	return count;
}

/* Puts the message into the outbox, if it is the one that was noted. The events are written by hand: their texts are no strings of
 * C. Returns whether that was done. */
static bool send_message(struct session *session, const struct message *message, const struct listed *listed)
{
	char head[PROTOBUF_HEAD_SIZE_MAX];
	size_t body = grpc_event_body(message, false, NULL, 0);
	size_t head_size = (size_t)(protobuf_head_write(MESSAGES_FIELD, body, head) - head);
	char *bytes = malloc(body);

	if (bytes == NULL || message->seq != listed->seq || head_size + body != listed->size) {
		free(bytes);
		return false;
	}
	(void)grpc_event_body(message, false, bytes, body);
	outlet_tell(session->outlet, head, head_size);
	outlet_tell(session->outlet, bytes, body);
	free(bytes);
	return true;
}

/* Sends so many messages. Returns whether they are still what was noted. */
static bool send_fragment(struct session *session, struct room *room, const struct listed *listed, size_t wanted)
{
	struct message *page[PAGE_MESSAGES];
	ssize_t count = room_read(room, listed[0].seq, page, wanted);
	bool sent = count == (ssize_t)wanted;

	for (ssize_t i = 0; i < count; i++) {
		sent = sent && send_message(session, page[i], &listed[i]);
		message_release(page[i]);
	}
	return sent;
}

/* The client has not read the answer to its end, or the server stops. */
static void break_reply(struct session *session, struct grpc_call *call, int error)
{
	if (error == ECANCELED)
		grpc_finish(session, call, GRPC_UNAVAILABLE, "the server is stopping");
	else
		session_break(session, error);
}

/* What protobuf-c packs of the answer, then the messages. */
static void listing_reply(struct session *session, struct grpc_call *call, const struct listing *listing,
	const Tcpchat__V1__ListMessagesResponse *rest, struct room *room)
{
	char bytes[GRPC_FRAME_HEAD_SIZE + REST_BYTES];
	size_t packed = tcpchat__v1__list_messages_response__pack(rest, (uint8_t *)bytes + GRPC_FRAME_HEAD_SIZE);
	int error = 0;

	grpc_frame_write_head((unsigned char *)bytes, packed + listing->bytes);
	outlet_tell(session->outlet, bytes, GRPC_FRAME_HEAD_SIZE + packed);
	for (size_t next = listing->first; error == 0 && next < listing->count;) {
		size_t count = fragment_count(listing, next);

		if (!send_fragment(session, room, &listing->messages[next], count)) {
			grpc_finish(session, call, GRPC_ABORTED,
				"the journal has changed, or cannot be read any more; try again");
			return;
		}
		next += count;
		error = -session_send_rest(session, -1);
	}
	if (error != 0)
		break_reply(session, call, error);
}

/* Which messages are wanted of a room whose last one is 'last'; returns the number before the first. */
static uint64_t choose_range(const Tcpchat__V1__ListMessagesRequest *request, uint64_t last, struct listing *listing)
{
	bool from_after = request->range_case == TCPCHAT__V1__LIST_MESSAGES_REQUEST__RANGE_AFTER;
	bool has_before = request->range_case == TCPCHAT__V1__LIST_MESSAGES_REQUEST__RANGE_BEFORE;

	listing->limit = request->limit == 0 ? LIMIT_USUAL : (size_t)request->limit;
	listing->newest_win = !from_after;
	listing->end = has_before && request->before <= last ? request->before : last + 1;
	if (from_after)
		return request->after > last ? last : request->after;
	return listing->end > listing->limit ? listing->end - listing->limit - 1 : 0; /* numbers have no holes */
}

static void list_room(struct session *session, struct grpc_call *call, const Tcpchat__V1__ListMessagesRequest *request,
	struct room *room)
{
	Tcpchat__V1__ListMessagesResponse rest;
	struct listing listing = {.messages = NULL};
	char label[NAME_SIZE];
	char id[ROOM_ID_SIZE];

	tcpchat__v1__list_messages_response__init(&rest);
	(void)snprintf(label, sizeof label, "%s", room_label(room));
	(void)snprintf(id, sizeof id, "%s", room_id(room));
	rest.room = label;
	rest.room_id = id;
	rest.last = room_last_seq(room);
	rest.next = choose_range(request, rest.last, &listing);
	listing.messages = calloc(listing.limit, sizeof *listing.messages);
	if (listing.messages == NULL)
		grpc_finish(session, call, GRPC_UNAVAILABLE,
			"no-memory: the server has no memory for this now; try again later");
	else if (listing_read(&listing, room, rest.next + 1) != 0)
		grpc_finish(session, call, GRPC_UNAVAILABLE,
			"journal-unreadable: the journal cannot be read now; try again later");
	else {
		if (listing.count > 0)
			rest.next = listing.messages[listing.count - 1].seq;
		listing_reply(session, call, &listing, &rest, room);
	}
	free(listing.messages);
}

static void list_messages(
	struct session *session, struct grpc_call *call, const Tcpchat__V1__ListMessagesRequest *request)
{
	struct room *room;

	if (request->limit > LIMIT_MOST) {
		grpc_finish(session, call, GRPC_INVALID_ARGUMENT, "usage: limit has to be a number from 1 to %d",
			LIMIT_MOST);
		return;
	}
	room = grpc_find_room(session, call, request->room);
	if (room == NULL)
		return;
	list_room(session, call, request, room);
	rooms_give_back(&session->talk->rooms, room);
}

void grpc_talk_list_messages(struct session *session, struct grpc_call *call)
{
	ProtobufCMessage *request =
		grpc_receive_request(session, call, &tcpchat__v1__list_messages_request__descriptor);

	if (request == NULL)
		return;
	list_messages(session, call, (const Tcpchat__V1__ListMessagesRequest *)request);
	protobuf_c_message_free_unpacked(request, NULL);
}
