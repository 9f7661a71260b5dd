#include "tcpserver/doors/http_engine.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "tcpserver/doors/http_message.h"

enum {
	MEMORY_LIMIT = 48 * 1024, /* bytes of libmicrohttpd's for a connection: half of it holds the largest header */
	SOURCE_BLOCK = 16 * 1024, /* bytes that a source is asked for at a time                                     */
	PUMP_ROUNDS_MOST = 1000,  /* after which it turns in circles                                                */
	SPARE_PART = 5,           /* one descriptor in so many is for those who connect, not for engines            */
};

/* A request that libmicrohttpd is reading. */
struct exchange {
	char *target;
	char *body;
	size_t body_size;
	size_t body_capacity;
};

/* ---- What libmicrohttpd calls. ---- */

PRINTF_LIKE(2, 0)
static void engine_log(void *context, const char *format, va_list arguments)
{
	char text[200];

	(void)context;
	if (!log_wants(LOG_DEBUG))
		return;
	(void)vsnprintf(text, sizeof text, format, arguments);
	text[strcspn(text, "\n")] = '\0';
	log_event(LOG_DEBUG, "libmicrohttpd", "says", text, NULL);
}

/* Names the request before it is split, and decoded in ways that are not ours. What is returned is '*exchange' later. */
static void *engine_begin_exchange(void *context, const char *target, struct MHD_Connection *connection)
{
	struct exchange *exchange = calloc(1, sizeof *exchange);

	(void)context;
	(void)connection;
	if (exchange == NULL)
		return NULL;
	exchange->target = strdup(target);
	if (exchange->target != NULL)
		return exchange;
	free(exchange);
	return NULL;
}

static void engine_end_exchange(
	void *context, struct MHD_Connection *connection, void **place, enum MHD_RequestTerminationCode how)
{
	struct http_engine *engine = context;
	struct exchange *exchange = *place;

	(void)connection;
	engine->replied = how == MHD_REQUEST_TERMINATED_COMPLETED_OK;
	*place = NULL;
	if (exchange == NULL)
		return;
	free(exchange->target);
	free(exchange->body);
	free(exchange);
}

static enum MHD_Result engine_take_body(struct exchange *exchange, const char *bytes, size_t size)
{
	size_t needed = exchange->body_size + size;

	if (needed > exchange->body_capacity) {
		size_t capacity = needed > 2 * exchange->body_capacity ? needed : 2 * exchange->body_capacity;
		char *grown = realloc(exchange->body, capacity);

		if (grown == NULL)
			return MHD_NO;
		exchange->body = grown;
		exchange->body_capacity = capacity;
	}
	memcpy(exchange->body + exchange->body_size, bytes, size);
	exchange->body_size = needed;
	return MHD_YES;
}

static ssize_t engine_read_source(void *context, uint64_t place, char *out, size_t size)
{
	struct http_source *source = context;
	ssize_t length = source->read(source->context, out, size);

	(void)place;
	if (length == 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	return length < 0 ? MHD_CONTENT_READER_END_WITH_ERROR : length;
}

static void engine_close_source(void *context)
{
	struct http_source *source = context;

	source->close(source->context);
	free(source);
}

static struct MHD_Response *engine_stream_response(struct http_reply *reply)
{
	struct http_source *source = malloc(sizeof *source);
	struct MHD_Response *response;

	if (source == NULL)
		return NULL;
	*source = reply->source;
	response = MHD_create_response_from_callback(
		MHD_SIZE_UNKNOWN, SOURCE_BLOCK, engine_read_source, source, engine_close_source);
	if (response == NULL)
		free(source);
	else
		reply->source = (struct http_source){.read = NULL}; /* the response's own now */
	return response;
}

static struct MHD_Response *engine_make_response(struct http_reply *reply)
{
	struct MHD_Response *response;

	if (reply->source.read != NULL)
		return engine_stream_response(reply);
	if (reply->body == NULL) {
		union {
			const char *constant;
			void *bytes;
		} body = {.constant = reply->constant_body};

		return MHD_create_response_from_buffer(reply->body_size, body.bytes, MHD_RESPMEM_PERSISTENT);
	}
	response = MHD_create_response_from_buffer(reply->body_size, reply->body, MHD_RESPMEM_MUST_FREE);
	if (response != NULL)
		reply->body = NULL; /* the response's own now */
	return response;
}

static enum MHD_Result engine_send_reply(struct MHD_Connection *connection, struct http_reply *reply)
{
	struct MHD_Response *response = engine_make_response(reply);
	enum MHD_Result queued;

	if (response == NULL)
		return MHD_NO;
	for (size_t i = 0; i < reply->field_count; i++)
		(void)MHD_add_response_header(response, reply->fields[i].name, reply->fields[i].value); /* as http_reply_add() */
	if (reply->closes)
		(void)MHD_add_response_header(response, "Connection", "close");
	queued = MHD_queue_response(connection, reply->status, response);
	MHD_destroy_response(response);
	return queued;
}

static enum MHD_Result engine_answer(struct http_engine *engine, struct MHD_Connection *connection,
	const struct exchange *exchange, const char *method, const char *version)
{
	struct http_request request = {
		.method = method,
		.target = exchange->target,
		.body = exchange->body == NULL ? "" : exchange->body,
		.body_size = exchange->body_size,
		.is_old = strcmp(version, "HTTP/1.0") == 0,
		.connection = connection,
	};
	struct http_reply reply = {.status = 0};
	enum MHD_Result sent = MHD_NO;

	engine->options.handle(engine->options.context, &request, &reply);
	if (reply.takes_over)
		engine->state = HTTP_ENGINE_YIELDS; /* MHD_NO ends its connection */
	else
		sent = engine_send_reply(connection, &reply);
	http_reply_fini(&reply);
	http_request_fini(&request);
	return sent;
}

/* The first time '*place' is what engine_begin_exchange() made; then for each part of the body; last without bytes. */
static enum MHD_Result engine_handle(void *context, struct MHD_Connection *connection, const char *path, const char *method,
	const char *version, const char *bytes, size_t *size, void **place)
{
	struct http_engine *engine = context;
	struct exchange *exchange = *place;
	enum MHD_Result taken = MHD_YES;

	(void)path;
	if (exchange == NULL)
		return MHD_NO; /* without memory */
	if (!engine->header_is_read) {
		engine->header_is_read = true;
	} else if (*size > 0) {
		taken = engine_take_body(exchange, bytes, *size);
		*size = 0;
	} else {
		taken = engine_answer(engine, connection, exchange, method, version);
	}
	return taken;
}

/* ---- The life of the daemon. ---- */

/* '%' stays '%': decoding is ours, http_request_split(). */
static size_t engine_leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
	(void)context;
	(void)connection;
	return strlen(text);
}

static struct MHD_Daemon *engine_start(struct http_engine *engine)
{
	/* Its logger is set first, because it applies from there on. */
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG, 0, NULL, NULL, engine_handle,
		engine, MHD_OPTION_EXTERNAL_LOGGER, engine_log, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_LIMIT,
		MHD_OPTION_NONCE_NC_SIZE, 0U, MHD_OPTION_URI_LOG_CALLBACK, engine_begin_exchange, engine,
		MHD_OPTION_UNESCAPE_CALLBACK, engine_leave_escaped, NULL, MHD_OPTION_NOTIFY_COMPLETED, engine_end_exchange, engine,
		MHD_OPTION_END);
}

/* Whether there are descriptors enough for those who connect, too: a new one is always the lowest that is free. Those who ask
 * for much and read slowly hold three more than others. */
static bool leaves_descriptors(int newest)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) != 0 || (rlim_t)newest < limit.rlim_cur - limit.rlim_cur / SPARE_PART;
}

/* Makes the daemon and its one connection. Returns whether that worked. */
static bool engine_wake(struct http_engine *engine)
{
	struct sockaddr_un nobody = {.sun_family = AF_UNIX};
	int pair[2];

	if (engine->daemon != NULL)
		return true;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return false;
	if (!leaves_descriptors(pair[1]))
		goto fail_pair;
	engine->daemon = engine_start(engine);
	if (engine->daemon == NULL)
		goto fail_pair;
	/* It takes the socket, and closes it also when it refuses. */
	if (MHD_add_connection(engine->daemon, pair[1], (struct sockaddr *)&nobody, sizeof nobody) != MHD_YES)
		goto fail_daemon;
	engine->wire = pair[0];
	return true;

fail_daemon:
	MHD_stop_daemon(engine->daemon);
	engine->daemon = NULL;
	pair[1] = -1;
fail_pair:
	(void)close(pair[0]);
	if (pair[1] >= 0)
		(void)close(pair[1]);
	return false;
}

void http_engine_rest(struct http_engine *engine)
{
	if (engine->daemon == NULL)
		return;
	MHD_stop_daemon(engine->daemon);
	engine->daemon = NULL;
	(void)close(engine->wire); /* nothing can be done about an error */
	engine->wire = -1;
}

struct http_engine *http_engine_create(const struct http_engine_options *options)
{
	struct http_engine *engine = calloc(1, sizeof *engine);

	if (engine == NULL)
		return NULL;
	engine->options = *options;
	engine->wire = -1;
	http_frame_init(&engine->frame, options->body_limit);
	return engine;
}

void http_engine_destroy(struct http_engine *engine)
{
	if (engine == NULL)
		return;
	http_engine_rest(engine);
	http_frame_fini(&engine->frame);
	free(engine);
}

bool http_engine_is_fed(const struct http_engine *engine)
{
	return http_frame_has_begun(&engine->frame);
}

/* ---- Bytes in and out. ---- */

/* Lets it work until there is nothing more to do. */
static void engine_pump(struct http_engine *engine)
{
	MHD_UNSIGNED_LONG_LONG timeout;
	int rounds = 0;

	do
		(void)MHD_run(engine->daemon); /* its failures show on the wire */
	while (engine->state != HTTP_ENGINE_YIELDS && ++rounds < PUMP_ROUNDS_MOST &&
		MHD_get_timeout(engine->daemon, &timeout) == MHD_YES && timeout == 0);
}

/* Gives it all the bytes. What it has read makes room for more; when it reads no more, it is about to close. */
static void engine_write(struct http_engine *engine, const char *bytes, size_t size)
{
	while (size > 0 && engine->state != HTTP_ENGINE_YIELDS) {
		ssize_t sent = send(engine->wire, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return; /* http_engine_drain() finds out what it has to say about that */
		bytes += sent < 0 ? 0 : sent;
		size -= sent < 0 ? 0 : (size_t)sent;
		engine_pump(engine);
	}
}

/* The header is complete. */
static void engine_write_header(struct http_engine *engine)
{
	engine->header_is_read = false;
	engine->replied = false;
	engine->drained = 0;
	if (engine_wake(engine))
		engine_write(engine, engine->frame.header, engine->frame.header_size);
	else
		engine->state = HTTP_ENGINE_FAILED;
}

size_t http_engine_feed(struct http_engine *engine, const char *bytes, size_t size)
{
	bool in_header = engine->frame.state == HTTP_FRAME_HEADER;
	size_t taken;

	if (engine->state != HTTP_ENGINE_LISTENS || size == 0)
		return 0;
	taken = http_frame_take(&engine->frame, bytes, size);
	if (engine->frame.state == HTTP_FRAME_WRONG)
		engine->state = HTTP_ENGINE_REFUSES;
	else if (!in_header)
		engine_write(engine, bytes, taken);
	else if (engine->frame.state != HTTP_FRAME_HEADER)
		engine_write_header(engine);
	if (engine->state == HTTP_ENGINE_LISTENS && engine->frame.state == HTTP_FRAME_WHOLE)
		engine->state = HTTP_ENGINE_REPLIES;
	return taken;
}

/* Reads what it has written. Returns the size, 0 when it has closed, -1 when there is nothing. */
static ssize_t engine_read(struct http_engine *engine, char *out, size_t size)
{
	ssize_t length;

	do
		length = recv(engine->wire, out, size, MSG_DONTWAIT);
	while (length < 0 && errno == EINTR);
	return length < 0 && errno != EAGAIN ? 0 : length; /* an unread rest of a request becomes a reset */
}

/* There is nothing more on the wire. */
static void engine_conclude(struct http_engine *engine, bool is_closed)
{
	if (is_closed) /* without a word: it could not do what it was to do */
		engine->state = engine->drained > 0 ? HTTP_ENGINE_CLOSES : HTTP_ENGINE_FAILED;
	else if (engine->state != HTTP_ENGINE_REPLIES)
		return; /* the request goes on */
	else if (!engine->replied)
		engine->state = HTTP_ENGINE_FAILED; /* it waits for more of what is complete */
	else
		engine->state = HTTP_ENGINE_LISTENS;
	if (engine->state == HTTP_ENGINE_LISTENS)
		http_frame_reset(&engine->frame);
}

size_t http_engine_drain(struct http_engine *engine, char *out, size_t size)
{
	ssize_t length;

	if (engine->daemon == NULL || (engine->state != HTTP_ENGINE_REPLIES && engine->state != HTTP_ENGINE_LISTENS))
		return 0;
	length = engine_read(engine, out, size);
	if (length < 0) {
		engine_pump(engine);
		length = engine_read(engine, out, size);
	}
	if (length <= 0)
		engine_conclude(engine, length == 0);
	else
		engine->drained += (size_t)length;
	return length < 0 ? 0 : (size_t)length;
}
