#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "messageapi/v1/messages.pb-c.h"
#include "tcpserver/core/message.h"
#include "tcpserver/journals/amqp_engine.h"

enum {
	PAGE = 1000,
	ANSWER_MS = ENGINE_TIMEOUT_S * 1000,
	TEXT_MOST = 3 * 65535,
};

#define METHOD(name) "/messageapi.v1.Messages/" name

/* Makes a call. The answer is the caller's to free; NULL with '*error' set. */
static ProtobufCMessage *ask(struct grpc_unary *asks, const char *path, const ProtobufCMessage *request,
	const ProtobufCMessageDescriptor *kind, int timeout_ms, int *error, char *fault)
{
	size_t size = protobuf_c_message_get_packed_size(request);
	unsigned char *bytes = malloc(size + 1);
	ProtobufCMessage *message = NULL;
	struct grpc_answer answer = {.words = "no memory"};

	*error = -ENOMEM;
	if (bytes != NULL) {
		(void)protobuf_c_message_pack(request, bytes);
		*error = grpc_unary_call(asks, path, bytes, size, timeout_ms, &answer);
	}
	free(bytes);
	if (*error == 0) {
		message = protobuf_c_message_unpack(kind, NULL, answer.size, answer.message);
		*error = message == NULL ? -EPROTO : 0;
	} else if (*error == -EREMOTEIO) {
		*error = answer.code == GRPC_NOT_FOUND ? -ENOENT : -EIO;
	}
	if (*error != 0)
		(void)snprintf(fault, ENGINE_FAULT_SIZE, "messageapi: %s%s%s", answer.code > 0 ? grpc_code_name(answer.code) : "",
			answer.code > 0 ? " " : "", answer.words);
	return message;
}

int amqp_api_wait(struct grpc_unary *asks, const char *session, uint64_t position, unsigned timeout_ms, uint64_t *stored,
	char fault[ENGINE_FAULT_SIZE])
{
	Messageapi__V1__WaitForRequest request;
	ProtobufCMessage *answer;
	int error;

	messageapi__v1__wait_for_request__init(&request);
	request.session = (char *)(uintptr_t)session; /* only read */
	request.position = position;
	request.timeout_ms = timeout_ms;
	answer = ask(asks, METHOD("WaitFor"), &request.base, &messageapi__v1__wait_for_response__descriptor,
		(int)timeout_ms + ANSWER_MS, &error, fault);
	if (answer == NULL)
		return error;
	*stored = ((const Messageapi__V1__WaitForResponse *)answer)->position;
	protobuf_c_message_free_unpacked(answer, NULL);
	return 0;
}

/* ---- Rooms. ---- */

static int load_room(struct amqp_engine *engine, const Messageapi__V1__Room *from)
{
	const struct room_attributes attributes = {.id = from->id,
		.name = from->name[0] == '\0' ? NULL : from->name,
		.creator = from->creator,
		.topic = from->topic,
		.created_ns = from->created_ns,
		.capacity = (size_t)from->capacity,
		.listed = from->listed,
		.persistent = from->persistent,
		.ends_with_member = from->ends_with_member,
		.waits = from->waits};
	struct amqp_room *room;

	if (strlen(from->id) >= ROOM_ID_SIZE || strlen(from->name) >= NAME_SIZE)
		return -EPROTO;
	amqp_lock(engine);
	room = amqp_rooms_find(&engine->rooms, from->id);
	if (room == NULL)
		room = amqp_rooms_add(&engine->rooms, &attributes);
	if (room != NULL) {
		room->is_open = true;
		room->given = room->last = from->last;
	}
	amqp_unlock(engine);
	return room == NULL ? -ENOMEM : 0;
}

ssize_t amqp_api_load_rooms(struct amqp_engine *engine, char after[ROOM_ID_SIZE])
{
	Messageapi__V1__ListRoomsRequest request;
	ProtobufCMessage *answer;
	const Messageapi__V1__ListRoomsResponse *page;
	ssize_t count;
	int error;

	messageapi__v1__list_rooms_request__init(&request);
	request.after = after;
	request.limit = PAGE;
	answer = ask(engine->asks, METHOD("ListRooms"), &request.base, &messageapi__v1__list_rooms_response__descriptor, ANSWER_MS,
		&error, engine->fault);
	if (answer == NULL)
		return error;
	page = (const Messageapi__V1__ListRoomsResponse *)answer;
	for (size_t i = 0; error == 0 && i < page->n_rooms; i++)
		error = load_room(engine, page->rooms[i]);
	if (error == 0 && page->n_rooms > 0)
		(void)snprintf(after, ROOM_ID_SIZE, "%s", page->rooms[page->n_rooms - 1]->id);
	count = (ssize_t)page->n_rooms;
	protobuf_c_message_free_unpacked(answer, NULL);
	return error == 0 ? count : error;
}

/* ---- Messages. ---- */

static struct message *make_message(const Messageapi__V1__Message *from, const char *label)
{
	struct message *message = NULL;

	if ((unsigned)from->kind < MESSAGE_KINDS && strlen(from->text) <= TEXT_MOST && strlen(from->participant) < NAME_SIZE)
		message = message_create(
			(enum message_kind)from->kind, label, from->participant, from->text, strlen(from->text));
	if (message != NULL) {
		message->seq = from->seq;
		message->at_ns = from->at_ns;
	}
	return message;
}

static ssize_t take_page(const Messageapi__V1__ListMessagesResponse *page, const char *label, struct message **messages,
	size_t capacity)
{
	size_t count = page->n_messages < capacity ? page->n_messages : capacity;

	for (size_t i = 0; i < count; i++) {
		messages[i] = make_message(page->messages[i], label);
		if (messages[i] == NULL) {
			while (i > 0)
				message_release(messages[--i]);
			return -EPROTO;
		}
	}
	return (ssize_t)count;
}

ssize_t amqp_api_fetch(struct grpc_unary *asks, const char *id, const char *label, uint64_t from, struct message **messages,
	size_t capacity, uint64_t *last, char fault[ENGINE_FAULT_SIZE])
{
	Messageapi__V1__ListMessagesRequest request;
	ProtobufCMessage *answer;
	ssize_t count;
	int error;

	messageapi__v1__list_messages_request__init(&request);
	request.room = (char *)(uintptr_t)id; /* only read */
	request.after = from == 0 ? 0 : from - 1;
	request.limit = capacity < PAGE ? (uint32_t)capacity : PAGE;
	answer = ask(asks, METHOD("ListMessages"), &request.base, &messageapi__v1__list_messages_response__descriptor, ANSWER_MS,
		&error, fault);
	if (answer == NULL)
		return error;
	*last = ((const Messageapi__V1__ListMessagesResponse *)answer)->last;
	count = take_page((const Messageapi__V1__ListMessagesResponse *)answer, label, messages, capacity);
	protobuf_c_message_free_unpacked(answer, NULL);
	return count;
}

/* ---- Numbers of clients. ---- */

static int take_found(const Messageapi__V1__FindNumbersResponse *answer, struct amqp_pair *pairs, size_t count)
{
	if (answer->n_found != count)
		return -EPROTO;
	for (size_t i = 0; i < count; i++) {
		const Messageapi__V1__FindNumbersResponse__Found *found = answer->found[i];

		pairs[i].seq = found->seq;
		pairs[i].at_ns = found->at_ns;
		pairs[i].highest = found->highest;
		(void)snprintf(pairs[i].room, sizeof pairs[i].room, "%s", found->room);
	}
	return 0;
}

int amqp_api_find_numbers(struct grpc_unary *asks, struct amqp_pair *pairs, size_t count, char fault[ENGINE_FAULT_SIZE])
{
	Messageapi__V1__FindNumbersRequest request = MESSAGEAPI__V1__FIND_NUMBERS_REQUEST__INIT;
	Messageapi__V1__FindNumbersRequest__Pair *wanted = calloc(count, sizeof *wanted);
	Messageapi__V1__FindNumbersRequest__Pair **list = calloc(count, sizeof *list);
	ProtobufCMessage *answer = NULL;
	int error = -ENOMEM;

	for (size_t i = 0; wanted != NULL && list != NULL && i < count; i++) {
		messageapi__v1__find_numbers_request__pair__init(&wanted[i]);
		wanted[i].client.len = CLIENT_ID_SIZE;
		wanted[i].client.data = (uint8_t *)(uintptr_t)pairs[i].entry->client; /* only read */
		wanted[i].number = pairs[i].entry->number;
		list[i] = &wanted[i];
	}
	request.pairs = list;
	request.n_pairs = count;
	if (wanted != NULL && list != NULL)
		answer = ask(asks, METHOD("FindNumbers"), &request.base, &messageapi__v1__find_numbers_response__descriptor,
			ANSWER_MS, &error, fault);
	if (answer != NULL) {
		error = take_found((const Messageapi__V1__FindNumbersResponse *)answer, pairs, count);
		protobuf_c_message_free_unpacked(answer, NULL);
	}
	free(list);
	free(wanted);
	return error;
}
