/*
 * What the server says of itself to gRPC's tools: its services, and the files that describe them.
 *
 * Threads: any; constant.
 */
#ifndef TCPSERVER_DOORS_GRPC_SCHEMA_H
#define TCPSERVER_DOORS_GRPC_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"

/* A google.protobuf.FileDescriptorProto, as it is on the wire. */
struct grpc_schema_file {
	const unsigned char *bytes;
	size_t size;
};

enum { GRPC_SCHEMA_SERVICES = 6 };

/* Full names of all services. */
extern const char *const grpc_schema_services[GRPC_SCHEMA_SERVICES];
bool grpc_schema_has_service(const char *name) MUST_CHECK;

/* The file of that name, as in "rpc/chat.proto". Returns false when there is none. */
bool grpc_schema_find_file(const char *name, struct grpc_schema_file *file) MUST_CHECK;
/* The file where a service, method, message, field, enum or value of that full name is declared. Returns false when there is none. */
bool grpc_schema_find_symbol(const char *symbol, struct grpc_schema_file *file) MUST_CHECK;
/* The same for messages alone, which might have extensions. */
bool grpc_schema_find_message(const char *symbol, struct grpc_schema_file *file) MUST_CHECK;

#endif
