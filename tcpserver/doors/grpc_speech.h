/*
 * What somebody said, as Chatroom and Go-Chat both have it in gRPC: a message with a name (field 1) and a text (field 2).
 *
 * It is written without a copy of the text, and without memory, because a room's log is made of it.
 *
 * Threads: any; nothing here keeps state.
 * Source: protobuf's encoding (proto3): a field that is empty is left out.
 */
#ifndef TCPSERVER_DOORS_GRPC_SPEECH_H
#define TCPSERVER_DOORS_GRPC_SPEECH_H

#include <stddef.h>

struct message;

struct grpc_speech {
	const char *name;
	size_t name_size;
	const char *mark; /* before the text; ended by NUL */
	const char *text; /* NULL: the caller writes it, at the end */
	size_t text_size;
};

/* What a participant said; an action is what the line door shows of it. It borrows from the message. */
struct grpc_speech grpc_speech_of(const struct message *message);
/* The bytes of the message, without the head that it has on the wire. */
size_t grpc_speech_size(const struct grpc_speech *speech);
/* Writes them; returns where they end. */
char *grpc_speech_write(const struct grpc_speech *speech, char *out);
/* Writes the message with its head if it fits in 'size' bytes. Returns its size in any case. */
size_t grpc_speech_write_whole(const struct grpc_speech *speech, char *out, size_t size);

#endif
