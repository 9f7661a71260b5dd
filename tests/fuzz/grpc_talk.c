/*
 * A whole call of any method of gRPC. Whatever the client sends, what it gets are whole messages of the kind that the
 * method answers with, and the call ends with a status when its client goes.
 *
 * Input: a byte that chooses the method; then messages, each after a byte that says how long it is; the last one is
 * what is left.
 */
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "go_chat/message.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "rpc/chat.pb-c.h"
#include "tcpchat/v1/chat.pb-c.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/grpc_call.h"
#include "tcpserver/journals/memory.h"
#include "tests/fuzz/fuzz.h"

enum { OUTPUT_SIZE = 4 * 1024 * 1024, INPUT_SIZE = 64 * 1024, ROOMS_MOST = 5 };

static const struct method {
	const char *path;
	const ProtobufCMessageDescriptor *answer;
} methods[] = {
	{"/tcpchat.v1.Chat/Talk", &tcpchat__v1__event__descriptor},
	{"/rpc.ChatService/Chat", &rpc__message__descriptor},
	{"/tcpchat.v1.Chat/Subscribe", &tcpchat__v1__event__descriptor},
	{"/tcpchat.v1.Chat/Send", &tcpchat__v1__send_response__descriptor},
	{"/tcpchat.v1.Chat/ListRooms", &tcpchat__v1__list_rooms_response__descriptor},
	{"/tcpchat.v1.Chat/GetRoom", &tcpchat__v1__room__descriptor},
	{"/tcpchat.v1.Chat/CreateRoom", &tcpchat__v1__room__descriptor},
	{"/tcpchat.v1.Chat/DeleteRoom", &tcpchat__v1__delete_room_response__descriptor},
	{"/tcpchat.v1.Chat/ListMessages", &tcpchat__v1__list_messages_response__descriptor},
	{"/rpc.ChatService/CreateChatRoom", &rpc__chat_room__descriptor},
	{"/rpc.ChatService/ListChatRooms", &rpc__list_chat_rooms_response__descriptor},
	{"/rpc.ChatService/DeleteChatRoom", &rpc__chat_room__descriptor},
	{"/MessageService/FindAll", &message_responses__descriptor},
	{"/grpc.health.v1.Health/Check", &grpc__health__v1__health_check_response__descriptor},
	{"/grpc.health.v1.Health/Watch", &grpc__health__v1__health_check_response__descriptor},
	{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		&grpc__reflection__v1__server_reflection_response__descriptor},
};

static struct talk talk;

static void talk_begin(void)
{
	struct journal *journal = memory_journal_create(10);

	log_start(LOG_ERROR, LOG_TEXT);
	outlet_prepare_process();
	MUST(journal != NULL && talk_init(&talk, journal, ROOMS_MOST));
	talk.limits.most = 10;
	talk.max_line = 1000;
	talk.lag_memory = 1 << 20;
	talk.history = 5;
	talk.rooms_are_open = true;
	talk.name_timeout_ms = 60000;
	talk.peer_timeout_s = 60;
	talk.admin_password = "x";
}

struct listener {
	int socket;
	char *output;
	size_t size;
};

/* The client's side: takes all that comes, until the server closes. */
static void *receive_all(void *argument)
{
	struct listener *client = argument;
	ssize_t got;

	while ((got = recv(client->socket, client->output + client->size, OUTPUT_SIZE - client->size, 0)) > 0)
		client->size += (size_t)got;
	MUST(client->size < OUTPUT_SIZE);
	return NULL;
}

static void send_all(int socket, const void *bytes, size_t size)
{
	MUST(send(socket, bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
}

static void send_messages(int socket, struct fuzz_input input)
{
	while (input.size > 0) {
		unsigned char head[GRPC_FRAME_HEAD_SIZE];
		size_t size = fuzz_byte(&input);

		if (size > input.size)
			size = input.size;
		grpc_frame_write_head(head, size);
		send_all(socket, head, sizeof head);
		send_all(socket, input.bytes, size);
		input.bytes += size;
		input.size -= size;
	}
	MUST(shutdown(socket, SHUT_WR) == 0);
}

static void run_call(struct grpc_call *call, int socket)
{
	struct session *session = session_create(&talk, socket, &grpc_call_door, &call->carrier);

	MUST(session != NULL &&
		client_list_add(&talk.clients, &session->client, NULL, &talk.limits) == CLIENT_ADMITTED);
	session_run(session);
	client_list_remove(&talk.clients, &session->client);
	session_destroy(session);
	(void)close(socket);
}

static void check_answers(const struct listener *client, const ProtobufCMessageDescriptor *descriptor)
{
	struct grpc_frame reader;
	const unsigned char *message;
	size_t size;

	grpc_frame_init(&reader, OUTPUT_SIZE);
	grpc_frame_feed(&reader, client->output, client->size);
	for (;;) {
		enum grpc_frame_found found = grpc_frame_next(&reader, &message, &size);
		ProtobufCMessage *answer;

		if (found == GRPC_FRAME_MORE)
			break;
		MUST(found == GRPC_FRAME_MESSAGE);
		answer = protobuf_c_message_unpack(descriptor, NULL, size, message);
		MUST(answer != NULL && answer->n_unknown_fields == 0);
		protobuf_c_message_free_unpacked(answer, NULL);
	}
	MUST(!grpc_frame_is_open(&reader));
	grpc_frame_fini(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static bool begun;
	struct fuzz_input input = {.bytes = bytes, .size = size < INPUT_SIZE ? size : INPUT_SIZE};
	const struct method *method = &methods[fuzz_byte(&input) % (sizeof methods / sizeof methods[0])];
	struct listener client = {.output = malloc(OUTPUT_SIZE)};
	struct grpc_call call = {.method = grpc_method_find(method->path, strlen(method->path))};
	pthread_t thread;
	int pair[2];

	if (!begun)
		talk_begin();
	begun = true;
	MUST(call.method != NULL);
	grpc_call_init(&call);
	call.carrier = (struct carrier){
		.address = "127.0.0.1:1", .own_address = "127.0.0.1:2", .broken = &call.broken, .context = &call};
	call.is_cancelled = true; /* the end of what it says is that it goes */
	MUST(client.output != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	client.socket = pair[1];
	send_messages(pair[1], input);
	MUST(pthread_create(&thread, NULL, receive_all, &client) == 0);
	run_call(&call, pair[0]);
	MUST(pthread_join(thread, NULL) == 0);
	(void)close(pair[1]);
	MUST(call.status >= GRPC_OK && call.status <= GRPC_UNAUTHENTICATED);
	check_answers(&client, method->answer);
	free(client.output);
	return 0;
}
