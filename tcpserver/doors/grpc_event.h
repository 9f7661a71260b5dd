/*
 * Events of our own service (proto/tcpchat/v1/chat.proto): a message of a room's log, and what is told to one client.
 *
 * The text of a message is no string of C, and may be long; it is written behind the fields that protobuf-c packs,
 * which may stand in any order, so that it is copied once, into its place.
 *
 * Threads: any.
 */
#ifndef TCPSERVER_DOORS_GRPC_EVENT_H
#define TCPSERVER_DOORS_GRPC_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/room_log.h"

struct message;

/* Its records have their heads: they are on the wire as they are in the log. */
extern const struct format grpc_event_format;
/* A client of Talk; one that only reads, by Subscribe. */
extern const struct door grpc_talk_door;
extern const struct door grpc_subscribe_door;

/* Writes an event without a head, if it fits in 'size' bytes. Returns its size in any case. */
size_t grpc_event_body(const struct message *message, bool history, char *out, size_t size);

#endif
