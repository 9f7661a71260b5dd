/*
 * A whole server without its main(), and a client that takes all that comes, for the fuzzers of whole conversations.
 */
#ifndef TESTS_FUZZ_CONVERSATION_H
#define TESTS_FUZZ_CONVERSATION_H

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/journals/memory.h"
#include "tests/fuzz/fuzz.h"

enum { CONVERSATION_OUTPUT_MAX = 4 * 1024 * 1024, CONVERSATION_ROOMS_MOST = 5 };

/* Begins it, once for all inputs; the doors that it needs are the caller's to add. */
static inline void conversation_begin(struct talk *talk)
{
	struct journal *journal = memory_journal_create(10);

	log_start(LOG_ERROR, LOG_TEXT);
	outlet_prepare_process();
	MUST(journal != NULL && talk_init(talk, journal, CONVERSATION_ROOMS_MOST));
	talk->limits.most = 10;
	talk->max_line = 1000;
	talk->lag_memory = 1 << 20;
	talk->history = 5;
	talk->rooms_are_open = true;
	talk->name_timeout_ms = 60000;
	talk->peer_timeout_s = 60;
	talk->admin_password = "x";
}

/* The client's side; 'sockets' are the server's and the client's. */
struct conversation {
	int sockets[2];
	char *output;
	size_t size;
	pthread_t thread;
};

static inline void conversation_open(struct conversation *conversation)
{
	*conversation = (struct conversation){.output = malloc(CONVERSATION_OUTPUT_MAX)};
	MUST(conversation->output != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, conversation->sockets) == 0);
}

static inline void conversation_say(const struct conversation *conversation, const void *bytes, size_t size)
{
	MUST(send(conversation->sockets[1], bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
}

/* Takes all that comes, until the server closes. */
static inline void *conversation_receive(void *argument)
{
	struct conversation *conversation = argument;
	ssize_t got;

	while ((got = recv(conversation->sockets[1], conversation->output + conversation->size,
			CONVERSATION_OUTPUT_MAX - conversation->size, 0)) > 0)
		conversation->size += (size_t)got;
	MUST(conversation->size < CONVERSATION_OUTPUT_MAX);
	return NULL;
}

/* The client has said all: holds the conversation through that door, to its end. */
static inline void conversation_run(
	struct conversation *conversation, struct talk *talk, const struct door *door, const struct carrier *carrier)
{
	struct session *session;

	MUST(shutdown(conversation->sockets[1], SHUT_WR) == 0);
	MUST(pthread_create(&conversation->thread, NULL, conversation_receive, conversation) == 0);
	session = session_create(talk, conversation->sockets[0], door, carrier);
	MUST(session != NULL && client_list_add(&talk->clients, &session->client, NULL, &talk->limits) == CLIENT_ADMITTED);
	session_run(session);
	client_list_remove(&talk->clients, &session->client);
	session_destroy(session);
	(void)close(conversation->sockets[0]);
	MUST(pthread_join(conversation->thread, NULL) == 0);
	(void)close(conversation->sockets[1]);
}

static inline void conversation_close(struct conversation *conversation)
{
	free(conversation->output);
}

#endif
