#include "tcpclient/grpc_chat.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/lines.h"
#include "common/text.h"
#include "rpc/chat.pb-c.h"
#include "tcpclient/buffer.h"
#include "tcpclient/grpc.h"
#include "tcpclient/outbox.h"
#include "tcpclient/unpack.h"

enum {
	TAKE_SIZE = 16 * 1024,
	ANSWER_WITHIN_MS = 10000,
	STALLED_MS = 30000,     /* a window that is shut, where TCP has nothing to complain of */
	JOINED_AFTER_MS = 1000, /* at most */
	QUIET_MS = 50,          /* after what was said before, which comes at once */
	SETTLE_MS = 500,        /* of silence, and a millisecond for each line of the last burst: see the header */
	BURST_MS = 1000,        /* a pause ends it                                                                */
};

struct carried {
	const struct grpc_chat *chat;
	struct grpc *grpc;
	int inner; /* our end of the pair */
	pthread_t thread;
	/* The rest is the thread's own, but what is published. */
	struct lines typed;
	struct buffer shown; /* lines for the other end        */
	size_t shown_from;
	struct buffer echoes; /* lines that are said when all is written */
	bool has_joined; /* or may as well have */
	bool input_ended;
	bool nobody_reads;
	bool is_deleted; /* the room, by the last message                     */
	long long begun_at;
	long long heard_at; /* the last message; 0: none */
	long long said_at;  /* the last line             */
	long long burst;    /* lines without a pause     */
	long long ended_at;
	long long asked_at; /* the server, whether it has got all; 0: not yet */
	/* Published by 'is_over', released before the end is seen through the pair. */
	enum carrier_end end;
	char words[CARRIER_WORDS_SIZE];
	atomic_bool is_over;
};

/* ---- What the others say. ---- */

static bool is_line_end(char byte)
{
	return byte == '\n' || byte == '\r';
}

/* One message is one line: each LF, CR or CR LF in it becomes U+2424, a sign that shows. */
static void add_text(struct buffer *out, const char *text)
{
	while (*text != '\0') {
		size_t size = strcspn(text, "\r\n");

		buffer_add(out, text, size);
		text += size;
		if (!is_line_end(*text))
			continue;
		buffer_add_text(out, "\xE2\x90\xA4");
		text += text[0] == '\r' && text[1] == '\n' ? 2 : 1;
	}
}

static void add_line(struct buffer *out, const char *name, const char *text)
{
	add_text(out, name);
	buffer_add_text(out, ": ");
	add_text(out, text);
	buffer_add_text(out, "\n");
}

static void on_message(void *context, const unsigned char *bytes, size_t size)
{
	struct carried *carried = context;
	Rpc__Message *said = (Rpc__Message *)unpack(&rpc__message__descriptor, bytes, size);

	if (said == NULL) {
		buffer_add_text(&carried->shown, "(a message of the server could not be read)\n");
		return;
	}
	carried->heard_at = clock_ms();
	add_line(&carried->shown, said->name, said->message);
	carried->is_deleted = strcmp(said->name, "chat server") == 0 && strcmp(said->message, "chat room is closing") == 0;
	rpc__message__free_unpacked(said, NULL);
}

static void show(struct carried *carried)
{
	size_t left = carried->shown.size - carried->shown_from;
	ssize_t size = send(carried->inner, carried->shown.bytes + carried->shown_from, left, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (size >= 0)
		carried->shown_from += (size_t)size;
	else if (errno != EAGAIN && errno != EINTR)
		carried->nobody_reads = true;
	if (carried->shown_from < carried->shown.size)
		return;
	carried->shown_from = 0;
	buffer_clear(&carried->shown);
}

static bool has_shown_all(const struct carried *carried)
{
	return carried->shown_from == carried->shown.size;
}

/* ---- What we say. ---- */

static void send_packed(struct carried *carried, const Rpc__ChatMessage *message)
{
	size_t size = rpc__chat_message__get_packed_size(message);
	uint8_t *bytes = memory_get(size + 1);

	(void)rpc__chat_message__pack(message, bytes);
	grpc_send(carried->grpc, bytes, size);
	free(bytes);
}

static char *copy(const char *text, size_t size)
{
	char *copied = memory_get(size + 1);

	if (size > 0)
		memcpy(copied, text, size);
	copied[size] = '\0';
	return copied;
}

static void join(struct carried *carried)
{
	Rpc__ChatMessage message;
	Rpc__JoinChat wanted;
	char *room = copy(carried->chat->room, strlen(carried->chat->room)); /* the struct has no const */
	char *name = copy(carried->chat->name, strlen(carried->chat->name));

	rpc__chat_message__init(&message);
	rpc__join_chat__init(&wanted);
	wanted.room_id = room;
	wanted.name = name;
	message.join = &wanted;
	send_packed(carried, &message);
	free(room);
	free(name);
}

static void say(struct carried *carried, const char *line, size_t size)
{
	Rpc__ChatMessage message;
	Rpc__Message said;
	char *name = copy(carried->chat->name, strlen(carried->chat->name));
	char *text = copy(line, size);

	rpc__chat_message__init(&message);
	rpc__message__init(&said);
	said.name = name;
	said.message = text;
	message.message = &said;
	send_packed(carried, &message);
	add_line(&carried->echoes, name, text);
	carried->burst = clock_ms() > carried->said_at + BURST_MS ? 1 : carried->burst + 1;
	carried->said_at = clock_ms();
	free(name);
	free(text);
}

static void end_input(struct carried *carried)
{
	const char *line = NULL;
	size_t size = 0;

	if (lines_last(&carried->typed, &line, &size) == LINES_LINE)
		say(carried, line, size);
	carried->input_ended = true;
	carried->ended_at = clock_ms();
	grpc_send_end(carried->grpc);
}

/* A line that is too long is not there: the outbox has none. */
static void take_input(struct carried *carried)
{
	char bytes[TAKE_SIZE];
	ssize_t taken = recv(carried->inner, bytes, sizeof bytes, MSG_DONTWAIT);
	enum lines_state state;
	const char *line = NULL;
	size_t size = 0;

	if (taken < 0)
		return; /* EAGAIN */
	if (taken == 0) {
		end_input(carried);
		return;
	}
	lines_feed(&carried->typed, bytes, (size_t)taken);
	while ((state = lines_next(&carried->typed, &line, &size)) != LINES_MORE) {
		if (state == LINES_LINE)
			say(carried, line, size);
	}
}

/* What has been written counts as said. */
static void echo(struct carried *carried)
{
	if (carried->echoes.size == 0 || grpc_is_sending(carried->grpc) || grpc_is_over(carried->grpc))
		return;
	buffer_add(&carried->shown, carried->echoes.bytes, carried->echoes.size);
	buffer_clear(&carried->echoes);
}

/* ---- The end. ---- */

static bool is_lasting(int code)
{
	switch (code) {
	case GRPC_INVALID_ARGUMENT:
	case GRPC_NOT_FOUND:
	case GRPC_ALREADY_EXISTS:
	case GRPC_PERMISSION_DENIED:
	case GRPC_FAILED_PRECONDITION:
	case GRPC_OUT_OF_RANGE:
	case GRPC_UNIMPLEMENTED:
	case GRPC_UNAUTHENTICATED:
		return true;
	default:
		return false;
	}
}

static void explain(struct carried *carried, const char *words)
{
	(void)snprintf(carried->words, sizeof carried->words, "%s", words);
}

static void judge_outcome(struct carried *carried, const struct grpc_outcome *outcome)
{
	carried->end = is_lasting(outcome->code) ? CARRIER_REFUSED : CARRIER_BROKEN;
	if (outcome->is_told && outcome->code == GRPC_OK) {
		carried->end = carried->input_ended ? CARRIER_LEFT : CARRIER_OVER;
		explain(carried, carried->is_deleted ? "the room was deleted" : "the server has ended the talk");
	} else if (outcome->is_told) {
		(void)snprintf(carried->words, sizeof carried->words, "the server says: %s (%s)", outcome->words,
			grpc_code_name(outcome->code));
	} else {
		explain(carried, outcome->words);
	}
}

static long long later(long long one, long long other)
{
	return one > other ? one : other;
}

/* When the server has had the time to look at all that we said; in a busy room it is never silent. */
static long long settled_at(const struct carried *carried)
{
	long long said_at = later(carried->said_at, grpc_taken_at(carried->grpc));
	long long settle_ms = SETTLE_MS + carried->burst;
	long long settled = later(grpc_heard_at(carried->grpc), said_at) + settle_ms;
	long long latest = carried->asked_at + ANSWER_WITHIN_MS;

	if (said_at + settle_ms < carried->ended_at)
		return carried->ended_at; /* what was said is long ago */
	return settled < latest ? settled : latest;
}

/* Whether the server has got all that we said, and some time to look at it. */
static bool has_left(struct carried *carried)
{
	if (!carried->input_ended || grpc_is_sending(carried->grpc))
		return false;
	if (carried->asked_at == 0) {
		grpc_ask(carried->grpc);
		carried->asked_at = clock_ms();
	}
	return grpc_was_answered(carried->grpc) && clock_ms() >= settled_at(carried);
}

/* When we count as being in the room: what was said before has come then, and our own "Has entered the chat". */
static long long joined_at(const struct carried *carried)
{
	long long latest = carried->begun_at + JOINED_AFTER_MS;
	long long quiet = carried->heard_at + QUIET_MS;

	return carried->heard_at != 0 && quiet < latest ? quiet : latest;
}

/* When a server that does not take what we said has had time enough. */
static long long stalled_at(const struct carried *carried)
{
	long long last = later(carried->said_at, grpc_taken_at(carried->grpc));

	return later(last, carried->begun_at) + STALLED_MS;
}

/* When to look again, even if nothing comes; 0: not at all. */
static long long alarm_at(const struct carried *carried)
{
	if (!grpc_was_heard(carried->grpc))
		return carried->begun_at + ANSWER_WITHIN_MS;
	if (!carried->has_joined)
		return joined_at(carried);
	if (grpc_is_sending(carried->grpc))
		return stalled_at(carried);
	if (!carried->input_ended)
		return 0;
	if (carried->asked_at != 0 && grpc_was_answered(carried->grpc))
		return settled_at(carried); /* has_left() */
	return later(carried->ended_at, carried->asked_at) + ANSWER_WITHIN_MS;
}

static void check_alarm(struct carried *carried)
{
	long long at = alarm_at(carried);

	if (at == 0 || clock_ms() < at)
		return;
	if (!grpc_was_heard(carried->grpc))
		grpc_fail(carried->grpc, GRPC_UNAVAILABLE, "no answer within 10 seconds");
	else if (!carried->has_joined)
		carried->has_joined = true;
	else if (grpc_is_sending(carried->grpc))
		grpc_fail(carried->grpc, GRPC_UNAVAILABLE, "the server took nothing for 30 seconds");
	else if (!grpc_was_answered(carried->grpc))
		grpc_fail(carried->grpc, GRPC_UNAVAILABLE, "the server did not say within 10 seconds that it has got all");
}

/* ---- The thread. ---- */

static int wait_ms(const struct carried *carried)
{
	long long at = alarm_at(carried);
	long long left = at - clock_ms();

	if (at == 0)
		return -1;
	return left > 0 ? (int)left : 0;
}

static void step(struct carried *carried)
{
	bool may_read = has_shown_all(carried);
	bool may_take = carried->has_joined && !carried->input_ended && !grpc_is_sending(carried->grpc);
	short wanted = grpc_wanted(carried->grpc, may_read);
	struct pollfd polls[] = {
		{.fd = wanted == 0 ? -1 : grpc_socket(carried->grpc), .events = wanted},
		{.fd = carried->inner, .events = (short)((may_take ? POLLIN : 0) | (may_read ? 0 : POLLOUT))},
	};

	if (poll(polls, 2, wait_ms(carried)) < 0)
		return; /* EINTR: the next round */
	if ((polls[1].revents & (POLLHUP | POLLERR)) != 0)
		carried->nobody_reads = true;
	if (may_take && (polls[1].revents & POLLIN) != 0)
		take_input(carried);
	grpc_work(carried->grpc, may_read && (polls[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0);
	echo(carried);
	if (!has_shown_all(carried))
		show(carried);
	check_alarm(carried);
}

/* What came before the end is seen before it. */
static void show_rest(struct carried *carried)
{
	struct pollfd polled = {.fd = carried->inner, .events = POLLOUT};

	while (!has_shown_all(carried) && !carried->nobody_reads) {
		(void)poll(&polled, 1, -1);
		show(carried);
	}
}

static void *carry(void *argument)
{
	struct carried *carried = argument;

	thread_name("grpc");
	carried->end = CARRIER_LEFT;
	while (!grpc_is_over(carried->grpc) && !carried->nobody_reads && !has_left(carried))
		step(carried);
	if (grpc_is_over(carried->grpc))
		judge_outcome(carried, grpc_outcome(carried->grpc));
	show_rest(carried);
	atomic_store_explicit(&carried->is_over, true, memory_order_release); /* see the struct */
	(void)shutdown(carried->inner, SHUT_RDWR);
	return NULL;
}

static struct carried *start(const void *context, int socket, bool is_encrypted, int *lines)
{
	const struct grpc_chat *chat = context;
	struct carried *carried = memory_get(sizeof *carried);
	const struct grpc_settings settings = {.authority = chat->authority,
		.path = GRPC_CHAT_PATH,
		.is_encrypted = is_encrypted,
		.heard = on_message,
		.context = carried};
	int pair[2] = {-1, -1};

	*carried = (struct carried){.chat = chat, .begun_at = clock_ms(), .grpc = grpc_begin(socket, &settings)};
	lines_init(&carried->typed, OUTBOX_LINE_SIZE_MAX);
	join(carried);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		goto fail;
	carried->inner = pair[0];
	if (thread_start(&carried->thread, 0, carry, carried) != 0)
		goto fail_pair;
	*lines = pair[1];
	return carried;

fail_pair:
	(void)close(pair[0]);
	(void)close(pair[1]);
fail:
	lines_fini(&carried->typed);
	grpc_close(carried->grpc);
	free(carried);
	return NULL;
}

static enum carrier_end judge(const struct carried *carried, char words[CARRIER_WORDS_SIZE])
{
	words[0] = '\0';
	/* Acquire: see the struct. */
	if (!atomic_load_explicit(&carried->is_over, memory_order_acquire))
		return CARRIER_BROKEN;
	memcpy(words, carried->words, sizeof carried->words);
	return carried->end;
}

static void end(struct carried *carried)
{
	thread_join(carried->thread);
	grpc_close(carried->grpc);
	(void)close(carried->inner);
	lines_fini(&carried->typed);
	buffer_fini(&carried->shown);
	buffer_fini(&carried->echoes);
	free(carried);
}

struct carrier grpc_chat_carrier(const struct grpc_chat *chat)
{
	return (struct carrier){.protocol = "grpc", .context = chat, .start = start, .judge = judge, .end = end};
}
