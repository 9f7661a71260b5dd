#include "tcpclient/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/lines.h"
#include "common/text.h"
#include "tcpclient/buffer.h"
#include "tcpclient/carrier.h"
#include "tcpclient/request.h"
#include "tcpclient/secure.h"

enum {
	RECEIVE_SIZE = 64 * 1024,
	BATCH_SIZE = 1024 * 1024, /* shown at once at most */
	SEND_SIZE = 128 * 1024,
	DEAD_AFTER_S = 60,
	WELCOME_AGAIN_MS = 10000, /* a server that was tcpchat before gets this long to say so again */
	SETTLED_AFTER_MS = 5000,  /* a goTCP connection that lived so long was a good one             */
	LEAVE_WITHIN_MS = 2000,
	WINDOW_LINES = 8,         /* that a new connection sends before the first is answered */
	EVENTS_WITHIN_MS = 10000, /* a server that does not answer "/events" in this time is spoken to in lines */
	DETAIL_SIZE = 160,
};

/* What belongs to one connection to the server; owned by the thread. */
struct call {
	int socket;
	struct secure_call *secure; /* what encrypts it; NULL: it is not encrypted */
	struct carried *carried;    /* what carries it; NULL: nothing             */
	char carried_words[CARRIER_WORDS_SIZE]; /* why that has ended; ""         */
	enum dialect dialect;
	bool line_came;       /* the first line tells the dialect    */
	bool spoke;           /* a line was said, as a line          */
	bool asking;          /* "/events" was sent; no answer yet   */
	bool returning;       /* our session was the first line      */
	bool mistaken;        /* which the server did not understand */
	bool half_closed;     /* we have said that no more comes     */
	bool quit;            /* "/quit" was sent                    */
	bool refused;         /* as a bad name is                    */
	bool over;            /* there is nothing to come back to    */
	bool turned_away;     /* by what the carrier speaks with     */
	bool send_failed;     /* no more can be sent                 */
	long long started_at; /* clock_ms()                          */
	long long plain_at;   /* when silence means goTCP            */
	long long lines_at;   /* when silence means: no events       */
	long long heard_at;   /* the last time                       */
	long long pinged_at;  /* the last time, since then           */
	long long leave_by;   /* when to stop being polite, 0: never */
	long long read_at;    /* not to read before                  */
	struct lines lines;
	size_t window;       /* lines that may be without an answer: each answer allows one more */
	size_t sending_from; /* of connection->sending: what is to be sent */
};

struct connection {
	struct connection_settings settings; /* constant */
	pthread_t thread;
	int wake_descriptor;  /* eventfd */
	int ended_descriptor; /* eventfd */
	/* Whether the thread is in net_connect(). Sequentially consistent with the outbox's plan: either the thread
	 * sees the plan to leave before it goes there, or the closing one sees that it is there. */
	atomic_bool connecting;
	/* The rest is owned by the thread; 'end' may be read once it has ended. */
	enum connection_end end;
	bool was_tcpchat;
	bool knows_session; /* the server understands it as a first line */
	bool told_unreachable;
	bool was_secured; /* once */
	unsigned attempt;
	char name[NAME_SIZE]; /* who we are for this server */
	char address[NET_ADDRESS_SIZE]; /* of the server */
	struct buffer words;  /* about how it is encrypted, or why there is none   */
	struct secure_call *secured; /* the connection that was reached last       */
	struct carried *carried;     /* on it                                      */
	struct call call;
	struct buffer clean;
	struct buffer sending;
	struct buffer request; /* the line that was answered last */
	struct event event;
	char receiving[RECEIVE_SIZE];
};

static void tell(struct connection *connection, enum connection_event event, const char *detail)
{
	connection->settings.listener->event(connection->settings.context, event, detail);
}

static bool leaving(const struct connection *connection)
{
	return outbox_state(connection->settings.outbox).plan == OUTBOX_LEAVE;
}

static bool is_persistent(const struct connection *connection)
{
	const struct connection_settings *settings = &connection->settings;

	return settings->persistent && (settings->listener->again == NULL || settings->listener->again(settings->context));
}

static void take_name(struct connection *connection, const char *name, size_t size)
{
	if (size >= NAME_SIZE)
		size = NAME_SIZE - 1;
	memcpy(connection->name, name, size);
	connection->name[size] = '\0';
}

static void ready(struct connection *connection, enum dialect dialect)
{
	const struct connection_settings *settings = &connection->settings;

	connection->call.dialect = dialect;
	connection->call.asking = false;
	connection->was_tcpchat = dialect != DIALECT_PLAIN;
	if (dialect != DIALECT_PLAIN)
		connection->attempt = 0;
	tell(connection, CONNECTION_READY, connection->name);
	if (dialect == DIALECT_EVENTS && !connection->call.returning && settings->session[0] != '\0')
		request_write_session(&connection->sending, settings->session, NULL);
	settings->listener->greet(settings->context, dialect, &connection->sending);
}

/* A tcpchat server, to which lines can be sent, if it knows no events. */
static void ready_tcpchat(struct connection *connection)
{
	struct call *call = &connection->call;

	if (connection->settings.events && !call->spoke) { /* what was said as a line has no number, so there it stays with lines */
		call->dialect = DIALECT_TCPCHAT;
		call->asking = true;
		call->lines_at = clock_ms() + EVENTS_WITHIN_MS;
		buffer_add_text(&connection->sending, "/events\n");
	} else {
		ready(connection, DIALECT_TCPCHAT);
	}
}

static void ready_plain(struct connection *connection)
{
	take_name(connection, connection->settings.name, strlen(connection->settings.name));
	ready(connection, DIALECT_PLAIN);
}

static bool is_own(const struct connection *connection, const struct heard *heard)
{
	/* A goTCP server takes any name, so ours may be longer than NAME_SIZE there; what it got is what we sent. */
	const char *name = connection->call.dialect == DIALECT_PLAIN ? connection->settings.name : connection->name;

	const struct call *call = &connection->call;
	const struct carrier *carrier = connection->settings.carrier;
	char given[NAME_SIZE];

	if (call->carried != NULL && carrier->find_name != NULL && carrier->find_name(call->carried, given))
		name = given;
	return strlen(name) == heard->name_size && memcmp(name, heard->name, heard->name_size) == 0;
}

static bool is_code(const struct heard *heard, const char *code)
{
	return heard->kind == HEARD_ERROR && strlen(code) == heard->name_size &&
	       memcmp(code, heard->name, heard->name_size) == 0;
}

/* The first line, before which the dialect could not be known; "! ..." is the server's refusal and leaves it open. */
static void learn_dialect(struct connection *connection, const struct heard *heard, const char *line, size_t size)
{
	struct call *call = &connection->call;
	bool tcpchat = heard_tells_tcpchat(heard, line, size);

	if (heard->kind == HEARD_WELCOME && (call->dialect == DIALECT_UNKNOWN || !call->line_came)) {
		take_name(connection, heard->name, heard->name_size);
		ready_tcpchat(connection);
	} else if (call->dialect == DIALECT_UNKNOWN && !tcpchat) {
		ready_plain(connection);
	}
	if (!tcpchat)
		call->line_came = true;
	if (is_code(heard, "bad-name"))
		call->refused = true;
}

static void consider(struct connection *connection, const struct heard *heard)
{
	struct outbox *outbox = connection->settings.outbox;

	if (connection->call.dialect == DIALECT_EVENTS)
		return; /* there, answers bear numbers */
	if (heard->kind == HEARD_MESSAGE && is_own(connection, heard))
		outbox_acknowledge(outbox, heard->text, heard->text_size, connection->call.dialect == DIALECT_TCPCHAT);
	else if (is_code(heard, "not-stored") || is_code(heard, "line-too-long"))
		outbox_refused(outbox);
}

/* The answer to our session, or to an event that is the first of all. */
static void consider_session(struct connection *connection, const struct event *event)
{
	struct call *call = &connection->call;

	if (event->id == REQUEST_ID_SESSION && event->kind != EVENT_ERROR)
		connection->knows_session = true;
	if (!call->returning || !call->asking || event->kind != EVENT_ERROR)
		return;
	if (strcmp(event->code, "bad-name") == 0)
		call->refused = true;
	else
		connection->knows_session = false; /* whatever is wrong, the name alone may do */
}

/* Whether a line is an event, which is dealt with. */
static bool hear_event(struct connection *connection, const char *bytes, size_t size)
{
	const struct connection_settings *settings = &connection->settings;
	struct event *event = &connection->event;
	struct call *call = &connection->call;
	const char *request = NULL;

	if (!settings->events || (!call->asking && call->dialect != DIALECT_EVENTS) || !event_read(event, bytes, size))
		return false;
	if (event->kind == EVENT_WELCOME && call->asking) {
		take_name(connection, event->participant, strlen(event->participant));
		ready(connection, DIALECT_EVENTS);
	} else if (event->kind == EVENT_NICK && strcmp(event->participant, connection->name) == 0) {
		take_name(connection, event->text, strlen(event->text));
	}
	consider_session(connection, event);
	buffer_clear(&connection->request);
	if (event->id != 0 && outbox_answered(settings->outbox, event->id, &connection->request))
		request = connection->request.bytes;
	call->window += request != NULL;
	settings->listener->heard(settings->context, connection->clean.bytes, connection->clean.size - 1, event, request);
	return true;
}

/* "[2026-11-21 08:00:05Z] bob: hi": what was said before comes once more, as events. */
static bool is_history(const char *line, size_t size)
{
	return size > 23 && line[0] == '[' && memcmp(line + 20, "Z] ", 3) == 0;
}

/* Another server than the one that understood it was given our session for a name. */
static void mistake(struct connection *connection)
{
	connection->call.mistaken = true;
	connection->knows_session = false;
	connection->attempt = 0;
}

/* An older tcpchat server answers "/events" with this. */
static bool is_no_events(const struct heard *heard)
{
	return is_code(heard, "unknown-command") && memmem(heard->text, heard->text_size, "/events", 7) != NULL;
}

static void hear(struct connection *connection, const char *bytes, size_t size)
{
	const struct connection_settings *settings = &connection->settings;
	struct call *call = &connection->call;
	struct buffer *clean = &connection->clean;
	struct heard heard;

	buffer_clear(clean);
	buffer_add_clean(clean, bytes, size);
	buffer_add(clean, "", 1); /* so that there is memory for an empty line too */
	if (hear_event(connection, bytes, size))
		return;
	/* A welcome that comes late still counts, if nothing else came before it. */
	heard = heard_read(clean->bytes, clean->size - 1, call->line_came ? call->dialect : DIALECT_UNKNOWN);
	if (call->dialect != DIALECT_TCPCHAT && call->dialect != DIALECT_EVENTS && (call->dialect == DIALECT_UNKNOWN || !call->line_came)) {
		learn_dialect(connection, &heard, clean->bytes, clean->size - 1);
		heard = heard_read(clean->bytes, clean->size - 1, call->dialect);
	}
	if (call->returning && call->asking) {
		mistake(connection);
		return;
	}
	if (call->asking && is_history(clean->bytes, clean->size - 1))
		return;
	if (call->asking && is_no_events(&heard)) {
		ready(connection, DIALECT_TCPCHAT);
		return;
	}
	consider(connection, &heard);
	settings->listener->line(settings->context, clean->bytes, clean->size - 1, &heard);
}

static void hear_line(struct connection *connection, enum lines_state state, const char *line, size_t size)
{
	if (state == LINES_LINE)
		hear(connection, line, size);
	else
		tell(connection, CONNECTION_CUT, "");
}

static void hear_bytes(struct connection *connection, size_t size)
{
	struct lines *lines = &connection->call.lines;
	enum lines_state state;
	const char *line = NULL;
	size_t line_size = 0;

	lines_feed(lines, connection->receiving, size);
	while ((state = lines_next(lines, &line, &line_size)) != LINES_MORE)
		hear_line(connection, state, line, line_size);
}

static void hear_last(struct connection *connection)
{
	const char *line = NULL;
	size_t size = 0;
	enum lines_state state = lines_last(&connection->call.lines, &line, &size);

	if (state != LINES_MORE && connection->call.dialect != DIALECT_EVENTS) /* a torn event comes once more */
		hear_line(connection, state, line, size);
}

/* The same, with a carrier. */
static int end_of_carried(struct connection *connection)
{
	struct call *call = &connection->call;

	hear_last(connection);
	switch (connection->settings.carrier->judge(call->carried, call->carried_words)) {
	case CARRIER_BROKEN:
		return -ECONNABORTED;
	case CARRIER_OVER:
		call->over = true;
		break;
	case CARRIER_REFUSED:
		call->turned_away = true;
		break;
	case CARRIER_LEFT:
		break;
	}
	return 0;
}

/* The server has closed its side. Returns 0, or -errno when it is only a connection that broke. */
static int end_of_input(struct connection *connection)
{
	const struct secure_call *secure = connection->call.secure;
	int broken = secure == NULL ? 0 : secure_broken(secure);

	if (connection->call.carried != NULL)
		return end_of_carried(connection);
	if (broken != 0)
		return -broken;
	hear_last(connection);
	return 0;
}

/* Reads what is there. Returns 1 when there may be more later, 0 at the end, or -errno. */
static int call_read(struct connection *connection)
{
	struct call *call = &connection->call;
	ssize_t size = 1;
	size_t sum = 0;

	while (sum < BATCH_SIZE && size > 0) {
		size = recv(call->socket, connection->receiving, RECEIVE_SIZE, MSG_DONTWAIT);
		if (size > 0) {
			call->heard_at = clock_ms();
			call->pinged_at = 0;
			hear_bytes(connection, (size_t)size);
			sum += (size_t)size;
		}
	}
	if (size > 0)
		return 1;
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return 1;
	if (size < 0)
		return -errno;
	return end_of_input(connection);
}

static void call_send(struct connection *connection)
{
	struct call *call = &connection->call;
	ssize_t size = send(call->socket, connection->sending.bytes + call->sending_from,
		connection->sending.size - call->sending_from, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (size >= 0)
		call->sending_from += (size_t)size;
	else if (errno != EAGAIN && errno != EINTR)
		call->send_failed = true; /* what the server said before it went can still be read */
}

static void fill_lines(struct connection *connection)
{
	struct call *call = &connection->call;
	char *lines = memory_get(SEND_SIZE);
	size_t size = outbox_take(connection->settings.outbox, lines, SEND_SIZE, call->dialect != DIALECT_PLAIN, &call->quit);

	buffer_add(&connection->sending, lines, size);
	call->spoke = call->spoke || size > 0;
	free(lines);
}

/* A line that breaks again and again gets a few through each time, instead of the first part of too many. */
static void fill_requests(struct connection *connection)
{
	struct outbox *outbox = connection->settings.outbox;
	struct outbox_state state = outbox_state(outbox);
	struct call *call = &connection->call;
	size_t too_long = 0;
	char text[DETAIL_SIZE];

	for (; !state.held && state.waiting > 0 && state.sent < call->window && connection->sending.size < SEND_SIZE;
		state = outbox_state(outbox))
		outbox_take_requests(outbox, &connection->sending, connection->sending.size + 1, &call->quit, &too_long);
	if (too_long == 0)
		return;
	(void)snprintf(text, sizeof text, "%zu", too_long);
	tell(connection, CONNECTION_UNSENT, text);
	connection->settings.listener->pause(connection->settings.context);
}

/* Fills 'sending' from the outbox when it is empty. */
static void call_fill(struct connection *connection)
{
	struct call *call = &connection->call;

	if (call->sending_from < connection->sending.size)
		return;
	call->sending_from = 0;
	buffer_clear(&connection->sending);
	if (call->dialect == DIALECT_UNKNOWN || call->asking || call->send_failed || call->half_closed)
		return;
	if (outbox_state(connection->settings.outbox).waiting == 0)
		return;
	if (call->dialect == DIALECT_EVENTS)
		fill_requests(connection);
	else
		fill_lines(connection);
}

/* When to look whether the server is still there: in event mode, where it can be asked. */
static long long call_alarm(const struct connection *connection)
{
	const struct call *call = &connection->call;

	if (call->dialect != DIALECT_EVENTS)
		return 0;
	if (call->pinged_at == 0)
		return call->heard_at + connection->settings.ping_after_ms;
	return call->pinged_at + connection->settings.dead_after_ms - connection->settings.ping_after_ms;
}

/* Returns false when the server is gone. */
static bool call_check(struct connection *connection)
{
	struct call *call = &connection->call;
	long long alarm = call_alarm(connection);

	if (alarm == 0 || clock_ms() < alarm)
		return true;
	if (call->pinged_at != 0)
		return false;
	call->pinged_at = clock_ms();
	if (!call->half_closed && !call->send_failed)
		buffer_add_text(&connection->sending, "{\"op\":\"ping\"}\n");
	return true;
}

static bool is_dialect_open(const struct call *call)
{
	return call->dialect == DIALECT_UNKNOWN || call->asking;
}

/* Says that no more comes, when the plan is so and it is true. */
static void call_finish(struct connection *connection)
{
	struct call *call = &connection->call;
	struct outbox_state state = outbox_state(connection->settings.outbox);

	if (state.plan == OUTBOX_LEAVE && call->leave_by == 0)
		call->leave_by = clock_ms() + LEAVE_WITHIN_MS;
	if (state.plan == OUTBOX_GO_ON || call->half_closed || call->sending_from < connection->sending.size)
		return;
	if (state.plan == OUTBOX_FINISH && (is_dialect_open(call) || state.waiting > 0 || state.sent > state.asked_sent))
		return;
	if (state.plan == OUTBOX_LEAVE && state.waiting > 0 && !is_dialect_open(call))
		return;
	(void)shutdown(call->socket, SHUT_WR); /* when it fails, the connection is gone, which the next read tells */
	call->half_closed = true;
}

static long long earlier(long long one, long long other)
{
	if (one == 0 || other == 0)
		return one + other;
	return one < other ? one : other;
}

static int time_left_ms(long long at)
{
	long long left = at - clock_ms();

	if (at == 0)
		return -1;
	return left > 0 ? (int)left : 0;
}

static void drain(int descriptor)
{
	uint64_t count;

	(void)!read(descriptor, &count, sizeof count); /* EAGAIN: nobody has woken us */
}

/* Waits for something to do, and sends and reads. Returns as call_read() does. */
static int call_step(struct connection *connection)
{
	struct call *call = &connection->call;
	bool may_read = call->read_at <= clock_ms();
	bool may_send = call->sending_from < connection->sending.size && !call->send_failed;
	long long until = earlier(call->dialect == DIALECT_UNKNOWN ? call->plain_at : 0, call->leave_by);
	struct pollfd polled[] = {
		{.fd = may_read || may_send ? call->socket : -1,
			.events = (short)((may_read ? POLLIN : 0) | (may_send ? POLLOUT : 0))},
		{.fd = connection->wake_descriptor, .events = POLLIN},
	};
	int result = 1;

	until = earlier(until, call->asking ? call->lines_at : 0);
	until = earlier(until, call_alarm(connection));
	if (!may_read)
		until = earlier(until, call->read_at);
	(void)poll(polled, 2, time_left_ms(until)); /* EINTR: the next round */
	if (polled[1].revents != 0)
		drain(connection->wake_descriptor);
	if (may_send && (polled[0].revents & (POLLOUT | POLLERR | POLLHUP)) != 0)
		call_send(connection);
	if (may_read && (polled[0].revents & (POLLIN | POLLERR | POLLHUP)) != 0) {
		result = call_read(connection);
		connection->settings.listener->pause(connection->settings.context);
		call->read_at = clock_ms() + connection->settings.pause_ms;
	}
	return result;
}

/* Talks until the connection is gone or left. Returns 0, or -errno when it broke. */
static int call_talk(struct connection *connection)
{
	struct call *call = &connection->call;
	int result = 1;

	while (result == 1) {
		call_fill(connection);
		call_finish(connection);
		if (call->leave_by != 0 && clock_ms() >= call->leave_by)
			return 0;
		if (call->mistaken)
			return -EPROTO;
		if (call->dialect == DIALECT_UNKNOWN && clock_ms() >= call->plain_at)
			ready_plain(connection);
		else if (call->asking && clock_ms() >= call->lines_at && call->returning)
			mistake(connection);
		else if (call->asking && clock_ms() >= call->lines_at)
			ready(connection, DIALECT_TCPCHAT);
		else if (!call_check(connection))
			return -ETIMEDOUT;
		else
			result = call_step(connection);
	}
	return result;
}

/* The first line of a connection. */
static void call_greet(struct connection *connection)
{
	const struct connection_settings *settings = &connection->settings;
	struct call *call = &connection->call;

	buffer_clear(&connection->sending);
	if (call->carried != NULL && !settings->carrier->in_events)
		return; /* the carrier has said who we are */
	if (!connection->knows_session && call->carried == NULL) {
		buffer_add_format(&connection->sending, "%s\n", settings->name);
		return;
	}
	request_write_session(&connection->sending, settings->session, settings->name);
	call->dialect = DIALECT_TCPCHAT;
	call->returning = true;
	call->asking = true;
	call->lines_at = call->started_at + EVENTS_WITHIN_MS;
}

static void call_begin(struct connection *connection, int socket)
{
	long long now = clock_ms();

	connection->call = (struct call){
		.socket = socket,
		.secure = connection->secured,
		.carried = connection->carried,
		.started_at = now,
		.plain_at = now + (connection->was_tcpchat ? WELCOME_AGAIN_MS : CONNECTION_PLAIN_AFTER_MS),
		.heard_at = now,
		.window = WINDOW_LINES,
	};
	call_greet(connection);
	lines_init(&connection->call.lines, CONNECTION_LINE_SIZE_MAX);
	connection->told_unreachable = true; /* from now on the loss is told */
	tell(connection, CONNECTION_MADE, connection->address);
	if (connection->words.size > 0)
		tell(connection, CONNECTION_SECURED, connection->words.bytes);
	if (connection->carried == NULL || connection->settings.carrier->in_events)
		return;
	connection->call.line_came = true; /* the dialect is known, whatever the first line looks like */
	ready_plain(connection);
}

static void call_end(struct connection *connection)
{
	lines_fini(&connection->call.lines);
	(void)close(connection->call.socket); /* nothing is left to be lost */
	if (connection->call.carried != NULL)
		connection->settings.carrier->end(connection->call.carried);
	if (connection->call.secure != NULL)
		secure_end(connection->call.secure);
}

static const char *reason(int error)
{
	if (error == 0)
		return "it closed the connection";
	return error == -EHOSTUNREACH ? "there is no such host, or no way to it" : strerrordesc_np(-error);
}

/* Why the connection was lost, as it is known best. */
static const char *reason_of_loss(const struct call *call, int error)
{
	return call->carried_words[0] != '\0' ? call->carried_words : reason(error);
}

static void forget_sent(struct connection *connection)
{
	char text[DETAIL_SIZE];
	bool again = connection->call.dialect != DIALECT_PLAIN;
	size_t count = outbox_lost(connection->settings.outbox, again);

	if (again || count == 0)
		return;
	(void)snprintf(text, sizeof text, "%zu", count);
	tell(connection, CONNECTION_FORGOT, text);
}

/* Whether to connect again after a connection that ended with 'error'; if not, 'end' says how it ended. */
static bool call_was_lost(struct connection *connection, int error)
{
	const struct call *call = &connection->call;

	connection->end = CONNECTION_LEFT;
	if (call->leave_by != 0 || (call->quit && call->dialect != DIALECT_PLAIN))
		return false;
	connection->end = CONNECTION_REFUSED;
	if (call->refused)
		return false;
	connection->end = call->over ? CONNECTION_OVER : CONNECTION_TURNED_AWAY;
	if (call->over || call->turned_away) {
		tell(connection, CONNECTION_ENDED, call->carried_words);
		return false;
	}
	connection->end = error == 0 ? CONNECTION_CLOSED : CONNECTION_BROKEN;
	if (call->dialect == DIALECT_PLAIN && clock_ms() - call->started_at > SETTLED_AFTER_MS)
		connection->attempt = 0;
	tell(connection, CONNECTION_LOST, reason_of_loss(call, error));
	if (!is_persistent(connection))
		return false;
	forget_sent(connection);
	return true;
}

static bool call_once(struct connection *connection, int socket)
{
	int error;
	bool again;

	call_begin(connection, socket);
	connection->settings.listener->pause(connection->settings.context);
	error = call_talk(connection);
	again = call_was_lost(connection, error);
	connection->settings.listener->pause(connection->settings.context);
	call_end(connection);
	return again;
}

/* Why the server was not reached, as it is known best. */
static const char *reason_of_failure(const struct connection *connection, int error)
{
	return connection->words.size > 0 ? connection->words.bytes : reason(error);
}

/* Whether to try again. */
static bool not_reached(struct connection *connection, int error)
{
	connection->end = CONNECTION_NOT_REACHED;
	if (!connection->told_unreachable)
		tell(connection, CONNECTION_UNREACHABLE,
			error == -ETIMEDOUT ? "no answer within 10 seconds" : reason_of_failure(connection, error));
	connection->told_unreachable = true;
	connection->settings.listener->pause(connection->settings.context);
	return is_persistent(connection);
}

static bool is_left(const void *context)
{
	return leaving(context);
}

/* Encrypts a connection. Returns the socket that speaks plain, or -errno; -EKEYREJECTED: there can be no secure one. */
static int secure_it(struct connection *connection, int socket)
{
	const struct secure_wait wait = {.timeout_ms = CONNECTION_REACH_WITHIN_MS,
		.wake_descriptor = connection->wake_descriptor,
		.cancelled = is_left,
		.context = connection};
	enum secure_result result =
		secure_call(connection->settings.secure, socket, &wait, &connection->secured, &connection->words);

	buffer_add(&connection->words, "", 1);
	switch (result) {
	case SECURE_MADE:
		return secure_socket(connection->secured);
	case SECURE_CANCELLED:
		return -ECANCELED;
	case SECURE_BROKEN:
		return -ECONNABORTED;
	case SECURE_STRANGE: /* what has worked before may be in the midst of a change */
		return connection->was_secured ? -ECONNABORTED : -EKEYREJECTED;
	case SECURE_DISTRUSTED:
		break;
	}
	return -EKEYREJECTED;
}

/* Has the carrier take a connection. Returns the socket that speaks in lines, or -errno. */
static int carry_it(struct connection *connection, int socket)
{
	const struct carrier *carrier = connection->settings.carrier;
	int lines = -1;

	if (socket < 0 || carrier == NULL)
		return socket;
	connection->carried = carrier->start(carrier->context, socket, connection->secured != NULL, &lines);
	if (connection->carried != NULL)
		return lines;
	if (connection->secured != NULL)
		secure_end(connection->secured);
	return -ENOMEM;
}

static int reach(struct connection *connection)
{
	int socket = -ECANCELED;

	buffer_clear(&connection->words);
	connection->secured = NULL;
	connection->carried = NULL;
	atomic_store(&connection->connecting, true);
	if (!leaving(connection))
		socket = net_connect(&connection->settings.place, CONNECTION_REACH_WITHIN_MS);
	atomic_store(&connection->connecting, false);
	if (socket < 0)
		return socket;
	net_tune(socket, DEAD_AFTER_S);
	net_peer_address(socket, connection->address);
	if (connection->settings.secure == NULL)
		return carry_it(connection, socket);
	socket = secure_it(connection, socket);
	connection->was_secured = connection->was_secured || socket >= 0;
	return carry_it(connection, socket);
}

/* There is no secure connection, and will be none. Returns false: it is not to be tried again. */
static bool refuse(struct connection *connection)
{
	connection->end = CONNECTION_DISTRUSTED;
	tell(connection, CONNECTION_INSECURE, connection->words.bytes);
	connection->settings.listener->pause(connection->settings.context);
	return false;
}

int connection_delay_ms(unsigned attempt, unsigned chance)
{
	int base = attempt < 6 ? CONNECTION_DELAY_LEAST_MS << attempt : CONNECTION_DELAY_MOST_MS;
	int delay = base / 4 * 3 + (int)(chance % (unsigned)(base / 2));

	if (delay < CONNECTION_DELAY_LEAST_MS)
		return CONNECTION_DELAY_LEAST_MS;
	return delay < CONNECTION_DELAY_MOST_MS ? delay : CONNECTION_DELAY_MOST_MS;
}

/* Returns whether there is to be one. */
static bool wait_for_next_attempt(struct connection *connection)
{
	struct pollfd polled = {.fd = connection->wake_descriptor, .events = POLLIN};
	unsigned chance = 0;
	long long until;

	(void)!getrandom(&chance, sizeof chance, GRND_NONBLOCK); /* without it all wait equally long: no harm */
	until = clock_ms() + connection_delay_ms(connection->attempt++, chance);
	while (!leaving(connection) && is_persistent(connection) && clock_ms() < until) {
		(void)poll(&polled, 1, time_left_ms(until)); /* EINTR: the next round */
		drain(connection->wake_descriptor);
	}
	return leaving(connection) || is_persistent(connection);
}

static void *connection_run(void *argument)
{
	struct connection *connection = argument;
	bool again = true;

	thread_name("connection");
	while (again && !leaving(connection)) {
		int socket = reach(connection);

		if (socket >= 0)
			again = call_once(connection, socket);
		else if (socket == -EKEYREJECTED)
			again = refuse(connection);
		else if (socket != -ECANCELED)
			again = not_reached(connection, socket);
		if (again)
			again = wait_for_next_attempt(connection);
	}
	if (again)
		connection->end = CONNECTION_LEFT;
	outbox_stop(connection->settings.outbox);
	(void)eventfd_write(connection->ended_descriptor, 1); /* cannot fail: the count is 0 */
	return NULL;
}

int connection_open(const struct connection_settings *settings, struct connection **out)
{
	struct connection *connection = memory_get(sizeof *connection);
	int error;

	memset(connection, 0, sizeof *connection);
	connection->settings = *settings;
	connection->knows_session = settings->session_is_known && settings->events && settings->session[0] != '\0';
	if (settings->ping_after_ms == 0)
		connection->settings.ping_after_ms = CONNECTION_PING_AFTER_MS;
	if (settings->dead_after_ms == 0)
		connection->settings.dead_after_ms = CONNECTION_DEAD_AFTER_MS;
	connection->wake_descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	connection->ended_descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = -errno;
	if (connection->wake_descriptor < 0 || connection->ended_descriptor < 0)
		goto fail;
	error = thread_start(&connection->thread, 0, connection_run, connection);
	if (error != 0)
		goto fail;
	*out = connection;
	return 0;

fail:
	if (connection->ended_descriptor >= 0)
		(void)close(connection->ended_descriptor);
	if (connection->wake_descriptor >= 0)
		(void)close(connection->wake_descriptor);
	free(connection);
	return error;
}

void connection_wake(struct connection *connection)
{
	(void)eventfd_write(connection->wake_descriptor, 1); /* EAGAIN: it is awake 2^64 times over */
}

int connection_ended(const struct connection *connection)
{
	return connection->ended_descriptor;
}

bool connection_close(struct connection *connection, enum connection_end *end)
{
	struct pollfd polled = {.fd = connection->ended_descriptor, .events = POLLIN};

	connection_wake(connection);
	while (poll(&polled, 1, 100) <= 0) {
		if (atomic_load(&connection->connecting))
			return false;
	}
	thread_join(connection->thread);
	*end = connection->end;
	buffer_fini(&connection->clean);
	buffer_fini(&connection->sending);
	buffer_fini(&connection->request);
	buffer_fini(&connection->words);
	event_fini(&connection->event);
	(void)close(connection->ended_descriptor);
	(void)close(connection->wake_descriptor);
	free(connection);
	return true;
}
