#include "tcpclient/grpc_chat.h"

#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "rpc/chat.pb-c.h"
#include "tcpclient/buffer.h"
#include "tcpclient/grpc.h"
#include "tcpclient/grpc_pipe.h"
#include "tcpclient/outbox.h"
#include "tcpclient/unpack.h"

enum {
	ANSWER_WITHIN_MS = 10000,
	STALLED_MS = 30000,     /* a window that is shut, where TCP has nothing to complain of */
	JOINED_AFTER_MS = 1000, /* at most */
	QUIET_MS = 50,          /* after what was said before, which comes at once */
	SETTLE_MS = 500,        /* of silence, and a millisecond for each line of the last burst: see the header */
	BURST_MS = 1000,        /* a pause ends it                                                                */
};

struct carried {
	struct grpc_pipe pipe;
	/* The rest is the thread's own. */
	const struct grpc_chat *chat;
	struct buffer echoes; /* lines that are said when all is written */
	bool has_joined; /* or may as well have */
	bool is_deleted; /* the room, by the last message                     */
	long long begun_at;
	long long heard_at; /* the last message; 0: none */
	long long said_at;  /* the last line             */
	long long burst;    /* lines without a pause     */
	long long ended_at;
	long long asked_at; /* the server, whether it has got all; 0: not yet */
	/* Published by 'has_name', released before any line that is ours is shown: the name that the server told. */
	char name[NAME_SIZE];
	atomic_bool has_name;
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
		buffer_add_text(&carried->pipe.shown, "(a message of the server could not be read)\n");
		return;
	}
	carried->heard_at = clock_ms();
	add_line(&carried->pipe.shown, said->name, said->message);
	carried->is_deleted = strcmp(said->name, "chat server") == 0 && strcmp(said->message, "chat room is closing") == 0;
	rpc__message__free_unpacked(said, NULL);
}

/* ---- What we say. ---- */

static void send_packed(struct carried *carried, const Rpc__ChatMessage *message)
{
	size_t size = rpc__chat_message__get_packed_size(message);
	uint8_t *bytes = memory_get(size + 1);

	(void)rpc__chat_message__pack(message, bytes);
	grpc_send(carried->pipe.grpc, bytes, size);
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

/* Who we are for the others, as far as we know. */
static const char *own_name(const struct carried *carried)
{
	const char *given = grpc_chat_name(carried->pipe.grpc);

	return given[0] == '\0' ? carried->chat->name : given;
}

static void say(struct carried *carried, const char *line, size_t size)
{
	Rpc__ChatMessage message;
	Rpc__Message said;
	char *name = copy(own_name(carried), strlen(own_name(carried)));
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

static void on_line(void *context, const char *line, size_t size)
{
	say(context, line, size);
}

static void end_input(struct carried *carried)
{
	carried->ended_at = clock_ms();
	grpc_send_end(carried->pipe.grpc);
}

/* What has been written counts as said. */
static void echo(struct carried *carried)
{
	if (carried->echoes.size == 0 || grpc_is_sending(carried->pipe.grpc) || grpc_is_over(carried->pipe.grpc))
		return;
	buffer_add(&carried->pipe.shown, carried->echoes.bytes, carried->echoes.size);
	buffer_clear(&carried->echoes);
}

/* ---- The end. ---- */

static void judge_outcome(struct carried *carried, const struct grpc_outcome *outcome)
{
	struct grpc_pipe *pipe = &carried->pipe;

	pipe->end = grpc_pipe_is_lasting(outcome->code) ? CARRIER_REFUSED : CARRIER_BROKEN;
	if (!outcome->is_told || outcome->code != GRPC_OK) {
		grpc_pipe_explain_outcome(pipe, outcome);
		return;
	}
	pipe->end = pipe->input_ended ? CARRIER_LEFT : CARRIER_OVER;
	grpc_pipe_explain(pipe, carried->is_deleted ? "the room was deleted" : "the server has ended the talk");
}

static long long later(long long one, long long other)
{
	return one > other ? one : other;
}

/* When the server has had the time to look at all that we said; in a busy room it is never silent. */
static long long settled_at(const struct carried *carried)
{
	long long said_at = later(carried->said_at, grpc_taken_at(carried->pipe.grpc));
	long long settle_ms = SETTLE_MS + carried->burst;
	long long settled = later(grpc_heard_at(carried->pipe.grpc), said_at) + settle_ms;
	long long latest = carried->asked_at + ANSWER_WITHIN_MS;

	if (said_at + settle_ms < carried->ended_at)
		return carried->ended_at; /* what was said is long ago */
	return settled < latest ? settled : latest;
}

/* Whether the server has got all that we said, and some time to look at it. */
static bool has_left(struct carried *carried)
{
	if (!carried->pipe.input_ended || grpc_is_sending(carried->pipe.grpc))
		return false;
	if (carried->asked_at == 0) {
		grpc_ask(carried->pipe.grpc);
		carried->asked_at = clock_ms();
	}
	return grpc_was_answered(carried->pipe.grpc) && clock_ms() >= settled_at(carried);
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
	long long last = later(carried->said_at, grpc_taken_at(carried->pipe.grpc));

	return later(last, carried->begun_at) + STALLED_MS;
}

/* When to look again, even if nothing comes; 0: not at all. */
static long long alarm_at(const struct carried *carried)
{
	if (!grpc_was_heard(carried->pipe.grpc))
		return carried->begun_at + ANSWER_WITHIN_MS;
	if (!carried->has_joined)
		return joined_at(carried);
	if (grpc_is_sending(carried->pipe.grpc))
		return stalled_at(carried);
	if (!carried->pipe.input_ended)
		return 0;
	if (carried->asked_at != 0 && grpc_was_answered(carried->pipe.grpc))
		return settled_at(carried); /* has_left() */
	return later(carried->ended_at, carried->asked_at) + ANSWER_WITHIN_MS;
}

static void check_alarm(struct carried *carried)
{
	long long at = alarm_at(carried);

	if (at == 0 || clock_ms() < at)
		return;
	if (!grpc_was_heard(carried->pipe.grpc))
		grpc_fail(carried->pipe.grpc, GRPC_UNAVAILABLE, "no answer within 10 seconds");
	else if (!carried->has_joined)
		carried->has_joined = true;
	else if (grpc_is_sending(carried->pipe.grpc))
		grpc_fail(carried->pipe.grpc, GRPC_UNAVAILABLE, "the server took nothing for 30 seconds");
	else if (!grpc_was_answered(carried->pipe.grpc))
		grpc_fail(carried->pipe.grpc, GRPC_UNAVAILABLE, "the server did not say within 10 seconds that it has got all");
}

/* ---- The thread. ---- */

static void step(struct carried *carried)
{
	struct grpc_pipe *pipe = &carried->pipe;
	bool had_ended = pipe->input_ended;
	bool may_take = carried->has_joined && !had_ended && !grpc_is_sending(pipe->grpc);

	grpc_pipe_step(pipe, may_take, alarm_at(carried), on_line, carried);
	if (pipe->input_ended && !had_ended)
		end_input(carried);
	if (grpc_chat_name(pipe->grpc)[0] != '\0' && !atomic_load_explicit(&carried->has_name, memory_order_relaxed)) {
		memcpy(carried->name, grpc_chat_name(pipe->grpc), NAME_SIZE);
		/* Release: the name is there. */
		atomic_store_explicit(&carried->has_name, true, memory_order_release);
	}
	echo(carried);
	grpc_pipe_show(pipe);
	check_alarm(carried);
}

static void *carry(void *argument)
{
	struct carried *carried = argument;
	struct grpc_pipe *pipe = &carried->pipe;

	thread_name("grpc");
	while (!grpc_is_over(pipe->grpc) && !pipe->nobody_reads && !has_left(carried))
		step(carried);
	if (grpc_is_over(pipe->grpc))
		judge_outcome(carried, grpc_outcome(pipe->grpc));
	grpc_pipe_finish(pipe);
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

	*carried = (struct carried){.chat = chat, .begun_at = clock_ms()};
	grpc_pipe_init(&carried->pipe, socket, &settings, OUTBOX_LINE_SIZE_MAX);
	join(carried);
	if (grpc_pipe_start(&carried->pipe, carry, carried, lines))
		return carried;
	grpc_pipe_forget(&carried->pipe);
	free(carried);
	return NULL;
}

static enum carrier_end judge(const struct carried *carried, char words[CARRIER_WORDS_SIZE])
{
	return grpc_pipe_judge(&carried->pipe, words);
}

static bool find_name(const struct carried *carried, char name[NAME_SIZE])
{
	/* Acquire: see the struct. */
	if (!atomic_load_explicit(&carried->has_name, memory_order_acquire))
		return false;
	memcpy(name, carried->name, NAME_SIZE);
	return true;
}

static void end(struct carried *carried)
{
	grpc_pipe_fini(&carried->pipe);
	buffer_fini(&carried->echoes);
	free(carried);
}

struct carrier grpc_chat_carrier(const struct grpc_chat *chat)
{
	return (struct carrier){.protocol = "grpc", .context = chat, .start = start, .judge = judge, .find_name = find_name, .end = end};
}
