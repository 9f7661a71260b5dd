/*
 * Messages of protobuf from a server that may mean ill: of two bytes for a field that says nothing, protobuf-c makes an object of a
 * hundred, so who sends 4 MiB would get hundreds. Fields are counted before there is memory for any.
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef TCPCLIENT_UNPACK_H
#define TCPCLIENT_UNPACK_H

#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

enum { UNPACK_FIELDS_MAX = 400000 }; /* a list of rooms with ids of 20 hex digits has fewer in 4 MiB */

/* Returns the message, which protobuf_c_message_free_unpacked() frees; NULL when it is none, or has more fields than that. */
ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t size);

#endif
