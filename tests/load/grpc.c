/*
 * One room through gRPC: at full speed, how many messages a second arrive, at all members together? And what does a stream cost
 * that is silent?
 *
 * Each member is a call of its own, by default on a connection of its own. From a quiet moment on all who only listen get the
 * same messages; in which frames is up to the server. So the stream of whoever is ahead is taken apart, each message of it
 * checked, and that of all others compared with it. What authors get is taken apart for each of them: rpc.ChatService has no
 * echo.
 *
 * Threads: the main thread does it all.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/load/h2.h"
#include "tests/load/modes.h"
#include "tests/load/net.h"
#include "tests/load/process.h"
#include "tests/load/verdict.h"
#include "tests/load/wire.h"

enum {
	GRPC_BUFFER_SIZE = 256 * 1024,
	GRPC_EVENTS = 512,
	GRPC_HEAD_SIZE = 5,
	GRPC_MESSAGE_MAX = 4096, /* with its head */
	GRPC_NAME_SIZE = 8,
	GRPC_PASS_MS = 50,
	GRPC_JOINING = 100,   /* asked to come in and not yet in, at most */
	GRPC_REST_MS = 2500,  /* after which a server has given back what only traffic needs */
	GRPC_FILLS = 4,       /* the window is filled up when a quarter of it is free */
	GRPC_LENGTH_TYPE = 2, /* of protobuf: a field that begins with its length */
	GRPC_VARINT_TYPE = 0,
};

/* What each service has of its own: where its messages have their fields, and how requests are made. */
struct grpc_wire {
	const char *path;
	unsigned name_field;
	unsigned text_field;
	unsigned seq_field; /* 0: it has none                                            */
	bool hides_own;     /* who says something does not get it                        */
	/* Writes the message with which a member comes in, or in which it says a text. Returns the size. */
	size_t (*write_join)(char *out, const char *name);
	size_t (*write_text)(char *out, const char *text, size_t size);
};

/* A message whose bytes come in parts. */
struct grpc_parser {
	char bytes[GRPC_MESSAGE_MAX];
	size_t size;
};

struct grpc_member {
	struct h2 *connection;
	size_t stream;
	bool joined;
	bool ready;
	bool is_author;
	uint64_t position; /* in the stream of those who listen */
	uint64_t seq;
	uint64_t *heard; /* an author's: the next number of each sender */
	struct grpc_parser parser;
	char name[GRPC_NAME_SIZE];
	char line[WIRE_LINE_MAX]; /* an author's next one, as wire.h has it */
};

struct grpc {
	const struct options *options;
	const struct grpc_wire *wire;
	struct grpc_member *members; /* the authors first */
	struct h2 *connections;
	size_t connection_count;
	size_t joined_count;
	size_t ready_count;
	char *buffer;
	int epoll;
	char *ring; /* the stream, as far back as anybody may be */
	size_t ring_size;
	uint64_t end;
	uint64_t delivered;        /* bytes, at all who listen together */
	uint64_t delivered_author; /* messages, at all authors          */
	uint64_t message_count;    /* in the stream                     */
	struct grpc_member leader; /* whoever is ahead in it            */
	uint64_t sent;
	bool speaks;
};

/* A message, taken apart. */
struct grpc_event {
	const char *name;
	const char *text;
	size_t name_size;
	size_t text_size;
	uint64_t seq;
};

static void *grpc_allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL)
		verdict_abort("not enough memory");
	return memory;
}

static size_t grpc_smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* ---- Messages. ---- */

static size_t grpc_write_varint(char *out, uint64_t value)
{
	size_t size = 0;

	for (; value >= 0x80; value >>= 7)
		out[size++] = (char)(0x80 | (value & 0x7F));
	out[size++] = (char)value;
	return size;
}

static size_t grpc_write_field(char *out, unsigned field, const char *bytes, size_t size)
{
	size_t head = grpc_write_varint(out, field << 3 | GRPC_LENGTH_TYPE);

	head += grpc_write_varint(out + head, size);
	memcpy(out + head, bytes, size);
	return head + size;
}

static size_t grpc_write_string(char *out, unsigned field, const char *text)
{
	return grpc_write_field(out, field, text, strlen(text));
}

/* rpc.ChatMessage with 'join': into the lobby. */
static size_t grpc_chatroom_join(char *out, const char *name)
{
	char join[64];
	size_t size = grpc_write_string(join, 1, "lobby");

	size += grpc_write_string(join + size, 2, name);
	return grpc_write_field(out, 1, join, size);
}

/* rpc.ChatMessage with 'message'. */
static size_t grpc_chatroom_text(char *out, const char *text, size_t size)
{
	char message[WIRE_LINE_MAX + 16];

	return grpc_write_field(out, 2, message, grpc_write_field(message, 2, text, size));
}

static const struct grpc_wire grpc_chatroom = {
	.path = "/rpc.ChatService/Chat",
	.name_field = 1,
	.text_field = 2,
	.hides_own = true,
	.write_join = grpc_chatroom_join,
	.write_text = grpc_chatroom_text,
};

/* tcpchat.v1.Request with 'session': into the lobby, without what was said before. */
static size_t grpc_talk_join(char *out, const char *name)
{
	char session[64];
	size_t size = grpc_write_string(session, 2, name);

	size += grpc_write_varint(session + size, 6 << 3 | GRPC_VARINT_TYPE);
	size += grpc_write_varint(session + size, 0);
	return grpc_write_field(out, 2, session, size);
}

/* tcpchat.v1.Request with 'send'. */
static size_t grpc_talk_text(char *out, const char *text, size_t size)
{
	char send[WIRE_LINE_MAX + 16];

	return grpc_write_field(out, 3, send, grpc_write_field(send, 2, text, size));
}

static const struct grpc_wire grpc_talk = {
	.path = "/tcpchat.v1.Chat/Talk",
	.name_field = 5,
	.text_field = 6,
	.seq_field = 2,
	.write_join = grpc_talk_join,
	.write_text = grpc_talk_text,
};

/* Reads a varint; NULL when it is none. */
static const char *grpc_read_varint(const char *at, const char *end, uint64_t *value)
{
	uint64_t sum = 0;

	for (unsigned shift = 0; at < end && shift < 64; shift += 7) {
		unsigned char byte = (unsigned char)*at++;

		sum |= (uint64_t)(byte & 0x7F) << shift;
		if (byte < 0x80) {
			*value = sum;
			return at;
		}
	}
	return NULL;
}

/* Reads what this program wants to know of a message; only varints and fields with a length are known. */
static bool grpc_read_event(const struct grpc_wire *wire, const char *at, const char *end, struct grpc_event *event)
{
	uint64_t tag;
	uint64_t value;

	*event = (struct grpc_event){.name = "", .text = ""};
	while (at < end) {
		at = grpc_read_varint(at, end, &tag);
		if (at == NULL || (at = grpc_read_varint(at, end, &value)) == NULL)
			return false;
		if (tag == (wire->seq_field << 3 | GRPC_VARINT_TYPE))
			event->seq = value;
		if ((tag & 7) == GRPC_VARINT_TYPE)
			continue;
		if ((tag & 7) != GRPC_LENGTH_TYPE || value > (uint64_t)(end - at))
			return false;
		if (tag >> 3 == wire->name_field) {
			event->name = at;
			event->name_size = (size_t)value;
		} else if (tag >> 3 == wire->text_field) {
			event->text = at;
			event->text_size = (size_t)value;
		}
		at += value;
	}
	return true;
}

/* How many bytes of the message at hand are still to come; of its head, while that is not whole. */
static size_t grpc_rest(const struct grpc_parser *parser)
{
	const unsigned char *head = (const unsigned char *)parser->bytes;

	if (parser->size < GRPC_HEAD_SIZE)
		return GRPC_HEAD_SIZE - parser->size;
	return GRPC_HEAD_SIZE + ((size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4]) - parser->size;
}

static bool grpc_wrong(const struct grpc_member *member, const char *what)
{
	verdict_fault("%s got %s", member->name, what);
	return false;
}

/* Takes bytes of messages, and gives each whole one to 'take'. */
static bool grpc_parse(struct grpc *grpc, struct grpc_member *member, const char *bytes, size_t size,
	bool (*take)(struct grpc *grpc, struct grpc_member *member, const struct grpc_event *event))
{
	struct grpc_parser *parser = &member->parser;
	struct grpc_event event;

	while (size > 0) {
		size_t part = grpc_smaller(size, grpc_rest(parser));

		if (parser->size + part > sizeof parser->bytes)
			return grpc_wrong(member, "a message that is too long");
		memcpy(parser->bytes + parser->size, bytes, part);
		parser->size += part;
		bytes += part;
		size -= part;
		if (parser->size < GRPC_HEAD_SIZE || grpc_rest(parser) > 0)
			continue;
		if (parser->bytes[0] != 0 ||
			!grpc_read_event(grpc->wire, parser->bytes + GRPC_HEAD_SIZE, parser->bytes + parser->size, &event))
			return grpc_wrong(member, "something that is no message");
		parser->size = 0;
		if (!take(grpc, member, &event))
			return false;
	}
	return true;
}

static bool grpc_equals(const char *text, size_t size, const char *other)
{
	return size == strlen(other) && memcmp(text, other, size) == 0;
}

/* Which sender is called so, as "s003"; SIZE_MAX: none. */
static size_t grpc_read_sender(const char *name, size_t size)
{
	size_t sender = 0;

	if (size != WIRE_NAME_SIZE || name[0] != 's')
		return SIZE_MAX;
	for (size_t i = 1; i < size; i++) {
		if (name[i] < '0' || name[i] > '9')
			return SIZE_MAX;
		sender = 10 * sender + (size_t)(name[i] - '0');
	}
	return sender;
}

/* A message of a sender: it has to be the next one of that sender. */
static bool grpc_take_next(struct grpc *grpc, struct grpc_member *member, const struct grpc_event *event)
{
	size_t sender = grpc_read_sender(event->name, event->name_size);
	char line[WIRE_LINE_MAX + 1];
	uint64_t number;
	uint64_t stamp_ns;

	if (sender >= (size_t)grpc->options->senders || event->text_size + 1 != (size_t)grpc->options->line_size)
		return grpc_wrong(member, "a message that nobody sent");
	memcpy(line, event->text, event->text_size);
	line[event->text_size] = '\n';
	if (!wire_read_line(line, event->text_size + 1, &number, &stamp_ns))
		return grpc_wrong(member, "a changed message");
	if (number != member->heard[sender])
		return grpc_wrong(member,
			number > member->heard[sender] ? "too little: it lost a message, or gets it late" : "a message twice");
	if (member->seq != 0 && event->seq != member->seq + 1)
		return grpc_wrong(member, "a message of another number than the next");
	if (grpc->wire->seq_field != 0)
		member->seq = event->seq;
	member->heard[sender]++;
	return true;
}

static bool grpc_take_authors(struct grpc *grpc, struct grpc_member *member, const struct grpc_event *event)
{
	grpc->delivered_author++;
	return grpc_take_next(grpc, member, event);
}

static bool grpc_take_leaders(struct grpc *grpc, struct grpc_member *member, const struct grpc_event *event)
{
	grpc->message_count++;
	return grpc_take_next(grpc, member, event);
}

/* The text with which the stream of a member begins. Who has no echo of its own word hears the one before it. */
static const char *grpc_last_word(const struct grpc *grpc, const struct grpc_member *member)
{
	return grpc->wire->hides_own && member == grpc->members ? "here" : "ready";
}

/* Before the stream: it has come in when it hears of itself, and is ready when it hears that all are in. */
static bool grpc_take_early(struct grpc *grpc, struct grpc_member *member, const struct grpc_event *event)
{
	if (!member->joined && grpc_equals(event->name, event->name_size, member->name)) {
		member->joined = true;
		grpc->joined_count++;
	} else if (!member->ready && grpc_equals(event->text, event->text_size, grpc_last_word(grpc, member))) {
		member->ready = true;
		grpc->ready_count++;
	}
	return true;
}

/* ---- The stream. ---- */

static bool grpc_compare(struct grpc *grpc, const struct grpc_member *member, const char *bytes, size_t size)
{
	size_t at = member->position % grpc->ring_size;
	size_t first = grpc_smaller(size, grpc->ring_size - at);

	if (grpc->end - member->position <= grpc->ring_size && memcmp(grpc->ring + at, bytes, first) == 0 &&
		memcmp(grpc->ring, bytes + first, size - first) == 0)
		return true;
	return grpc_wrong(member, "something else than the others, or later than the window allows");
}

/* Bytes that nobody had before. */
static bool grpc_extend(struct grpc *grpc, const struct grpc_member *member, const char *bytes, size_t size)
{
	size_t at = grpc->end % grpc->ring_size;
	size_t first = grpc_smaller(size, grpc->ring_size - at);

	if (size == 0)
		return true;
	memcpy(grpc->ring + at, bytes, first);
	memcpy(grpc->ring, bytes + first, size - first);
	grpc->end += size;
	memcpy(grpc->leader.name, member->name, sizeof member->name);
	return grpc_parse(grpc, &grpc->leader, bytes, size, grpc_take_leaders);
}

static bool grpc_follow(struct grpc *grpc, struct grpc_member *member, const char *bytes, size_t size)
{
	size_t known = grpc_smaller(size, (size_t)(grpc->end - member->position));

	if (!grpc_compare(grpc, member, bytes, known) || !grpc_extend(grpc, member, bytes + known, size - known))
		return false;
	member->position += size;
	grpc->delivered += size;
	return true;
}

static bool grpc_take(void *context, struct h2 *h2, size_t stream, const char *bytes, size_t size)
{
	struct grpc *grpc = context;
	struct grpc_member *member = &grpc->members[h2->first_member + stream];

	if (!member->ready)
		return grpc_parse(grpc, member, bytes, size, grpc_take_early);
	if (member->is_author)
		return grpc_parse(grpc, member, bytes, size, grpc_take_authors);
	return grpc_follow(grpc, member, bytes, size);
}

static uint64_t grpc_slowest(const struct grpc *grpc)
{
	uint64_t slowest = grpc->end;

	for (long i = grpc->options->senders; i < grpc->options->members; i++) {
		if (grpc->members[i].position < slowest)
			slowest = grpc->members[i].position;
	}
	return slowest;
}

/* ---- Sending. ---- */

/* Sends a message of which 'size' bytes are at 'message', behind room for its head. */
static void grpc_send(struct grpc_member *member, char *message, size_t size)
{
	const unsigned char head[GRPC_HEAD_SIZE] = {0, 0, 0, (unsigned char)(size >> 8), (unsigned char)size};

	memcpy(message, head, sizeof head);
	h2_send(member->connection, member->stream, message, sizeof head + size);
}

static void grpc_say_line(const struct grpc *grpc, struct grpc_member *member, const char *text, size_t size)
{
	char message[GRPC_HEAD_SIZE + WIRE_LINE_MAX + 64];

	grpc_send(member, message, grpc->wire->write_text(message + GRPC_HEAD_SIZE, text, size));
}

/* Lets an author say 'count' lines, or as many as the server takes now. Returns how many. */
static uint64_t grpc_fill(const struct grpc *grpc, struct grpc_member *author, uint64_t count)
{
	size_t size = (size_t)grpc->options->line_size - 1;
	uint64_t said = 0;

	for (; said < count && h2_credit(author->connection, author->stream) >= size + 64; said++) {
		grpc_say_line(grpc, author, author->line, size);
		wire_step_line(author->line);
	}
	return said;
}

/* The bytes of a message that is received, about. */
static uint64_t grpc_message_size(const struct grpc *grpc)
{
	return grpc->message_count == 0 ? (uint64_t)grpc->options->line_size + 16 : grpc->end / grpc->message_count + 1;
}

/* How many messages are on their way to the slowest member, at most. */
static uint64_t grpc_window(const struct grpc *grpc)
{
	return (uint64_t)grpc->options->window_bytes / grpc_message_size(grpc);
}

static void grpc_speak(struct grpc *grpc)
{
	uint64_t on_the_way = grpc->sent - grpc->message_count + (grpc->end - grpc_slowest(grpc)) / grpc_message_size(grpc);
	uint64_t window = grpc_window(grpc);
	uint64_t senders = (uint64_t)grpc->options->senders;
	uint64_t share = on_the_way < window ? (window - on_the_way) / senders : 0;

	if (!grpc->speaks || share < window / GRPC_FILLS / senders)
		share = 0;
	for (uint64_t i = 0; i < senders; i++) {
		struct h2 *connection = grpc->members[i].connection;

		if (h2_flush(connection) && share > 0) {
			grpc->sent += grpc_fill(grpc, &grpc->members[i], share);
			(void)h2_flush(connection);
		}
	}
}

/* ---- Receiving. ---- */

/* Receives once. Returns whether there may be more now, of which no event would tell. */
static bool grpc_receive(struct grpc *grpc, struct h2 *connection, bool hung_up)
{
	ssize_t size = recv(connection->fd, grpc->buffer, GRPC_BUFFER_SIZE, MSG_DONTWAIT);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (size <= 0)
		verdict_fault("%s was disconnected: %s", connection->name, size == 0 ? "end of stream" : strerror(errno));
	else if (h2_receive(connection, grpc->buffer, (size_t)size))
		(void)h2_flush(connection);
	return (hung_up || size == GRPC_BUFFER_SIZE) && !verdict_failed();
}

static void grpc_pass(struct grpc *grpc)
{
	struct epoll_event events[GRPC_EVENTS];
	int count = epoll_wait(grpc->epoll, events, GRPC_EVENTS, GRPC_PASS_MS);

	for (int i = 0; i < count && !verdict_failed(); i++) {
		if (events[i].events & EPOLLOUT)
			(void)h2_flush(events[i].data.ptr);
		while (grpc_receive(grpc, events[i].data.ptr, (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0))
			continue;
	}
	grpc_speak(grpc);
}

static void grpc_pass_for(struct grpc *grpc, uint64_t duration_ns)
{
	uint64_t end_ns = net_now_ns() + duration_ns;

	while (!verdict_failed() && net_now_ns() < end_ns)
		grpc_pass(grpc);
}

/* Passes until 'count' members are in the state that '*counter' counts. */
static void grpc_wait(struct grpc *grpc, const size_t *counter, size_t count, const char *state)
{
	uint64_t end_ns = net_now_ns() + (uint64_t)grpc->options->timeout_s * 1000000000ULL;

	while (*counter < count && !verdict_failed() && net_now_ns() < end_ns)
		grpc_pass(grpc);
	if (*counter < count)
		verdict_abort("only %zu of %ld members are %s", *counter, grpc->options->members, state);
}

/* ---- Coming. ---- */

static void grpc_connect(struct grpc *grpc, struct grpc_member *member)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = member->connection};
	struct h2 *connection = member->connection;

	h2_open(connection, &grpc->options->address, (int)grpc->options->timeout_s * 1000, member->name,
		(size_t)grpc->options->streams);
	connection->take = grpc_take;
	connection->context = grpc;
	connection->first_member = (size_t)(member - grpc->members);
	if (epoll_ctl(grpc->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
		verdict_abort("epoll does not take %s: %s", member->name, strerror(errno));
	grpc->connection_count++;
}

static void grpc_join(struct grpc *grpc, size_t index)
{
	struct grpc_member *member = &grpc->members[index];
	char message[GRPC_HEAD_SIZE + 128];

	member->connection = &grpc->connections[index / (size_t)grpc->options->streams];
	if (index % (size_t)grpc->options->streams == 0)
		grpc_connect(grpc, member);
	member->stream = h2_call(member->connection, grpc->wire->path);
	grpc_send(member, message, grpc->wire->write_join(message + GRPC_HEAD_SIZE, member->name));
	(void)h2_flush(member->connection);
}

static void grpc_join_all(struct grpc *grpc)
{
	size_t count = (size_t)grpc->options->members;

	for (size_t i = 0; i < count; i++) {
		if (i >= GRPC_JOINING)
			grpc_wait(grpc, &grpc->joined_count, i - GRPC_JOINING + 1, "in the room");
		grpc_join(grpc, i);
	}
	grpc_wait(grpc, &grpc->joined_count, count, "in the room");
}

static void grpc_say(const struct grpc *grpc, struct grpc_member *member, const char *text)
{
	grpc_say_line(grpc, member, text, strlen(text));
	(void)h2_flush(member->connection);
}

/* The first member says a word, and with it the stream begins of all who hear it; who has no echo has to hear one before. */
static void grpc_begin(struct grpc *grpc)
{
	size_t count = (size_t)grpc->options->members;

	if (grpc->wire->hides_own) {
		grpc_say(grpc, &grpc->members[count - 1], "here");
		grpc_wait(grpc, &grpc->ready_count, 1, "ready");
	}
	grpc_say(grpc, &grpc->members[0], "ready");
	grpc_wait(grpc, &grpc->ready_count, count, "ready");
}

/* ---- The run. ---- */

static void grpc_make_members(struct grpc *grpc)
{
	size_t senders = (size_t)grpc->options->senders;

	for (size_t i = 0; i < (size_t)grpc->options->members; i++) {
		struct grpc_member *member = &grpc->members[i];

		snprintf(member->name, sizeof member->name, i < senders ? "s%03u" : "m%05u", (unsigned)i % 100000);
		if (i >= senders)
			continue;
		member->is_author = true;
		member->heard = grpc_allocate(senders, sizeof *member->heard);
		wire_write_line(member->line, (size_t)grpc->options->line_size, 0, 0);
	}
	grpc->leader.heard = grpc_allocate(senders, sizeof *grpc->leader.heard);
}

static void grpc_open(struct grpc *grpc, const struct options *options, const struct grpc_wire *wire)
{
	grpc->options = options;
	grpc->wire = wire;
	grpc->epoll = epoll_create1(EPOLL_CLOEXEC);
	grpc->buffer = grpc_allocate(1, GRPC_BUFFER_SIZE);
	grpc->ring_size = 2 * (size_t)options->window_bytes;
	grpc->ring = grpc_allocate(1, grpc->ring_size);
	grpc->members = grpc_allocate((size_t)options->members, sizeof *grpc->members);
	grpc->connections = grpc_allocate((size_t)(options->members / options->streams + 1), sizeof *grpc->connections);
	grpc_make_members(grpc);
}

static void grpc_report_memory(struct grpc *grpc, struct report *report, uint64_t pss_before)
{
	pid_t pid = (pid_t)grpc->options->server_pid;
	double count = (double)grpc->options->members;

	if (pid == 0)
		return;
	report_add(report, "pss_kb_per_stream_at_once", ((double)process_pss(pid) - (double)pss_before) / 1e3 / count);
	grpc_pass_for(grpc, GRPC_REST_MS * 1000000ULL);
	report_add(report, "pss_kb_per_stream", ((double)process_pss(pid) - (double)pss_before) / 1e3 / count);
	report_add(report, "threads", (double)process_threads(pid));
}

static void grpc_close(struct grpc *grpc)
{
	for (size_t i = 0; i < grpc->connection_count; i++)
		h2_close(&grpc->connections[i]);
	for (long i = 0; i < grpc->options->senders; i++)
		free(grpc->members[i].heard);
	free(grpc->leader.heard);
	close(grpc->epoll);
	free(grpc->connections);
	free(grpc->members);
	free(grpc->ring);
	free(grpc->buffer);
}

/* How many messages the authors have to get: what the others said, and their own where there is an echo. */
static uint64_t grpc_expected_authors(const struct grpc *grpc)
{
	return grpc->sent * (uint64_t)(grpc->options->senders - grpc->wire->hides_own);
}

static bool grpc_is_complete(const struct grpc *grpc)
{
	return grpc->message_count >= grpc->sent && grpc_slowest(grpc) >= grpc->end &&
	       grpc->delivered_author >= grpc_expected_authors(grpc);
}

/* Nobody speaks any more: everybody has to get all of it. */
static void grpc_settle(struct grpc *grpc)
{
	uint64_t end_ns = net_now_ns() + (uint64_t)grpc->options->timeout_s * 1000000000ULL;

	grpc->speaks = false;
	while (!grpc_is_complete(grpc) && !verdict_failed() && net_now_ns() < end_ns)
		grpc_pass(grpc);
	if (!verdict_failed() && !grpc_is_complete(grpc))
		verdict_fault("time ran out: of %llu messages the slowest member has %llu %%", (unsigned long long)grpc->sent,
			(unsigned long long)(100 * grpc_slowest(grpc) / (grpc->end + 1)));
}

/* Messages that arrived so far, at all members together. */
static double grpc_deliveries(const struct grpc *grpc)
{
	return (double)grpc->delivered * (double)grpc->message_count / (double)(grpc->end + 1) + (double)grpc->delivered_author;
}

static void grpc_measure(struct grpc *grpc, struct report *report)
{
	const struct options *options = grpc->options;
	double count = grpc_deliveries(grpc);
	uint64_t cpu_ns = process_cpu_ns((pid_t)options->server_pid);
	uint64_t start_ns = net_now_ns();

	grpc_pass_for(grpc, (uint64_t)options->seconds * 1000000000ULL);
	start_ns = net_now_ns() - start_ns;
	cpu_ns = process_cpu_ns((pid_t)options->server_pid) - cpu_ns;
	count = grpc_deliveries(grpc) - count;
	report_add(report, "deliveries_per_s", count * 1e9 / (double)start_ns);
	if (cpu_ns > 0 && count > 0)
		report_add(report, "server_cpu_us_per_delivery", (double)cpu_ns / 1e3 / count);
	report_add(report, "frame_bytes", (double)grpc->end / (double)(grpc->message_count + 1));
}

static void grpc_run_wire(const struct options *options, struct report *report, const struct grpc_wire *wire)
{
	struct grpc grpc = {0};

	grpc_open(&grpc, options, wire);
	grpc_join_all(&grpc);
	grpc_begin(&grpc);
	grpc.speaks = true;
	grpc_pass_for(&grpc, (uint64_t)options->warmup_ms * 1000000ULL);
	grpc_measure(&grpc, report);
	grpc_settle(&grpc);
	report_add(report, "lines", (double)grpc.sent);
	report_add(report, "members", (double)options->members);
	report_add(report, "senders", (double)options->senders);
	grpc_close(&grpc);
}

void grpc_run(const struct options *options, struct report *report)
{
	grpc_run_wire(options, report, &grpc_chatroom);
}

void grpctalk_run(const struct options *options, struct report *report)
{
	grpc_run_wire(options, report, &grpc_talk);
}

void grpcidle_run(const struct options *options, struct report *report)
{
	struct grpc grpc = {0};
	uint64_t pss_before = process_pss((pid_t)options->server_pid);
	uint64_t start_ns = net_now_ns();

	grpc_open(&grpc, options, &grpc_chatroom);
	grpc_join_all(&grpc);
	report_add(report, "joined_s", (double)(net_now_ns() - start_ns) / 1e9);
	/* Everybody has heard of every other member when this has reached all. */
	grpc_begin(&grpc);
	report_add(report, "quiet_s", (double)(net_now_ns() - start_ns) / 1e9);
	grpc_report_memory(&grpc, report, pss_before);
	report_add(report, "members", (double)options->members);
	report_add(report, "streams", (double)options->streams);
	grpc_close(&grpc);
}
