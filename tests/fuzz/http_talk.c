/*
 * A whole conversation with the HTTP door: rooms, messages, streams, WebSockets. Whatever the client sends, what it gets begins
 * as HTTP, and the conversation ends when its side does.
 *
 * Input: the bytes that the client sends.
 */
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/http.h"
#include "tcpserver/doors/http_openapi.h"
#include "tcpserver/journals/memory.h"
#include "tcpserver/web/web.h"
#include "tests/fuzz/fuzz.h"

enum { OUTPUT_SIZE = 4 * 1024 * 1024, ROOMS_MOST = 5 };

const unsigned char http_openapi_yaml[] = "openapi: 3.1.0\n";
const size_t http_openapi_yaml_size = sizeof http_openapi_yaml - 1;

const struct web_file *web_find(const char *path)
{
	static const struct web_file page = {"/", "text/html", "\"1\"", "<p>", 3};

	return strcmp(path, "/") == 0 ? &page : NULL;
}

static struct talk talk;

static void talk_begin(void)
{
	static const char *const origins[] = {"http://friend.example"};
	struct journal *journal = memory_journal_create(10);

	log_start(LOG_ERROR, LOG_TEXT);
	outlet_prepare_process();
	MUST(journal != NULL && talk_init(&talk, journal, ROOMS_MOST));
	talk.doors.http = &http_door;
	talk.allow_origins = origins;
	talk.allow_origin_count = 1;
	talk.limits.most = 10;
	talk.max_line = 1000;
	talk.lag_memory = 1 << 20;
	talk.history = 5;
	talk.rooms_are_open = true;
	talk.name_timeout_ms = 60000;
	talk.peer_timeout_s = 60;
	talk.admin_password = "x";
}

struct listener {
	int socket;
	char *output;
	size_t size;
};

/* The client's side: takes all that comes, until the server closes. */
static void *receive_all(void *argument)
{
	struct listener *client = argument;
	ssize_t got;

	while ((got = recv(client->socket, client->output + client->size, OUTPUT_SIZE - client->size, 0)) > 0)
		client->size += (size_t)got;
	MUST(client->size < OUTPUT_SIZE);
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static bool begun;
	struct listener client = {.output = malloc(OUTPUT_SIZE)};
	struct session *session;
	pthread_t thread;
	int pair[2];

	if (!begun)
		talk_begin();
	begun = true;
	MUST(client.output != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	MUST(send(pair[1], bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
	MUST(shutdown(pair[1], SHUT_WR) == 0);
	client.socket = pair[1];
	MUST(pthread_create(&thread, NULL, receive_all, &client) == 0);
	session = session_create(&talk, pair[0], &http_door, NULL);
	MUST(session != NULL && client_list_add(&talk.clients, &session->client, NULL, &talk.limits) == CLIENT_ADMITTED);
	session_run(session);
	client_list_remove(&talk.clients, &session->client);
	session_destroy(session);
	(void)close(pair[0]);
	MUST(pthread_join(thread, NULL) == 0);
	(void)close(pair[1]);
	MUST(client.size == 0 || (client.size > 9 && memcmp(client.output, "HTTP/1.1 ", 9) == 0));
	free(client.output);
	return 0;
}
