/*
 * When a call's pair is looked at: see stream_events(). A call that has said nothing yet is always; then its bytes are
 * asked for by HTTP/2 (take_data()), which is told to ask again when there are more, and asks by itself when a window
 * opens. While a window is shut nothing is taken, but the end of a call is noticed: without bytes before it, it needs
 * no window.
 */
#include "tcpserver/doors/grpc_connection.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <nghttp2/nghttp2.h>

#include "common/log.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/grpc_stream.h"

enum {
	STREAM_WINDOW = 65535,      /* bytes that a call may have waiting from its client; HTTP/2's default          */
	HEADERS_FATAL = 128 * 1024, /* of one request: nobody means well who sends as much                       */
	QUEUE_MOST = 1000,          /* frames that wait to be sent before more are read                              */
	NUMBER_SIZE = 12,
	SESSIONS_MOST = 2 * GRPC_STREAMS_MOST, /* those of calls that have ended take a moment to go, or longer */
};

struct grpc_connection {
	struct session *session;
	nghttp2_session *http2;
	struct grpc_stream *streams;
	size_t calls;
	size_t calls_begun;
	bool is_going; /* GOAWAY was said */
	struct grpc_tally *tally;
	struct grpc_stream *polled[GRPC_STREAMS_MOST];
};

/* ---- Streams of the connection. ---- */

static void link_stream(struct grpc_connection *connection, struct grpc_stream *stream)
{
	stream->next = connection->streams;
	if (stream->next != NULL)
		stream->next->previous = stream;
	connection->streams = stream;
}

static void unlink_stream(struct grpc_connection *connection, struct grpc_stream *stream)
{
	if (stream->previous == NULL)
		connection->streams = stream->next;
	else
		stream->previous->next = stream->next;
	if (stream->next != NULL)
		stream->next->previous = stream->previous;
}

/* What the call did not take is the client's again. */
static void cut(struct grpc_connection *connection, struct grpc_stream *stream, int error)
{
	size_t waiting = grpc_stream_waiting(stream);

	if (stream->pair < 0)
		return;
	if (waiting > 0)
		(void)nghttp2_session_consume(
			connection->http2, stream->id, waiting); /* fails without memory: then later calls do */
	grpc_stream_cut(stream, error);
	if (--connection->calls == 0)
		client_list_carry_none(&connection->session->talk->clients, &connection->session->client);
}

static void forget_stream(struct grpc_connection *connection, struct grpc_stream *stream, int error)
{
	cut(connection, stream, error);
	unlink_stream(connection, stream);
	grpc_stream_release(stream);
}

/* ---- Answers. ---- */

static nghttp2_nv field(const char *name, const char *value)
{
	return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
		.namelen = strlen(name),
		.value = (uint8_t *)(uintptr_t)value,
		.valuelen = strlen(value)};
}

static const char *number(char text[NUMBER_SIZE], int value)
{
	(void)snprintf(text, NUMBER_SIZE, "%d", value);
	return text;
}

/* A stream that cannot be answered is reset: there is no memory. */
static void must_submit(struct grpc_connection *connection, const struct grpc_stream *stream, int result)
{
	if (result != 0)
		(void)nghttp2_submit_rst_stream(
			connection->http2, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_INTERNAL_ERROR);
}

/* Ends the stream with a status: as trailers, or, where nothing was said yet, as all there is. */
static void end_stream(struct grpc_connection *connection, struct grpc_stream *stream, int code, const char *words)
{
	char text[NUMBER_SIZE];
	char encoded[3 * GRPC_WORDS_SIZE];
	nghttp2_nv fields[4] = {field(":status", "200"), field("content-type", "application/grpc")};
	nghttp2_nv *trailers = fields + 2;
	size_t trailer_count = words[0] == '\0' ? 1 : 2;
	int result;

	(void)grpc_words_encode(words, encoded);
	trailers[0] = field("grpc-status", number(text, code));
	trailers[1] = field("grpc-message", encoded);
	if (stream->answer == GRPC_ANSWER_NONE)
		result = nghttp2_submit_response(connection->http2, stream->id, fields, 2 + trailer_count, NULL);
	else
		result = nghttp2_submit_trailer(connection->http2, stream->id, trailers, trailer_count);
	stream->answer = GRPC_ANSWER_ENDED;
	must_submit(connection, stream, result);
}

/* The call is over, and all its bytes were taken. */
static void end_call(struct grpc_connection *connection, struct grpc_stream *stream)
{
	/* Acquire: the words are there. */
	int code = atomic_load_explicit(&stream->call.status, memory_order_acquire);

	end_stream(connection, stream, code, stream->call.words);
	cut(connection, stream, 0);
}

/* HTTP/2 asks for bytes of a call. */
static ssize_t take_data(nghttp2_session *http2, int32_t id, uint8_t *bytes, size_t size, uint32_t *flags,
	nghttp2_data_source *source, void *context)
{
	struct grpc_stream *stream = source->ptr;
	ssize_t got = stream->answer == GRPC_ANSWER_ENDED ? -EAGAIN : grpc_stream_take(stream, bytes, size);

	(void)http2, (void)id;
	if (got > 0)
		return got;
	if (got < 0) {
		stream->is_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
	end_call(context, stream);
	return 0;
}

static void begin_answer(struct grpc_connection *connection, struct grpc_stream *stream)
{
	/* Acquire: the name is there. */
	bool has_name = atomic_load_explicit(&stream->call.has_name, memory_order_acquire);
	char name[3 * GRPC_WORDS_SIZE] = "";
	nghttp2_nv fields[4] = {field(":status", "200"), field("content-type", "application/grpc"),
		field("grpc-accept-encoding", "identity")};
	nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = take_data};

	if (has_name)
		(void)grpc_words_encode(stream->call.name, name);
	fields[3] = field("chat-name", name);
	stream->answer = GRPC_ANSWER_BEGUN;
	must_submit(connection, stream,
		nghttp2_submit_response(connection->http2, stream->id, fields, has_name ? 4 : 3, &provider));
}

static ssize_t take_body(nghttp2_session *http2, int32_t id, uint8_t *bytes, size_t size, uint32_t *flags,
	nghttp2_data_source *source, void *context)
{
	struct grpc_stream *stream = source->ptr;
	size_t left = strlen(stream->body);

	(void)http2, (void)id, (void)context;
	size = size < left ? size : left;
	memcpy(bytes, stream->body, size);
	stream->body += size;
	if (*stream->body == '\0')
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)size;
}

/* Answers what is no call of gRPC, in a way that any client of HTTP understands. */
static void answer_http(
	struct grpc_connection *connection, struct grpc_stream *stream, const struct grpc_refusal *refusal)
{
	char status[NUMBER_SIZE];
	nghttp2_nv fields[] = {field(":status", number(status, (int)refusal->http_status)),
		field("content-type", "text/plain; charset=utf-8"), field("allow", "POST")};
	nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = take_body};

	(void)snprintf(
		stream->call.words, sizeof stream->call.words, "%s", refusal->words); /* nobody else has the call */
	stream->body = stream->call.words;
	stream->answer = GRPC_ANSWER_ENDED;
	must_submit(connection, stream,
		nghttp2_submit_response(
			connection->http2, stream->id, fields, refusal->http_status == 405 ? 3 : 2, &provider));
}

static void reset_stream(struct grpc_connection *connection, struct grpc_stream *stream, uint32_t code, int error)
{
	cut(connection, stream, error);
	stream->answer = GRPC_ANSWER_ENDED;
	(void)nghttp2_submit_rst_stream(connection->http2, NGHTTP2_FLAG_NONE, stream->id, code);
}

/* ---- Calls. ---- */

static void log_refused(const struct session *session, int error)
{
	static struct log_gate gate;
	char left_out[LOG_COUNT_SIZE];

	if (log_passes(&gate, left_out))
		log_event(LOG_WARNING, "call refused", "from", session->address, "why", strerror(-error), "what to do",
			"raise the limit of open files (ulimit -n), or lower --max-clients",
			left_out[0] == '\0' ? NULL : "left out", left_out, NULL);
}

static void begin_call(struct grpc_connection *connection, struct grpc_stream *stream)
{
	struct session *session = connection->session;
	int error;

	/* HTTP/2 bounds the calls that go on; a session may take its time after its call was cut. */
	if (grpc_tally_sessions(connection->tally) >= SESSIONS_MOST) {
		reset_stream(connection, stream, NGHTTP2_REFUSED_STREAM, 0);
		return;
	}
	if (connection->calls == 0)
		client_list_carry(&session->talk->clients, &session->client);
	error = grpc_stream_begin(stream, session, connection->tally);
	if (error == 0) {
		connection->calls++;
		connection->calls_begun++;
		if (stream->request.has_timeout)
			stream->deadline_ms = clock_ms() + stream->request.timeout_ms;
		return;
	}
	if (connection->calls == 0)
		client_list_carry_none(&session->talk->clients, &session->client);
	log_refused(session, error);
	end_stream(connection, stream, GRPC_UNAVAILABLE, "the server has no room for one more call; try again later");
}

static void take_request(struct grpc_connection *connection, struct grpc_stream *stream)
{
	struct grpc_refusal refusal;

	if (grpc_request_is_good(&stream->request, &stream->call, &refusal))
		begin_call(connection, stream);
	else if (refusal.http_status != 200)
		answer_http(connection, stream, &refusal);
	else
		end_stream(connection, stream, (int)refusal.code, refusal.words);
}

/* ---- What nghttp2 tells. ---- */

static int on_begin_headers(nghttp2_session *http2, const nghttp2_frame *frame, void *context)
{
	struct grpc_connection *connection = context;
	struct grpc_stream *stream;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	stream = grpc_stream_create(frame->hd.stream_id);
	if (stream == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	link_stream(connection, stream);
	return nghttp2_session_set_stream_user_data(http2, frame->hd.stream_id, stream);
}

static int on_header(nghttp2_session *http2, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
	const uint8_t *value, size_t value_size, uint8_t flags, void *context)
{
	struct grpc_stream *stream = nghttp2_session_get_stream_user_data(http2, frame->hd.stream_id);

	(void)flags, (void)context;
	if (stream == NULL || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	grpc_request_take(
		&stream->request, &stream->call, (const char *)name, name_size, (const char *)value, value_size);
	if (stream->request.size > HEADERS_FATAL)
		(void)nghttp2_session_terminate_session(http2, NGHTTP2_ENHANCE_YOUR_CALM);
	return 0;
}

static int on_frame(nghttp2_session *http2, const nghttp2_frame *frame, void *context)
{
	struct grpc_stream *stream = nghttp2_session_get_stream_user_data(http2, frame->hd.stream_id);

	if (stream == NULL)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		take_request(context, stream);
	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
		(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
		grpc_stream_end_input(stream);
	return 0;
}

static int on_data(nghttp2_session *http2, uint8_t flags, int32_t id, const uint8_t *bytes, size_t size, void *context)
{
	struct grpc_stream *stream = nghttp2_session_get_stream_user_data(http2, id);
	ssize_t given = stream == NULL ? (ssize_t)size : grpc_stream_give(stream, bytes, size);

	(void)flags;
	if (given < 0)
		reset_stream(context, stream, NGHTTP2_INTERNAL_ERROR, ENOMEM); /* bytes would be lost */
	return nghttp2_session_consume(http2, id, given < 0 ? size : (size_t)given) == NGHTTP2_ERR_NOMEM
		       ? NGHTTP2_ERR_CALLBACK_FAILURE
		       : 0;
}

/* nghttp2 has ended the connection, and calls the reason 'code'. */
static void log_ended(const struct grpc_connection *connection, const char *code)
{
	log_event(LOG_WARNING, "HTTP/2 connection ended", "from", connection->session->address, "why",
		"the client does not keep to the protocol, or floods", "code", code, NULL);
}

/* We have said all. What the client still says is not wanted. Source: RFC 9113, 8.1. */
static int on_sent(nghttp2_session *http2, const nghttp2_frame *frame, void *context)
{
	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
		log_ended(context, nghttp2_http2_strerror(frame->goaway.error_code));
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
		nghttp2_session_get_stream_remote_close(http2, frame->hd.stream_id) == 0)
		(void)nghttp2_submit_rst_stream(http2, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_close(nghttp2_session *http2, int32_t id, uint32_t code, void *context)
{
	struct grpc_stream *stream = nghttp2_session_get_stream_user_data(http2, id);
	bool went = code == NGHTTP2_NO_ERROR || code == NGHTTP2_CANCEL;

	if (stream == NULL)
		return 0;
	(void)nghttp2_session_set_stream_user_data(http2, id, NULL);
	forget_stream(context, stream, went ? 0 : ECONNRESET);
	return 0;
}

/* ---- Polling. ---- */

static bool may_send(const struct grpc_connection *connection, const struct grpc_stream *stream)
{
	return nghttp2_session_get_remote_window_size(connection->http2) > 0 &&
	       nghttp2_session_get_stream_remote_window_size(connection->http2, stream->id) > 0;
}

/* What a call is waited for; 0: nothing now. */
static short stream_events(const struct grpc_connection *connection, const struct grpc_stream *stream)
{
	short events = grpc_stream_waiting(stream) > 0 && !stream->input_closed ? POLLOUT : 0;

	if (stream->answer == GRPC_ANSWER_NONE)
		return (short)(events | POLLIN);
	if (!may_send(connection, stream))
		return stream->is_ending ? events : (short)(events | POLLRDHUP);
	return stream->is_deferred ? (short)(events | POLLIN) : events;
}

size_t grpc_connection_polls(struct grpc_connection *connection, struct pollfd *polls)
{
	size_t count = 0;

	for (struct grpc_stream *stream = connection->streams; stream != NULL && count < GRPC_STREAMS_MOST;
		stream = stream->next) {
		short events = stream->pair < 0 ? 0 : stream_events(connection, stream);

		if (events == 0)
			continue; /* what has ended would be found at once, again and again */
		polls[count] = (struct pollfd){.fd = stream->pair, .events = events};
		connection->polled[count++] = stream;
	}
	return count;
}

static void give_waiting(struct grpc_connection *connection, struct grpc_stream *stream)
{
	ssize_t given = grpc_stream_give_waiting(stream);

	if (given > 0)
		(void)nghttp2_session_consume(
			connection->http2, stream->id, (size_t)given); /* fails without memory: then later calls do */
}

/* There is something of the call, or its end. */
static void notice(struct grpc_connection *connection, struct grpc_stream *stream)
{
	int found;

	if (stream->answer == GRPC_ANSWER_BEGUN && may_send(connection, stream)) {
		if (stream->is_deferred)
			(void)nghttp2_session_resume_data(
				connection->http2, stream->id); /* fails when it was resumed already */
		stream->is_deferred = false;
		stream->is_dry = false;
		return;
	}
	found = grpc_stream_look(stream);
	if (found == 0)
		end_call(connection, stream);
	else if (found > 0 && stream->answer == GRPC_ANSWER_NONE)
		begin_answer(connection, stream);
	else if (found > 0)
		stream->is_ending = true;
}

void grpc_connection_polled(struct grpc_connection *connection, const struct pollfd *polls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct grpc_stream *stream = connection->polled[i];

		if ((polls[i].revents & (POLLOUT | POLLHUP | POLLERR)) != 0 && grpc_stream_waiting(stream) > 0)
			give_waiting(connection, stream);
		if ((polls[i].revents & ~POLLOUT) != 0)
			notice(connection, stream);
	}
}

/* ---- Time. ---- */

static long long stream_deadline_ms(const struct grpc_stream *stream)
{
	return stream->pair < 0 || stream->deadline_ms == 0 ? -1 : stream->deadline_ms;
}

long long grpc_connection_deadline_ms(const struct grpc_connection *connection)
{
	long long first = -1;

	for (const struct grpc_stream *stream = connection->streams; stream != NULL; stream = stream->next) {
		long long deadline_ms = stream_deadline_ms(stream);

		if (deadline_ms >= 0 && (first < 0 || deadline_ms < first))
			first = deadline_ms;
	}
	return first;
}

void grpc_connection_check_time(struct grpc_connection *connection)
{
	long long now = clock_ms();

	for (struct grpc_stream *stream = connection->streams; stream != NULL; stream = stream->next) {
		if (stream->pair < 0 || stream->deadline_ms == 0 || stream->deadline_ms > now)
			continue;
		end_stream(connection, stream, GRPC_DEADLINE_EXCEEDED, "the time that the client gave to this call is over");
		cut(connection, stream, ETIME);
	}
}

/* ---- The connection. ---- */

bool grpc_connection_feed(struct grpc_connection *connection, const void *bytes, size_t size)
{
	ssize_t taken = nghttp2_session_mem_recv(connection->http2, bytes, size);

	if (taken >= 0)
		return true;
	log_ended(connection, nghttp2_strerror((int)taken));
	return false;
}

size_t grpc_connection_fill(struct grpc_connection *connection, char *out, size_t size)
{
	size_t filled = 0;

	while (size - filled >= GRPC_FRAME_MOST) {
		const uint8_t *frame;
		ssize_t frame_size = nghttp2_session_mem_send(connection->http2, &frame);

		if (frame_size <= 0)
			break;
		assert((size_t)frame_size <= size - filled);
		memcpy(out + filled, frame, (size_t)frame_size);
		filled += (size_t)frame_size;
	}
	return filled;
}

bool grpc_connection_may_feed(const struct grpc_connection *connection)
{
	return nghttp2_session_get_outbound_queue_size(connection->http2) < QUEUE_MOST;
}

bool grpc_connection_is_over(const struct grpc_connection *connection)
{
	return nghttp2_session_want_read(connection->http2) == 0 && nghttp2_session_want_write(connection->http2) == 0;
}

void grpc_connection_say_goaway(struct grpc_connection *connection, const char *words)
{
	if (connection->is_going)
		return;
	connection->is_going = true;
	(void)nghttp2_submit_goaway(connection->http2, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(connection->http2), NGHTTP2_NO_ERROR, (const uint8_t *)words,
		strlen(words)); /* without memory the end comes without words */
}

bool grpc_connection_guesses(const struct grpc_connection *connection)
{
	/* Relaxed: it guards no other memory. */
	return atomic_load_explicit(&connection->tally->wrong_passwords, memory_order_relaxed) >= SESSION_PASSWORDS_MAX;
}

bool grpc_connection_wants_write(const struct grpc_connection *connection)
{
	return nghttp2_session_want_write(connection->http2) != 0;
}

size_t grpc_connection_calls(const struct grpc_connection *connection)
{
	return connection->calls;
}

size_t grpc_connection_calls_begun(const struct grpc_connection *connection)
{
	return connection->calls_begun;
}

static nghttp2_session *make_http2(struct grpc_connection *connection)
{
	nghttp2_session *http2 = NULL;
	nghttp2_session_callbacks *callbacks = NULL;
	nghttp2_option *option = NULL;

	if (nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0) {
		nghttp2_option_set_no_auto_window_update(option, 1);
		nghttp2_option_set_no_closed_streams(option, 1);
		nghttp2_option_set_max_deflate_dynamic_table_size(option, 0); /* answers are a few short fields */
		nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
		nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
		nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
		nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
		nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
		nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
		if (nghttp2_session_server_new2(&http2, callbacks, connection, option) != 0)
			http2 = NULL;
	}
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(option);
	return http2;
}

/* The connection's window is that of all its streams together: one call that takes nothing holds up no other one. */
static bool submit_settings(nghttp2_session *http2)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, GRPC_STREAMS_MOST},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_HEADERS_MOST},
	};

	return nghttp2_submit_settings(http2, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings) == 0 &&
	       nghttp2_session_set_local_window_size(
		       http2, NGHTTP2_FLAG_NONE, 0, (GRPC_STREAMS_MOST + 1) * STREAM_WINDOW) == 0;
}

struct grpc_connection *grpc_connection_create(struct session *session)
{
	struct grpc_connection *connection = calloc(1, sizeof *connection);

	if (connection == NULL)
		return NULL;
	connection->session = session;
	connection->tally = grpc_tally_create();
	connection->http2 = make_http2(connection);
	if (connection->tally != NULL && connection->http2 != NULL && submit_settings(connection->http2))
		return connection;
	grpc_connection_destroy(connection, 0);
	return NULL;
}

void grpc_connection_destroy(struct grpc_connection *connection, int error)
{
	while (connection->streams != NULL)
		forget_stream(connection, connection->streams, error);
	nghttp2_session_del(connection->http2);
	if (connection->tally != NULL)
		grpc_tally_release(connection->tally);
	free(connection);
}
