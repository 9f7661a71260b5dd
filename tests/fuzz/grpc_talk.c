/*
 * A whole call of any method of gRPC. Whatever the client sends, what it gets are whole messages of the kind that the
 * method answers with, and the call ends with a status when its client goes.
 *
 * Input: a byte that chooses the method; then messages, each after a byte that says how long it is; the last one is
 * what is left.
 */
#include "go_chat/message.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "rpc/chat.pb-c.h"
#include "tcpchat/v1/chat.pb-c.h"
#include "tcpserver/doors/grpc_call.h"
#include "tests/fuzz/conversation.h"

enum { INPUT_SIZE = 64 * 1024 };

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

static void send_messages(const struct conversation *client, struct fuzz_input input)
{
	while (input.size > 0) {
		unsigned char head[GRPC_FRAME_HEAD_SIZE];
		size_t size = fuzz_byte(&input);

		if (size > input.size)
			size = input.size;
		grpc_frame_write_head(head, size);
		conversation_say(client, head, sizeof head);
		conversation_say(client, input.bytes, size);
		input.bytes += size;
		input.size -= size;
	}
}

static void check_answers(const struct conversation *client, const ProtobufCMessageDescriptor *descriptor)
{
	struct grpc_frame reader;
	const unsigned char *message;
	size_t size;

	grpc_frame_init(&reader, CONVERSATION_OUTPUT_MAX);
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
	struct conversation client;
	struct grpc_call call = {.method = grpc_method_find(method->path, strlen(method->path))};

	if (!begun)
		conversation_begin(&talk);
	begun = true;
	MUST(call.method != NULL);
	grpc_call_init(&call);
	call.carrier = (struct carrier){
		.address = "127.0.0.1:1", .own_address = "127.0.0.1:2", .broken = &call.broken, .context = &call};
	call.is_cancelled = true; /* the end of what it says is that it goes */
	conversation_open(&client);
	send_messages(&client, input);
	conversation_run(&client, &talk, &grpc_call_door, &call.carrier);
	MUST(call.status >= GRPC_OK && call.status <= GRPC_UNAUTHENTICATED);
	check_answers(&client, method->answer);
	conversation_close(&client);
	return 0;
}
