#include "tcpserver/doors/sniff.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/sync.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/line.h"

enum {
	SILENCE_MS = 300, /* after which a client counts as a person                                        */
	NAP_MS = 20,      /* at first, between two looks at a beginning that is too short; poll() would return at once */
	NAP_MOST_MS = 500, /* at last; each nap is twice as long as the one before                          */
	BROWSERS_MAX = 256, /* hosts that are remembered; two in one place only means one greeting less      */
	BROWSER_MS = 2 * 60 * 1000, /* for which a host that spoke HTTP is taken for a browser               */
	ANSWER_SIZE = 600,
};

/* Why an HTTP/2 connection ends. Source: RFC 9113, 7. */
enum http2_code {
	HTTP2_NO_ERROR = 0,
	HTTP2_INADEQUATE_SECURITY = 12,
	HTTP2_HTTP_1_1_REQUIRED = 13,
};

/* ---- What it is. ---- */

/* Compares as far as there are bytes. Returns PROTOCOL_OPEN where they are too few. */
static enum protocol begins_with(const char *bytes, size_t size, const char *word, enum protocol then)
{
	size_t length = strlen(word);

	if (memcmp(bytes, word, size < length ? size : length) != 0)
		return PROTOCOL_LINES;
	return size < length ? PROTOCOL_OPEN : then;
}

/* What stands behind a method and a space. */
static enum protocol sniff_target(const char *bytes, size_t size)
{
	static const char *const targets[] = {"/", "*", "http:", "https:", "ws:", "wss:", "HTTP:"};
	enum protocol found = PROTOCOL_LINES;

	for (size_t i = 0; found == PROTOCOL_LINES && i < sizeof targets / sizeof *targets; i++)
		found = begins_with(bytes, size, targets[i], PROTOCOL_HTTP);
	return found;
}

static enum protocol sniff_method(const char *bytes, size_t size, const char *method)
{
	size_t length = strlen(method);
	enum protocol found = begins_with(bytes, size, method, PROTOCOL_HTTP);

	return found == PROTOCOL_HTTP ? sniff_target(bytes + length, size - length) : found;
}

enum protocol sniff_protocol(const char *bytes, size_t size)
{
	static const char *const methods[] = {
		"GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT ", "TRACE ", "PRI "};
	enum protocol found;

	if (size == 0)
		return PROTOCOL_OPEN;
	found = begins_with(bytes, size, "\x16\x03", PROTOCOL_TLS);
	if (found == PROTOCOL_LINES)
		found = begins_with(bytes, size, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", PROTOCOL_HTTP2);
	for (size_t i = 0; found == PROTOCOL_LINES && i < sizeof methods / sizeof *methods; i++)
		found = sniff_method(bytes, size, methods[i]);
	return found;
}

/* ---- Browsers. ---- */

/*
 * A browser opens a connection or two more than it needs, and uses them later. A greeting on such a one would be taken for
 * the answer to what it asks there. So nobody is greeted who comes from where HTTP was spoken just now. A client of gRPC may take
 * seconds until it begins, and is not to be greeted a second time when it comes back.
 */
static _Atomic long long browsers_ms[BROWSERS_MAX]; /* when; by a hash of the host */

static _Atomic long long *browser_place(const struct session *session)
{
	const char *port = strrchr(session->address, ':');
	size_t size = port == NULL ? strlen(session->address) : (size_t)(port - session->address);
	unsigned hash = 2166136261U; /* FNV-1a */

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)session->address[i]) * 16777619U;
	return &browsers_ms[hash % BROWSERS_MAX];
}

void sniff_note_browser(const struct session *session)
{
	atomic_store_explicit(browser_place(session), clock_ms(), memory_order_relaxed);
}

static bool may_be_browser(const struct session *session)
{
	long long spoke_ms = atomic_load_explicit(browser_place(session), memory_order_relaxed);

	return spoke_ms != 0 && clock_ms() - spoke_ms < BROWSER_MS;
}

/* ---- The wait. ---- */

/* What has come so far; PROTOCOL_LINES at the end of it, too. '*size' is how many bytes there are, SNIFF_SIZE at most. */
static enum protocol sniff_look(const struct session *session, size_t *size)
{
	char bytes[SNIFF_SIZE];
	ssize_t length = recv(session->socket, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);

	*size = length < 0 ? 0 : (size_t)length;
	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return PROTOCOL_OPEN;
	return length <= 0 ? PROTOCOL_LINES : sniff_protocol(bytes, *size);
}

static bool is_stopping(const struct session *session)
{
	/* Relaxed: a thread that misses it is woken after it was set. */
	return atomic_load_explicit(&session->talk->stopping, memory_order_relaxed);
}

/* Waits a moment for more than there is. Returns false when no more comes: a look does not show the end behind it. */
static bool sniff_nap(const struct session *session, int *nap_ms)
{
	struct pollfd poll = {.fd = session->socket, .events = POLLRDHUP};
	int found = outlet_poll(&poll, 1, *nap_ms);

	*nap_ms = 2 * *nap_ms < NAP_MOST_MS ? 2 * *nap_ms : NAP_MOST_MS;
	return found <= 0;
}

/* Waits for the first byte, as long as a person is given to be one, and a browser to ask. Returns false when it was that long. */
static bool sniff_wait_for_any(const struct session *session, long long begun_ms)
{
	long long end_ms = may_be_browser(session) ? session->name_deadline_ms : begun_ms + SILENCE_MS;
	long long left_ms = end_ms - clock_ms();

	if (left_ms > 0)
		(void)outlet_wait(session->outlet, POLLIN, (int)left_ms); /* the caller looks what there is */
	return left_ms > 0;
}

static enum protocol sniff_wait(struct session *session)
{
	long long begun_ms = clock_ms();
	int nap_ms = NAP_MS;

	for (;;) {
		size_t size;
		enum protocol found = sniff_look(session, &size);

		if (found != PROTOCOL_OPEN)
			return found;
		if (clock_ms() >= session->name_deadline_ms || is_stopping(session))
			return PROTOCOL_LINES;
		if (size == 0 && !sniff_wait_for_any(session, begun_ms)) {
			session->was_silent = true;
			return PROTOCOL_LINES;
		}
		if (size > 0 && !sniff_nap(session, &nap_ms))
			return PROTOCOL_LINES;
	}
}

/* ---- The next door. ---- */

static void sniff_answer(struct session *session, const char *bytes, size_t size)
{
	outlet_tell(session->outlet, bytes, size);
	session_finish(session, SESSION_REFUSED);
}

static int print_refusal(char answer[ANSWER_SIZE], const char *status, const char *header, const char *why)
{
	return snprintf(answer, ANSWER_SIZE,
		"HTTP/1.1 %s\r\n%sContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
		status, header, strlen(why) + 1, why);
}

/* Settings, and the end: no stream was looked at. Source: RFC 9113, 6.5, 6.8. */
static size_t print_goaway(char answer[ANSWER_SIZE], enum http2_code code, const char *why)
{
	static const char head[] = "\0\0\0\4\0\0\0\0\0" "\0\0\0\7\0\0\0\0\0" "\0\0\0\0\0\0\0\0"; /* frames, last stream, code */
	size_t size = strlen(why);

	memcpy(answer, head, sizeof head - 1);
	answer[11] = (char)(8 + size);
	answer[25] = (char)code;
	memcpy(answer + sizeof head - 1, why, size);
	return sizeof head - 1 + size;
}

static void refuse_http2(struct session *session, enum http2_code code, const char *why)
{
	char answer[ANSWER_SIZE];
	size_t size = print_goaway(answer, code, why);

	sniff_answer(session, answer, size);
}

/* Nobody is listened to without TLS. Source: RFC 9110, 15.5.22; RFC 2817, 4.2. */
static void refuse_plain(struct session *session, enum protocol protocol)
{
	static const char header[] = "Upgrade: TLS/1.2, HTTP/1.1\r\n";
	char answer[ANSWER_SIZE];
	int size;

	if (protocol == PROTOCOL_HTTP) {
		size = print_refusal(answer, "426 Upgrade Required", header, "This server speaks only TLS; ask with https:// in place of http://");
		sniff_answer(session, answer, (size_t)size);
		return;
	}
	if (protocol == PROTOCOL_HTTP2) {
		refuse_http2(session, HTTP2_INADEQUATE_SECURITY, "this server speaks only TLS");
		return;
	}
	session_set_door(session, session->talk->doors.lines);
	session_error(session, "tls-required", "this server speaks only TLS; connect with tcpclient --tls, or with another program that can");
	session_finish(session, SESSION_REFUSED);
}

/* Who asks for TLS where there is none gets an alert that it understands: protocol_version (RFC 8446, 6). */
static void refuse_tls(struct session *session)
{
	static const char alert[] = "\x15\x03\x01\x00\x02\x02\x46";

	log_event(LOG_DEBUG, "turned away", "from", session->address, "why", "it asks for TLS, and there is no certificate", NULL);
	sniff_answer(session, alert, sizeof alert - 1);
}

static const struct door *sniff_next(const struct session *session, enum protocol protocol)
{
	switch (protocol) {
	case PROTOCOL_HTTP:
		return session->talk->doors.http;
	case PROTOCOL_HTTP2:
		return session->talk->doors.grpc;
	case PROTOCOL_TLS:
		return session->is_secure || session->talk->tls == NULL ? NULL : session->talk->doors.tls;
	case PROTOCOL_LINES:
	case PROTOCOL_OPEN:
		break;
	}
	return session->talk->doors.lines;
}

static void sniff_serve(struct session *session)
{
	enum protocol protocol = sniff_wait(session);
	const struct door *next = sniff_next(session, protocol);

	if (protocol == PROTOCOL_HTTP || protocol == PROTOCOL_HTTP2)
		sniff_note_browser(session);
	if (session->talk->require_tls && !session->is_secure && protocol != PROTOCOL_TLS) {
		refuse_plain(session, protocol);
	} else if (next == NULL && protocol == PROTOCOL_HTTP2) {
		refuse_http2(session, HTTP2_HTTP_1_1_REQUIRED, "this server was built without gRPC");
	} else if (next == NULL) {
		refuse_tls(session);
	} else {
		session_set_door(session, next);
		next->serve(session);
	}
}

static char *sniff_words(const struct telling *telling, size_t *size)
{
	(void)telling; /* nobody knows yet in which words */
	*size = 0;
	return NULL;
}

static void sniff_turn_away(int socket, const char *why)
{
	char answer[ANSWER_SIZE];
	char bytes[SNIFF_SIZE];
	ssize_t length = recv(socket, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
	enum protocol protocol = length <= 0 ? PROTOCOL_LINES : sniff_protocol(bytes, (size_t)length);
	int size;

	if (protocol == PROTOCOL_TLS)
		return;
	if (protocol == PROTOCOL_HTTP2) {
		size = (int)print_goaway(answer, HTTP2_NO_ERROR, why);
		(void)send(socket, answer, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
		(void)shutdown(socket, SHUT_WR);
		return;
	}
	if (protocol != PROTOCOL_HTTP) {
		line_turn_away(socket, why);
		return;
	}
	size = print_refusal(answer, "503 Service Unavailable", "Retry-After: 5\r\n", why);
	(void)send(socket, answer, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(socket, SHUT_WR);
}

const struct door sniff_door = {
	.name = "sniff",
	.format = &line_format,
	.serve = sniff_serve,
	.words = sniff_words,
	.turn_away = sniff_turn_away,
};
