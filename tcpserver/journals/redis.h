/*
 * Messages, rooms, names, waiting strangers in Redis 5 or newer, or what speaks like it: an engine (engine.h) for
 *
 *         redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE][?prefix=tcpchat:&maxlen=0&replicas=0]
 *         rediss://...                                                                      with TLS, &cacert=FILE
 *
 * A room is a stream whose entries have the numbers of the messages as ids. What has to be one step is a script in Redis (redis/NAME.lua); a
 * group of messages goes there in parts, so that Redis never works at one for long. What is promised about a power cut depends on
 * Redis's settings: describe() reads them, and says it.
 *
 * Only one Redis, with replicas or without, not a cluster: a group of messages may be for many rooms.
 */
#ifndef TCPSERVER_JOURNALS_REDIS_H
#define TCPSERVER_JOURNALS_REDIS_H

#include "common/sync.h"
#include "tcpserver/journals/engine.h"

/* Does not connect yet. Returns 0, or -errno, and 'fault' says what is wrong with the URL. */
int redis_engine_create(const struct engine_options *options, struct engine **engine, char fault[ENGINE_FAULT_SIZE]) MUST_CHECK;

#endif
