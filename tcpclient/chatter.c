#include "tcpclient/chatter.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"
#include "rpc/chat.pb-c.h"
#include "tcpclient/buffer.h"
#include "tcpclient/secure.h"
#include "tcpclient/unpack.h"

enum {
	WITHIN_S = 10,
	WITHIN_MS = WITHIN_S * 1000,
	DEAD_AFTER_S = 60,
	ANSWER_SIZE_MAX = 4096, /* of a person, bytes */
	NUMBER_DIGITS_MAX = 9,
	NUMBER_SIZE = 32, /* of a room in the list, with what is around it */
};

/* ---- A call that is answered by one message. ---- */

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

/* Returns a socket, or -1, which was said. */
static int reach(const struct chatter *chatter, struct secure_call **secured)
{
	int socket = net_connect(&chatter->place, WITHIN_MS);

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
static bool judge(const struct chatter *chatter, const struct unary *unary)
{
	const struct grpc_outcome *outcome = grpc_outcome(unary->grpc);

	if (!outcome->is_told) {
		complain_of_place(chatter, "no answer from", outcome->words);
		return false;
	}
	if (outcome->code != GRPC_OK) {
		(void)fprintf(stderr, "tcpclient: the server refuses: %s (%s)\n", outcome->words, grpc_code_name(outcome->code));
		return false;
	}
	if (!unary->is_answered)
		complain_of_place(chatter, "no answer from", "the call ended well, but without one");
	return unary->is_answered;
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

/* Calls 'path'. Returns the answer, which the caller frees (protobuf_c_message_free_unpacked()); NULL: there is none, which was
 * said. */
static ProtobufCMessage *call(const struct chatter *chatter, const char *path, const ProtobufCMessage *asked,
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
	ProtobufCMessage *answer = NULL;

	if (socket < 0)
		return NULL;
	unary.grpc = grpc_begin(socket, &settings);
	send_request(unary.grpc, asked);
	wait_for_end(unary.grpc);
	if (judge(chatter, &unary)) {
		answer = unpack(wanted, unary.answer.bytes, unary.answer.size);
		if (answer == NULL)
			complain_of_place(chatter, "no answer from", "it cannot be read, or has too many parts");
	}
	grpc_close(unary.grpc);
	if (unary.secured != NULL)
		secure_end(unary.secured);
	buffer_fini(&unary.answer);
	return answer;
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

static char *pick(const Rpc__ListChatRoomsResponse *rooms)
{
	char number[NUMBER_SIZE];
	char *answer;
	size_t picked;

	(void)printf("Chat rooms:\n");
	for (size_t i = 0; i < rooms->n_chat_rooms; i++) {
		(void)snprintf(number, sizeof number, "[%zu]: ", i + 1);
		print_clean(number, rooms->chat_rooms[i]->room_id);
	}
	if (rooms->n_chat_rooms == 0) {
		complain("there is no room; --create makes one");
		return NULL;
	}
	answer = ask("Pick a room: ");
	if (answer == NULL)
		return NULL;
	picked = read_pick(answer, rooms->n_chat_rooms);
	free(answer);
	return picked == 0 ? NULL : strdup(rooms->chat_rooms[picked - 1]->room_id);
}

char *chatter_pick(const struct chatter *chatter)
{
	Rpc__ListChatRoomsResponse *rooms = list(chatter);
	char *picked;

	if (rooms == NULL)
		return NULL;
	picked = pick(rooms);
	rpc__list_chat_rooms_response__free_unpacked(rooms, NULL);
	return picked;
}

char *chatter_ask_name(void)
{
	return ask("Enter a Name Tag: ");
}
