/*
 * RabbitMQ and messageapi as an engine (engine.h), for one server: what is said goes through the queue "message_queue" to messageapi, which
 * stores it in PostgreSQL and gives it back. The broker has a message when it has confirmed it; then it is kept.
 *
 * The engine gives the numbers itself. At the start it puts a barrier into the queue and waits until messageapi has stored all before it: what
 * messageapi says from then on is complete, with what the engine remembers: what it has published since and messageapi has not stored yet.
 * Which rooms there are it keeps in memory, about 300 bytes a room.
 */
#ifndef TCPSERVER_JOURNALS_AMQP_H
#define TCPSERVER_JOURNALS_AMQP_H

#include "common/sync.h"
#include "tcpserver/journals/engine.h"

/*
 * The URL is amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps:// (common/amqp_peer.h); options->message_api has to be there. Does not
 * connect. Returns 0, or -errno, and 'fault' says why.
 */
int amqp_engine_create(
	const struct engine_options *options, struct engine **engine, char fault[ENGINE_FAULT_SIZE]) MUST_CHECK;

#endif
