/*
 * MessageService: the history of the lobby as Go-Chat's message-api has it, proto/go_chat/message.proto.
 *
 * Threads: the call's own.
 * Source: docs/PROTOCOL.md.
 */
#ifndef TCPSERVER_DOORS_GRPC_GO_CHAT_H
#define TCPSERVER_DOORS_GRPC_GO_CHAT_H

#include "tcpserver/doors/grpc_call.h"

extern const struct grpc_method grpc_go_chat_methods[]; /* the last one has no path */

#endif
