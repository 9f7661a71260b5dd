/*
 * gRPC is a door like TLS: the thread of the accepted socket speaks HTTP/2 (grpc_connection.h), and each call is one end of a
 * socketpair, whose other end is a session with a thread of its own, as any accepted socket's (grpc_call.h). So a method is
 * written like any other conversation, and none knows of frames and windows. The connection carries its calls, and while it
 * does, it does not count beside them.
 *
 * Threads: the door's functions are called by the client's own.
 */
#ifndef TCPSERVER_DOORS_GRPC_H
#define TCPSERVER_DOORS_GRPC_H

extern const struct door grpc_door;

#endif
