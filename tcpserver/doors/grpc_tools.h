/*
 * What gRPC's tools call: grpc.health.v1 (grpc_health.c), and server reflection (grpc_reflection.c).
 *
 * Threads: any; constant.
 */
#ifndef TCPSERVER_DOORS_GRPC_TOOLS_H
#define TCPSERVER_DOORS_GRPC_TOOLS_H

#include "tcpserver/doors/grpc_call.h"

extern const struct grpc_method grpc_health_methods[];
extern const struct grpc_method grpc_reflection_methods[];

#endif
