/*
 * What messageapi answers: messageapi.v1.Messages, Go-Chat's MessageService, and the health of gRPC.
 *
 * Threads: a service belongs to one connection of the server.
 */
#ifndef MESSAGEAPI_SERVICE_H
#define MESSAGEAPI_SERVICE_H

#include "messageapi/grpc_server.h"
#include "messageapi/progress.h"
#include "tcpserver/journals/engine.h"

/* What all connections share; constant. */
struct service_context {
	struct engine *engine;
	struct progress *progress;
};

extern const struct grpc_server_method service_methods[];

/* As those of struct grpc_server_options; the context is a struct service_context. */
void *service_open(void *context);
void service_close(void *service);

#endif
