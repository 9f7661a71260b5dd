#include "tcpserver/doors/grpc_schema.h"

#include <string.h>

#include "tests/check.h"

/* A file's name is its first field: 0x0a, a size of one byte, the text. */
static void check_is_file(const struct grpc_schema_file *file, const char *name)
{
	CHECK(file->size > 2);
	CHECK_EQUAL(file->bytes[0], 0x0a);
	CHECK_BYTES(file->bytes + 2, file->bytes[1], name, strlen(name));
}

static void check_is_in(const char *symbol, const char *name)
{
	struct grpc_schema_file file;

	if (!grpc_schema_find_symbol(symbol, &file))
		check_fail(__FILE__, __LINE__, "%s is not found", symbol);
	check_is_file(&file, name);
}

static void check_is_nowhere(const char *symbol)
{
	struct grpc_schema_file file = {.size = 1};

	if (grpc_schema_find_symbol(symbol, &file))
		check_fail(__FILE__, __LINE__, "%s is found", symbol);
	CHECK_EQUAL(file.size, 1);
}

TEST(each_service_is_in_a_file)
{
	struct grpc_schema_file file;

	for (size_t i = 0; i < GRPC_SCHEMA_SERVICES; i++) {
		CHECK(grpc_schema_has_service(grpc_schema_services[i]));
		CHECK(grpc_schema_find_symbol(grpc_schema_services[i], &file));
		CHECK(!grpc_schema_find_message(grpc_schema_services[i], &file));
	}
	CHECK(!grpc_schema_has_service(""));
	CHECK(!grpc_schema_has_service("rpc"));
	CHECK(!grpc_schema_has_service("rpc.ChatServices"));
}

TEST(a_file_is_found_by_its_name)
{
	static const char *const names[] = {"go_chat/message.proto", "grpc/health/v1/health.proto", "grpc/reflection/v1/reflection.proto",
		"grpc/reflection/v1alpha/reflection.proto", "rpc/chat.proto", "tcpchat/v1/chat.proto"};
	struct grpc_schema_file file;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		CHECK(grpc_schema_find_file(names[i], &file));
		check_is_file(&file, names[i]);
	}
	CHECK(!grpc_schema_find_file("", &file));
	CHECK(!grpc_schema_find_file("chat.proto", &file));
	CHECK(!grpc_schema_find_file("rpc/chat.protos", &file));
}

TEST(what_is_declared_leads_to_its_file)
{
	check_is_in("rpc.ChatService", "rpc/chat.proto");
	check_is_in("rpc.ChatService.Chat", "rpc/chat.proto");
	check_is_in("rpc.ChatMessage", "rpc/chat.proto");
	check_is_in("rpc.ChatMessage.join", "rpc/chat.proto");
	check_is_in("MessageService.FindAll", "go_chat/message.proto");
	check_is_in("Message", "go_chat/message.proto");
	check_is_in("grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto");
	check_is_in("grpc.reflection.v1.ErrorResponse", "grpc/reflection/v1/reflection.proto");
	check_is_in("grpc.reflection.v1alpha.ErrorResponse", "grpc/reflection/v1alpha/reflection.proto");
	check_is_in("grpc.reflection.v1.ServerReflectionRequest.message_request", "grpc/reflection/v1/reflection.proto");
	check_is_in("tcpchat.v1.Chat", "tcpchat/v1/chat.proto");
}

TEST(a_value_is_named_as_if_it_stood_beside_its_enum)
{
	check_is_in("grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto");
	check_is_nowhere("grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING");
	check_is_nowhere("grpc.health.v1.SERVING");
}

TEST(what_is_not_declared_is_nowhere)
{
	static const char *const symbols[] = {"", ".", "..", "rpc", "rpc.", ".rpc.ChatService", "rpc.ChatService.", "rpc.ChatService..Chat",
		"rpc.Chat", "rpc.ChatServic", "rpc.ChatServices", "rpc.ChatService.Chats", "rpc.ChatService.Chat.more", "rpc.MessageService",
		"grpc.reflection.v1", "grpc.reflection.v1alph", "ChatService", "rpc.ChatMessage.join.room_id"};

	for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
		check_is_nowhere(symbols[i]);
}

TEST(a_message_is_told_from_what_is_none)
{
	struct grpc_schema_file file;

	CHECK(grpc_schema_find_message("rpc.ChatMessage", &file));
	CHECK(!grpc_schema_find_message("rpc.ChatService.Chat", &file));
	CHECK(!grpc_schema_find_message("rpc.ChatMessage.join", &file));
	CHECK(!grpc_schema_find_message("grpc.health.v1.HealthCheckResponse.ServingStatus", &file));
}
