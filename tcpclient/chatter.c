#include "tcpclient/chatter.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"
#include "rpc/chat.pb-c.h"
#include "tcpchat/v1/chat.pb-c.h"
#include "tcpclient/buffer.h"
#include "tcpclient/carrier.h"
#include "tcpclient/connection.h"
#include "tcpclient/news.h"
#include "tcpclient/secure.h"
#include "tcpclient/unpack.h"

enum {
	WITHIN_S = 10,
	WITHIN_MS = WITHIN_S * 1000,
	DEAD_AFTER_S = 60,
	ANSWER_SIZE_MAX = 4096, /* of a person, bytes */
	NUMBER_DIGITS_MAX = 9,
	NUMBER_SIZE = 32, /* of a room in the list, with what is around it */
	TRIES = 3,        /* of a person, for a question */
};

/* ---- A call that is answered by one message. ---- */

/* How a call ended, if it was answered at all. */
struct answer {
	ProtobufCMessage *message; /* or NULL, for the reason below */
	bool was_made;             /* else there was no connection, which was said */
	struct grpc_outcome outcome;
};

/* On its way. */
struct unary {
	struct secure_call *secured;
	struct grpc *grpc;
	struct buffer answer;
	bool is_answered;
};

static void complain(const char *words)
{
	(void)fprintf(stderr, "tcpclient: %s\n", words);
}

static void complain_of_place(const struct chatter *chatter, const char *what, const char *why)
{
	(void)fprintf(stderr, "tcpclient: %s %s port %s: %s\n", what, chatter->place.host, chatter->place.port, why);
}

static const char *reason(int error)
{
	if (error == -ETIMEDOUT)
		return "no answer within 10 seconds";
	return error == -EHOSTUNREACH ? "there is no such host, or no way to it" : strerrordesc_np(-error);
}

static bool is_never(const void *context)
{
	(void)context;
	return false;
}

/* Encrypts a connection. Returns the socket that speaks plain, or -1, which was said. */
static int secure_it(const struct chatter *chatter, int socket, struct secure_call **secured)
{
	const struct secure_wait wait = {.timeout_ms = WITHIN_MS, .wake_descriptor = -1, .cancelled = is_never};
	struct buffer words = {0};
	enum secure_result result = secure_call(chatter->secure, socket, &wait, secured, &words);

	buffer_add(&words, "", 1);
	if (result == SECURE_BROKEN)
		complain_of_place(chatter, "cannot connect to", words.bytes);
	else if (result != SECURE_MADE)
		complain(words.bytes);
	buffer_fini(&words);
	return result == SECURE_MADE ? secure_socket(*secured) : -1;
}

static void tell_unreachable(const struct chatter *chatter, int error)
{
	static const struct carrier carrier = {.protocol = "grpc"};
	char address[NEWS_ADDRESS_SIZE];
	struct buffer words = {0};

	news_address(&chatter->place, address);
	(void)news_add(&words, CONNECTION_UNREACHABLE, address, &carrier, reason(error));
	(void)printf("%.*s\n", (int)words.size, words.bytes);
	(void)fflush(stdout); /* a terminal that is gone needs no news */
	buffer_fini(&words);
}

/* Who is patient, tries again until it is there, or the person ends the program. */
static int connect_to(const struct chatter *chatter)
{
	int socket = net_connect(&chatter->place, WITHIN_MS);

	if (socket < 0 && chatter->is_patient)
		tell_unreachable(chatter, socket);
	for (unsigned attempt = 0; socket < 0 && chatter->is_patient; attempt++) {
		(void)poll(NULL, 0, connection_delay_ms(attempt, 0));
		socket = net_connect(&chatter->place, WITHIN_MS);
	}
	return socket;
}

/* Returns a socket, or -1, which was said. */
static int reach(const struct chatter *chatter, struct secure_call **secured)
{
	int socket = connect_to(chatter);

	if (socket < 0) {
		complain_of_place(chatter, "cannot connect to", reason(socket));
		return -1;
	}
	net_tune(socket, DEAD_AFTER_S);
	return chatter->secure == NULL ? socket : secure_it(chatter, socket, secured);
}

/* Only the first counts: there is to be one. */
static void on_answer(void *context, const unsigned char *message, size_t size)
{
	struct unary *unary = context;

	if (!unary->is_answered)
		buffer_add(&unary->answer, (const char *)message, size);
	unary->is_answered = true;
}

static void wait_for_end(struct grpc *grpc)
{
	long long until = clock_ms() + WITHIN_MS;

	while (!grpc_is_over(grpc)) {
		struct pollfd polled = {.fd = grpc_socket(grpc), .events = grpc_wanted(grpc, true)};
		long long left = until - clock_ms();

		if (left <= 0)
			grpc_fail(grpc, GRPC_DEADLINE_EXCEEDED, reason(-ETIMEDOUT));
		else if (poll(&polled, 1, (int)left) > 0)
			grpc_work(grpc, (polled.revents & ~POLLOUT) != 0);
	}
}

/* Whether the call went well; if not, it is said why. */
static bool judge(const struct chatter *chatter, const struct answer *answer)
{
	const struct grpc_outcome *outcome = &answer->outcome;

	if (!answer->was_made)
		return false; /* it was said */
	if (!outcome->is_told)
		complain_of_place(chatter, "no answer from", outcome->words);
	else if (outcome->code != GRPC_OK)
		(void)fprintf(stderr, "tcpclient: the server refuses: %s (%s)\n", outcome->words, grpc_code_name(outcome->code));
	return answer->message != NULL;
}

/* What the call has brought. An answer that is none counts as a call that failed. */
static void take_answer(const struct unary *unary, const ProtobufCMessageDescriptor *wanted, struct answer *answer)
{
	const char *fault = "the call ended well, but without one";

	answer->outcome = *grpc_outcome(unary->grpc);
	if (!answer->outcome.is_told || answer->outcome.code != GRPC_OK)
		return;
	if (unary->is_answered) {
		answer->message = unpack(wanted, unary->answer.bytes, unary->answer.size);
		fault = "it cannot be read, or has too many parts";
	}
	if (answer->message != NULL)
		return;
	answer->outcome.is_told = false;
	(void)snprintf(answer->outcome.words, sizeof answer->outcome.words, "%s", fault);
}

static void send_request(struct grpc *grpc, const ProtobufCMessage *request)
{
	size_t size = protobuf_c_message_get_packed_size(request);
	uint8_t *bytes = memory_get(size + 1);

	(void)protobuf_c_message_pack(request, bytes);
	grpc_send(grpc, bytes, size);
	grpc_send_end(grpc);
	free(bytes);
}

/* Calls 'path'. The caller frees the message in the answer (protobuf_c_message_free_unpacked()). */
static struct answer call_once(const struct chatter *chatter, const char *path, const ProtobufCMessage *asked,
	const ProtobufCMessageDescriptor *wanted)
{
	struct unary unary = {.is_answered = false};
	const struct grpc_settings settings = {.authority = chatter->authority,
		.path = path,
		.timeout_s = WITHIN_S,
		.is_encrypted = chatter->secure != NULL,
		.heard = on_answer,
		.context = &unary};
	int socket = reach(chatter, &unary.secured);
	struct answer answer = {.was_made = socket >= 0};

	if (socket < 0)
		return answer;
	unary.grpc = grpc_begin(socket, &settings);
	send_request(unary.grpc, asked);
	wait_for_end(unary.grpc);
	take_answer(&unary, wanted, &answer);
	grpc_close(unary.grpc);
	if (unary.secured != NULL)
		secure_end(unary.secured);
	buffer_fini(&unary.answer);
	return answer;
}

/* The same, again if the connection broke: what is asked here may be asked twice, if it is asked for a person. */
static struct answer call_quietly(const struct chatter *chatter, const char *path, const ProtobufCMessage *asked,
	const ProtobufCMessageDescriptor *wanted)
{
	struct answer answer = call_once(chatter, path, asked, wanted);

	for (int tries = 1; tries < TRIES && chatter->is_patient; tries++) {
		if (answer.message != NULL || answer.outcome.is_told || answer.outcome.code != GRPC_UNAVAILABLE)
			break;
		answer = call_once(chatter, path, asked, wanted);
	}
	return answer;
}

/* The same; NULL: there is no answer, which was said. */
static ProtobufCMessage *call(const struct chatter *chatter, const char *path, const ProtobufCMessage *asked,
	const ProtobufCMessageDescriptor *wanted)
{
	struct answer answer = call_quietly(chatter, path, asked, wanted);

	return judge(chatter, &answer) ? answer.message : NULL;
}

/* ---- Rooms. ---- */

void chatter_init(struct chatter *chatter, const struct net_place *place, const struct secure *secure)
{
	*chatter = (struct chatter){.place = *place, .secure = secure};
	grpc_authority(place, chatter->authority);
}

/* Text of a server, so that it does nothing to the terminal. */
static void print_clean(const char *before, const char *text)
{
	struct buffer clean = {0};

	buffer_add_clean(&clean, text, strlen(text));
	clean.size = text_straighten(clean.bytes, clean.size);
	(void)printf("%s%.*s\n", before, (int)clean.size, clean.bytes);
	buffer_fini(&clean);
}

/* What was printed counts only when it is there. */
static int flushed(void)
{
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return EXIT_SUCCESS;
	(void)fprintf(stderr, "tcpclient: cannot write to standard output: %s\n", strerrordesc_np(errno));
	return EXIT_FAILURE;
}

int chatter_create(const struct chatter *chatter, bool is_private)
{
	Rpc__CreateChatRoomRequest asked;
	Rpc__ChatRoom *room;

	rpc__create_chat_room_request__init(&asked);
	asked.private_ = is_private;
	room = (Rpc__ChatRoom *)call(
		chatter, "/rpc.ChatService/CreateChatRoom", &asked.base, &rpc__chat_room__descriptor);
	if (room == NULL)
		return EXIT_FAILURE;
	print_clean("Chat room created: ", room->room_id);
	rpc__chat_room__free_unpacked(room, NULL);
	return flushed();
}

static Rpc__ListChatRoomsResponse *list(const struct chatter *chatter)
{
	Rpc__ListChatRoomsRequest asked;

	rpc__list_chat_rooms_request__init(&asked);
	return (Rpc__ListChatRoomsResponse *)call(
		chatter, "/rpc.ChatService/ListChatRooms", &asked.base, &rpc__list_chat_rooms_response__descriptor);
}

int chatter_list(const struct chatter *chatter)
{
	Rpc__ListChatRoomsResponse *rooms = list(chatter);

	if (rooms == NULL)
		return EXIT_FAILURE;
	for (size_t i = 0; i < rooms->n_chat_rooms; i++)
		print_clean("", rooms->chat_rooms[i]->room_id);
	rpc__list_chat_rooms_response__free_unpacked(rooms, NULL);
	return flushed();
}

int chatter_delete(const struct chatter *chatter, const char *room)
{
	Rpc__DeleteChatRoomRequest asked;
	char *id = strdup(room); /* the struct has no const */
	Rpc__ChatRoom *deleted = NULL;

	rpc__delete_chat_room_request__init(&asked);
	asked.room_id = id;
	if (id != NULL)
		deleted = (Rpc__ChatRoom *)call(chatter, "/rpc.ChatService/DeleteChatRoom", &asked.base, &rpc__chat_room__descriptor);
	free(id);
	if (deleted == NULL)
		return EXIT_FAILURE;
	rpc__chat_room__free_unpacked(deleted, NULL);
	(void)printf("Chat room deleted: %s\n", room);
	return flushed();
}

/* ---- Questions. ---- */

/* Takes the white space from both ends. */
static void trim(struct buffer *text)
{
	size_t before = 0;

	while (text->size > 0 && strchr(" \t\r", text->bytes[text->size - 1]) != NULL)
		text->size--;
	while (before < text->size && strchr(" \t", text->bytes[before]) != NULL)
		before++;
	text->size -= before;
	memmove(text->bytes, text->bytes + before, text->size);
}

/* Reads a line byte by byte, since what comes after it is for others. Returns false at the end of the input. */
static bool read_line(struct buffer *line)
{
	char byte = '\0';
	ssize_t size;

	while ((size = read(STDIN_FILENO, &byte, 1)) != 0 && byte != '\n') {
		if (size < 0 && errno != EINTR)
			return false;
		if (size > 0 && line->size < ANSWER_SIZE_MAX && byte != '\0')
			buffer_add(line, &byte, 1);
	}
	return size > 0 || line->size > 0;
}

/* Returns the answer, in new memory; NULL: there was none, which is said. */
static char *ask(const char *question)
{
	struct buffer line = {0};

	(void)fputs(question, stdout);
	if (fflush(stdout) != 0)
		return NULL; /* nobody reads the question */
	if (!read_line(&line)) {
		(void)putchar('\n');
		(void)fflush(stdout);
		complain("the input has ended before that was answered");
		buffer_fini(&line);
		return NULL;
	}
	buffer_add(&line, "", 1);
	line.size--;
	trim(&line);
	line.bytes[line.size] = '\0';
	return line.bytes;
}

/* Returns the room that was picked, from 1 on; 0: none, which is said. */
static size_t read_pick(const char *answer, size_t count)
{
	const char *digits = answer + (answer[0] == '-' || answer[0] == '+');
	unsigned long picked = 0;

	if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0') {
		(void)fprintf(stderr, "error: must input a number\n");
		return 0;
	}
	if (answer[0] != '-' && strlen(digits) <= NUMBER_DIGITS_MAX)
		picked = strtoul(digits, NULL, 10);
	if (picked >= 1 && picked <= count)
		return picked;
	(void)fprintf(stderr, "error: must select a room that exists\n");
	return 0;
}

int chatter_tries(void)
{
	return isatty(STDIN_FILENO) ? TRIES : 1;
}

/* Asks until a room is picked. Returns it, from 1 on; 0: none, which is said. */
static size_t ask_for_room(size_t count)
{
	size_t picked = 0;

	if (count == 0)
		complain("there is no room; --create makes one");
	for (int tries = chatter_tries(); count > 0 && picked == 0 && tries > 0; tries--) {
		char *answer = ask("Pick a room: ");

		if (answer == NULL)
			return 0;
		picked = read_pick(answer, count);
		free(answer);
	}
	return picked;
}

/* A person knows rooms by their names; programs, by their ids. */
static void show_room(size_t place, const char *name, const char *id)
{
	char number[NUMBER_SIZE];
	struct buffer text = {0};

	(void)snprintf(number, sizeof number, "[%zu]: ", place);
	if (strcmp(name, id) == 0)
		buffer_add_text(&text, id);
	else
		buffer_add_format(&text, "%s (%s)", name, id);
	buffer_add(&text, "", 1);
	print_clean(number, text.bytes);
	buffer_fini(&text);
}

/* ---- Where to go. ---- */

void chatter_room_fini(struct chatter_room *room)
{
	free(room->id);
	free(room->label);
}

bool chatter_find(const struct chatter *chatter, const char *id, struct chatter_room *room)
{
	Tcpchat__V1__GetRoomRequest asked;
	struct answer answer;

	*room = (struct chatter_room){.id = strdup(id)};
	if (room->id == NULL)
		abort(); /* no memory: see buffer.h */
	tcpchat__v1__get_room_request__init(&asked);
	asked.room = room->id;
	answer = call_quietly(chatter, "/tcpchat.v1.Chat/GetRoom", &asked.base, &tcpchat__v1__room__descriptor);
	if (answer.message != NULL) {
		room->label = strdup(((Tcpchat__V1__Room *)answer.message)->name);
		protobuf_c_message_free_unpacked(answer.message, NULL);
	}
	return answer.was_made;
}

static bool pick_by_id(const struct chatter *chatter, struct chatter_room *room)
{
	Rpc__ListChatRoomsResponse *rooms = list(chatter);
	size_t picked;

	if (rooms == NULL)
		return false;
	(void)printf("Chat rooms:\n");
	for (size_t i = 0; i < rooms->n_chat_rooms; i++)
		show_room(i + 1, rooms->chat_rooms[i]->room_id, rooms->chat_rooms[i]->room_id);
	picked = ask_for_room(rooms->n_chat_rooms);
	if (picked > 0)
		room->id = strdup(rooms->chat_rooms[picked - 1]->room_id);
	rpc__list_chat_rooms_response__free_unpacked(rooms, NULL);
	return room->id != NULL;
}

static bool pick_by_name(const Tcpchat__V1__ListRoomsResponse *rooms, struct chatter_room *room)
{
	size_t picked;

	(void)printf("Chat rooms:\n");
	for (size_t i = 0; i < rooms->n_rooms; i++)
		show_room(i + 1, rooms->rooms[i]->name, rooms->rooms[i]->id);
	picked = ask_for_room(rooms->n_rooms);
	if (picked == 0)
		return false;
	room->id = strdup(rooms->rooms[picked - 1]->id);
	room->label = strdup(rooms->rooms[picked - 1]->name);
	return room->id != NULL && room->label != NULL;
}

/* Servers that tell names are asked for them; the others have rpc.ChatService alone. */
bool chatter_pick(const struct chatter *chatter, struct chatter_room *room)
{
	Tcpchat__V1__ListRoomsRequest asked;
	struct answer answer;
	bool picked;

	*room = (struct chatter_room){.id = NULL};
	tcpchat__v1__list_rooms_request__init(&asked);
	answer = call_quietly(chatter, "/tcpchat.v1.Chat/ListRooms", &asked.base, &tcpchat__v1__list_rooms_response__descriptor);
	if (!answer.was_made)
		return false;
	if (answer.message == NULL)
		return pick_by_id(chatter, room);
	picked = pick_by_name((Tcpchat__V1__ListRoomsResponse *)answer.message, room);
	protobuf_c_message_free_unpacked(answer.message, NULL);
	return picked;
}

char *chatter_ask_name(void)
{
	return ask("Enter a Name Tag: ");
}
