#include "tcpclient/grpc.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "common/grpc_frame.h"
#include "common/text.h"
#include "tcpclient/buffer.h"

enum {
	READ_SIZE = 16 * 1024,
	OUTPUT_SIZE = 64 * 1024, /* made at a time */
	HEADERS_SIZE_MAX = 16 * 1024,
	TIMEOUT_SIZE = 16,
	WORD_SIZE = 64,
	STATUS_OK = 200,
};

struct grpc {
	int socket;
	void (*heard)(void *context, const unsigned char *message, size_t size);
	void *context;
	nghttp2_session *session;
	int32_t stream;
	struct grpc_frame frames;
	struct buffer messages; /* framed, to be sent     */
	size_t messages_from;   /* of it: not yet taken   */
	bool ends;              /* and no more comes      */
	bool gave;              /* some of them to nghttp2, which was put into the output after that */
	struct buffer output;   /* bytes for the socket   */
	size_t output_from;
	size_t said_until;  /* of the output: where that ends which we said; what is behind are answers to the server */
	long long taken_at; /* when the socket last took some of that */
	bool was_heard;
	long long heard_at;
	bool was_answered;
	int http_status;
	bool is_grpc;  /* by the answer's content-type */
	bool is_over;
	struct grpc_outcome outcome;
	char chat_name[NAME_SIZE];
};

void grpc_authority(const struct net_place *place, char authority[GRPC_AUTHORITY_SIZE])
{
	(void)snprintf(authority, GRPC_AUTHORITY_SIZE, strchr(place->host, ':') == NULL ? "%s:%s" : "[%s]:%s", place->host,
		place->port);
}

/* ---- How it ends. ---- */

static void set_words(struct grpc *grpc, const char *words)
{
	char clean[TEXT_CLEAN_SIZE(GRPC_WORDS_SIZE)];
	size_t size = text_clean(words, strnlen(words, GRPC_WORDS_SIZE), clean);

	size = text_prefix(clean, size, GRPC_WORDS_SIZE - 1);
	memcpy(grpc->outcome.words, clean, size);
	grpc->outcome.words[size] = '\0';
}

static void finish(struct grpc *grpc, enum grpc_code code, const char *words)
{
	if (grpc->is_over)
		return;
	grpc->is_over = true;
	if (grpc->outcome.is_told)
		return; /* the server has said it better */
	grpc->outcome.code = code;
	set_words(grpc, words);
}

void grpc_fail(struct grpc *grpc, enum grpc_code code, const char *words)
{
	if (grpc->is_over)
		return;
	grpc->outcome.is_told = false;
	finish(grpc, code, words);
	/* Without memory the call ends with the connection. */
	(void)nghttp2_submit_rst_stream(grpc->session, NGHTTP2_FLAG_NONE, grpc->stream, NGHTTP2_CANCEL);
}

/* The bytes were no HTTP/2, or the last of it. */
static void finish_broken(struct grpc *grpc, const char *words)
{
	if (grpc->was_heard)
		finish(grpc, GRPC_UNAVAILABLE, words);
	else
		finish(grpc, GRPC_UNIMPLEMENTED, "the server does not speak gRPC (HTTP/2)");
}

/* The answer of something that is no gRPC server, as a web server's. */
static void finish_without_status(struct grpc *grpc, uint32_t error)
{
	char words[WORD_SIZE];

	if (!grpc->was_heard) {
		finish_broken(grpc, "");
	} else if (grpc->http_status == 0 && error == NGHTTP2_REFUSED_STREAM) {
		finish(grpc, GRPC_UNAVAILABLE, "the server takes no more calls");
	} else if (grpc->http_status != 0 && !grpc->is_grpc) {
		(void)snprintf(words, sizeof words, "the server does not speak gRPC: HTTP status %d", grpc->http_status);
		finish(grpc, GRPC_UNIMPLEMENTED, words);
	} else {
		(void)snprintf(words, sizeof words, "the server broke off the call: %s", nghttp2_http2_strerror(error));
		finish(grpc, GRPC_UNAVAILABLE, words);
	}
}

/* ---- What comes. ---- */

static bool is(const uint8_t *field, size_t size, const char *word)
{
	return size == strlen(word) && memcmp(field, word, size) == 0;
}

static int number(const uint8_t *digits, size_t size)
{
	int found = 0;

	if (size == 0 || size > 4)
		return -1;
	for (size_t i = 0; i < size; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return -1;
		found = 10 * found + (digits[i] - '0');
	}
	return found;
}

/* One that is none here says nothing. */
static void set_chat_name(struct grpc *grpc, const char *value, size_t size)
{
	char name[GRPC_WORDS_SIZE];

	grpc_words_decode(value, size, name);
	if (!name_make(name, strlen(name), grpc->chat_name))
		grpc->chat_name[0] = '\0';
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
	const uint8_t *value, size_t value_size, uint8_t flags, void *context)
{
	static const char kind[] = "application/grpc";
	struct grpc *grpc = context;

	(void)session;
	(void)flags;
	if (frame->hd.stream_id != grpc->stream)
		return 0;
	if (is(name, name_size, ":status")) {
		grpc->http_status = number(value, value_size);
	} else if (is(name, name_size, "content-type")) {
		grpc->is_grpc = value_size >= sizeof kind - 1 && memcmp(value, kind, sizeof kind - 1) == 0;
	} else if (is(name, name_size, "grpc-status")) {
		grpc->outcome.code = number(value, value_size);
		grpc->outcome.is_told = grpc->outcome.code >= 0;
	} else if (is(name, name_size, "chat-name")) {
		set_chat_name(grpc, (const char *)value, value_size);
	} else if (is(name, name_size, "grpc-message")) {
		char words[GRPC_WORDS_SIZE];

		grpc_words_decode((const char *)value, value_size, words);
		set_words(grpc, words);
	}
	return 0;
}

static int on_data(
	nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes, size_t size, void *context)
{
	struct grpc *grpc = context;
	const unsigned char *message;
	enum grpc_frame_found found = GRPC_FRAME_MORE;
	size_t message_size;

	(void)session;
	(void)flags;
	if (stream != grpc->stream || grpc->http_status != STATUS_OK || !grpc->is_grpc)
		return 0;
	grpc_frame_feed(&grpc->frames, bytes, size);
	while (!grpc->is_over && (found = grpc_frame_next(&grpc->frames, &message, &message_size)) == GRPC_FRAME_MESSAGE)
		grpc->heard(grpc->context, message, message_size);
	if (found == GRPC_FRAME_TOO_LARGE)
		grpc_fail(grpc, GRPC_RESOURCE_EXHAUSTED, "the server sent a message of more than 4 MiB");
	else if (found == GRPC_FRAME_COMPRESSED)
		grpc_fail(grpc, GRPC_UNIMPLEMENTED, "the server sent a compressed message, which nobody asked for");
	else if (found == GRPC_FRAME_NO_MEMORY)
		grpc_fail(grpc, GRPC_RESOURCE_EXHAUSTED, "there is no memory for a message of the server");
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct grpc *grpc = context;

	(void)session;
	grpc->was_heard = true;
	grpc->heard_at = clock_ms();
	if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
		grpc->was_answered = true;
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error, void *context)
{
	struct grpc *grpc = context;

	(void)session;
	if (stream == grpc->stream)
		finish_without_status(grpc, error); /* unless there is one */
	return 0;
}

/* ---- What goes. ---- */

static ssize_t give_data(nghttp2_session *session, int32_t stream, uint8_t *out, size_t size, uint32_t *flags,
	nghttp2_data_source *source, void *context)
{
	struct grpc *grpc = context;
	size_t left = grpc->messages.size - grpc->messages_from;

	(void)session;
	(void)stream;
	(void)source;
	if (left == 0 && !grpc->ends)
		return NGHTTP2_ERR_DEFERRED;
	if (left < size)
		size = left;
	if (size > 0)
		memcpy(out, grpc->messages.bytes + grpc->messages_from, size);
	grpc->gave = grpc->gave || size > 0;
	grpc->messages_from += size;
	if (grpc->messages_from < grpc->messages.size)
		return (ssize_t)size;
	buffer_clear(&grpc->messages);
	grpc->messages_from = 0;
	if (grpc->ends)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)size;
}

void grpc_send(struct grpc *grpc, const void *message, size_t size)
{
	unsigned char head[GRPC_FRAME_HEAD_SIZE];

	grpc_frame_write_head(head, size);
	buffer_add(&grpc->messages, (const char *)head, sizeof head);
	buffer_add(&grpc->messages, message, size);
	(void)nghttp2_session_resume_data(grpc->session, grpc->stream); /* fails when it was not put off */
}

void grpc_send_end(struct grpc *grpc)
{
	grpc->ends = true;
	(void)nghttp2_session_resume_data(grpc->session, grpc->stream); /* the same */
}

bool grpc_is_sending(const struct grpc *grpc)
{
	return grpc->messages.size > grpc->messages_from || grpc->said_until > grpc->output_from;
}

long long grpc_taken_at(const struct grpc *grpc)
{
	return grpc->taken_at;
}

void grpc_ask(struct grpc *grpc)
{
	grpc->was_answered = false;
	(void)nghttp2_submit_ping(grpc->session, NGHTTP2_FLAG_NONE, NULL); /* without memory there is no answer */
}

bool grpc_was_answered(const struct grpc *grpc)
{
	return grpc->was_answered;
}

/* ---- The socket. ---- */

static void read_some(struct grpc *grpc)
{
	uint8_t bytes[READ_SIZE];
	ssize_t size = recv(grpc->socket, bytes, sizeof bytes, MSG_DONTWAIT);
	ssize_t taken;

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0) {
		finish(grpc, GRPC_UNAVAILABLE, size == 0 ? "the server closed the connection" : strerrordesc_np(errno));
		return;
	}
	taken = nghttp2_session_mem_recv(grpc->session, bytes, (size_t)size);
	if (taken < 0)
		finish_broken(grpc, nghttp2_strerror((int)taken));
}

/* Has nghttp2 make bytes, some at a time, so that what a server asks for cannot fill the memory. */
static void make_output(struct grpc *grpc)
{
	const uint8_t *bytes;
	ssize_t size = 1;

	if (grpc->output_from < grpc->output.size)
		return;
	grpc->output_from = 0;
	grpc->said_until = 0;
	buffer_clear(&grpc->output);
	while (grpc->output.size < OUTPUT_SIZE && (size = nghttp2_session_mem_send(grpc->session, &bytes)) > 0) {
		buffer_add(&grpc->output, (const char *)bytes, (size_t)size);
		if (grpc->gave)
			grpc->said_until = grpc->output.size;
		grpc->gave = false;
	}
	if (size < 0)
		finish(grpc, GRPC_INTERNAL, nghttp2_strerror((int)size));
}

static void write_some(struct grpc *grpc)
{
	ssize_t size = 1;
	int error;

	while (size > 0) {
		make_output(grpc);
		if (grpc->output_from == grpc->output.size)
			return;
		size = send(grpc->socket, grpc->output.bytes + grpc->output_from, grpc->output.size - grpc->output_from,
			MSG_DONTWAIT | MSG_NOSIGNAL);
		if (size > 0 && grpc->output_from < grpc->said_until)
			grpc->taken_at = clock_ms();
		if (size > 0)
			grpc->output_from += (size_t)size;
	}
	error = errno;
	if (error == EAGAIN || error == EINTR)
		return;
	read_some(grpc); /* what the server said before it went */
	finish(grpc, GRPC_UNAVAILABLE, strerrordesc_np(error));
}

int grpc_socket(const struct grpc *grpc)
{
	return grpc->socket;
}

short grpc_wanted(const struct grpc *grpc, bool may_read)
{
	bool writes = grpc->output_from < grpc->output.size || nghttp2_session_want_write(grpc->session) != 0;

	return (short)((may_read ? POLLIN : 0) | (writes ? POLLOUT : 0));
}

void grpc_work(struct grpc *grpc, bool may_read)
{
	if (may_read)
		read_some(grpc);
	if (!grpc->is_over)
		write_some(grpc);
	if (nghttp2_session_want_read(grpc->session) == 0 && nghttp2_session_want_write(grpc->session) == 0)
		finish_broken(grpc, "the server ended the connection");
}

bool grpc_was_heard(const struct grpc *grpc)
{
	return grpc->was_heard;
}

long long grpc_heard_at(const struct grpc *grpc)
{
	return grpc->heard_at;
}

bool grpc_is_over(const struct grpc *grpc)
{
	return grpc->is_over;
}

const char *grpc_chat_name(const struct grpc *grpc)
{
	return grpc->chat_name;
}

const struct grpc_outcome *grpc_outcome(const struct grpc *grpc)
{
	return &grpc->outcome;
}

/* ---- Begin and end. ---- */

static nghttp2_session *make_session(struct grpc *grpc)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session = NULL;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		abort(); /* as everywhere in the client: without memory it cannot go on */
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	if (nghttp2_session_client_new(&session, callbacks, grpc) != 0)
		abort();
	nghttp2_session_callbacks_del(callbacks);
	return session;
}

static nghttp2_nv field(const char *name, const char *value)
{
	/* nghttp2 copies both; its struct has no const. */
	return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value)};
}

static const char *set_timeout(int seconds, char out[TIMEOUT_SIZE])
{
	(void)snprintf(out, TIMEOUT_SIZE, "%dS", seconds);
	return out;
}

static void request(struct grpc *grpc, const struct grpc_settings *settings)
{
	static const nghttp2_settings_entry ours[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_SIZE_MAX}};
	const char *timeout = set_timeout(settings->timeout_s, (char[TIMEOUT_SIZE]){0});
	const nghttp2_nv fields[] = {field(":method", "POST"), field(":scheme", settings->is_encrypted ? "https" : "http"),
		field(":path", settings->path), field(":authority", settings->authority), field("te", "trailers"),
		field("content-type", "application/grpc"), field("user-agent", "tcpclient/" TCPCHAT_VERSION),
		field("grpc-timeout", timeout)};
	const nghttp2_data_provider data = {.read_callback = give_data};
	size_t count = sizeof fields / sizeof fields[0] - (settings->timeout_s == 0);

	if (nghttp2_submit_settings(grpc->session, NGHTTP2_FLAG_NONE, ours, sizeof ours / sizeof ours[0]) != 0)
		abort();
	grpc->stream = nghttp2_submit_request(grpc->session, NULL, fields, count, &data, NULL);
	if (grpc->stream < 0)
		abort();
}

struct grpc *grpc_begin(int socket, const struct grpc_settings *settings)
{
	struct grpc *grpc = memory_get(sizeof *grpc);

	memset(grpc, 0, sizeof *grpc);
	grpc->socket = socket;
	grpc->heard = settings->heard;
	grpc->context = settings->context;
	grpc_frame_init(&grpc->frames, GRPC_LIMIT);
	grpc->session = make_session(grpc);
	request(grpc, settings);
	return grpc;
}

void grpc_close(struct grpc *grpc)
{
	if (grpc == NULL)
		return;
	grpc_fail(grpc, GRPC_CANCELLED, "");
	(void)nghttp2_session_terminate_session(grpc->session, NGHTTP2_NO_ERROR); /* the end of the connection says the same */
	write_some(grpc);
	nghttp2_session_del(grpc->session);
	grpc_frame_fini(&grpc->frames);
	buffer_fini(&grpc->messages);
	buffer_fini(&grpc->output);
	(void)close(grpc->socket); /* nothing is left to be lost */
	free(grpc);
}
