/*
 * A connection to an AMQP 0-9-1 broker (RabbitMQ), with one channel: what the server, which publishes, and messageapi, which consumes,
 * have in common.
 *
 *         amqp://USER:PASSWORD@HOST:PORT/VHOST      amqps://...?cacertfile=FILE&verify=verify_none
 *
 * With TLS the broker is called by its name: the library finds no address in a certificate.
 *
 * Threads: one at a time. Everything but amqp_address_parse() may block, AMQP_TIMEOUT_S at a time.
 */
#ifndef COMMON_AMQP_PEER_H
#define COMMON_AMQP_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <amqp.h>

#include "common/net.h"
#include "common/sync.h"

#define AMQP_QUEUE "message_queue"            /* Go-Chat's: durable                                         */
#define AMQP_QUEUE_DEAD "message_queue.dead"  /* durable: what could not be stored                          */
#define AMQP_QUEUE_LOCK "message_queue.server" /* exclusive: there is one server                            */
#define AMQP_QUEUE_OWNER "message_queue.owner" /* durable: one message, the session of the last server      */

enum {
	AMQP_CHANNEL = 1,
	AMQP_TIMEOUT_S = 5,
	AMQP_HEARTBEAT_S = 10, /* as Go-Chat's */
	AMQP_USER_SIZE = 256,
	AMQP_PATH_SIZE = 1024,
	AMQP_FAULT_SIZE = 300,
	AMQP_WINDOW = 4096, /* messages that may be published and not confirmed */
};

/* Where a broker is, from its URL. */
struct amqp_address {
	struct net_place place;
	char user[AMQP_USER_SIZE];
	char password[AMQP_USER_SIZE];
	char vhost[AMQP_USER_SIZE];
	bool is_encrypted;
	bool is_verified;                /* the broker's certificate, as it should be       */
	char authorities[AMQP_PATH_SIZE]; /* a file of certificates; "": those of the system */
};

struct amqp_peer {
	amqp_connection_state_t connection; /* NULL: there is none */
	char fault[AMQP_FAULT_SIZE];        /* of what failed last, in words for a log */
	uint64_t published;                 /* since want_confirms() */
	uint64_t confirmed;                 /* all up to this one are; more may be */
	bool early[AMQP_WINDOW];            /* those, by their number modulo */
};

/* Reads a URL; 'password' stands above the one in it, unless it is NULL. Returns NULL, or what is wrong with it, without its content. */
const char *amqp_address_parse(const char *url, const char *password, struct amqp_address *address) MUST_CHECK;

/* Connects, logs in, and opens the channel. Returns 0, or -errno, and peer->fault says why. */
int amqp_peer_connect(struct amqp_peer *peer, const struct amqp_address *address) MUST_CHECK;
void amqp_peer_disconnect(struct amqp_peer *peer);

/* Looks at the broker's answer to the last call. Returns 0, or -errno, and peer->fault says 'what' failed and why. -EBUSY: somebody else has
 * what was asked for (RESOURCE_LOCKED). */
int amqp_peer_check(struct amqp_peer *peer, amqp_rpc_reply_t reply, const char *what) MUST_CHECK;
/* Notes that 'what' failed for the library's 'status'. Returns -errno. */
int amqp_peer_fail(struct amqp_peer *peer, int status, const char *what);

/* Makes a durable queue, unless it is there. */
int amqp_peer_declare(struct amqp_peer *peer, const char *queue) MUST_CHECK;
/* From now on the broker confirms what is published. */
int amqp_peer_want_confirms(struct amqp_peer *peer) MUST_CHECK;
/* Publishes a persistent message; mandatory: a broker without the queue gives it back. Fewer than AMQP_WINDOW may be unconfirmed, where
 * confirms are wanted. */
int amqp_peer_publish(struct amqp_peer *peer, const char *queue, const char *kind, const void *body, size_t size) MUST_CHECK;
/* Waits 'timeout_ms' at most for the broker to confirm something, which peer->confirmed tells. Returns 0, also without news; -EIO when it
 * refused or gave back a message, or another -errno. */
int amqp_peer_take_confirms(struct amqp_peer *peer, int timeout_ms) MUST_CHECK;
/* Waits until all is confirmed; -ETIMEDOUT when nothing came for AMQP_TIMEOUT_S. */
int amqp_peer_wait_for_confirms(struct amqp_peer *peer) MUST_CHECK;

#endif
