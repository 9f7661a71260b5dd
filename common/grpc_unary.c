#include "common/grpc_unary.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "common/grpc_frame.h"

enum {
	READ_SIZE = 32 * 1024,
	WINDOW = 1024 * 1024, /* bytes that the service may send ahead */
	DEAD_AFTER_S = 30,
	AUTHORITY_SIZE = NET_HOST_SIZE + NET_PORT_SIZE + 3,
	BEARER_SIZE = 300,
};

struct grpc_unary {
	struct net_place place;
	char authority[AUTHORITY_SIZE];
	char bearer[BEARER_SIZE]; /* "": none */
	int socket;               /* -1: there is no connection */
	nghttp2_session *http2;

	/* The call. */
	int32_t stream;
	bool is_over;
	bool was_heard; /* something came for it */
	const unsigned char *request;
	size_t request_left;
	unsigned char head[GRPC_FRAME_HEAD_SIZE];
	size_t head_left;
	struct grpc_frame frames;
	unsigned char *message; /* the answer, owned */
	size_t message_size;
	bool has_message;
	int code; /* -1: it was not told */
	char words[GRPC_WORDS_SIZE];
};

/* ---- What comes. ---- */

static bool is(const uint8_t *field, size_t size, const char *word)
{
	return size == strlen(word) && memcmp(field, word, size) == 0;
}

static int on_header(nghttp2_session *http2, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
	const uint8_t *value, size_t value_size, uint8_t flags, void *context)
{
	struct grpc_unary *peer = context;
	char digits[8] = "";

	(void)http2, (void)flags;
	if (frame->hd.stream_id != peer->stream)
		return 0;
	peer->was_heard = true;
	if (is(name, name_size, "grpc-status") && value_size < sizeof digits) {
		memcpy(digits, value, value_size);
		peer->code = atoi(digits);
	} else if (is(name, name_size, "grpc-message")) {
		grpc_words_decode((const char *)value, value_size, peer->words);
	} else if (is(name, name_size, ":status") && !is(value, value_size, "200")) {
		(void)snprintf(peer->words, sizeof peer->words, "it does not speak gRPC: HTTP status %.*s", (int)value_size, (const char *)value);
	}
	return 0;
}

/* There is one message; another one is an error that no service makes, and is not looked at. */
static int take_message(struct grpc_unary *peer, const unsigned char *message, size_t size)
{
	if (peer->has_message)
		return 0;
	peer->message = malloc(size + 1);
	if (peer->message == NULL)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	memcpy(peer->message, message, size);
	peer->message_size = size;
	peer->has_message = true;
	return 0;
}

static int on_data(nghttp2_session *http2, uint8_t flags, int32_t stream, const uint8_t *bytes, size_t size, void *context)
{
	struct grpc_unary *peer = context;
	const unsigned char *message;
	enum grpc_frame_found found;
	size_t message_size;

	(void)http2, (void)flags;
	if (stream != peer->stream)
		return 0;
	grpc_frame_feed(&peer->frames, bytes, size);
	while ((found = grpc_frame_next(&peer->frames, &message, &message_size)) == GRPC_FRAME_MESSAGE)
		if (take_message(peer, message, message_size) != 0)
			return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (found == GRPC_FRAME_MORE)
		return 0;
	(void)snprintf(peer->words, sizeof peer->words, "its answer is too large, or no message");
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_close(nghttp2_session *http2, int32_t stream, uint32_t error, void *context)
{
	struct grpc_unary *peer = context;

	(void)http2;
	if (stream != peer->stream)
		return 0;
	peer->is_over = true;
	if (peer->code < 0 && peer->words[0] == '\0')
		(void)snprintf(peer->words, sizeof peer->words, "it broke off the call: %s", nghttp2_http2_strerror(error));
	return 0;
}

/* ---- What goes. ---- */

static size_t take_part(uint8_t *out, size_t size, const unsigned char *bytes, size_t *left)
{
	size_t part = *left < size ? *left : size;

	memcpy(out, bytes, part);
	*left -= part;
	return part;
}

static ssize_t give_data(nghttp2_session *http2, int32_t stream, uint8_t *out, size_t size, uint32_t *flags,
	nghttp2_data_source *source, void *context)
{
	struct grpc_unary *peer = context;
	size_t written = take_part(out, size, peer->head + sizeof peer->head - peer->head_left, &peer->head_left);
	size_t body = peer->request_left > 0 ? take_part(out + written, size - written, peer->request, &peer->request_left) : 0;

	(void)http2, (void)stream, (void)source;
	peer->request += body;
	if (peer->head_left + peer->request_left == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)(written + body);
}

static nghttp2_nv field(const char *name, const char *value)
{
	/* nghttp2 copies both; its struct has no const. */
	return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value)};
}

static int begin_call(struct grpc_unary *peer, const char *path, const void *request, size_t size)
{
	const nghttp2_nv fields[] = {field(":method", "POST"), field(":scheme", "http"), field(":path", path),
		field(":authority", peer->authority), field("te", "trailers"), field("content-type", "application/grpc"),
		field("user-agent", "tcpchat/" TCPCHAT_VERSION), field("authorization", peer->bearer)};
	size_t count = sizeof fields / sizeof *fields - (peer->bearer[0] == '\0');
	nghttp2_data_provider data = {.read_callback = give_data};

	grpc_frame_fini(&peer->frames);
	grpc_frame_init(&peer->frames, GRPC_UNARY_MOST);
	grpc_frame_write_head(peer->head, size);
	peer->head_left = sizeof peer->head;
	peer->request = request;
	peer->request_left = size;
	free(peer->message);
	peer->message = NULL;
	peer->message_size = 0;
	peer->has_message = peer->is_over = peer->was_heard = false;
	peer->code = -1;
	peer->words[0] = '\0';
	peer->stream = nghttp2_submit_request(peer->http2, NULL, fields, count, &data, NULL);
	return peer->stream < 0 ? -ENOMEM : 0;
}

/* ---- The connection. ---- */

static void hang_up(struct grpc_unary *peer)
{
	if (peer->socket < 0)
		return;
	nghttp2_session_del(peer->http2);
	peer->http2 = NULL;
	(void)close(peer->socket); /* nothing is left to be lost */
	peer->socket = -1;
}

static int start_http2(struct grpc_unary *peer)
{
	static const nghttp2_settings_entry ours[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW}};
	nghttp2_session_callbacks *callbacks;
	int result;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	result = nghttp2_session_client_new(&peer->http2, callbacks, peer);
	nghttp2_session_callbacks_del(callbacks);
	if (result != 0)
		return -ENOMEM;
	if (nghttp2_submit_settings(peer->http2, NGHTTP2_FLAG_NONE, ours, sizeof ours / sizeof *ours) == 0 &&
		nghttp2_session_set_local_window_size(peer->http2, NGHTTP2_FLAG_NONE, 0, WINDOW) == 0)
		return 0;
	nghttp2_session_del(peer->http2);
	return -ENOMEM;
}

static int call_up(struct grpc_unary *peer, int timeout_ms)
{
	int socket = net_connect(&peer->place, timeout_ms);
	int error;

	if (socket < 0)
		return socket;
	net_tune(socket, DEAD_AFTER_S);
	error = start_http2(peer);
	if (error != 0)
		(void)close(socket); /* not used yet */
	else
		peer->socket = socket;
	return error;
}

static int send_some(struct grpc_unary *peer)
{
	const uint8_t *bytes;
	ssize_t size;

	while ((size = nghttp2_session_mem_send(peer->http2, &bytes)) > 0)
		while (size > 0) {
			struct pollfd wait = {.fd = peer->socket, .events = POLLOUT};
			ssize_t sent = send(peer->socket, bytes, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);

			if (sent < 0 && errno != EAGAIN && errno != EINTR)
				return -errno;
			if (sent < 0 && poll(&wait, 1, DEAD_AFTER_S * 1000) == 0)
				return -ETIMEDOUT;
			bytes += sent > 0 ? sent : 0;
			size -= sent > 0 ? sent : 0;
		}
	return size < 0 ? -EPROTO : 0;
}

static int receive_some(struct grpc_unary *peer, long long deadline_ms)
{
	struct pollfd wait = {.fd = peer->socket, .events = POLLIN};
	long long left = deadline_ms - clock_ms();
	uint8_t bytes[READ_SIZE];
	ssize_t size;

	if (left <= 0 || poll(&wait, 1, (int)left) == 0)
		return -ETIMEDOUT;
	size = recv(peer->socket, bytes, sizeof bytes, MSG_DONTWAIT);
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (size <= 0)
		return size == 0 ? -ECONNRESET : -errno;
	return nghttp2_session_mem_recv(peer->http2, bytes, (size_t)size) < 0 ? -EPROTO : 0;
}

/* ---- Calls. ---- */

static int try_call(
	struct grpc_unary *peer, const char *path, const void *request, size_t size, int timeout_ms, long long deadline_ms)
{
	int error = peer->socket < 0 ? call_up(peer, timeout_ms) : 0;

	if (error == 0)
		error = begin_call(peer, path, request, size);
	while (error == 0 && !peer->is_over) {
		error = send_some(peer);
		if (error == 0)
			error = receive_some(peer, deadline_ms);
	}
	if (error == 0)
		(void)send_some(peer); /* answers to the service; if they do not go, the next call finds out */
	else
		hang_up(peer);
	return error;
}

int grpc_unary_call(struct grpc_unary *peer, const char *path, const void *request, size_t size, int timeout_ms,
	struct grpc_answer *answer)
{
	long long deadline_ms = clock_ms() + timeout_ms;
	bool was_connected = peer->socket >= 0;
	int error = try_call(peer, path, request, size, timeout_ms, deadline_ms);

	if (was_connected && !peer->was_heard && (error != 0 || peer->code < 0) && error != -ETIMEDOUT) {
		hang_up(peer);
		error = try_call(peer, path, request, size, timeout_ms, deadline_ms);
	}
	*answer = (struct grpc_answer){.message = peer->message, .size = peer->message_size, .code = peer->code};
	(void)snprintf(answer->words, sizeof answer->words, "%s",
		error != 0 && (peer->words[0] == '\0' || peer->socket < 0) ? strerrordesc_np(-error) : peer->words);
	if (error != 0)
		return error;
	if (peer->code < 0)
		hang_up(peer);
	return peer->code < 0 ? -EPROTO : peer->code != GRPC_OK ? -EREMOTEIO : peer->has_message ? 0 : -EPROTO;
}

struct grpc_unary *grpc_unary_create(const struct net_place *place, const char *token)
{
	struct grpc_unary *peer = calloc(1, sizeof *peer);

	if (peer == NULL)
		return NULL;
	peer->place = *place;
	peer->socket = -1;
	peer->code = -1;
	grpc_frame_init(&peer->frames, GRPC_UNARY_MOST);
	(void)snprintf(peer->authority, sizeof peer->authority, strchr(place->host, ':') == NULL ? "%s:%s" : "[%s]:%s",
		place->host, place->port);
	if (token != NULL)
		(void)snprintf(peer->bearer, sizeof peer->bearer, "Bearer %s", token);
	return peer;
}

void grpc_unary_destroy(struct grpc_unary *peer)
{
	if (peer == NULL)
		return;
	hang_up(peer);
	grpc_frame_fini(&peer->frames);
	free(peer->message);
	explicit_bzero(peer->bearer, sizeof peer->bearer);
	free(peer);
}
