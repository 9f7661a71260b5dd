#include "tcpserver/core/session.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/text.h"
#include "tcpserver/core/command.h"
#include "tcpserver/core/door.h"
#include "tcpserver/core/member.h"
#include "tcpserver/core/metrics.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/room.h"
#include "tcpserver/core/talk.h"

enum {
	READ_SIZE = 64 * 1024,    /* bytes read at a time                                          */
	STALLED_MS = 10 * 1000,   /* a client that left gets its last lines as long as it takes some within this */
	FAREWELL_MS = 1000,       /* and so long when the server stops                             */
	LINGER_MS = 500,          /* after our last byte, until the client has closed its side too */
	LOGGED_TEXT_SIZE = 400,   /* bytes of what was said, at level debug                        */
	PAGES_RETRY_MS = 500,     /* after which a journal that could not be read is tried again   */
	PARTNER_MESSAGES = 16,    /* of a pair's room, in which both have come                      */
	HOME_RETRY_MS = 2000,     /* after which one tries again to be in the lobby                */
};

static bool session_is_stopping(const struct session *session)
{
	/* Relaxed: a thread that misses it is woken after it was set. */
	return atomic_load_explicit(&session->talk->stopping, memory_order_relaxed);
}

static enum outlet_state session_deliver(struct session *session);
static void session_tell_home(struct session *session, struct member *lobby);

/* ---- What is on its way to the journal. ---- */

static void session_do_duty(struct session *session);
static bool session_is_to_revive(struct session *session);
static void session_revive(struct session *session);

/* What there is to do between two waits. A session that has ended sends only what session_drain() sends: nothing may follow
 * a farewell. */
static void session_work_on(struct session *session)
{
	if (session_ended(session))
		session_do_duty(session);
	else
		(void)session_deliver(session);
}

static void session_wait_for_drafts(struct session *session)
{
	session_flush(session);
	while (!outlet_is_settled(session->outlet)) {
		outlet_pause(session->outlet);
		session_work_on(session);
	}
	session_work_on(session);
}

int session_settle(struct session *session)
{
	if (session->unflushed != NULL || !outlet_is_settled(session->outlet))
		session_wait_for_drafts(session);
	return outlet_take_refusal(session->outlet);
}

/* ---- Words to this client alone. ---- */

void session_tell(struct session *session, const struct telling *telling)
{
	session->request_answered = true;
	/* What the client said before is seen before the answer. */
	if (session->unflushed != NULL || !outlet_is_settled(session->outlet))
		session_wait_for_drafts(session);
	outlet_answer(session->outlet, telling);
}

PRINTF_LIKE(3, 0)
static void session_tell_formatted(
	struct session *session, struct telling telling, const char *format, va_list arguments)
{
	char *text;

	if (vasprintf(&text, format, arguments) < 0)
		return; /* without memory there are no words */
	telling.text = text;
	telling.request_id = session->request_id;
	session_tell(session, &telling);
	free(text);
}

void session_notice(struct session *session, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	session_tell_formatted(session, (struct telling){.kind = TELL_NOTICE}, format, arguments);
	va_end(arguments);
}

void session_notice_in(struct session *session, const struct room *room, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	session_tell_formatted(session, (struct telling){.kind = TELL_NOTICE, .room = room_label(room)}, format, arguments);
	va_end(arguments);
}

void session_notice_about(struct session *session, const char *room, int64_t created_ns, const char *format, ...)
{
	struct telling notice = {.kind = TELL_NOTICE, .room = room, .created_ns = created_ns};
	va_list arguments;

	va_start(arguments, format);
	session_tell_formatted(session, notice, format, arguments);
	va_end(arguments);
}

/* What a client has to know of a room, to come back to where it was. */
static struct telling session_about_room(const struct session *session, struct room *room)
{
	char key[NAME_KEY_SIZE];

	(void)name_key(session->client.name, key);
	return (struct telling){
		.kind = TELL_NOTICE,
		.code = "room",
		.room = room_label(room),
		.room_id = room_id(room),
		.last = room_last_seq(room),
		.mark = room_mark(room, key),
	};
}

static struct telling session_about_coming(const struct session *session, struct room *room)
{
	struct telling welcome = session_about_room(session, room);

	welcome.kind = TELL_WELCOME;
	welcome.code = NULL;
	welcome.participant = session->client.name;
	welcome.request_id = session->request_id;
	return welcome;
}

void session_tell_welcome(struct session *session, struct member *place)
{
	struct telling welcome = session_about_coming(session, place->room);

	welcome.last = member_last_seq(place, welcome.last);
	session_tell(session, &welcome);
}

void session_tell_room(struct session *session, struct member *place, const char *format, ...)
{
	struct telling telling = session_about_room(session, place->room);
	va_list arguments;

	/* Not what is on its way to the client: that would be taken for what was said before. */
	telling.last = member_last_seq(place, telling.last);
	va_start(arguments, format);
	session_tell_formatted(session, telling, format, arguments);
	va_end(arguments);
}

void session_error(struct session *session, const char *code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	session_tell_formatted(session, (struct telling){.kind = TELL_ERROR, .code = code}, format, arguments);
	va_end(arguments);
}

/* ---- Sending and receiving. ---- */

/* Between the lines that the client reads, and no answer to what it asks meanwhile. */
static void session_tell_lag(
	struct session *session, const struct member *member, const char *code, uint64_t count, const char *text)
{
	struct telling telling = {
		.kind = TELL_NOTICE, .code = code, .room = room_label(member->room), .count = count, .text = text};

	outlet_answer(session->outlet, &telling);
}

static void session_tell_skipped(struct session *session, const struct member *member, uint64_t skipped)
{
	char text[100];

	(void)snprintf(text, sizeof text, "(%llu messages skipped)", (unsigned long long)skipped);
	session_tell_lag(session, member, "skipped", skipped, text);
}

static void session_tell_behind(struct session *session, const struct member *member, uint64_t behind)
{
	char text[100];

	(void)snprintf(text, sizeof text, "You are %llu messages behind; /latest goes to what is said now.",
		(unsigned long long)behind);
	session_tell_lag(session, member, "behind", behind, text);
}

/* Gives the client a page of the journal of one room in which it is far behind. Returns whether there is something to
 * send now. */
static bool session_turn_page(struct session *session, struct member *member)
{
	uint64_t skipped;
	uint64_t behind;
	enum room_page page = room_give_page(member->room, member, &skipped, &behind);

	if (skipped > 0)
		session_tell_skipped(session, member, skipped);
	if (behind > 0)
		session_tell_behind(session, member, behind);
	if (page == ROOM_NOTHING)
		session->pages_failed = true;
	return page != ROOM_NOTHING;
}

static bool session_turn_pages(struct session *session)
{
	bool turned = false;

	session->pages_failed = false;

	for (size_t i = 0; i < session->place_count; i++) {
		if (member_page_start(session->places[i]) != 0)
			turned = session_turn_page(session, session->places[i]) || turned;
	}
	return turned;
}

void session_flush(struct session *session)
{
	struct room *room = session->unflushed;

	session->unflushed = NULL;
	if (room != NULL)
		room_flush(room);
}

static void session_do_duty(struct session *session)
{
	struct room *room = outlet_take_duty(session->outlet);

	if (room != NULL)
		room_take_over_flush(room);
}

/* Sends what there is for everybody, if this client said something, and for this client. */
static enum outlet_state session_deliver(struct session *session)
{
	enum outlet_state state;

	session_flush(session);
	session_do_duty(session);
	state = outlet_send(session->outlet);
	if (state == OUTLET_WANTS_PAGE && session_turn_pages(session))
		state = outlet_send(session->outlet);
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
	outlet_took(session->outlet, (size_t)size);
	metrics_received((size_t)size);
	*bytes = session->input;
	return size;
}

static int left_ms(long long deadline_ms)
{
	long long left = deadline_ms - clock_ms();

	return left < 0 ? 0 : (int)left;
}

/* How long to wait at most: until the deadline (-1: none), or until it is time to look whether the peer is alive, or
 * whether the journal can be read again. */
static int session_wait_ms(const struct session *session, long long deadline_ms)
{
	bool retries = session->pages_failed || session->retry_at_ms != 0 || session->revive_at_ms != 0;
	int look_ms = retries ? PAGES_RETRY_MS : session->talk->peer_timeout_s * 1000 / 3;

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
static void session_save_memory(struct session *session)
{
	session_free_input(session);
	if (session->trimmed || session->place == NULL)
		return;
	session->trimmed = true;
	thread_trim_stack();
}

/* A pair's room ends without a message of its own: the other one's leaving is the last in its log. */
static void session_tell_pair_is_over(struct session *session, const struct room *room)
{
	struct telling closed = {.kind = TELL_ROOM_CLOSED, .room = room_label(room)};

	if (room_attributes(room)->ends_with_member)
		session_tell(session, &closed);
}

/* Whether the client came for this room alone, and goes with it. */
static bool session_came_for(const struct session *session, const struct member *place)
{
	return place->observes || session->door->one_room;
}

static void session_leave_shut_room(struct session *session, struct member *place)
{
	struct room *room = room_acquire(place->room);
	bool was_here = place == session->place;
	bool was_alone = session->place_count == 1;

	if (session_came_for(session, place)) {
		if (session_deliver(session) == OUTLET_EVEN) /* a slow reader is sent all that was said there first */
			session_finish(session, SESSION_LEFT);
	} else if (session_move_on(session, place, NULL)) {
		session_tell_pair_is_over(session, room);
		if (was_here && !was_alone)
			session_tell_here(session);
	} else {
		session->retry_at_ms = clock_ms() + HOME_RETRY_MS; /* nobody is thrown out because the lobby cannot be kept */
	}
	room_release(room);
}

/* Leaves the rooms that are over; who was nowhere else is in the lobby again. */
static void session_leave_shut_rooms(struct session *session)
{
	if (session->retry_at_ms != 0 && clock_ms() < session->retry_at_ms)
		return;
	session->retry_at_ms = 0;
	for (size_t i = session->place_count; i > 0; i--) {
		if (room_is_shut(session->places[i - 1]->room))
			session_leave_shut_room(session, session->places[i - 1]);
	}
}

/*
 * There is nothing more to read. A reset that a send() met first, in whatever thread, looks like the client's own end to
 * recv(): the send's error tells. EPIPE says that the client had closed its side before.
 */
static ssize_t session_end_of_input(struct session *session, ssize_t size)
{
	int error = outlet_error(session->outlet);
	/* Acquire: see struct carrier. */
	int broken = session->carrier == NULL ? 0 : atomic_load_explicit(session->carrier->broken, memory_order_acquire);

	if (size == 0 && broken != 0)
		return session_broken_by(broken);
	return error == 0 || (size == 0 && error == EPIPE) ? size : session_broken_by(error);
}

ssize_t session_receive(struct session *session, int timeout_ms, const char **bytes)
{
	long long deadline_ms = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
	bool readable = session->input_was_full;

	for (;;) {
		enum outlet_state state;
		bool may_speak;
		ssize_t size = -EAGAIN;
		int found;

		if (!session_is_stopping(session))
			session_leave_shut_rooms(session);
		if (session_is_to_revive(session))
			session_revive(session);
		if (session_ended(session))
			return 0;
		state = session_deliver(session);
		may_speak = outlet_may_speak(session->outlet) && !session->is_deaf;
		if (session_is_stopping(session))
			return -ECANCELED;
		if (client_is_replaced(&session->client))
			return -ECONNABORTED;
		/* A broken connection may still hold what the client said before. */
		if (state == OUTLET_FAILED || (readable && (may_speak || session->is_deaf)))
			size = session_read(session, bytes);
		if (size == 0 || (size == -EAGAIN && state == OUTLET_FAILED))
			return session_end_of_input(session, size);
		if (size != -EAGAIN)
			return size;
		session_save_memory(session);
		found = outlet_wait(session->outlet, may_speak ? POLLIN : 0, session_wait_ms(session, deadline_ms));
		session_do_duty(session); /* at once: what the client sends may take its time */
		if (found == -ETIMEDOUT)
			found = session_check_time(session, deadline_ms);
		if (found < 0)
			return found;
		readable = (found & (POLLIN | POLLHUP | POLLERR)) != 0; /* POLLIN was not asked for of one that says no more */
	}
}

/* As session_keep_pace(), once there are so many answers. */
static int session_wait_for_reader(struct session *session)
{
	for (;;) {
		enum outlet_state state = session_deliver(session);
		int found;

		if (state == OUTLET_FAILED || outlet_unsent(session->outlet) < OUTBOX_LIMIT)
			return 0;
		if (session_is_stopping(session))
			return -ECANCELED;
		if (client_is_replaced(&session->client))
			return -ECONNABORTED;
		found = outlet_wait(session->outlet, 0, session_wait_ms(session, -1));
		session_do_duty(session);
		if (found == -ETIMEDOUT)
			found = session_check_time(session, -1);
		if (found < 0)
			return found;
	}
}

int session_keep_pace(struct session *session)
{
	if (outlet_unsent(session->outlet) < OUTBOX_LIMIT || session_ended(session))
		return 0;
	return session_wait_for_reader(session);
}

int session_send_rest(struct session *session, int stall_ms)
{
	size_t least = SIZE_MAX;
	long long deadline_ms = -1;

	for (;;) {
		enum outlet_state state = outlet_send(session->outlet);
		size_t unsent = outlet_unsent(session->outlet);
		int found;

		if (state == OUTLET_FAILED) /* first: it drops what it is told */
			return (int)session_broken_by(outlet_error(session->outlet));
		if (outlet_is_sent(session->outlet))
			return 0;
		if (session_is_stopping(session))
			return -ECANCELED;
		if (unsent < least && stall_ms >= 0)
			deadline_ms = clock_ms() + stall_ms;
		least = unsent < least ? unsent : least;
		found = outlet_wait(session->outlet, 0, session_wait_ms(session, deadline_ms));
		session_do_duty(session);
		if (found == -ETIMEDOUT)
			found = session_check_time(session, deadline_ms);
		if (found < 0)
			return found;
	}
}

/* ---- Places. ---- */

struct member *session_place(struct session *session, const char *name)
{
	char key[NAME_KEY_SIZE];

	if (name[0] == '\0')
		return session->place;
	(void)name_key(name, key);
	for (size_t i = 0; i < session->place_count; i++) {
		const struct room *room = session->places[i]->room;

		if ((room_key(room) != NULL && strcmp(room_key(room), key) == 0) || strcmp(room_id(room), key) == 0)
			return session->places[i];
	}
	return NULL;
}

static void session_add_place(struct session *session, struct member *member)
{
	session->places[session->place_count++] = member;
	session->place = member;
}

static void session_remove_place(struct session *session, const struct member *member)
{
	size_t i = 0;

	while (session->places[i] != member)
		i++;
	session->place_count--;
	memmove(&session->places[i], &session->places[i + 1], (session->place_count - i) * sizeof *session->places);
	if (session->place == member)
		session->place = session->place_count == 0 ? NULL : session->places[session->place_count - 1];
}

static void session_no_memory(struct session *session)
{
	session_error(session, "no-memory", "the server has no memory for this now; try again later");
}

/* The number of the message with which a member of the room begins to read; 0: with what is said next. */
static uint64_t session_start(struct room *room, const struct reading *reading)
{
	uint64_t start;

	if (reading->resumes && (reading->of[0] == '\0' || strcmp(reading->of, room_id(room)) == 0))
		return reading->after + 1;
	if (reading->count == SIZE_MAX)
		return 1;
	start = reading->count == 0 ? 0 : room_find_said(room, UINT64_MAX, reading->count);
	return start == ROOM_UNREADABLE ? 0 : start; /* it can ask for it when the journal can be read again */
}

static bool session_recalls(const struct room *room, const struct reading *reading)
{
	return !reading->resumes || (reading->of[0] != '\0' && strcmp(reading->of, room_id(room)) != 0);
}

/* Where the member, which is in no room yet, begins to read. */
static void session_set_start(struct member *member, struct room *room, const struct reading *reading)
{
	member->start = session_start(room, reading);
	if (member->start == 0)
		member->start = UINT64_MAX; /* first the client is told where it is */
	member->recalls = session_recalls(room, reading);
}

static void session_not_stored(struct session *session, int error)
{
	session_error(session, "not-stored", "this could not be kept (%s), nobody saw it; try again later", strerror(error));
}

/* Has the room know of the member, which is among its people already. Returns whether the journal has kept that. */
static bool session_join(struct session *session, struct member *member)
{
	struct saying joined = {
		.kind = MESSAGE_JOINED, .name = session->client.name, .quiet = true, .welcome = session->welcome};
	int error;

	(void)session_settle(session);
	room_say(member->room, member, session->outlet, &joined);
	while (!outlet_is_settled(session->outlet)) /* what is said there shall not come before the words that one is there */
		outlet_pause(session->outlet);
	error = outlet_take_refusal(session->outlet);
	/* Acquire: see room_admit(). */
	if (atomic_load_explicit(&member->is_in, memory_order_acquire))
		return true;
	session_not_stored(session, error);
	rooms_exit(&session->talk->rooms, member);
	return false;
}

/* Makes the client a member of the room. */
static enum session_step session_enter(
	struct session *session, struct room *room, const struct reading *reading, struct member **entered)
{
	struct member *member = member_create(session->outlet, &session->client, room, session->door->format);
	enum rooms_result result;

	if (member == NULL) {
		session_no_memory(session);
		return SESSION_STAYED;
	}
	session_set_start(member, room, reading);
	member->sees_coming = session->door->shows_coming;
	result = rooms_enter(&session->talk->rooms, member);
	if (result == ROOMS_DONE && session_join(session, member)) {
		*entered = member;
		return SESSION_WENT;
	}
	if (result == ROOMS_NO_MEMORY)
		session_no_memory(session);
	member_leave(member, false);
	member_release(member);
	return result == ROOMS_GONE ? SESSION_GONE : result == ROOMS_FULL ? SESSION_FULL : SESSION_STAYED;
}

bool session_may_go(struct session *session)
{
	if (session->places == NULL)
		session->places = calloc(SESSION_PLACES_MAX, sizeof(struct member *));
	if (session->places == NULL) {
		session_no_memory(session);
		return false;
	}
	if (session->place_count < SESSION_PLACES_MAX)
		return true;
	session_error(session, "too-many-rooms", "you are in %d rooms, which is the most; /leave one first",
		SESSION_PLACES_MAX);
	return false;
}

struct reading session_reading(const struct session *session)
{
	return (struct reading){.count = session->talk->history};
}

void session_reread(struct session *session, struct member *place, const struct reading *reading)
{
	(void)session_settle(session); /* what it said before is read as well */
	room_reread(place->room, place, session_start(place->room, reading), session_recalls(place->room, reading));
}

/* As session_go(); 'tell', if it is not NULL, is called once the client is in the room; the one where it was is told 'how' it
 * left after that. */
static enum session_step session_move(struct session *session, struct room *room, const struct reading *reading,
	void (*tell)(struct session *session, struct member *member), const char *how)
{
	struct member *before = session->place;
	struct member *member;
	enum session_step step = SESSION_STAYED;

	if (session_may_go(session))
		step = session_enter(session, room, reading, &member);
	if (step != SESSION_WENT)
		rooms_forget_empty(&session->talk->rooms, room);
	room_release(room);
	if (step != SESSION_WENT)
		return step;
	room_flush(member->room);
	if (tell != NULL)
		tell(session, member);
	if (before != NULL && !session->door->many_rooms)
		session_leave(session, before, how);
	session_add_place(session, member); /* last: what was said there before is read behind the words that one is there */
	return SESSION_WENT;
}

enum session_step session_go(struct session *session, struct room *room, const struct reading *reading)
{
	return session_move(session, room, reading, NULL, "for another room");
}

bool session_move_on(struct session *session, struct member *place, const char *how)
{
	static const struct reading nothing = {.count = 0};
	bool goes_home = session->place_count == 1;

	if (goes_home &&
		session_move(session, room_acquire(session->talk->lobby), &nothing, session_tell_home, how) != SESSION_WENT)
		return false;
	if (!goes_home || session->door->many_rooms)
		session_leave(session, place, how);
	return true;
}

/* Who the stranger was that came into the room is to be read there, when it came from another server. */
static void session_recall_partner(struct session *session, struct room *room)
{
	struct message *messages[PARTNER_MESSAGES];
	ssize_t count = room_read(room, 1, messages, PARTNER_MESSAGES);

	for (ssize_t i = 0; i < count; i++) {
		if (messages[i]->kind == MESSAGE_JOINED && strcmp(messages[i]->participant, session->client.name) != 0)
			stranger_note_partner(&session->stranger, messages[i]->participant);
		message_release(messages[i]);
	}
}

/* The client is about to go out of the room, and waits there for nobody any more; where the server stops it waits on, elsewhere. */
static void session_part(struct session *session, struct room *room, bool ends)
{
	if (!ends && room_is_shared(room))
		return;
	strangers_withdraw(&session->talk->strangers, &session->stranger, room);
	if (room_is_shared(room))
		session_recall_partner(session, room);
}

void session_leave(struct session *session, struct member *place, const char *how)
{
	struct room *room = room_acquire(place->room);
	bool unseen = place->observes;
	bool ends = !unseen && room_attributes(room)->ends_with_member && !session_is_stopping(session);

	session_part(session, room, ends);
	(void)session_settle(session); /* until then the drafts have their author */
	session_remove_place(session, place);
	member_leave(place, !session_ended(session));
	rooms_exit(&session->talk->rooms, place); /* first, so that nobody who was told finds it there still */
	room_leave(room, place, session->client.name, unseen ? NULL : how);
	member_release(place);
	if (!unseen && how == NULL)
		room_note_absent(room, session->client.name);
	if (ends) {
		room_forget(room);
		rooms_remove(&session->talk->rooms, room); /* it is shut when it is known that this one left */
	}
	room_release(room);
}

static void session_tell_home(struct session *session, struct member *lobby)
{
	session_tell_room(session, lobby, "You are in lobby. /join finds a stranger, /rooms lists the rooms.");
}

void session_go_home(struct session *session)
{
	static const struct reading nothing = {.count = 0};

	if (session->place != NULL || session_ended(session))
		return;
	if (session_go(session, room_acquire(session->talk->lobby), &nothing) == SESSION_WENT)
		session_tell_home(session, session->place);
	else
		session_finish(session, SESSION_REFUSED);
}

void session_tell_here(struct session *session)
{
	session_tell_room(session, session->place, "plain text goes to %s now", room_label(session->place->room));
}

/* ---- Reading without a name. ---- */

static bool session_enter_unseen(struct session *session, struct room *room, const struct reading *reading)
{
	struct member *member = member_create(session->outlet, &session->client, room, session->door->format);

	if (member == NULL) {
		session_no_memory(session);
		return false;
	}
	member->observes = true;
	session_set_start(member, room, reading);
	if (rooms_enter(&session->talk->rooms, member) == ROOMS_DONE) {
		room_observe(room, member);
		session_add_place(session, member);
		return true;
	}
	member_leave(member, false);
	member_release(member);
	return false;
}

bool session_observe(struct session *session, struct room *room, const struct reading *reading)
{
	bool in = session_may_go(session) && session_enter_unseen(session, room, reading);

	if (!in)
		rooms_forget_empty(&session->talk->rooms, room);
	room_release(room);
	return in;
}

/* ---- The name. ---- */

static void session_log_joined(const struct session *session)
{
	log_event(LOG_INFO, "joined", "name", session->client.name, "from", session->address, "door", session->door->name,
		NULL);
}

/* Lets a client whose name is registered into the room, whose reference it takes. */
static void session_welcome(struct session *session, struct room *room, const struct reading *reading)
{
	struct telling welcome = session_about_coming(session, room);
	enum session_step step;

	session->welcome = &welcome;
	step = session_go(session, room, reading);
	session->welcome = NULL;
	if (step == SESSION_WENT) {
		session->request_answered = true;
		session_log_joined(session);
		return;
	}
	if (step == SESSION_FULL)
		session_error(session, "room-full", "the room has as many members as it may; try another one");
	else if (step == SESSION_GONE)
		session_error(session, "no-such-room", "the room was closed just now; see /rooms");
	session_finish(session, SESSION_REFUSED);
}

/* Returns whether the client has a name now, 'name' or one like it; if not it is told, and ends. */
static bool session_claim_name(struct session *session, const char *name)
{
	int error = client_list_register(&session->talk->clients, &session->client, name);

	if (error == 0)
		return true;
	if (error != -ENOMEM)
		session_not_stored(session, -error);
	else
		session_error(session, "server-full", "the server has no memory for one more; try again later");
	session_finish(session, SESSION_REFUSED);
	return false;
}

/* Takes the reference to the room; NULL: the lobby. */
static void session_take_name(
	struct session *session, const char *name, struct room *room, const struct reading *reading)
{
	if (room == NULL)
		room = room_acquire(session->talk->lobby);
	if (session_claim_name(session, name))
		session_welcome(session, room, reading);
	else
		room_release(room);
}

bool session_register(struct session *session, const char *text, size_t size)
{
	struct reading reading = session_reading(session);
	char name[NAME_SIZE];

	if (!name_make(text, size, name))
		return false;
	session_take_name(session, name, NULL, &reading);
	return true;
}

bool session_come(struct session *session, const char *text, struct room *room, const struct reading *reading)
{
	char name[NAME_SIZE];

	if (name_make(text, strlen(text), name)) {
		session_take_name(session, name, room, reading);
		return true;
	}
	if (room != NULL)
		room_release(room);
	return false;
}

/* Claims the client's name again; if somebody elsewhere has it the client gets one like it. Returns whether it has a name that is its
 * own. */
static bool session_keep_name(struct session *session)
{
	int error = client_list_claim_again(&session->talk->clients, &session->client);
	char tagged[NAME_SIZE];

	if (error == -EEXIST) {
		name_tagged(session->client.name, (unsigned)clock_wall_ns(), tagged); /* it only has to differ */
		session_rename(session, tagged);
	}
	return error == 0 || error == -EEXIST;
}

/* Others were told that the client had left the room. */
static bool session_come_again(struct session *session, const struct member *place)
{
	struct saying joined = {.kind = MESSAGE_JOINED, .name = session->client.name, .quiet = true};

	if (place->observes || room_is_shut(place->room))
		return true;
	(void)session_settle(session);
	room_say(place->room, NULL, session->outlet, &joined);
	session->unflushed = place->room;
	return session_settle(session) == 0;
}

/* The other servers took this one for dead, and everybody here for gone. */
static void session_revive(struct session *session)
{
	bool done = true;

	session->revive_at_ms = 0;
	if (!session_has_name(session))
		return;
	if (client_list_is_elsewhere(&session->talk->clients, &session->client))
		return; /* it has come back on another server in the meantime, and this connection ends */
	done = session_keep_name(session);
	for (size_t i = 0; done && i < session->place_count; i++)
		done = session_come_again(session, session->places[i]);
	if (!done)
		session->revive_at_ms = clock_ms() + HOME_RETRY_MS;
}

/* Whether it is time for that. */
static bool session_is_to_revive(struct session *session)
{
	if (session_ended(session) || session_is_stopping(session))
		return false;
	return client_was_given_up(&session->client) || (session->revive_at_ms != 0 && clock_ms() >= session->revive_at_ms);
}

void session_identify(struct session *session, const unsigned char id[CLIENT_ID_SIZE])
{
	(void)session_settle(session); /* what it said before counts for the id that it had */
	client_list_identify(&session->talk->clients, &session->client, id, session->client_id);
	session->has_client_id = true;
	if (session_has_name(session) && servers_are_shared(&session->talk->servers))
		(void)session_keep_name(session); /* on behalf of that id */
}

void session_register_guest(struct session *session)
{
	struct reading reading = session_reading(session);
	char name[NAME_SIZE];

	name_guest(name);
	session_take_name(session, name, NULL, &reading);
}

bool session_has_name(const struct session *session)
{
	return session->place != NULL && !session->place->observes;
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

void session_say(struct session *session, struct member *place, enum message_kind kind, const char *text, size_t size,
	uint64_t number)
{
	struct saying saying = {
		.kind = kind,
		.name = session->client.name,
		.text = text,
		.text_size = size,
		.request_id = session->request_id,
		.client = session->client_id,
		.number = session->has_client_id ? number : 0,
	};

	if (session->unflushed != place->room)
		session_flush(session);
	room_say(place->room, place, session->outlet, &saying);
	session->unflushed = place->room;
	session->request_answered = true; /* when it is kept, or refused */
	session_log_said(session, text, size);
}

static void session_say_here(struct session *session, const char *text, size_t size)
{
	session_say(session, session->place, MESSAGE_TEXT, text, size, 0);
}

/* Cleaning makes three bytes of one that is no UTF-8: what was short enough may not be any more. */
bool session_takes(struct session *session, size_t size)
{
	if (size <= session->talk->max_line)
		return true;
	session_error(session, "line-too-long",
		"a line may have %zu bytes when it is clean UTF-8; this one was dropped, send it in parts", session->talk->max_line);
	return false;
}

static void session_clean_line(struct session *session, const char *line, size_t size)
{
	if (!session_takes(session, size))
		return;
	if (size == 5 && strncasecmp(line, "!exit", 5) == 0)
		command_quit(session, "");
	else if (size >= 2 && line[0] == '/' && line[1] == '/')
		session_say_here(session, line + 1, size - 1);
	else if (size >= 1 && line[0] == '/')
		command_run(session, line, size);
	else
		session_say_here(session, line, size);
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

/* Lets something be known in the room, as the author with that place or as none; says when it could not be kept. Returns
 * whether it was. */
static bool session_let_know(struct session *session, struct room *room, struct member *place, enum message_kind kind,
	const char *name, const char *text)
{
	struct saying saying = {
		.kind = kind, .name = name, .text = text, .text_size = text == NULL ? 0 : strlen(text), .quiet = true};
	int error;

	(void)session_settle(session);
	room_say(room, place, session->outlet, &saying);
	session->unflushed = room;
	error = session_settle(session);
	if (error != 0)
		session_not_stored(session, error);
	return error == 0;
}

void session_pause(struct session *session, int pause_ms)
{
	long long deadline_ms = clock_ms() + pause_ms;

	while (clock_ms() < deadline_ms && !session_is_stopping(session) && !client_is_replaced(&session->client))
		(void)outlet_poll(NULL, 0, left_ms(deadline_ms)); /* the loop looks at the time */
}

int session_wrong_passwords(const struct session *session)
{
	if (session->carrier == NULL || session->carrier->wrong_passwords == NULL)
		return session->password_tries;
	return atomic_load(session->carrier->wrong_passwords);
}

int session_note_wrong_password(struct session *session)
{
	int before = session->password_tries++;

	if (session->carrier == NULL || session->carrier->wrong_passwords == NULL)
		return before;
	return atomic_fetch_add(session->carrier->wrong_passwords, 1);
}

bool session_is_same_secret(const unsigned char *left, const unsigned char *right, size_t size)
{
	unsigned char difference = 0;

	for (size_t i = 0; i < size; i++)
		difference |= (unsigned char)(left[i] ^ right[i]);
	return difference == 0;
}

bool session_is_creator(const struct session *session, const struct room *room)
{
	static const unsigned char no_id[CLIENT_ID_SIZE];
	const struct room_attributes *attributes = room_attributes(room);

	if (attributes->creator_number == session->client.number)
		return true;
	return session->has_client_id && memcmp(attributes->creator_id, no_id, CLIENT_ID_SIZE) != 0 &&
	       session_is_same_secret(attributes->creator_id, session->client_id, CLIENT_ID_SIZE);
}

void session_find_creator(const struct session *session, const struct room *room, char name[NAME_SIZE])
{
	const struct room_attributes *attributes = room_attributes(room);

	if (!client_list_tell_name(&session->talk->clients, attributes->creator_number, attributes->creator_id, name))
		(void)snprintf(name, NAME_SIZE, "%s", attributes->creator);
}

void session_set_topic(struct session *session, struct member *place, const char *topic)
{
	(void)session_let_know(session, place->room, place, MESSAGE_TOPIC, session->client.name, topic);
}

void session_close_room(struct session *session, struct room *room)
{
	if (!session_let_know(session, room, NULL, MESSAGE_ROOM_CLOSED, session->client.name, NULL))
		return;
	session_notice_in(session, room, "%s is closed", room_label(room));
	room_forget(room);
	rooms_remove(&session->talk->rooms, room);
	session_leave_shut_rooms(session); /* what the client says next shall not go there */
}

/* Nobody was told of the new name: the client has the old one again, unless somebody has taken it in the meantime. */
static void session_take_back_name(struct session *session, const char *old)
{
	(void)!client_list_rename(&session->talk->clients, &session->client, &session->talk->rooms, old);
}

void session_rename(struct session *session, const char *name)
{
	char old[NAME_SIZE];
	int error;

	(void)snprintf(old, sizeof old, "%s", session->client.name);
	error = client_list_rename(&session->talk->clients, &session->client, &session->talk->rooms, name);
	if (error == -ENOMEM)
		session_no_memory(session);
	else if (error != 0)
		session_not_stored(session, -error);
	if (error != 0)
		return;
	for (size_t i = 0; i < session->place_count; i++) {
		struct member *place = session->places[i];

		if (!session_let_know(session, place->room, place, MESSAGE_NICK, old, session->client.name) && i == 0) {
			session_take_back_name(session, old);
			return;
		}
	}
	log_event(LOG_INFO, "renamed", "name", old, "to", session->client.name, NULL);
}

void session_set_door(struct session *session, const struct door *door)
{
	session->door = door;
	outlet_set_door(session->outlet, door);
	client_list_set_outlet(&session->talk->clients, &session->client, session->outlet, door);
}

bool session_begin_events(struct session *session)
{
	const struct door *events = session->door->events;

	if (events == NULL)
		return false;
	(void)session_settle(session);
	session_set_door(session, events);
	for (size_t i = 0; i < session->place_count; i++)
		room_change_format(session->places[i]->room, session->places[i], events->format);
	return true;
}

/* ---- Without being there, or seen. ---- */

bool session_appear(struct session *session, const char *text, size_t size)
{
	struct room *room = session->place->room;
	char name[NAME_SIZE];

	if (!name_make(text, size, name))
		return false;
	if (!session_claim_name(session, name))
		return true;
	if (rooms_show(&session->talk->rooms, session->place) != ROOMS_DONE) {
		session_error(session, "room-full", "the room has as many members as it may; try another one");
		session_finish(session, SESSION_REFUSED);
	} else if (!session_let_know(session, room, NULL, MESSAGE_JOINED, session->client.name, NULL)) {
		session_finish(session, SESSION_REFUSED);
	} else {
		session_log_joined(session);
	}
	return true;
}

bool session_post(struct session *session, struct room *room, const char *text, const struct saying *saying,
	struct receipt *receipt)
{
	struct client_list *clients = &session->talk->clients;
	struct saying complete = *saying;
	char name[NAME_SIZE];

	*receipt = (struct receipt){.error = ENOMEM};
	if (!name_make(text, strlen(text), name))
		return false;
	if (client_list_register(clients, &session->client, name) != 0)
		return true;
	complete.name = session->client.name;
	complete.quiet = true;
	complete.receipt = receipt;
	room_say(room, NULL, session->outlet, &complete);
	session->unflushed = room;
	(void)session_settle(session); /* the receipt tells */
	client_list_unregister(clients, &session->client);
	return true;
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

struct session *session_create(struct talk *talk, int socket, const struct door *door, const struct carrier *carrier)
{
	struct session *session = calloc(1, sizeof *session);

	if (session == NULL)
		return NULL;
	session->talk = talk;
	session->door = door;
	session->stranger.person = &session->client;
	/* Relaxed: it only has to differ from the others. */
	session->stranger.number = 1 + atomic_fetch_add_explicit(&talk->sessions_begun, 1, memory_order_relaxed);
	session->client.number = session->stranger.number;
	session->socket = socket;
	session->carrier = carrier;
	session->release_carrier = carrier == NULL ? NULL : carrier->release;
	session->is_secure = carrier != NULL && carrier->is_secure;
	if (carrier == NULL)
		net_peer_address(socket, session->address);
	else
		(void)snprintf(session->address, sizeof session->address, "%s", carrier->address);
	return session;
}

void session_destroy(struct session *session)
{
	if (session->release_carrier != NULL)
		session->release_carrier(session->carrier);
	session_free_input(session);
	free(session->stranger.last_key);
	free(session->places);
	free(session);
}

/* Sends what there is, as long as the client takes it before the deadline. */
static void session_drain_until(
	struct session *session, enum outlet_state (*send)(struct session *session), long long deadline_ms)
{
	enum outlet_state state = send(session);

	while (state != OUTLET_EVEN && state != OUTLET_FAILED && clock_ms() < deadline_ms) {
		(void)outlet_wait(session->outlet, 0, left_ms(deadline_ms)); /* the loop looks at what there is */
		state = send(session);
	}
}

static enum outlet_state session_send_last(struct session *session)
{
	enum outlet_state state = outlet_send(session->outlet);

	return state == OUTLET_WANTS_PAGE ? OUTLET_EVEN : state; /* no more pages */
}

/* The last words of the server: what was published, as far as the client takes it in time, then the farewell. */
static void session_drain_stopping(struct session *session)
{
	long long deadline_ms = clock_ms() + FAREWELL_MS;
	char address[NET_ADDRESS_SIZE];
	struct telling farewell = {.kind = TELL_FAREWELL, .text = address};

	session_drain_until(session, session_deliver, deadline_ms - FAREWELL_MS / 2);
	for (size_t i = 0; i < session->place_count; i++)
		member_close_log(session->places[i]); /* others may still speak: nothing may follow the farewell */
	if (session->carrier != NULL)
		(void)snprintf(address, sizeof address, "%s", session->carrier->own_address);
	else
		net_own_address(session->socket, address);
	session_tell(session, &farewell);
	session_drain_until(session, session_send_last, deadline_ms);
}

/* The client said its last line; it still gets its echo, and the answers to its commands. */
static void session_drain_left(struct session *session)
{
	for (;;) {
		enum outlet_state state = session_deliver(session);

		if (state == OUTLET_EVEN || state == OUTLET_FAILED || outlet_is_answered(session->outlet))
			return;
		if (session_is_stopping(session) || client_is_replaced(&session->client))
			return;
		if (outlet_wait(session->outlet, 0, STALLED_MS) == -ETIMEDOUT)
			return;
	}
}

static void session_drain(struct session *session)
{
	(void)session_settle(session);
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
		if (size < 0 && outlet_wait(session->outlet, POLLIN, left_ms(deadline_ms)) == -ETIMEDOUT)
			return;
	}
}

/* A newer connection of the same client is here: this one may still work, but that one waits for it to go. */
static bool session_was_replaced(const struct session *session)
{
	return session->end == SESSION_LOST && session->lost_errno == ECONNABORTED;
}

/* The door's last bytes; they may follow nothing that was begun and not sent. */
static void session_say_goodbye(struct session *session)
{
	int wait_ms = session_was_replaced(session) ? 0 : FAREWELL_MS;
	size_t size;
	char *bytes;

	if (session->door->goodbye == NULL || (session->end == SESSION_LOST && !session_was_replaced(session)))
		return;
	for (size_t i = 0; i < session->place_count; i++)
		member_close_log(session->places[i]);
	session_drain_until(session, session_send_last, clock_ms() + wait_ms);
	bytes = outlet_is_sent(session->outlet) ? session->door->goodbye(session, &size) : NULL;
	if (bytes != NULL)
		outlet_tell(session->outlet, bytes, size);
	free(bytes);
	session_drain_until(session, session_send_last, clock_ms() + wait_ms);
}

static const char *session_end_words(const struct session *session)
{
	return session->end == SESSION_LOST ? "connection lost" : "normally";
}

static void session_log_end(const struct session *session, bool was_in)
{
	static const char *const reasons[] = {
		[SESSION_LEFT] = "left", [SESSION_LOST] = "lost", [SESSION_REFUSED] = "refused", [SESSION_STOPPED] = "stopped"};
	const char *detail = session->end == SESSION_LOST ? strerror(session->lost_errno) : reasons[session->end];

	log_event(was_in ? LOG_INFO : LOG_DEBUG, "left", "name", session->client.name, "from", session->address, "why",
		detail, NULL);
}

/* The rooms are told before the name is free, so that nobody sees a name come before it went. */
static void session_leave_all(struct session *session)
{
	const char *how = session->end == SESSION_STOPPED ? NULL : session_end_words(session);

	while (session->place_count > 0) {
		struct member *place = session->places[0];

		session_leave(session, place, room_is_shut(place->room) ? NULL : how);
	}
	client_list_unregister(&session->talk->clients, &session->client);
	client_list_forget_ignored(&session->talk->clients, &session->client);
}

void session_run(struct session *session)
{
	struct talk *talk = session->talk;
	bool was_in;

	session->outlet = outlet_create(session->socket, session->door, talk->lag_memory);
	if (session->outlet == NULL)
		return;
	client_list_set_outlet(&talk->clients, &session->client, session->outlet, session->door);
	net_tune(session->socket, talk->peer_timeout_s);
	session->name_deadline_ms = clock_ms() + talk->name_timeout_ms;
	session->door->serve(session);
	assert(session_ended(session));
	session_free_input(session);
	session_drain(session);
	session_say_goodbye(session);
	was_in = session_has_name(session);
	client_list_set_outlet(&talk->clients, &session->client, NULL, NULL);
	session_leave_all(session);
	outlet_detach(session->outlet);
	session_do_duty(session); /* if it was given in the last moment */
	session_log_end(session, was_in);
	if (session->end != SESSION_LOST)
		session_linger(session);
	outlet_release(session->outlet);
}
