/*
 * The protos as protoc describes them, built into the program: each array is a google.protobuf.FileDescriptorSet of one file.
 *
 * Threads: any; constant.
 */
#ifndef PROTO_DESCRIPTORS_H
#define PROTO_DESCRIPTORS_H

#include <stddef.h>

extern const unsigned char descriptors_rpc_chat[];
extern const size_t descriptors_rpc_chat_size;
extern const unsigned char descriptors_go_chat_message[];
extern const size_t descriptors_go_chat_message_size;
extern const unsigned char descriptors_tcpchat_v1_chat[];
extern const size_t descriptors_tcpchat_v1_chat_size;
extern const unsigned char descriptors_grpc_health_v1_health[];
extern const size_t descriptors_grpc_health_v1_health_size;
extern const unsigned char descriptors_grpc_reflection_v1_reflection[];
extern const size_t descriptors_grpc_reflection_v1_reflection_size;
extern const unsigned char descriptors_grpc_reflection_v1alpha_reflection[];
extern const size_t descriptors_grpc_reflection_v1alpha_reflection_size;

#endif
