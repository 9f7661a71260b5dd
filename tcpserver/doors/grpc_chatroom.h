/*
 * rpc.ChatService: Chatroom's wire, proto/rpc/chat.proto.
 *
 * A call of Chat is a member of one room, which is told to its client as {name, text}, but for what that said itself. Comings,
 * goings and the server's words are such messages too. All text is text: there are no commands.
 *
 * Threads: the call's own, but for the door's words and format.
 * Source: docs/PROTOCOL.md.
 */
#ifndef TCPSERVER_DOORS_GRPC_CHATROOM_H
#define TCPSERVER_DOORS_GRPC_CHATROOM_H

#include "tcpserver/doors/grpc_call.h"

struct door;

extern const struct grpc_method grpc_chatroom_methods[]; /* the last one has no path */

/* Of a call of Chat, once it is known where it goes. It serves nobody: the method does. */
extern const struct door grpc_chatroom_door;

#endif
