/*
 * amqp_try put URL QUEUE BODY...   publishes messages, as anybody could
 * amqp_try take URL QUEUE          takes all there are, and writes each on a line
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/amqp_peer.h"

static int fail(const char *why)
{
	(void)fprintf(stderr, "amqp_try: %s\n", why);
	return EXIT_FAILURE;
}

static int put(struct amqp_peer *peer, const char *queue, char **bodies)
{
	int error = amqp_peer_want_confirms(peer);

	for (; error == 0 && *bodies != NULL; bodies++)
		error = amqp_peer_publish(peer, queue, "test", *bodies, strlen(*bodies));
	return error == 0 ? amqp_peer_wait_for_confirms(peer) : error;
}

/* Returns 1 when it took one, 0 when there is none. */
static int take_one(struct amqp_peer *peer, const char *queue)
{
	amqp_rpc_reply_t reply = amqp_basic_get(peer->connection, AMQP_CHANNEL, amqp_cstring_bytes(queue), 1);
	int error = amqp_peer_check(peer, reply, queue);
	amqp_message_t message;

	if (error != 0 || reply.reply.id != AMQP_BASIC_GET_OK_METHOD)
		return error;
	error = amqp_peer_check(peer, amqp_read_message(peer->connection, AMQP_CHANNEL, &message, 0), queue);
	if (error != 0)
		return error;
	(void)printf("%.*s\n", (int)message.body.len, (const char *)message.body.bytes);
	amqp_destroy_message(&message);
	return 1;
}

static int take(struct amqp_peer *peer, const char *queue)
{
	int taken;

	while ((taken = take_one(peer, queue)) > 0)
		continue;
	return taken;
}

int main(int argc, char **argv)
{
	struct amqp_address address;
	static struct amqp_peer peer;
	const char *wrong;
	int error;

	if (argc < 4)
		return fail("put or take, URL, QUEUE");
	wrong = amqp_address_parse(argv[2], NULL, &address);
	if (wrong != NULL)
		return fail(wrong);
	error = amqp_peer_connect(&peer, &address);
	if (error == 0)
		error = strcmp(argv[1], "put") == 0 ? put(&peer, argv[3], argv + 4) : take(&peer, argv[3]);
	amqp_peer_disconnect(&peer);
	return error == 0 ? EXIT_SUCCESS : fail(peer.fault);
}
