#include "tcpserver/doors/line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/date.h"
#include "common/lines.h"
#include "tcpserver/core/message.h"
#include "tcpserver/core/outlet.h"
#include "tcpserver/core/session.h"
#include "tcpserver/core/talk.h"
#include "tcpserver/doors/event.h"
#include "tcpserver/doors/sniff.h"
#include "tcpserver/doors/telnet.h"

enum {
	SILENCE_MS = 300,    /* after which a client counts as a person, who is asked for a name */
	NAME_TRIES_MAX = 5,  /* a person has                                                      */
	TOLD_SIZE_MAX = 400, /* bytes of the line that turns a client away                         */
};

/* The conversation with one client. */
struct talker {
	struct session *session;
	struct lines lines;
	struct telnet telnet;
	bool asked;      /* a person, who was greeted */
	int name_tries;
};

/* ---- How messages look. ---- */

/* What stands before, between and after the name and the text; where nothing is between, the name is left out. */
struct parts {
	const char *before;
	const char *between;
	const char *after;
};

static const struct parts message_parts[MESSAGE_KINDS] = {
	[MESSAGE_TEXT] = {"", ": ", ""},
	[MESSAGE_ACTION] = {"~ ", " ", ""},
	[MESSAGE_JOINED] = {"User \"", "\" just joined the chat!", ""},
	[MESSAGE_LEFT] = {"User \"", "\" just left the chat (", ")"},
	[MESSAGE_NICK] = {"User \"", "\" is now \"", "\""},
	[MESSAGE_TOPIC] = {"User \"", "\" set the topic: ", ""},
	[MESSAGE_ROOM_CLOSED] = {"chat server: chat room is closing", NULL, ""},
};

static const struct parts topic_removed = {"User \"", "\" removed the topic", ""};

static size_t add(char *out, size_t place, const char *bytes, size_t size)
{
	memcpy(out + place, bytes, size);
	return place + size;
}

static size_t line_write_new(const struct message *message, char *out, size_t size)
{
	bool removes = message->kind == MESSAGE_TOPIC && message->text_size == 0;
	const struct parts *parts = removes ? &topic_removed : &message_parts[message->kind];
	size_t before = strlen(parts->before);
	size_t name = parts->between == NULL ? 0 : message->participant_size;
	size_t between = parts->between == NULL ? 0 : strlen(parts->between);
	size_t after = strlen(parts->after);
	size_t needed = before + name + between + message->text_size + after;
	size_t place = 0;

	if (needed > size)
		return needed;
	place = add(out, place, parts->before, before);
	if (parts->between != NULL) {
		place = add(out, place, message->participant, name);
		place = add(out, place, parts->between, between);
	}
	place = add(out, place, message->text, message->text_size);
	(void)add(out, place, parts->after, after);
	return needed;
}

/* [2026-11-21 08:00:05Z], and the line. */
static size_t line_write_old(const struct message *message, char *out, size_t size)
{
	size_t line = line_write_new(message, NULL, 0);
	char date[DATE_SIZE];
	char before[DATE_SIZE + 4];
	size_t length;

	date_format(message->at_ns, date);
	length = (size_t)snprintf(before, sizeof before, "[%s] ", date);
	if (length + line > size)
		return length + line;
	memcpy(out, before, length);
	return length + line_write_new(message, out + length, size - length);
}

size_t line_write(const struct message *message, bool history, char *out, size_t size)
{
	return history ? line_write_old(message, out, size) : line_write_new(message, out, size);
}

/* The same with its end. */
static size_t line_write_whole(const struct message *message, bool history, char *out, size_t size)
{
	size_t used = line_write(message, history, out, size == 0 ? 0 : size - 1);

	if (used < size)
		out[used] = '\n';
	return used + 1;
}

static size_t line_encode(const struct message *message, char *out, size_t size)
{
	return line_write_whole(message, false, out, size);
}

static size_t line_recall(const struct message *message, char *out, size_t size)
{
	return line_write_whole(message, true, out, size);
}

const struct format line_format = {.name = "line", .encode = line_encode, .recall = line_recall};

/* ---- Words to one client. ---- */

static int line_print(const struct telling *telling, char **line)
{
	switch (telling->kind) {
	case TELL_NOTICE:
		return asprintf(line, "* %s\n", telling->text);
	case TELL_ERROR:
		return asprintf(line, "! %s: %s\n", telling->code, telling->text);
	case TELL_WELCOME:
		return asprintf(line, "* Welcome %s - tcpchat/1. You are in %s. /help lists the commands, /quit leaves.\n",
			telling->participant, telling->room);
	case TELL_DIRECT:
		return asprintf(line, "[%s -> %s] %s\n", telling->participant, telling->to, telling->text);
	case TELL_PONG:
		return asprintf(line, "* pong%s%s\n", telling->text[0] == '\0' ? "" : " ", telling->text);
	case TELL_ROOM_CLOSED: /* one who has no other room is told that it is in the lobby */
	case TELL_SAID:
		return -1; /* the echo says it */
	case TELL_FAREWELL:
		return asprintf(line, "== The server(%s) was terminated its operation... Goodbye. ==\n", telling->text);
	}
	return -1;
}

static char *line_words(const struct telling *telling, size_t *size)
{
	char *line;
	int length = line_print(telling, &line);

	*size = length < 0 ? 0 : (size_t)length;
	return length < 0 ? NULL : line;
}

void line_turn_away(int socket, const char *why)
{
	char line[TOLD_SIZE_MAX];
	char ignored[512];
	int size = snprintf(line, sizeof line, "! server-full: %s; try again later\n", why);

	(void)send(socket, line, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(socket, SHUT_WR);
	/* What it sent already, if unread, would make close() reset the connection, and the words be lost. */
	(void)recv(socket, ignored, sizeof ignored, MSG_DONTWAIT);
}

/* ---- Lines of the client. ---- */

static void talker_refuse_name(struct talker *talker)
{
	session_error(talker->session, "bad-name",
		"a name has 1 to 50 letters, digits, _ - . # and single spaces inside; choose another and send it as the first line");
	/* The next line of a program would be taken for a name; a person can be asked again. */
	if (!talker->asked || ++talker->name_tries >= NAME_TRIES_MAX)
		session_finish(talker->session, SESSION_REFUSED);
}

/* Who speaks HTTP/2, but was silent so long that it was greeted, cannot go on; and what follows, "SM", would be a name. */
static bool is_http2(const char *line, size_t size)
{
	static const char preface[] = "PRI * HTTP/2.0";

	return size == sizeof preface - 1 && memcmp(line, preface, size) == 0;
}

static void talker_first_line(struct talker *talker, const char *line, size_t size)
{
	struct session *session = talker->session;

	if (size == 5 && strncasecmp(line, "!exit", 5) == 0) {
		session_finish(session, SESSION_LEFT);
	} else if (is_http2(line, size)) {
		sniff_note_browser(session); /* it will come back */
		session_finish(session, SESSION_REFUSED);
	} else if (size >= 1 && line[0] == '{') {
		event_request(session, line, size);
	} else if (size >= 1 && line[0] == '/') {
		session_register_guest(session);
		if (!session_ended(session))
			session_line(session, line, size);
	} else if (!session_register(session, line, size)) {
		talker_refuse_name(talker);
	}
}

static void talker_refuse_line(struct talker *talker, enum lines_state state)
{
	struct session *session = talker->session;

	if (state == LINES_TOO_LONG)
		session_error(session, "line-too-long", "a line may have %zu bytes; this one was dropped, send it in parts",
			session->talk->max_line);
	else
		session_error(session, "no-memory", "the server has no memory for this line now; it was dropped, send it again");
}

static void talker_take(struct talker *talker, enum lines_state state, const char *line, size_t size)
{
	struct session *session = talker->session;

	if (state == LINES_LINE && session_has_name(session) && session->door == &event_door && size > 0 && line[0] == '{')
		event_request(session, line, size);
	else if (state == LINES_LINE && session_has_name(session))
		session_line(session, line, size);
	else if (state == LINES_LINE)
		talker_first_line(talker, line, size);
	else if (session_has_name(session))
		talker_refuse_line(talker, state);
	else
		talker_refuse_name(talker);
}

/* Whether the next line may be taken, now that the client has read enough of what the others brought it. */
static bool talker_goes_on(struct talker *talker)
{
	int error = session_keep_pace(talker->session);

	if (error != 0)
		session_break(talker->session, -error);
	return !session_ended(talker->session);
}

static void talker_split(struct talker *talker, const char *bytes, size_t size)
{
	enum lines_state state;
	const char *line;
	size_t line_size;

	lines_feed(&talker->lines, bytes, size);
	while (talker_goes_on(talker) && (state = lines_next(&talker->lines, &line, &line_size)) != LINES_MORE)
		talker_take(talker, state, line, line_size);
}

/* Bytes with a 0xFF in them, or after one. */
static void talker_filter(struct talker *talker, const char *bytes, size_t size)
{
	size_t replies_size;
	char *text = malloc(TELNET_TEXT_SIZE(size) + TELNET_REPLIES_SIZE(size));
	char *replies = text == NULL ? NULL : text + TELNET_TEXT_SIZE(size);

	if (text == NULL) {
		talker_refuse_line(talker, LINES_NO_MEMORY);
		session_finish(talker->session, SESSION_REFUSED);
		return;
	}
	size = telnet_filter(&talker->telnet, bytes, size, text, replies, &replies_size);
	if (replies_size > 0)
		outlet_tell(talker->session->outlet, replies, replies_size);
	talker_split(talker, text, size);
	free(text);
}

static void talker_hear(struct talker *talker, const char *bytes, size_t size)
{
	if (telnet_concerns(&talker->telnet, bytes, size))
		talker_filter(talker, bytes, size);
	else
		talker_split(talker, bytes, size);
}

/* The client has closed its side; a last line without an end counts. */
static void talker_end(struct talker *talker)
{
	const char *line;
	size_t size;
	enum lines_state state = lines_last(&talker->lines, &line, &size);

	if (state != LINES_MORE)
		talker_take(talker, state, line, size);
	session_finish(talker->session, SESSION_LEFT);
}

/* ---- The conversation. ---- */

/* How long to wait for the next bytes: a person shows by silence, a name has its time, then there is no limit. */
static int talker_timeout_ms(const struct talker *talker)
{
	long long left_ms = talker->session->name_deadline_ms - clock_ms();

	if (session_has_name(talker->session))
		return -1;
	if (left_ms < 0)
		left_ms = 0;
	return (int)(!talker->asked && left_ms > SILENCE_MS ? SILENCE_MS : left_ms);
}

static void talker_silence(struct talker *talker)
{
	struct session *session = talker->session;

	if (clock_ms() < session->name_deadline_ms) {
		talker->asked = true;
		session_notice(session, "Welcome to tcpchat. Please type your name and press Enter.");
		return;
	}
	session_error(session, "name-timeout", "no name came within %d s; connect again and send your name as the first line",
		session->talk->name_timeout_ms / 1000);
	session_finish(session, SESSION_REFUSED);
}

void line_serve(struct session *session)
{
	struct talker talker = {.session = session};

	lines_init(&talker.lines, session->talk->max_line);
	if (session->was_silent)
		talker_silence(&talker);
	while (!session_ended(session)) {
		const char *bytes;
		ssize_t size = session_receive(session, talker_timeout_ms(&talker), &bytes);

		if (size > 0)
			talker_hear(&talker, bytes, (size_t)size);
		else if (size == 0)
			talker_end(&talker);
		else if (size == -ETIMEDOUT)
			talker_silence(&talker);
		else
			session_break(session, (int)-size);
	}
	lines_fini(&talker.lines);
}

const struct door line_door = {
	.name = "line",
	.format = &line_format,
	.events = &event_door,
	.serve = line_serve,
	.words = line_words,
	.turn_away = line_turn_away,
};
