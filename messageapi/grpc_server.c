#include "messageapi/grpc_server.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>
#include <openssl/crypto.h>

#include "common/grpc_frame.h"
#include "common/log.h"
#include "common/net.h"

enum {
	STREAMS = 32,
	READ_SIZE = 32 * 1024,
	PATH_SIZE = 128,
	BEARER_SIZE = 300,
	NUMBER_SIZE = 12,
	DEAD_AFTER_S = 60,
	SEND_MS = 30 * 1000,
	REAP_MS = 1000,
	STACK_SIZE = 512 * 1024,
};

struct connection {
	struct connection *next; /* of the server's thread, as all up to 'thread' */
	struct grpc_server *server;
	pthread_t thread;
	int socket;
	bool is_done; /* of the server's mutex */
	nghttp2_session *http2;
	void *own; /* what open() made */
};

struct stream {
	char path[PATH_SIZE];
	char bearer[BEARER_SIZE];
	struct grpc_frame frames;
	unsigned char *request; /* owned; NULL: it has not come */
	size_t request_size;
	bool is_broken;         /* it is no message, or too large */
	struct grpc_reply reply;
	size_t sent;
};

struct grpc_server {
	struct grpc_server_options options;
	pthread_t thread;
	int stop; /* eventfd */
	pthread_mutex_t mutex; /* guards is_done of the connections; a leaf */
	struct connection *connections;
	size_t count;
};

/* ---- Replies. ---- */

void grpc_reply_message(struct grpc_reply *reply, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);

	reply->bytes = malloc(GRPC_FRAME_HEAD_SIZE + size);
	if (reply->bytes == NULL) {
		grpc_reply_code(reply, GRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	grpc_frame_write_head(reply->bytes, size);
	(void)protobuf_c_message_pack(message, reply->bytes + GRPC_FRAME_HEAD_SIZE);
	reply->size = GRPC_FRAME_HEAD_SIZE + size;
	reply->code = GRPC_OK;
}

void grpc_reply_code(struct grpc_reply *reply, enum grpc_code code, const char *words)
{
	reply->code = code;
	(void)snprintf(reply->words, sizeof reply->words, "%s", words);
}

static nghttp2_nv field(const char *name, const char *value)
{
	/* nghttp2 copies both; its struct has no const. */
	return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value)};
}

static size_t make_trailers(const struct stream *stream, char number[NUMBER_SIZE], char *words, nghttp2_nv *fields)
{
	(void)snprintf(number, NUMBER_SIZE, "%d", (int)stream->reply.code);
	(void)grpc_words_encode(stream->reply.words, words);
	fields[0] = field("grpc-status", number);
	fields[1] = field("grpc-message", words);
	return stream->reply.words[0] == '\0' ? 1 : 2;
}

static ssize_t give_data(nghttp2_session *http2, int32_t id, uint8_t *out, size_t size, uint32_t *flags,
	nghttp2_data_source *source, void *context)
{
	struct stream *stream = source->ptr;
	size_t left = stream->reply.size - stream->sent;
	char number[NUMBER_SIZE];
	char words[3 * GRPC_WORDS_SIZE];
	nghttp2_nv trailers[2];

	(void)context;
	size = left < size ? left : size;
	memcpy(out, stream->reply.bytes + stream->sent, size);
	stream->sent += size;
	if (stream->sent < stream->reply.size)
		return (ssize_t)size;
	*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
	if (nghttp2_submit_trailer(http2, id, trailers, make_trailers(stream, number, words, trailers)) != 0)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	return (ssize_t)size;
}

static int answer(struct connection *connection, int32_t id, struct stream *stream)
{
	char number[NUMBER_SIZE];
	char words[3 * GRPC_WORDS_SIZE];
	nghttp2_nv fields[4] = {field(":status", "200"), field("content-type", "application/grpc")};
	nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = give_data};

	if (stream->reply.bytes != NULL)
		return nghttp2_submit_response(connection->http2, id, fields, 2, &provider);
	return nghttp2_submit_response(
		connection->http2, id, fields, 2 + make_trailers(stream, number, words, fields + 2), NULL);
}

/* ---- Calls. ---- */

static bool is_permitted(const struct connection *connection, const struct stream *stream)
{
	const char *token = connection->server->options.token;

	if (token == NULL || strncmp(stream->path, "/grpc.health.v1.", 16) == 0)
		return true;
	return strncasecmp(stream->bearer, "Bearer ", 7) == 0 && strlen(stream->bearer + 7) == strlen(token) &&
		CRYPTO_memcmp(stream->bearer + 7, token, strlen(token)) == 0;
}

static void serve_method(struct connection *connection, const struct grpc_server_method *method, struct stream *stream)
{
	ProtobufCMessage *request = protobuf_c_message_unpack(method->request, NULL, stream->request_size, stream->request);

	if (request == NULL) {
		grpc_reply_code(&stream->reply, GRPC_INVALID_ARGUMENT, "the request is not of the method's kind");
		return;
	}
	method->serve(connection->own, request, &stream->reply);
	protobuf_c_message_free_unpacked(request, NULL);
}

static void serve(struct connection *connection, struct stream *stream)
{
	const struct grpc_server_method *method = connection->server->options.methods;

	while (method->path != NULL && strcmp(method->path, stream->path) != 0)
		method++;
	if (!is_permitted(connection, stream))
		grpc_reply_code(&stream->reply, GRPC_UNAUTHENTICATED, "the token is missing or wrong");
	else if (method->path == NULL)
		grpc_reply_code(&stream->reply, GRPC_UNIMPLEMENTED, "there is no such method");
	else if (stream->is_broken || stream->request == NULL)
		grpc_reply_code(&stream->reply, GRPC_INVALID_ARGUMENT, "there is no request, or it is compressed or too large");
	else
		serve_method(connection, method, stream);
}

/* ---- What comes. ---- */

static int on_begin_headers(nghttp2_session *http2, const nghttp2_frame *frame, void *context)
{
	struct stream *stream;

	(void)context;
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	stream = calloc(1, sizeof *stream);
	if (stream == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	grpc_frame_init(&stream->frames, GRPC_SERVER_REQUEST_MOST);
	(void)nghttp2_session_set_stream_user_data(http2, frame->hd.stream_id, stream); /* the stream is there */
	return 0;
}

static void copy_field(char *out, size_t out_size, const uint8_t *value, size_t size)
{
	(void)snprintf(out, out_size, "%.*s", (int)(size < out_size ? size : out_size), (const char *)value);
}

static int on_header(nghttp2_session *http2, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
	const uint8_t *value, size_t value_size, uint8_t flags, void *context)
{
	struct stream *stream = nghttp2_session_get_stream_user_data(http2, frame->hd.stream_id);

	(void)flags, (void)context;
	if (stream == NULL)
		return 0;
	if (name_size == 5 && memcmp(name, ":path", 5) == 0)
		copy_field(stream->path, sizeof stream->path, value, value_size);
	else if (name_size == 13 && memcmp(name, "authorization", 13) == 0)
		copy_field(stream->bearer, sizeof stream->bearer, value, value_size);
	return 0;
}

static void take_request(struct stream *stream, const unsigned char *message, size_t size)
{
	if (stream->request != NULL || (stream->request = malloc(size + 1)) == NULL) {
		stream->is_broken = true; /* a second one */
		return;
	}
	memcpy(stream->request, message, size);
	stream->request_size = size;
}

static int on_data(nghttp2_session *http2, uint8_t flags, int32_t id, const uint8_t *bytes, size_t size, void *context)
{
	struct stream *stream = nghttp2_session_get_stream_user_data(http2, id);
	const unsigned char *message;
	enum grpc_frame_found found;
	size_t message_size;

	(void)flags, (void)context;
	if (stream == NULL || stream->is_broken)
		return 0;
	grpc_frame_feed(&stream->frames, bytes, size);
	while ((found = grpc_frame_next(&stream->frames, &message, &message_size)) == GRPC_FRAME_MESSAGE)
		take_request(stream, message, message_size);
	if (found != GRPC_FRAME_MORE)
		stream->is_broken = true;
	return 0;
}

static int on_frame(nghttp2_session *http2, const nghttp2_frame *frame, void *context)
{
	struct connection *connection = context;
	struct stream *stream = nghttp2_session_get_stream_user_data(http2, frame->hd.stream_id);

	if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
		(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 || stream == NULL)
		return 0;
	serve(connection, stream);
	return answer(connection, frame->hd.stream_id, stream) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static void free_stream(struct stream *stream)
{
	if (stream == NULL)
		return;
	grpc_frame_fini(&stream->frames);
	free(stream->request);
	free(stream->reply.bytes);
	free(stream);
}

static int on_close(nghttp2_session *http2, int32_t id, uint32_t error, void *context)
{
	(void)error, (void)context;
	free_stream(nghttp2_session_get_stream_user_data(http2, id));
	(void)nghttp2_session_set_stream_user_data(http2, id, NULL); /* it goes at once */
	return 0;
}

/* ---- A connection. ---- */

static bool start_http2(struct connection *connection)
{
	static const nghttp2_settings_entry ours[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS}, {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, GRPC_SERVER_REQUEST_MOST}};
	nghttp2_session_callbacks *callbacks;
	int result;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		return false;
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	result = nghttp2_session_server_new(&connection->http2, callbacks, connection);
	nghttp2_session_callbacks_del(callbacks);
	return result == 0 &&
		nghttp2_submit_settings(connection->http2, NGHTTP2_FLAG_NONE, ours, sizeof ours / sizeof *ours) == 0;
}

/* Returns whether all could be sent that is to be. */
static bool send_all(struct connection *connection)
{
	const uint8_t *bytes;
	ssize_t size;

	while ((size = nghttp2_session_mem_send(connection->http2, &bytes)) > 0)
		while (size > 0) {
			struct pollfd wait = {.fd = connection->socket, .events = POLLOUT};
			ssize_t sent = send(connection->socket, bytes, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);

			if (sent < 0 && errno != EAGAIN && errno != EINTR)
				return false;
			if (sent < 0 && poll(&wait, 1, SEND_MS) <= 0)
				return false;
			bytes += sent > 0 ? sent : 0;
			size -= sent > 0 ? sent : 0;
		}
	return size == 0;
}

static bool receive(struct connection *connection)
{
	uint8_t bytes[READ_SIZE];
	ssize_t size = recv(connection->socket, bytes, sizeof bytes, 0);

	if (size < 0 && errno == EINTR)
		return true;
	return size > 0 && nghttp2_session_mem_recv(connection->http2, bytes, (size_t)size) >= 0;
}

static void talk(struct connection *connection)
{
	while (send_all(connection) &&
		(nghttp2_session_want_read(connection->http2) || nghttp2_session_want_write(connection->http2)))
		if (!receive(connection))
			break;
	(void)send_all(connection); /* what was answered last */
}

static void *run_connection(void *context)
{
	struct connection *connection = context;
	struct grpc_server *server = connection->server;

	thread_name("grpc");
	net_tune(connection->socket, DEAD_AFTER_S);
	connection->own = server->options.open(server->options.context);
	if (connection->own != NULL && start_http2(connection))
		talk(connection);
	nghttp2_session_del(connection->http2);
	if (connection->own != NULL)
		server->options.close(connection->own);
	mutex_lock(&server->mutex);
	connection->is_done = true; /* the socket stays open until the thread is joined: it may be shut down */
	mutex_unlock(&server->mutex);
	(void)shutdown(connection->socket, SHUT_RDWR); /* it may be gone */
	return NULL;
}

/* ---- The server's thread. ---- */

static void accept_one(struct grpc_server *server)
{
	int socket = accept4(server->options.socket, NULL, NULL, SOCK_CLOEXEC);
	struct connection *connection = socket < 0 ? NULL : calloc(1, sizeof *connection);

	if (connection != NULL && server->count < GRPC_SERVER_CONNECTIONS) {
		*connection = (struct connection){.next = server->connections, .server = server, .socket = socket};
		if (thread_start(&connection->thread, STACK_SIZE, run_connection, connection) == 0) {
			server->connections = connection;
			server->count++;
			return;
		}
	}
	free(connection);
	if (socket >= 0)
		(void)close(socket); /* there are too many */
}

static bool is_done(struct grpc_server *server, const struct connection *connection)
{
	bool done;

	mutex_lock(&server->mutex);
	done = connection->is_done;
	mutex_unlock(&server->mutex);
	return done;
}

/* Joins the threads of connections that have ended, or of all. */
static void reap(struct grpc_server *server, bool all)
{
	struct connection **link = &server->connections;

	while (*link != NULL) {
		struct connection *connection = *link;

		if (!all && !is_done(server, connection)) {
			link = &connection->next;
			continue;
		}
		*link = connection->next;
		thread_join(connection->thread);
		(void)close(connection->socket);
		free(connection);
		server->count--;
	}
}

static void *run_server(void *context)
{
	struct grpc_server *server = context;
	struct pollfd polled[] = {{.fd = server->stop, .events = POLLIN}, {.fd = server->options.socket, .events = POLLIN}};

	thread_name("grpc-accept");
	while (polled[0].revents == 0) {
		if (poll(polled, 2, REAP_MS) > 0 && polled[1].revents != 0)
			accept_one(server);
		reap(server, false);
	}
	for (struct connection *connection = server->connections; connection != NULL; connection = connection->next)
		(void)shutdown(connection->socket, SHUT_RD); /* it may have ended by itself */
	reap(server, true);
	return NULL;
}

int grpc_server_start(const struct grpc_server_options *options, struct grpc_server **server)
{
	struct grpc_server *made = calloc(1, sizeof *made);
	int error;

	if (made == NULL)
		return -ENOMEM;
	made->options = *options;
	made->stop = eventfd(0, EFD_CLOEXEC);
	mutex_init(&made->mutex);
	error = made->stop < 0 ? -errno : thread_start(&made->thread, STACK_SIZE, run_server, made);
	if (error == 0) {
		*server = made;
		return 0;
	}
	mutex_fini(&made->mutex);
	free(made);
	return error;
}

void grpc_server_stop(struct grpc_server *server)
{
	(void)eventfd_write(server->stop, 1); /* fails only when it is full */
	thread_join(server->thread);
	(void)close(server->options.socket);
	(void)close(server->stop);
	mutex_fini(&server->mutex);
	free(server);
}
