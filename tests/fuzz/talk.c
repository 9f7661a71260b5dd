/*
 * A whole conversation with the line door: name, text, commands, event mode, requests.
 * Whatever the client sends, it gets whole lines of valid UTF-8 without control characters, and in event mode JSON objects.
 *
 * Input: the bytes that the client sends.
 */
#include <jansson.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/text.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/line.h"
#include "tcpserver/journals/memory.h"
#include "tests/fuzz/fuzz.h"

enum { OUTPUT_SIZE = 4 * 1024 * 1024, ROOMS_MOST = 5 };

static struct talk talk;

/* The server with its lobby, begun once: rooms go when the client goes. */
static void talk_begin(void)
{
	struct journal *journal = memory_journal_create(10);

	log_start(LOG_ERROR, LOG_TEXT);
	outlet_prepare_process();
	MUST(journal != NULL && talk_init(&talk, journal, ROOMS_MOST));
	talk.doors.lines = &line_door;
	talk.limits.most = 10;
	talk.max_line = 1000;
	talk.lag_memory = 1 << 20;
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

static void check_line(const char *line, size_t size, bool *events)
{
	json_t *object;

	MUST(text_is_clean(line, size));
	if (size > 0 && line[0] == '{' && !*events)
		*events = strstr(line, "\"kind\":\"welcome\"") != NULL;
	if (!*events)
		return;
	object = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
	MUST(json_is_object(object) && json_is_string(json_object_get(object, "kind")));
	json_decref(object);
}

static void check_output(struct listener *client)
{
	bool events = false;
	char *line = client->output;

	MUST(client->size == 0 || client->output[client->size - 1] == '\n');
	while (line < client->output + client->size) {
		char *end = memchr(line, '\n', (size_t)(client->output + client->size - line));

		*end = '\0';
		check_line(line, (size_t)(end - line), &events);
		line = end + 1;
	}
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
	if (size > 0 && memchr(bytes, 0xFF, size) != NULL) { /* telnet's replies are no text; they have a fuzzer of their own */
		free(client.output);
		return -1;
	}
	MUST(client.output != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	MUST(send(pair[1], bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
	MUST(shutdown(pair[1], SHUT_WR) == 0);
	client.socket = pair[1];
	MUST(pthread_create(&thread, NULL, receive_all, &client) == 0);
	session = session_create(&talk, pair[0], &line_door, NULL);
	MUST(session != NULL && client_list_add(&talk.clients, &session->client, NULL, &talk.limits) == CLIENT_ADMITTED);
	session_run(session);
	client_list_remove(&talk.clients, &session->client);
	session_destroy(session);
	(void)close(pair[0]);
	MUST(pthread_join(thread, NULL) == 0);
	(void)close(pair[1]);
	check_output(&client);
	free(client.output);
	return 0;
}
