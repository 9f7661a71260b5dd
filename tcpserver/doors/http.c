#include "tcpserver/doors/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/log.h"
#include "tcpserver/core/metrics.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/http_call.h"
#include "tcpserver/doors/http_engine.h"
#include "tcpserver/doors/line.h"

enum {
	IDLE_MS = 60 * 1000,         /* a connection may be quiet between two requests                         */
	REST_MS = 1000,              /* after which it gives back what only a request needs                    */
	DRAIN_SIZE = 16 * 1024,      /* bytes of a reply passed on at a time                                   */
	UNSENT_MOST = 2 * DRAIN_SIZE, /* in the outbox before the client has to read                           */
	PREFLIGHT_SECONDS = 600,     /* for which a browser need not ask again                                 */
};

/* The conversation with one client. */
struct visitor {
	struct session *session;
	struct http_engine *engine;
	struct http_takeover takeover;
	long long request_ms; /* when the request in hand began; 0: none has */
	bool has_asked;       /* a request before                            */
	size_t unsent;        /* bytes told since the client had read all    */
};

/* ---- Where a request comes from. ---- */

static bool is_allowed(const struct talk *talk, const char *origin)
{
	for (size_t i = 0; i < talk->allow_origin_count; i++) {
		if (strcmp(talk->allow_origins[i], "*") == 0 || strcasecmp(talk->allow_origins[i], origin) == 0)
			return true;
	}
	return false;
}

/* The bytes of a host without its port, if that is the one that the scheme has anyway. */
static size_t host_size(const char *host, const char *port)
{
	size_t size = strlen(host);
	size_t port_size = strlen(port);

	return size >= port_size && strcmp(host + size - port_size, port) == 0 ? size - port_size : size;
}

/* Whether the page comes from where the request went to: same scheme, same host, same port. */
static bool is_own(const struct session *session, const char *origin, const char *host)
{
	const char *scheme = session->is_secure ? "https://" : "http://";
	const char *port = session->is_secure ? ":443" : ":80";
	size_t size = host == NULL ? 0 : host_size(host, port);

	if (size == 0 || strncasecmp(origin, scheme, strlen(scheme)) != 0)
		return false;
	origin += strlen(scheme);
	return host_size(origin, port) == size && strncasecmp(origin, host, size) == 0;
}

/* Behind a proxy that ends TLS the origin is https, and this connection is not: that is for --allow-origin to say. */
static enum http_origin find_origin(const struct session *session, const struct http_request *request)
{
	const char *origin = http_field(request, "Origin");
	const char *host = request->authority != NULL ? request->authority : http_field(request, "Host");

	if (origin == NULL)
		return HTTP_ORIGIN_NONE;
	if (is_own(session, origin, host))
		return HTTP_ORIGIN_SAME;
	return is_allowed(session->talk, origin) ? HTTP_ORIGIN_ALLOWED : HTTP_ORIGIN_FOREIGN;
}

/* Lets pages of allowed origins read the reply. What is sent back of the origin is from the option, not from the client. */
static void add_cors(const struct http_call *call)
{
	const struct talk *talk = call->session->talk;
	const char *origin = http_field(call->request, "Origin");

	if (talk->allow_origin_count == 0)
		return;
	http_reply_add(call->reply, "Vary", "Origin");
	if (call->origin != HTTP_ORIGIN_ALLOWED)
		return;
	for (size_t i = 0; i < talk->allow_origin_count; i++) {
		const char *allowed = talk->allow_origins[i];

		if (strcmp(allowed, "*") == 0 || strcasecmp(allowed, origin) == 0) {
			http_reply_add(call->reply, "Access-Control-Allow-Origin", "%s", allowed);
			break;
		}
	}
	http_reply_add(call->reply, "Access-Control-Expose-Headers", "Location, Idempotency-Replayed, Retry-After");
}

/* ---- One request. ---- */

static bool has_field(const struct http_reply *reply, const char *name)
{
	for (size_t i = 0; i < reply->field_count; i++) {
		if (strcasecmp(reply->fields[i].name, name) == 0)
			return true;
	}
	return false;
}

static void add_default(struct http_reply *reply, const char *name, const char *value)
{
	if (!has_field(reply, name))
		http_reply_add(reply, name, "%s", value);
}

/* What every reply says, so that nobody can make a browser take it for something else. */
static void add_common(const struct http_call *call)
{
	add_default(call->reply, "Cache-Control", "no-store");
	add_default(call->reply, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
	add_default(call->reply, "X-Content-Type-Options", "nosniff");
	add_default(call->reply, "Referrer-Policy", "no-referrer");
	add_cors(call);
}

static void answer_options(struct http_call *call, const char *allowed)
{
	http_reply_show(call->reply, 204, NULL, "", 0);
	if (allowed[0] != '\0')
		http_reply_add(call->reply, "Allow", "%s, OPTIONS", allowed);
	if (call->origin != HTTP_ORIGIN_ALLOWED || http_field(call->request, "Access-Control-Request-Method") == NULL)
		return;
	http_reply_add(call->reply, "Access-Control-Allow-Methods", "%s, OPTIONS", allowed);
	http_reply_add(call->reply, "Access-Control-Allow-Headers",
		"Authorization, Chat-Session, Content-Type, Idempotency-Key, Last-Event-ID");
	http_reply_add(call->reply, "Access-Control-Max-Age", "%d", PREFLIGHT_SECONDS);
}

static bool is_safe(const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 || strcmp(method, "OPTIONS") == 0;
}

static void route(struct http_call *call)
{
	const struct http_request *request = call->request;
	char allowed[HTTP_ALLOWED_SIZE];
	const struct http_route *found = http_route_find(request, call->captures, allowed);

	if (strcmp(request->method, "OPTIONS") == 0 && (allowed[0] != '\0' || strcmp(request->target, "*") == 0)) {
		answer_options(call, allowed);
	} else if (found == NULL && allowed[0] == '\0') {
		http_reply_error(call->reply, 404, "not-found", "there is nothing of this path; see /openapi.yaml");
	} else if (found == NULL) {
		http_reply_error(call->reply, 405, "method-not-allowed", "this path has only %s", allowed);
		http_reply_add(call->reply, "Allow", "%s, OPTIONS", allowed);
	} else if (call->origin == HTTP_ORIGIN_FOREIGN && !is_safe(request->method)) {
		http_reply_error(call->reply, 403, "foreign-origin",
			"a web page of another site may not do this; the server can allow it with --allow-origin");
	} else {
		found->handle(call);
	}
}

static void note_request(const struct http_call *call, const char *target)
{
	char status[12];

	metrics_answered_http(call->reply->status);
	if (!log_wants(LOG_DEBUG))
		return;
	(void)snprintf(status, sizeof status, "%u", call->reply->status);
	log_event(LOG_DEBUG, "request", "method", call->request->method, "target", target, "status", status, "from",
		call->session->address, NULL);
}

/* Keeps what a handler wants to do with the connection, for when the engine is out of the way. */
static void prepare_takeover(struct visitor *visitor, struct http_call *call)
{
	call->takeover.head = http_reply_print(call->reply, false, &call->takeover.head_size);
	visitor->takeover = call->takeover;
	call->reply->takes_over = true;
}

static void visitor_handle(void *context, struct http_request *request, struct http_reply *reply)
{
	struct visitor *visitor = context;
	struct http_call call = {.session = visitor->session, .request = request, .reply = reply};
	const char *wrong = http_request_split(request);

	call.origin = find_origin(visitor->session, request);
	if (wrong != NULL)
		http_reply_error(reply, 400, "bad-request", "%s", wrong);
	else
		route(&call);
	add_common(&call);
	note_request(&call, request->target);
	if (call.takeover.run != NULL)
		prepare_takeover(visitor, &call);
}

/* ---- The conversation. ---- */

static void visitor_tell(struct visitor *visitor, const char *bytes, size_t size)
{
	outlet_tell(visitor->session->outlet, bytes, size);
	visitor->unsent += size;
}

/* Waits until the client has read. One that reads nothing for a while has a thread and descriptors for nothing. */
static void visitor_wait(struct visitor *visitor)
{
	struct session *session = visitor->session;
	int error = session_send_rest(session, session->talk->peer_timeout_s * 1000);

	visitor->unsent = 0;
	if (error != 0)
		session_break(session, -error);
}

/* Passes on what the engine has to say. */
static void visitor_pass(struct visitor *visitor)
{
	char *bytes = malloc(DRAIN_SIZE);
	size_t size = bytes == NULL ? 0 : http_engine_drain(visitor->engine, bytes, DRAIN_SIZE);

	if (bytes == NULL)
		session_break(visitor->session, ENOMEM);
	while (size > 0 && !session_ended(visitor->session)) {
		visitor_tell(visitor, bytes, size);
		if (visitor->unsent >= UNSENT_MOST)
			visitor_wait(visitor);
		size = http_engine_drain(visitor->engine, bytes, DRAIN_SIZE);
	}
	free(bytes);
}

static const char *refusal_code(int status)
{
	switch (status) {
	case 408:
		return "timeout";
	case 413:
		return "line-too-long";
	case 500:
		return "no-memory";
	default:
		return "bad-request";
	}
}

/* A request that the engine was not given is answered by hand, and ends the conversation. */
static void visitor_answer(struct visitor *visitor, struct http_reply *reply, bool with_body)
{
	char *bytes;
	size_t size;

	metrics_answered_http(reply->status);
	http_reply_add(reply, "Cache-Control", "no-store");
	http_reply_add(reply, "X-Content-Type-Options", "nosniff");
	bytes = http_reply_print(reply, with_body, &size);
	if (bytes != NULL)
		visitor_tell(visitor, bytes, size);
	free(bytes);
	http_reply_fini(reply);
	session_finish(visitor->session, SESSION_REFUSED);
}

static void visitor_refuse(struct visitor *visitor, int status, const char *why)
{
	struct http_reply reply = {.status = 0};

	if (status == 413)
		http_reply_error(&reply, 413, "line-too-long", "a body may have %zu bytes", visitor->session->talk->max_line);
	else
		http_reply_error(&reply, (unsigned)status, refusal_code(status), "%s", why);
	visitor_answer(visitor, &reply, true);
}

/* Whoever watches over the server shall not take it for dead because it is busy. Returns whether it is one of those who asks. */
static bool visitor_answer_probe(struct visitor *visitor)
{
	static const struct {
		const char *line;
		void (*handle)(struct http_call *call);
	} probes[] = {{"GET /livez ", http_livez}, {"HEAD /livez ", http_livez}, {"GET /readyz ", http_readyz},
		{"HEAD /readyz ", http_readyz}};
	const struct http_frame *frame = &visitor->engine->frame;
	struct http_reply reply = {.status = 0};
	struct http_call call = {.session = visitor->session, .reply = &reply};

	for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
		size_t size = strlen(probes[i].line);

		if (frame->header_size <= size || memcmp(frame->header, probes[i].line, size) != 0)
			continue;
		probes[i].handle(&call);
		visitor_answer(visitor, &reply, probes[i].line[0] == 'G');
		return true;
	}
	return false;
}

static void visitor_fail(struct visitor *visitor)
{
	if (visitor->engine->drained == 0 && !visitor_answer_probe(visitor))
		visitor_refuse(visitor, 500, "the server has no memory or descriptor for the request now; try again later");
	session_finish(visitor->session, SESSION_REFUSED);
}

/* What the engine has come to. */
static void visitor_look(struct visitor *visitor)
{
	switch (visitor->engine->state) {
	case HTTP_ENGINE_REFUSES:
		visitor_refuse(visitor, visitor->engine->frame.status, visitor->engine->frame.wrong);
		break;
	case HTTP_ENGINE_FAILED:
		visitor_fail(visitor);
		break;
	case HTTP_ENGINE_CLOSES:
		session_finish(visitor->session, SESSION_LEFT);
		break;
	case HTTP_ENGINE_LISTENS:
	case HTTP_ENGINE_REPLIES:
	case HTTP_ENGINE_YIELDS:
		break;
	}
}

static void visitor_yield(struct visitor *visitor, const char *early, size_t size)
{
	struct http_takeover takeover = visitor->takeover;

	http_engine_destroy(visitor->engine);
	visitor->engine = NULL;
	takeover.run(visitor->session, &takeover, early, size);
	free(takeover.head);
	session_finish(visitor->session, SESSION_LEFT);
}

static void visitor_hear(struct visitor *visitor, const char *bytes, size_t size)
{
	while (size > 0 && !session_ended(visitor->session)) {
		size_t taken = http_engine_feed(visitor->engine, bytes, size);

		bytes += taken;
		size -= taken;
		visitor_pass(visitor);
		if (visitor->engine->state == HTTP_ENGINE_YIELDS) {
			visitor_yield(visitor, bytes, size);
			return;
		}
		visitor_look(visitor);
		visitor->has_asked = true;
		if (!http_engine_is_fed(visitor->engine))
			visitor->request_ms = 0;
		else if (visitor->request_ms == 0)
			visitor->request_ms = clock_ms();
	}
}

/* ---- Time. ---- */

/* When a request has to be complete, or the next one to have begun. */
static long long visitor_deadline_ms(const struct visitor *visitor, long long quiet_since_ms)
{
	if (visitor->request_ms != 0)
		return visitor->request_ms + visitor->session->talk->name_timeout_ms;
	return quiet_since_ms + (visitor->has_asked ? IDLE_MS : visitor->session->talk->name_timeout_ms);
}

static int visitor_timeout_ms(const struct visitor *visitor, long long deadline_ms)
{
	long long left_ms = deadline_ms - clock_ms();

	if (left_ms < 0)
		return 0;
	return (int)(visitor->engine->daemon != NULL && left_ms > REST_MS ? REST_MS : left_ms);
}

static void visitor_silence(struct visitor *visitor, long long deadline_ms)
{
	if (visitor->request_ms == 0)
		http_engine_rest(visitor->engine);
	if (clock_ms() < deadline_ms)
		return;
	if (visitor->request_ms != 0)
		visitor_refuse(visitor, 408, "the request did not come to its end in time; send it again, faster");
	session_finish(visitor->session, SESSION_LEFT);
}

static void visitor_talk(struct visitor *visitor)
{
	struct session *session = visitor->session;
	long long quiet_since_ms = clock_ms();

	while (!session_ended(session)) {
		long long deadline_ms = visitor_deadline_ms(visitor, quiet_since_ms);
		const char *bytes;
		ssize_t size = session_receive(session, visitor_timeout_ms(visitor, deadline_ms), &bytes);

		if (size > 0) {
			visitor->unsent = 0; /* session_receive() reads on when little waits */
			visitor_hear(visitor, bytes, (size_t)size);
			quiet_since_ms = clock_ms();
		} else if (size == 0) {
			session_finish(session, SESSION_LEFT);
		} else if (size == -ETIMEDOUT) {
			visitor_silence(visitor, deadline_ms);
		} else {
			session_break(session, (int)-size);
		}
	}
}

static void http_serve(struct session *session)
{
	struct visitor visitor = {.session = session};
	struct http_engine_options options = {
		.body_limit = session->talk->max_line, .handle = visitor_handle, .context = &visitor};

	visitor.engine = http_engine_create(&options);
	if (visitor.engine == NULL)
		session_break(session, ENOMEM);
	visitor_talk(&visitor);
	http_engine_destroy(visitor.engine);
}

/* ---- The door. ---- */

/* Who is in no room is told nothing but replies. */
static char *http_words(const struct telling *telling, size_t *size)
{
	(void)telling;
	*size = 0;
	return NULL;
}

static void http_turn_away(int socket, const char *why)
{
	struct http_reply reply = {.status = 0};
	char ignored[512];
	char *bytes;
	size_t size;

	http_reply_error(&reply, 503, "server-full", "%s; try again later", why);
	http_reply_add(&reply, "Retry-After", "5");
	bytes = http_reply_print(&reply, true, &size);
	if (bytes != NULL)
		(void)send(socket, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	free(bytes);
	http_reply_fini(&reply);
	(void)shutdown(socket, SHUT_WR);
	/* What it sent already, if unread, would make close() reset the connection, and the words be lost. */
	(void)recv(socket, ignored, sizeof ignored, MSG_DONTWAIT);
}

const struct door http_door = {
	.name = "http",
	.format = &line_format, /* nobody is in a room through it */
	.serve = http_serve,
	.words = http_words,
	.turn_away = http_turn_away,
};
