/*
 * Server reflection: what gRPC's tools ask before they can call something.
 *
 * The two versions have the same messages, with the same numbers; a package's name is in no message, so one serves both.
 */

#include <stdint.h>

#include "grpc/reflection/v1/reflection.pb-c.h"
#include "tcpserver/doors/grpc_call.h"
#include "tcpserver/doors/grpc_schema.h"
#include "tcpserver/doors/grpc_tools.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;

/* protobuf-c has no texts that are constant; it only reads them. */
static char *not_changed(const char *text)
{
	return (char *)(uintptr_t)text;
}

static void reply_file(struct session *session, reflection_response *response, const struct grpc_schema_file *file)
{
	ProtobufCBinaryData bytes = {.len = file->size, .data = (uint8_t *)(uintptr_t)file->bytes /* as above */};
	Grpc__Reflection__V1__FileDescriptorResponse files = GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;

	files.n_file_descriptor_proto = 1;
	files.file_descriptor_proto = &bytes;
	response->message_response_case = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
	response->file_descriptor_response = &files;
	grpc_reply(session, &response->base);
}

static void reply_error(struct session *session, reflection_response *response, enum grpc_code code, const char *words)
{
	Grpc__Reflection__V1__ErrorResponse error;

	grpc__reflection__v1__error_response__init(&error);
	error.error_code = (int32_t)code;
	error.error_message = not_changed(words);
	response->message_response_case = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
	response->error_response = &error;
	grpc_reply(session, &response->base);
}

static void reply_services(struct session *session, reflection_response *response)
{
	Grpc__Reflection__V1__ListServiceResponse list = GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
	Grpc__Reflection__V1__ServiceResponse services[GRPC_SCHEMA_SERVICES];
	Grpc__Reflection__V1__ServiceResponse *pointers[GRPC_SCHEMA_SERVICES];

	for (size_t i = 0; i < GRPC_SCHEMA_SERVICES; i++) {
		grpc__reflection__v1__service_response__init(&services[i]);
		services[i].name = not_changed(grpc_schema_services[i]);
		pointers[i] = &services[i];
	}
	list.n_service = GRPC_SCHEMA_SERVICES;
	list.service = pointers;
	response->message_response_case = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
	response->list_services_response = &list;
	grpc_reply(session, &response->base);
}

/* Our messages are proto3: none has extensions. */
static void reply_extension_numbers(struct session *session, reflection_response *response, char *type)
{
	Grpc__Reflection__V1__ExtensionNumberResponse numbers;
	struct grpc_schema_file file;

	if (!grpc_schema_find_message(type, &file)) {
		reply_error(session, response, GRPC_NOT_FOUND, "there is no such message");
		return;
	}
	grpc__reflection__v1__extension_number_response__init(&numbers);
	numbers.base_type_name = type;
	response->message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
	response->all_extension_numbers_response = &numbers;
	grpc_reply(session, &response->base);
}

static void answer(struct session *session, reflection_request *request)
{
	reflection_response response;
	struct grpc_schema_file file;

	grpc__reflection__v1__server_reflection_response__init(&response);
	response.valid_host = request->host;
	response.original_request = request;
	switch (request->message_request_case) {
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
		if (grpc_schema_find_file(request->file_by_filename, &file))
			reply_file(session, &response, &file);
		else
			reply_error(session, &response, GRPC_NOT_FOUND, "there is no such file");
		break;
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
		if (grpc_schema_find_symbol(request->file_containing_symbol, &file))
			reply_file(session, &response, &file);
		else
			reply_error(session, &response, GRPC_NOT_FOUND, "there is no such symbol");
		break;
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
		reply_error(session, &response, GRPC_NOT_FOUND, "there are no extensions");
		break;
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
		reply_extension_numbers(session, &response, request->all_extension_numbers_of_type);
		break;
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
		reply_services(session, &response);
		break;
	default:
		reply_error(session, &response, GRPC_INVALID_ARGUMENT, "the request asks nothing that this server knows");
	}
}

static void serve_reflection(struct session *session, struct grpc_call *call)
{
	const unsigned char *message;
	size_t size;

	while (grpc_receive(session, call, -1, &message, &size) == GRPC_GOT_MESSAGE) {
		ProtobufCMessage *request =
			grpc_unpack(session, call, &grpc__reflection__v1__server_reflection_request__descriptor, message, size);

		if (request == NULL)
			return;
		answer(session, (reflection_request *)request);
		protobuf_c_message_free_unpacked(request, NULL);
	}
}

const struct grpc_method grpc_reflection_methods[] = {
	{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", serve_reflection},
	{"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", serve_reflection},
	{NULL, NULL},
};
