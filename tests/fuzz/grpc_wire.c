/*
 * A whole connection to the gRPC door, with its calls and their threads. Whatever the client sends behind the preface,
 * what it gets begins with settings and is whole frames, the conversation ends when its side does, and nobody is left
 * then.
 *
 * Input: the bytes that the client sends behind the preface.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/server.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/grpc.h"
#include "tcpserver/journals/memory.h"
#include "tests/fuzz/fuzz.h"

enum { OUTPUT_SIZE = 4 * 1024 * 1024, ROOMS_MOST = 5, HEAD_SIZE = 9, TYPE_SETTINGS = 4 };

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
static struct talk talk;

static void talk_begin(void)
{
	struct journal *journal = memory_journal_create(10);

	log_start(LOG_ERROR, LOG_TEXT);
	outlet_prepare_process();
	MUST(journal != NULL && talk_init(&talk, journal, ROOMS_MOST));
	talk.admit = server_admit;
	talk.doors.grpc = &grpc_door;
	talk.limits.most = 20;
	talk.max_line = 1000;
	talk.lag_memory = 1 << 20;
	talk.history = 5;
	talk.rooms_are_open = true;
	talk.name_timeout_ms = 60000;
	talk.peer_timeout_s = 60;
}

struct ear {
	int socket;
	unsigned char *output;
	size_t size;
};

/* The client's side: takes all that comes, until the server closes. */
static void *receive_all(void *argument)
{
	struct ear *client = argument;
	ssize_t got;

	while ((got = recv(client->socket, client->output + client->size, OUTPUT_SIZE - client->size, 0)) > 0)
		client->size += (size_t)got;
	MUST(client->size < OUTPUT_SIZE);
	return NULL;
}

static void converse(int socket)
{
	struct session *session = session_create(&talk, socket, &grpc_door, NULL);

	MUST(session != NULL &&
		client_list_add(&talk.clients, &session->client, NULL, &talk.limits) == CLIENT_ADMITTED);
	session_run(session);
	client_list_remove(&talk.clients, &session->client);
	session_destroy(session);
	(void)close(socket);
	client_list_wait_empty(&talk.clients); /* the calls learn that their client went */
}

static void check_frames(const unsigned char *output, size_t size)
{
	size_t at = 0;

	MUST(size == 0 || (size > HEAD_SIZE && output[3] == TYPE_SETTINGS));
	while (at < size) {
		MUST(size - at >= HEAD_SIZE);
		at += HEAD_SIZE + ((size_t)output[at] << 16 | (size_t)output[at + 1] << 8 | output[at + 2]);
	}
	MUST(at == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static bool begun;
	struct ear client = {.output = malloc(OUTPUT_SIZE)};
	pthread_t thread;
	int pair[2];

	if (!begun)
		talk_begin();
	begun = true;
	MUST(client.output != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	MUST(send(pair[1], preface, sizeof preface - 1, MSG_NOSIGNAL) == (ssize_t)sizeof preface - 1);
	MUST(send(pair[1], bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
	MUST(shutdown(pair[1], SHUT_WR) == 0);
	client.socket = pair[1];
	MUST(pthread_create(&thread, NULL, receive_all, &client) == 0);
	converse(pair[0]);
	MUST(pthread_join(thread, NULL) == 0);
	(void)close(pair[1]);
	check_frames(client.output, client.size);
	free(client.output);
	return 0;
}
