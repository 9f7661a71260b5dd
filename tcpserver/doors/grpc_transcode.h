/*
 * Requests of our own service (proto/tcpchat/v1/chat.proto) as the JSON requests of event mode, so that there is one
 * mechanism for what a client may ask for.
 *
 * The fields of the protos have the names of those in JSON; the few that have not are in a table. A field is left out
 * where it says nothing: in a oneof, when it is not the one that is set; elsewhere, when it is 0, false or "".
 *
 * Threads: any.
 */
#ifndef TCPSERVER_DOORS_GRPC_TRANSCODE_H
#define TCPSERVER_DOORS_GRPC_TRANSCODE_H

#include <stddef.h>

#include "common/sync.h"
#include "tcpchat/v1/chat.pb-c.h"

/* The JSON of a request, whose texts are UTF-8, in new memory that the caller frees; NULL without memory. */
char *grpc_transcode(const Tcpchat__V1__Request *request, size_t *size) MUST_CHECK;

#endif
