/*
 * As much of HTTP/2 as a load generator needs to be a client of gRPC: a connection with streams that are opened, and then carry
 * bytes both ways for as long as the run takes.
 *
 * Written by hand, because it must cost less than the server that it measures: what a stream gets is handed on where it lies, and
 * nothing is looked at but the heads of frames. Headers of the server are not read; a stream that ends is a fault.
 *
 * Threads: one.
 * Source: RFC 9113; RFC 7541 for the one block of headers.
 */
#ifndef TCPCHAT_LOAD_H2_H
#define TCPCHAT_LOAD_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/load/net.h"

enum {
	H2_HEAD_SIZE = 9,
	H2_CONTROL_SIZE = 256, /* of a frame that is looked at, at most */
};

struct h2;

/* Takes bytes that a stream got; false after noting a fault. */
typedef bool h2_take(void *context, struct h2 *h2, size_t stream, const char *bytes, size_t size);

struct h2_stream {
	int64_t credit;  /* bytes that may be sent on it                */
	uint32_t unsaid; /* bytes it got that the server was not told of */
};

struct h2 {
	int fd;
	h2_take *take;
	void *context;
	const char *name;    /* for messages                           */
	size_t first_member; /* the caller's: who has the first stream */
	struct h2_stream *streams;
	size_t stream_count;
	size_t stream_max;
	int64_t credit;
	int64_t stream_credit; /* of a new stream */
	uint32_t unsaid;
	unsigned char head[H2_HEAD_SIZE]; /* of the frame at hand    */
	size_t head_size;                 /* how much of it is there */
	size_t rest;                      /* of what follows it      */
	unsigned char control[H2_CONTROL_SIZE];
	size_t control_size;
	char *out; /* what is to be sent */
	size_t out_size;
	size_t out_sent;
	size_t out_capacity;
};

/* Connects and begins; ends the program when there is no connection. 'name' must outlive it. */
void h2_open(struct h2 *h2, const struct net_address *address, int timeout_ms, const char *name, size_t stream_max);
void h2_close(struct h2 *h2);

/* Opens a stream, for a call of gRPC. Returns its index. */
size_t h2_call(struct h2 *h2, const char *path);

/* How many bytes may be sent on the stream now. */
size_t h2_credit(const struct h2 *h2, size_t stream);
/* Sends bytes in a frame of their own, which must have credit; h2_flush() lets them go. */
void h2_send(struct h2 *h2, size_t stream, const char *bytes, size_t size);
/* Whether all has gone that was sent. */
bool h2_flush(struct h2 *h2);

/* Takes bytes that came; false after noting a fault. */
bool h2_receive(struct h2 *h2, const char *bytes, size_t size);

#endif
