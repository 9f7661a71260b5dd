/*
 * Event mode (docs/PROTOCOL.md) in the messages of tcpchat.v1: requests, which are JSON objects in a line, become messages, and events
 * become such objects. Fields have the same names in both, but for a few.
 *
 * Numbers of requests below 0, which are ours, are told as large ones, since protobuf's have no sign here.
 *
 * Threads: any; nothing here keeps state.
 */
#ifndef TCPCLIENT_GRPC_JSON_H
#define TCPCLIENT_GRPC_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "common/sync.h"
#include "tcpchat/v1/chat.pb-c.h"
#include "tcpclient/buffer.h"

/* Adds the message for a line: for a request, or else for what a person would type at the line door. Returns false, and adds nothing,
 * when there is none for the request; then '*id' is its number, or 0. */
bool grpc_json_request(struct buffer *out, const char *line, size_t size, long long *id) MUST_CHECK;

/* Adds the line of an event, with its LF. */
void grpc_json_event(struct buffer *out, const Tcpchat__V1__Event *event);

/* The number that a request of ours had, of that in an event. */
long long grpc_json_id(uint64_t id);

#endif
