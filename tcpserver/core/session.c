#include "tcpserver/core/session.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/text.h"
#include "tcpserver/core/command.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/talk.h"

enum {
	READ_SIZE = 64 * 1024,    /* bytes read at a time                                          */
	NOTICE_SIZE = 1024,       /* bytes of a notice that needs no memory of its own             */
	STALLED_MS = 10 * 1000,   /* a client that left gets its last lines as long as it takes some within this */
	FAREWELL_MS = 1000,       /* and so long when the server stops                             */
	LINGER_MS = 500,          /* after our last byte, until the client has closed its side too */
	LOGGED_TEXT_SIZE = 400,   /* bytes of what was said, at level debug                        */
};

static bool session_is_stopping(const struct session *session)
{
	/* Relaxed: a thread that misses it is woken after it was set. */
	return atomic_load_explicit(&session->talk->stopping, memory_order_relaxed);
}

/* ---- Words to this client alone. ---- */

static enum member_state session_deliver(struct session *session);

PRINTF_LIKE(4, 0)
static void session_tell(
	struct session *session, enum telling telling, const char *code, const char *format, va_list arguments)
{
	char buffer[NOTICE_SIZE];
	char *text = buffer;
	va_list again;
	int size;

	if (session->said) /* what the client said before is seen before the answer */
		(void)session_deliver(session);
	va_copy(again, arguments);
	size = vsnprintf(buffer, sizeof buffer, format, arguments);
	if (size >= (int)sizeof buffer && vasprintf(&text, format, again) < 0)
		text = buffer; /* without memory it is cut */
	va_end(again);
	session->door->tell(session, telling, code, text);
	if (text != buffer)
		free(text);
}

void session_notice(struct session *session, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	session_tell(session, TELL_NOTICE, NULL, format, arguments);
	va_end(arguments);
}

void session_error(struct session *session, const char *code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	session_tell(session, TELL_ERROR, code, format, arguments);
	va_end(arguments);
}

/* ---- Sending and receiving. ---- */

/* Gives a member that is far behind its next page of the journal. Returns whether there is something to send now. */
static bool session_turn_page(struct session *session)
{
	uint64_t skipped;
	enum room_page page = room_give_page(session->room, session->member, &skipped);

	if (skipped > 0)
		session_notice(session, "(%llu messages skipped)", (unsigned long long)skipped);
	return page != ROOM_NOTHING;
}

/* Sends what there is for everybody, if this client said something, and for this client. */
static enum member_state session_deliver(struct session *session)
{
	enum member_state state;

	if (session->said) {
		session->said = false;
		room_flush(session->room);
	}
	if (member_take_duty(session->member))
		room_take_over_flush(session->room);
	state = member_send(session->member);
	if (state == MEMBER_WANTS_PAGE && session_turn_page(session))
		state = member_send(session->member);
	return state;
}

static void session_free_input(struct session *session)
{
	free(session->input);
	session->input = NULL;
}

/* What broke a connection, as session_receive() returns it, where -ETIMEDOUT says that the time to wait is over. */
static ssize_t session_broken_by(int error)
{
	return error == ETIMEDOUT ? -EHOSTUNREACH : -error;
}

/* Reads what has come. Returns its size, 0 at the end, or -errno; -EAGAIN when there is nothing. */
static ssize_t session_read(struct session *session, const char **bytes)
{
	ssize_t size;

	if (session->input == NULL)
		session->input = malloc(READ_SIZE);
	if (session->input == NULL)
		return -ENOMEM;
	do
		size = recv(session->socket, session->input, READ_SIZE, MSG_DONTWAIT);
	while (size < 0 && errno == EINTR);
	session->input_was_full = size == READ_SIZE;
	if (size < 0)
		return session_broken_by(errno);
	member_took(session->member, (size_t)size);
	*bytes = session->input;
	return size;
}

static int left_ms(long long deadline_ms)
{
	long long left = deadline_ms - clock_ms();

	return left < 0 ? 0 : (int)left;
}

/* How long to wait at most: until the deadline (-1: none), or until it is time to look whether the peer is alive. */
static int session_wait_ms(const struct session *session, long long deadline_ms)
{
	int look_ms = session->talk->peer_timeout_s * 1000 / 3;

	return deadline_ms < 0 || left_ms(deadline_ms) > look_ms ? look_ms : left_ms(deadline_ms);
}

/* Nothing happened for a while. Returns -ETIMEDOUT at the deadline, -EHOSTUNREACH for a dead peer, or 0: wait on. */
static int session_check_time(const struct session *session, long long deadline_ms)
{
	if (net_peer_is_dead(session->socket, session->talk->peer_timeout_s))
		return -EHOSTUNREACH;
	return deadline_ms >= 0 && clock_ms() >= deadline_ms ? -ETIMEDOUT : 0;
}

/* Before a wait, which may be long: an idle client holds no buffer, and no more stack than it needs for waiting. */
static void session_settle(struct session *session)
{
	session_free_input(session);
	if (session->settled || session->room == NULL)
		return;
	session->settled = true;
	thread_trim_stack();
}

/*
 * There is nothing more to read. A reset that a send() met first, in whatever thread, looks like the client's own end to
 * recv(): the send's error tells. EPIPE says that the client had closed its side before.
 */
static ssize_t session_end_of_input(struct session *session, ssize_t size)
{
	int error = member_error(session->member);

	return error == 0 || (size == 0 && error == EPIPE) ? size : session_broken_by(error);
}

ssize_t session_receive(struct session *session, int timeout_ms, const char **bytes)
{
	long long deadline_ms = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
	bool readable = session->input_was_full;

	for (;;) {
		enum member_state state = session_deliver(session);
		bool may_speak = member_may_speak(session->member);
		ssize_t size = -EAGAIN;
		int found;

		if (session_is_stopping(session))
			return -ECANCELED;
		/* A broken connection may still hold what the client said before. */
		if (state == MEMBER_FAILED || (readable && may_speak))
			size = session_read(session, bytes);
		if (size == 0 || (size == -EAGAIN && state == MEMBER_FAILED))
			return session_end_of_input(session, size);
		if (size != -EAGAIN)
			return size;
		session_settle(session);
		found = member_wait(session->member, may_speak ? POLLIN : 0, session_wait_ms(session, deadline_ms));
		if (found == -ETIMEDOUT)
			found = session_check_time(session, deadline_ms);
		if (found < 0)
			return found;
		readable = (found & (POLLIN | POLLHUP | POLLERR)) != 0;
	}
}

/* ---- The name. ---- */

/* Lets a client whose name is registered in. */
static void session_enter(struct session *session)
{
	int error;

	session_notice(session, "Welcome %s - tcpchat/1. You are in lobby. /help lists the commands, /quit leaves.",
		session->client.name);
	error = room_join(session->talk->lobby, session->member, session->client.name);
	if (error != 0) {
		session_error(session, "not-stored", "the server cannot keep that you came (%s); try again later",
			strerror(-error));
		session_finish(session, SESSION_REFUSED);
		return;
	}
	session->room = session->talk->lobby;
	session->said = true;
	log_event(LOG_INFO, "joined", "name", session->client.name, "from", session->address, "door", session->door->name,
		NULL);
}

static void session_take_name(struct session *session, const char *name)
{
	if (client_list_register(&session->talk->clients, &session->client, name) == 0) {
		session_enter(session);
		return;
	}
	session_error(session, "server-full", "the server has no memory for one more; try again later");
	session_finish(session, SESSION_REFUSED);
}

bool session_register(struct session *session, const char *text, size_t size)
{
	char name[NAME_SIZE];

	if (!name_make(text, size, name))
		return false;
	session_take_name(session, name);
	return true;
}

void session_register_guest(struct session *session)
{
	char name[NAME_SIZE];
	unsigned number = 0;

	(void)!getrandom(&number, sizeof number, GRND_NONBLOCK); /* a taken name gets another suffix anyhow */
	name_tagged("guest", number, name);
	session_take_name(session, name);
}

bool session_has_name(const struct session *session)
{
	return session->room != NULL;
}

/* ---- Lines. ---- */

static void session_log_said(const struct session *session, const char *text, size_t size)
{
	char copy[LOGGED_TEXT_SIZE];

	if (!log_wants(LOG_DEBUG))
		return;
	(void)snprintf(copy, sizeof copy, "%.*s", (int)text_prefix(text, size, sizeof copy - 1), text);
	log_event(LOG_DEBUG, "said", "name", session->client.name, "text", copy, NULL);
}

static void session_say(struct session *session, const char *text, size_t size)
{
	int error = room_say(session->room, session->member, session->client.name, text, size);

	if (error != 0) {
		session_error(session, "not-stored", "the message could not be kept (%s), nobody saw it; send it again",
			strerror(-error));
		return;
	}
	session->said = true;
	session_log_said(session, text, size);
}

static void session_clean_line(struct session *session, const char *line, size_t size)
{
	if (size == 5 && strncasecmp(line, "!exit", 5) == 0)
		command_quit(session, "");
	else if (size >= 2 && line[0] == '/' && line[1] == '/')
		session_say(session, line + 1, size - 1);
	else if (size >= 1 && line[0] == '/')
		command_run(session, line, size);
	else
		session_say(session, line, size);
}

void session_line(struct session *session, const char *line, size_t size)
{
	char *clean;

	if (text_is_clean(line, size)) {
		session_clean_line(session, line, size);
		return;
	}
	clean = malloc(TEXT_CLEAN_SIZE(size));
	if (clean == NULL) {
		session_error(session, "not-stored", "the server has no memory for this line now, nobody saw it; send it again");
		return;
	}
	session_clean_line(session, clean, text_clean(line, size, clean));
	free(clean);
}

/* ---- The life of a session. ---- */

void session_finish(struct session *session, enum session_end end)
{
	if (session->end == SESSION_GOES_ON)
		session->end = end;
}

void session_break(struct session *session, int error)
{
	session->lost_errno = error;
	session_finish(session, error == ECANCELED ? SESSION_STOPPED : SESSION_LOST);
}

bool session_ended(const struct session *session)
{
	return session->end != SESSION_GOES_ON;
}

struct session *session_create(struct talk *talk, int socket)
{
	struct session *session = calloc(1, sizeof *session);

	if (session == NULL)
		return NULL;
	session->talk = talk;
	session->door = talk->door;
	session->socket = socket;
	net_peer_address(socket, session->address);
	return session;
}

void session_destroy(struct session *session)
{
	session_free_input(session);
	free(session);
}

/* Sends what there is, as long as the client takes it before the deadline. */
static void session_drain_until(
	struct session *session, enum member_state (*send)(struct session *session), long long deadline_ms)
{
	enum member_state state = send(session);

	while (state != MEMBER_EVEN && state != MEMBER_FAILED && clock_ms() < deadline_ms) {
		(void)member_wait(session->member, 0, left_ms(deadline_ms)); /* the loop looks at what there is */
		state = send(session);
	}
}

static enum member_state session_send_last(struct session *session)
{
	enum member_state state = member_send(session->member);

	return state == MEMBER_WANTS_PAGE ? MEMBER_EVEN : state; /* no more pages */
}

/* The last words of the server: what was published, as far as the client takes it in time, then the farewell. */
static void session_drain_stopping(struct session *session)
{
	long long deadline_ms = clock_ms() + FAREWELL_MS;

	session_drain_until(session, session_deliver, deadline_ms - FAREWELL_MS / 2);
	member_close_log(session->member); /* others may still speak: nothing may follow the farewell */
	session->door->farewell(session);
	session_drain_until(session, session_send_last, deadline_ms);
}

/* The client said its last line; it still gets its echo, and the answers to its commands. */
static void session_drain_left(struct session *session)
{
	for (;;) {
		enum member_state state = session_deliver(session);

		if (state == MEMBER_EVEN || state == MEMBER_FAILED || member_is_answered(session->member))
			return;
		if (session_is_stopping(session) || member_wait(session->member, 0, STALLED_MS) == -ETIMEDOUT)
			return;
	}
}

static void session_drain(struct session *session)
{
	if (session->end == SESSION_STOPPED)
		session_drain_stopping(session);
	else if (session->end != SESSION_LOST)
		session_drain_left(session);
}

/*
 * Closes our side, and waits a moment for the client to close its own: a socket that is closed with unread input sends a
 * reset, which can overtake our last words.
 */
static void session_linger(struct session *session)
{
	long long deadline_ms = clock_ms() + LINGER_MS;
	char ignored[512];

	if (shutdown(session->socket, SHUT_WR) != 0)
		return;
	while (clock_ms() < deadline_ms) {
		ssize_t size = recv(session->socket, ignored, sizeof ignored, MSG_DONTWAIT);

		if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR))
			return;
		if (size < 0 && member_wait(session->member, POLLIN, left_ms(deadline_ms)) == -ETIMEDOUT)
			return;
	}
}

static const char *session_end_words(const struct session *session)
{
	return session->end == SESSION_LOST ? "connection lost" : "normally";
}

static void session_log_end(const struct session *session)
{
	static const char *const reasons[] = {
		[SESSION_LEFT] = "left", [SESSION_LOST] = "lost", [SESSION_REFUSED] = "refused", [SESSION_STOPPED] = "stopped"};
	const char *detail = session->end == SESSION_LOST ? strerror(session->lost_errno) : reasons[session->end];

	log_event(session->room == NULL ? LOG_DEBUG : LOG_INFO, "left", "name", session->client.name, "from",
		session->address, "why", detail, NULL);
}

/* The room is told before the name is free, so that nobody sees a name come before it went. */
static void session_leave_room(struct session *session)
{
	if (session->room != NULL && session->end == SESSION_STOPPED)
		room_abandon(session->room, session->member);
	else if (session->room != NULL)
		room_leave(session->room, session->member, session->client.name, session_end_words(session));
	client_list_unregister(&session->talk->clients, &session->client);
}

void session_run(struct session *session)
{
	struct talk *talk = session->talk;

	session->member = member_create(session->socket, session->door->format, talk->lag_memory);
	if (session->member == NULL)
		return;
	client_list_set_member(&talk->clients, &session->client, session->member);
	net_tune(session->socket, talk->peer_timeout_s);
	session->door->serve(session);
	assert(session_ended(session));
	session_free_input(session);
	session_drain(session);
	client_list_set_member(&talk->clients, &session->client, NULL);
	member_detach(session->member);
	if (member_take_duty(session->member)) /* given in the last moment */
		room_take_over_flush(session->room);
	session_leave_room(session);
	session_log_end(session);
	if (session->end != SESSION_LOST)
		session_linger(session);
	member_release(session->member);
}
