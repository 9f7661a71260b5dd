/*
 * The consumer: takes what is in the queue, stores it, and tells the broker then that it may forget it.
 *
 * What comes twice is stored once: a message has its place in its room already, and so has a room. What cannot be stored, because it is
 * no message of tcpserver's, goes to another queue, "message_queue.dead", with a line in the log.
 *
 * When the database or the broker is away, the consumer lets go of both, and comes back: what it had not acknowledged, the broker
 * gives it again.
 */
#ifndef MESSAGEAPI_CONSUMER_H
#define MESSAGEAPI_CONSUMER_H

#include "common/amqp_peer.h"
#include "messageapi/progress.h"
#include "tcpserver/journals/engine.h"

struct consumer {
	struct engine *engine;               /* borrowed, as the next two */
	const struct amqp_address *address;
	struct progress *progress;
};

/* Consumes until progress_stop(). Threads: one. */
void consumer_run(struct consumer *consumer);

#endif
