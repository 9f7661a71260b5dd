#include "messageapi/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "go_chat/message.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "messageapi/numbers.h"
#include "messageapi/v1/messages.pb-c.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/room.h"

enum {
	PAGE_MOST = 1000,
	READ_MOST = 64,                     /* messages that are read at a time                                */
	PAGE_BYTES_MOST = 3 * 1024 * 1024,  /* of a page                                                       */
	HISTORY_MOST = 10000,               /* messages of Go-Chat's history, as tcpserver gives it            */
	HISTORY_BYTES_MOST = 4000000,       /* clients take messages of 4 MiB, if nobody tells them otherwise  */
	RECORD_EXTRA = 16,                  /* bytes of a message on the wire besides its strings, at most     */
	MESSAGE_EXTRA = 40,                 /* the same of our own kind                                        */
	NUMBERS_MOST = 5000,
	WAIT_MOST_MS = 10000,
};

#define LOBBY "lobby"

struct service {
	const struct service_context *context;
	struct link *link; /* NULL: there is none now */
};

void *service_open(void *context)
{
	struct service *service = calloc(1, sizeof *service);

	if (service != NULL)
		service->context = context;
	return service;
}

static const struct engine_ops *ops_of(const struct service *service)
{
	return service->context->engine->ops;
}

void service_close(void *connection)
{
	struct service *service = connection;

	if (service->link != NULL)
		ops_of(service)->disconnect(service->link);
	free(service);
}

/* ---- The database. ---- */

static struct link *link_of(struct service *service, struct grpc_reply *reply)
{
	char fault[ENGINE_FAULT_SIZE] = "";

	if (service->link != NULL && !ops_of(service)->works(service->link)) {
		ops_of(service)->disconnect(service->link);
		service->link = NULL;
	}
	if (service->link == NULL)
		service->link = ops_of(service)->connect(service->context->engine, LINK_READS, fault);
	if (service->link == NULL)
		grpc_reply_code(reply, GRPC_UNAVAILABLE, fault);
	return service->link;
}

static void fail(struct service *service, struct grpc_reply *reply, ssize_t error)
{
	if (error == -ENOENT)
		grpc_reply_code(reply, GRPC_NOT_FOUND, "there is no such room");
	else if (error == -ENOMEM)
		grpc_reply_code(reply, GRPC_RESOURCE_EXHAUSTED, "no memory");
	else
		grpc_reply_code(reply, GRPC_UNAVAILABLE, ops_of(service)->fault(service->link));
}

/* Asks once more over a new link when the old one had broken: the database may have been started anew. */
typedef ssize_t question(struct service *service, void *context);

static ssize_t ask(struct service *service, struct grpc_reply *reply, question *wanted, void *context)
{
	ssize_t answer = -EIO;

	for (int i = 0; i < 2; i++) {
		if (link_of(service, reply) == NULL)
			return -ENOTCONN; /* it was said */
		answer = wanted(service, context);
		if (answer >= 0 || ops_of(service)->works(service->link))
			break;
	}
	if (answer < 0)
		fail(service, reply, answer);
	return answer;
}

/* ---- Rooms. ---- */

/* Finds a room by its name or its id. */
struct room_question {
	const char *text;
	struct room_record record;
	uint64_t last;
};

static ssize_t find_room(struct service *service, void *context)
{
	struct room_question *room = context;
	const char *ids[] = {room->record.id};
	char key[NAME_KEY_SIZE] = "";
	int error = 0;

	if (strlen(room->text) >= NAME_SIZE)
		return -ENOENT;
	(void)name_key(room->text, key);
	if (room_is_id(key))
		(void)snprintf(room->record.id, sizeof room->record.id, "%s", key);
	else
		error = ops_of(service)->find_room(service->link, key, room->text, &room->record);
	if (error == 0)
		error = ops_of(service)->last(service->link, ids, &room->last, 1);
	return error == 0 && room->last == UINT64_MAX ? -ENOENT : error;
}

static void fill_room(Messageapi__V1__Room *room, const struct room_record *record)
{
	messageapi__v1__room__init(room);
	room->id = (char *)(uintptr_t)record->id; /* strings are only read */
	room->name = (char *)(uintptr_t)record->name;
	room->creator = (char *)(uintptr_t)record->creator;
	room->topic = (char *)(uintptr_t)record->topic;
	room->capacity = record->attributes.capacity;
	room->listed = record->attributes.listed;
	room->persistent = record->attributes.persistent;
	room->ends_with_member = record->attributes.ends_with_member;
	room->waits = record->attributes.waits;
	room->created_ns = record->attributes.created_ns;
	room->last = record->last;
}

struct list_question {
	const Messageapi__V1__ListRoomsRequest *request;
	struct room_record *records; /* PAGE_MOST of them */
	size_t limit;
};

static ssize_t list_rooms(struct service *service, void *context)
{
	const struct list_question *list = context;

	return ops_of(service)->list_rooms(
		service->link, list->request->after, list->request->listed, list->records, list->limit);
}

static void reply_rooms(struct grpc_reply *reply, const struct room_record *records, size_t count)
{
	Messageapi__V1__ListRoomsResponse response = MESSAGEAPI__V1__LIST_ROOMS_RESPONSE__INIT;
	Messageapi__V1__Room *rooms = calloc(count + 1, sizeof *rooms);
	Messageapi__V1__Room **list = calloc(count + 1, sizeof *list);

	if (rooms == NULL || list == NULL) {
		grpc_reply_code(reply, GRPC_RESOURCE_EXHAUSTED, "no memory");
	} else {
		for (size_t i = 0; i < count; i++) {
			fill_room(&rooms[i], &records[i]);
			list[i] = &rooms[i];
		}
		response.rooms = list;
		response.n_rooms = count;
		grpc_reply_message(reply, &response.base);
	}
	free(rooms);
	free(list);
}

static size_t limit_of(uint32_t limit)
{
	return limit == 0 || limit > PAGE_MOST ? PAGE_MOST : limit;
}

static void serve_list_rooms(void *connection, const ProtobufCMessage *message, struct grpc_reply *reply)
{
	struct list_question list = {.request = (const Messageapi__V1__ListRoomsRequest *)message};
	ssize_t count;

	list.limit = limit_of(list.request->limit);
	list.records = calloc(list.limit, sizeof *list.records);
	if (list.records == NULL) {
		grpc_reply_code(reply, GRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	count = ask(connection, reply, list_rooms, &list);
	if (count >= 0)
		reply_rooms(reply, list.records, (size_t)count);
	free(list.records);
}

/* ---- Messages. ---- */

/* A page that is read bit by bit. */
struct page {
	struct room_question room;
	uint64_t from;
	size_t limit;
	struct message *messages[PAGE_MOST];
	size_t count;
	size_t bytes;
};

static size_t size_of(const struct message *message)
{
	return message->participant_size + message->text_size + MESSAGE_EXTRA;
}

static void page_drop(struct page *page)
{
	while (page->count > 0)
		message_release(page->messages[--page->count]);
	page->bytes = 0;
}

/* Keeps as many of those that were read as the page takes; there is always one. */
static bool page_take(struct page *page, size_t count)
{
	size_t end = page->count + count;
	size_t next = page->count;

	while (next < end && (next == 0 || page->bytes + size_of(page->messages[next]) <= PAGE_BYTES_MOST))
		page->bytes += size_of(page->messages[next++]);
	page->count = next;
	for (size_t i = next; i < end; i++)
		message_release(page->messages[i]);
	return next == end;
}

static ssize_t read_page(struct service *service, void *context)
{
	struct page *page = context;
	ssize_t count = find_room(service, &page->room);
	uint64_t from = page->from;

	page_drop(page);
	while (count >= 0 && page->count < page->limit) {
		size_t begin = page->count;
		size_t most = page->limit - begin < READ_MOST ? page->limit - begin : READ_MOST;

		count = ops_of(service)->fetch(service->link, page->room.record.id, "", from, page->messages + begin, most);
		if (count <= 0)
			break;
		from = page->messages[begin + (size_t)count - 1]->seq + 1;
		if (!page_take(page, (size_t)count))
			break;
	}
	if (count < 0)
		page_drop(page);
	return count < 0 ? count : 0;
}

/* What was said, which is not ended by NUL, as a string in new memory, behind a mark. */
static char *copy_text(const char *mark, const struct message *message)
{
	size_t mark_size = strlen(mark);
	char *copy = malloc(mark_size + message->text_size + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, mark, mark_size);
	if (message->text_size > 0)
		memcpy(copy + mark_size, message->text, message->text_size);
	copy[mark_size + message->text_size] = '\0';
	return copy;
}

static bool fill_message(Messageapi__V1__Message *out, const struct message *message)
{
	messageapi__v1__message__init(out);
	out->seq = message->seq;
	out->at_ns = message->at_ns;
	out->kind = (Messageapi__V1__Message__Kind)message->kind;
	out->participant = (char *)(uintptr_t)message->participant; /* only read */
	out->text = copy_text("", message);
	return out->text != NULL;
}

static void reply_page(struct grpc_reply *reply, const struct page *page)
{
	Messageapi__V1__ListMessagesResponse response = MESSAGEAPI__V1__LIST_MESSAGES_RESPONSE__INIT;
	Messageapi__V1__Message *messages = calloc(page->count + 1, sizeof *messages);
	Messageapi__V1__Message **list = calloc(page->count + 1, sizeof *list);
	bool filled = messages != NULL && list != NULL;

	for (size_t i = 0; filled && i < page->count; i++) {
		filled = fill_message(&messages[i], page->messages[i]);
		list[i] = &messages[i];
	}
	response.messages = list;
	response.n_messages = page->count;
	response.last = page->room.last;
	if (page->count > 0 && page->messages[page->count - 1]->seq > response.last)
		response.last = page->messages[page->count - 1]->seq;
	if (filled)
		grpc_reply_message(reply, &response.base);
	else
		grpc_reply_code(reply, GRPC_RESOURCE_EXHAUSTED, "no memory");
	for (size_t i = 0; messages != NULL && list != NULL && i < page->count && list[i] != NULL; i++)
		free(messages[i].text);
	free(messages);
	free(list);
}

static void serve_list_messages(void *connection, const ProtobufCMessage *message, struct grpc_reply *reply)
{
	const Messageapi__V1__ListMessagesRequest *request = (const Messageapi__V1__ListMessagesRequest *)message;
	struct page *page = calloc(1, sizeof *page);

	if (page == NULL) {
		grpc_reply_code(reply, GRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	page->room.text = request->room;
	page->from = request->after == UINT64_MAX ? UINT64_MAX : request->after + 1;
	page->limit = limit_of(request->limit);
	if (ask(connection, reply, read_page, page) >= 0)
		reply_page(reply, page);
	page_drop(page);
	free(page);
}

/* ---- Numbers of clients. ---- */

struct numbers_question {
	struct number *numbers;
	size_t count;
};

static ssize_t find_numbers(struct service *service, void *context)
{
	const struct numbers_question *wanted = context;

	return numbers_find(service->link, wanted->numbers, wanted->count);
}

static void reply_numbers(struct grpc_reply *reply, struct number *numbers, size_t count)
{
	Messageapi__V1__FindNumbersResponse response = MESSAGEAPI__V1__FIND_NUMBERS_RESPONSE__INIT;
	Messageapi__V1__FindNumbersResponse__Found *found = calloc(count + 1, sizeof *found);
	Messageapi__V1__FindNumbersResponse__Found **list = calloc(count + 1, sizeof *list);

	for (size_t i = 0; found != NULL && list != NULL && i < count; i++) {
		messageapi__v1__find_numbers_response__found__init(&found[i]);
		found[i].seq = numbers[i].seq;
		found[i].at_ns = numbers[i].at_ns;
		found[i].highest = numbers[i].highest;
		found[i].room = numbers[i].room;
		list[i] = &found[i];
	}
	response.found = list;
	response.n_found = count;
	if (found != NULL && list != NULL)
		grpc_reply_message(reply, &response.base);
	else
		grpc_reply_code(reply, GRPC_RESOURCE_EXHAUSTED, "no memory");
	free(found);
	free(list);
}

/* Returns whether all pairs have the form of one. */
static bool read_pairs(const Messageapi__V1__FindNumbersRequest *request, struct number *numbers)
{
	for (size_t i = 0; i < request->n_pairs; i++) {
		if (request->pairs[i]->client.len != CLIENT_ID_SIZE)
			return false;
		memcpy(numbers[i].client, request->pairs[i]->client.data, CLIENT_ID_SIZE);
		numbers[i].number = request->pairs[i]->number;
	}
	return true;
}

static void serve_find_numbers(void *connection, const ProtobufCMessage *message, struct grpc_reply *reply)
{
	const Messageapi__V1__FindNumbersRequest *request = (const Messageapi__V1__FindNumbersRequest *)message;
	struct numbers_question wanted = {.count = request->n_pairs};

	wanted.numbers = calloc(wanted.count + 1, sizeof *wanted.numbers);
	if (wanted.numbers == NULL)
		grpc_reply_code(reply, GRPC_RESOURCE_EXHAUSTED, "no memory");
	else if (wanted.count > NUMBERS_MOST || !read_pairs(request, wanted.numbers))
		grpc_reply_code(reply, GRPC_INVALID_ARGUMENT, "there may be 5000 pairs, and a client has 16 bytes");
	else if (ask(connection, reply, find_numbers, &wanted) >= 0)
		reply_numbers(reply, wanted.numbers, wanted.count);
	free(wanted.numbers);
}

/* ---- Waiting. ---- */

static void serve_wait_for(void *connection, const ProtobufCMessage *message, struct grpc_reply *reply)
{
	const Messageapi__V1__WaitForRequest *request = (const Messageapi__V1__WaitForRequest *)message;
	const struct service *service = connection;
	Messageapi__V1__WaitForResponse response = MESSAGEAPI__V1__WAIT_FOR_RESPONSE__INIT;
	unsigned timeout_ms = request->timeout_ms > WAIT_MOST_MS ? WAIT_MOST_MS : request->timeout_ms;

	response.position = progress_wait(service->context->progress, request->session, request->position, timeout_ms);
	grpc_reply_message(reply, &response.base);
}

/* ---- Go-Chat's history: the end of what was said in the lobby. ---- */

struct history {
	struct message **messages; /* the newest first */
	size_t count;
	size_t bytes;
};

static void history_drop(struct history *history)
{
	while (history->count > 0)
		message_release(history->messages[--history->count]);
	history->bytes = 0;
}

/* Takes a message, or lets go of it. Returns whether older ones may follow. */
static bool history_take(struct history *history, struct message *message)
{
	size_t bytes = message->participant_size + message->text_size + RECORD_EXTRA;

	if (message->kind != MESSAGE_TEXT && message->kind != MESSAGE_ACTION) {
		message_release(message);
		return true;
	}
	if (history->count == HISTORY_MOST || history->bytes + bytes > HISTORY_BYTES_MOST) {
		message_release(message);
		return false;
	}
	history->messages[history->count++] = message;
	history->bytes += bytes;
	return true;
}

/* Takes messages 'from' to that before 'before'. Returns whether older ones may follow, or -errno. */
static int history_take_page(
	struct history *history, struct service *service, const char *id, uint64_t from, uint64_t before)
{
	struct message *messages[READ_MOST];
	ssize_t count = ops_of(service)->fetch(service->link, id, LOBBY, from, messages, (size_t)(before - from));
	bool more = true;

	for (ssize_t i = count; i > 0; i--) {
		if (!more || messages[i - 1]->seq >= before) /* there is a hole */
			message_release(messages[i - 1]);
		else
			more = history_take(history, messages[i - 1]);
	}
	return count < 0 ? (int)count : more;
}

static ssize_t read_history(struct service *service, void *context)
{
	struct history *history = context;
	struct room_question room = {.text = LOBBY};
	ssize_t more = find_room(service, &room);
	uint64_t before = room.last + 1;

	history_drop(history);
	if (more == -ENOENT)
		return 0; /* nobody has said anything */
	for (more = more < 0 ? more : 1; more > 0 && before > 1;) {
		uint64_t from = before > READ_MOST ? before - READ_MOST : 1;

		more = history_take_page(history, service, room.record.id, from, before);
		before = from;
	}
	return more < 0 ? more : 0;
}

static void reply_history(struct grpc_reply *reply, const struct history *history)
{
	MessageResponses response = MESSAGE_RESPONSES__INIT;
	Message *messages = calloc(history->count + 1, sizeof *messages);
	Message **list = calloc(history->count + 1, sizeof *list);
	bool filled = messages != NULL && list != NULL;

	for (size_t i = 0; filled && i < history->count; i++) {
		const struct message *message = history->messages[history->count - 1 - i];

		message__init(&messages[i]);
		messages[i].username = (char *)(uintptr_t)message->participant; /* only read */
		/* As the other doors show an action to who knows none. */
		messages[i].message = copy_text(message->kind == MESSAGE_ACTION ? "~ " : "", message);
		filled = messages[i].message != NULL;
		list[i] = &messages[i];
	}
	response.data = list;
	response.n_data = history->count;
	if (filled)
		grpc_reply_message(reply, &response.base);
	else
		grpc_reply_code(reply, GRPC_RESOURCE_EXHAUSTED, "no memory");
	for (size_t i = 0; messages != NULL && list != NULL && i < history->count && list[i] != NULL; i++)
		free(messages[i].message);
	free(messages);
	free(list);
}

static void serve_find_all(void *connection, const ProtobufCMessage *message, struct grpc_reply *reply)
{
	struct history history = {.messages = calloc(HISTORY_MOST, sizeof(struct message *))};

	(void)message;
	if (history.messages == NULL) {
		grpc_reply_code(reply, GRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	if (ask(connection, reply, read_history, &history) >= 0)
		reply_history(reply, &history);
	history_drop(&history);
	free(history.messages);
}

/* ---- Health. ---- */

static void serve_check(void *connection, const ProtobufCMessage *message, struct grpc_reply *reply)
{
	static const char *const services[] = {"", "messageapi.v1.Messages", "MessageService", "grpc.health.v1.Health"};
	const char *wanted = ((const Grpc__Health__V1__HealthCheckRequest *)message)->service;
	const struct service *service = connection;
	Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

	for (size_t i = 0; i < sizeof services / sizeof *services; i++)
		if (strcmp(wanted, services[i]) == 0) {
			/* Relaxed: it may be a moment old. */
			response.status = atomic_load_explicit(&service->context->progress->is_up, memory_order_relaxed)
				? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
				: GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
			grpc_reply_message(reply, &response.base);
			return;
		}
	grpc_reply_code(reply, GRPC_NOT_FOUND, "unknown service");
}

#define METHOD(name) "/messageapi.v1.Messages/" name

const struct grpc_server_method service_methods[] = {
	{METHOD("ListMessages"), &messageapi__v1__list_messages_request__descriptor, serve_list_messages},
	{METHOD("ListRooms"), &messageapi__v1__list_rooms_request__descriptor, serve_list_rooms},
	{METHOD("FindNumbers"), &messageapi__v1__find_numbers_request__descriptor, serve_find_numbers},
	{METHOD("WaitFor"), &messageapi__v1__wait_for_request__descriptor, serve_wait_for},
	{"/MessageService/FindAll", &message_request__descriptor, serve_find_all},
	{"/grpc.health.v1.Health/Check", &grpc__health__v1__health_check_request__descriptor, serve_check},
	{NULL, NULL, NULL},
};
