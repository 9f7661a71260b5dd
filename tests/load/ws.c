/*
 * One room at full speed through WebSockets: how many messages a second arrive, at all members together?
 *
 * From a quiet moment on everybody gets the same bytes; but on Go-Chat's wire, where an author has no echo, only who says
 * nothing counts. So the stream of whoever is ahead is taken apart, each frame of it
 * checked, and that of all others is compared with it. The server may not ping meanwhile: give it a long --peer-timeout.
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

#include "tests/load/modes.h"
#include "tests/load/net.h"
#include "tests/load/process.h"
#include "tests/load/verdict.h"
#include "tests/load/wire.h"

enum {
	WS_BUFFER_SIZE = 256 * 1024,
	WS_EVENTS = 512,
	WS_TAIL_SIZE = 15,
	WS_MASKED_HEAD_SIZE = 8, /* of a frame that is sent, at most */
	WS_TEXT_MAX = 1200,
	WS_FRAME_MAX = 4096,
	WS_NAME_SIZE = 8,
	WS_PASS_MS = 50,
	WS_JOINING = 100, /* connected and not yet seen to be in, at most: fewer than a backlog */
	WS_FILLS = 4, /* the window is filled up when a quarter of it is free */
};

/* What each wire has of its own. */
struct ws_wire {
	const char *target;    /* what a member asks for; its name follows where it ends with '=' */
	const char *welcome;   /* with which it is in; its name follows, if it has one            */
	const char *name;      /* what stands before and behind the name and the text of a message */
	const char *name_end;
	const char *text;
	const char *text_end;  /* "": the end of the frame */
	const char *ready;  /* how the frame ends with which the stream begins  */
	size_t object_size; /* without the text, about                          */
	bool has_seq;
	bool hides_own;
};

static const struct ws_wire ws_events = {
	.target = "/chat/join?name=",
	.welcome = "\"joined\",\"participant\":\"",
	.name = "\"kind\":\"message\",\"participant\":\"",
	.name_end = "\"",
	.text = "\"text\":\"",
	.text_end = "\"",
	.ready = "\"text\":\"ready\"}",
	.object_size = 110,
	.has_seq = true,
};

static const struct ws_wire ws_short = {
	.target = "/chat/join?format=short&name=",
	.welcome = "\"joined\",\"participant\":\"",
	.name = "\"participant\":\"",
	.name_end = "\"",
	.text = "\"text\":\"",
	.text_end = "\"",
	.ready = "\"text\":\"ready\"}",
	.object_size = 45,
	.has_seq = true,
};

static const struct ws_wire ws_lines = {
	.target = "/chat/join?format=text&name=",
	.welcome = "* Welcome ",
	.name = "",
	.name_end = ": ",
	.text = " ",
	.text_end = "",
	.ready = "s000: ready",
	.object_size = 6,
};

static const struct ws_wire ws_go_chat = {
	.target = "/",
	.welcome = "[]",
	.name = "{\"username\":\"",
	.name_end = "\"",
	.text = "\"message\":\"",
	.text_end = "\"",
	.ready = "ssage\":\"ready\"}",
	.object_size = 35,
	.hides_own = true,
};

struct ws_member {
	int fd;
	bool ready;
	bool is_deaf;      /* an author that has no echo: what it gets does not count */
	uint64_t position; /* in the stream */
	char tail[WS_TAIL_SIZE];
	char name[WS_NAME_SIZE];
};

struct ws_sender {
	struct ws_member *member;
	char *line;     /* the next one, as wire.h has it */
	uint64_t heard; /* the next number in the stream  */
	char *pending;
	size_t pending_size;
	size_t pending_sent;
};

struct ws {
	const struct options *options;
	const struct ws_wire *wire;
	struct ws_member *members;
	struct ws_sender *senders;
	char *buffer;
	int epoll;
	size_t ready_count;
	char *ring; /* the stream, as far back as anybody may be */
	size_t ring_size;
	uint64_t end;
	uint64_t delivered; /* bytes, at all members together */
	uint64_t frame_count;
	uint64_t seq;
	char frame[WS_FRAME_MAX]; /* the one at the end of the stream, as far as it has come */
	size_t frame_size;
	uint64_t sent;
	bool speaks;
};

static void *ws_allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL)
		verdict_abort("not enough memory");
	return memory;
}

static size_t ws_smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* ---- The stream. ---- */

/* What follows 'before' in the text from '*place' on, and ends before 'after' (""  is the end); steps behind its first byte. NULL without. */
static char *ws_field(char **place, const char *before, const char *after)
{
	char *start = strstr(*place, before);
	char *end = start == NULL ? NULL : strstr(start + strlen(before), after);

	if (end == NULL)
		return NULL;
	if (after[0] == '\0')
		end += strlen(end);
	*place = *end == '\0' ? end : end + 1;
	*end = '\0';
	return start + strlen(before);
}

static bool ws_check_text(struct ws *ws, const char *name, const char *text)
{
	unsigned sender = name[0] == 's' ? (unsigned)strtoul(name + 1, NULL, 10) : UINT32_MAX;
	char line[WIRE_LINE_MAX + 1];
	int size = snprintf(line, sizeof line, "%s\n", text);
	uint64_t number;
	uint64_t stamp_ns;

	return sender < (unsigned)ws->options->senders && size == (int)ws->options->line_size &&
	       wire_read_line(line, (size_t)size, &number, &stamp_ns) && number == ws->senders[sender].heard++;
}

/* Of the frame at hand, whose first two bytes are there. */
static size_t ws_head_size(const struct ws *ws)
{
	return (unsigned char)ws->frame[1] < 126 ? 2 : 4;
}

static bool ws_check_seq(struct ws *ws, const char *text)
{
	uint64_t seq = strtoull(text, NULL, 10);
	bool follows = !ws->wire->has_seq || ws->seq == 0 || seq == ws->seq + 1;

	ws->seq = seq;
	return follows;
}

/* The frame at the end of the stream is whole. */
static bool ws_check_frame(struct ws *ws)
{
	char *place = ws->frame + ws_head_size(ws);
	const char *seq = "";
	const char *name;
	const char *text;

	ws->frame[ws->frame_size] = '\0';
	if (ws->wire->has_seq)
		seq = ws_field(&place, "{\"seq\":", ",");
	name = ws_field(&place, ws->wire->name, ws->wire->name_end);
	text = ws_field(&place, ws->wire->text, ws->wire->text_end);
	if (seq == NULL || name == NULL || text == NULL || !ws_check_seq(ws, seq) || !ws_check_text(ws, name, text)) {
		verdict_fault("the stream has a wrong frame behind message %llu", (unsigned long long)ws->frame_count);
		return false;
	}
	ws->frame_count++;
	ws->frame_size = 0;
	return true;
}

/* How many bytes of the frame at hand are still to come; as far as is known, while its head is not whole. */
static size_t ws_frame_rest(const struct ws *ws)
{
	const unsigned char *head = (const unsigned char *)ws->frame;
	size_t head_size = ws->frame_size < 2 ? 2 : ws_head_size(ws);

	if (ws->frame_size < head_size)
		return head_size - ws->frame_size;
	return head_size + (head_size == 2 ? head[1] : 256U * head[2] + head[3]) - ws->frame_size;
}

/* Whether the head, of which there are two bytes or more, is one of a text frame of a size that fits. */
static bool ws_check_head(const struct ws *ws)
{
	const unsigned char *head = (const unsigned char *)ws->frame;

	if (head[0] == 0x81 && head[1] <= 126 && ws_frame_rest(ws) < sizeof ws->frame - 4)
		return true;
	verdict_fault("the stream has a frame of another kind or size behind message %llu",
		(unsigned long long)ws->frame_count);
	return false;
}

/* Bytes that nobody had before. */
static bool ws_extend(struct ws *ws, const char *bytes, size_t size)
{
	for (size_t taken = 0; taken < size;) {
		size_t at = ws->end % ws->ring_size;
		size_t part = ws_smaller(ws_smaller(size - taken, ws_frame_rest(ws)), ws->ring_size - at);

		memcpy(ws->frame + ws->frame_size, bytes + taken, part);
		memcpy(ws->ring + at, bytes + taken, part);
		ws->frame_size += part;
		ws->end += part;
		taken += part;
		if (ws->frame_size >= 2 && ws->frame_size <= 4 && !ws_check_head(ws))
			return false;
		if (ws->frame_size >= 2 && ws_frame_rest(ws) == 0 && !ws_check_frame(ws))
			return false;
	}
	return true;
}

static bool ws_compare(struct ws *ws, const struct ws_member *member, const char *bytes, size_t size)
{
	size_t at = member->position % ws->ring_size;
	size_t first = size < ws->ring_size - at ? size : ws->ring_size - at;

	if (ws->end - member->position <= ws->ring_size && memcmp(ws->ring + at, bytes, first) == 0 &&
		memcmp(ws->ring, bytes + first, size - first) == 0)
		return true;
	verdict_fault("%s got something else than the others, or later than the window allows", member->name);
	return false;
}

static void ws_take(struct ws *ws, struct ws_member *member, const char *bytes, size_t size)
{
	size_t known = ws->end - member->position < size ? (size_t)(ws->end - member->position) : size;

	if (!ws_compare(ws, member, bytes, known) || !ws_extend(ws, bytes + known, size - known))
		return;
	member->position += size;
	ws->delivered += size;
}

/* Before the stream: looks whether what came ends with the word that all are ready. */
static void ws_wait_ready(struct ws *ws, struct ws_member *member, const char *bytes, size_t size)
{
	size_t length = sizeof member->tail;
	size_t kept = size < length ? length - size : 0;
	size_t word = strlen(ws->wire->ready);

	memmove(member->tail, member->tail + length - kept, kept);
	memcpy(member->tail + kept, bytes + size - (length - kept), length - kept);
	member->ready = memcmp(member->tail + length - word, ws->wire->ready, word) == 0;
	ws->ready_count += member->ready;
}

/* ---- Receiving. ---- */

/* Receives once. Returns whether there may be more now, of which no event would tell. */
static bool ws_receive(struct ws *ws, struct ws_member *member, bool hung_up)
{
	ssize_t size = recv(member->fd, ws->buffer, WS_BUFFER_SIZE, MSG_DONTWAIT);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (size <= 0)
		verdict_fault("%s was disconnected: %s", member->name, size == 0 ? "end of stream" : strerror(errno));
	else if (member->ready && !member->is_deaf)
		ws_take(ws, member, ws->buffer, (size_t)size);
	else if (!member->ready)
		ws_wait_ready(ws, member, ws->buffer, (size_t)size);
	return (hung_up || size == WS_BUFFER_SIZE) && !verdict_failed();
}

static uint64_t ws_slowest(const struct ws *ws)
{
	uint64_t slowest = UINT64_MAX;

	for (long i = 0; i < ws->options->members; i++) {
		if (!ws->members[i].is_deaf && ws->members[i].position < slowest)
			slowest = ws->members[i].position;
	}
	return slowest;
}

/* ---- Sending. ---- */

static void ws_flush(struct ws_sender *sender)
{
	ssize_t sent = send(sender->member->fd, sender->pending + sender->pending_sent,
		sender->pending_size - sender->pending_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		verdict_fault("%s cannot send: %s", sender->member->name, strerror(errno));
	if (sent > 0)
		sender->pending_sent += (size_t)sent;
	if (sender->pending_sent == sender->pending_size)
		sender->pending_sent = sender->pending_size = 0;
}

/* A text frame, whose mask is of zeros. */
static size_t ws_put_frame(char *out, const char *text, size_t size)
{
	memset(out, 0, WS_MASKED_HEAD_SIZE);
	out[0] = '\x81';
	if (size < 126) {
		out[1] = (char)(0x80 | size);
		memcpy(out + 6, text, size);
		return 6 + size;
	}
	out[1] = '\xFE';
	out[2] = (char)(size >> 8);
	out[3] = (char)(size & 0xFF);
	memcpy(out + WS_MASKED_HEAD_SIZE, text, size);
	return WS_MASKED_HEAD_SIZE + size;
}

/* A frame in which the member says the text. */
static size_t ws_put_message(const struct ws *ws, char *out, const struct ws_member *member, const char *text)
{
	char message[WS_TEXT_MAX];

	if (!ws->wire->hides_own)
		return ws_put_frame(out, text, strlen(text));
	return ws_put_frame(out, message, (size_t)snprintf(message, sizeof message,
		"{\"username\":\"%s\",\"message\":\"%s\"}", member->name, text));
}

static void ws_fill(struct ws *ws, struct ws_sender *sender, uint64_t count)
{
	size_t line_size = (size_t)ws->options->line_size;
	char text[WIRE_LINE_MAX + 1];

	for (uint64_t i = 0; i < count; i++) {
		memcpy(text, sender->line, line_size - 1);
		text[line_size - 1] = '\0';
		sender->pending_size += ws_put_message(ws, sender->pending + sender->pending_size, sender->member, text);
		wire_step_line(sender->line);
	}
	ws->sent += count;
}

/* The bytes of a frame that is received, about. */
static uint64_t ws_frame_size(const struct ws *ws)
{
	return ws->frame_count == 0 ? (uint64_t)ws->options->line_size + ws->wire->object_size : ws->end / ws->frame_count;
}

/* How many messages are on their way to the slowest member, at most. */
static uint64_t ws_window(const struct ws *ws)
{
	return (uint64_t)ws->options->window_bytes / ws_frame_size(ws);
}

static void ws_speak(struct ws *ws)
{
	uint64_t on_the_way = ws->sent - ws->frame_count + (ws->end - ws_slowest(ws)) / ws_frame_size(ws);
	uint64_t share = on_the_way < ws_window(ws) ? (ws_window(ws) - on_the_way) / (uint64_t)ws->options->senders : 0;

	if (!ws->speaks || share < ws_window(ws) / WS_FILLS / (uint64_t)ws->options->senders)
		share = 0;
	for (long i = 0; i < ws->options->senders; i++) {
		struct ws_sender *sender = &ws->senders[i];

		if (sender->pending_size == 0)
			ws_fill(ws, sender, share);
		if (sender->pending_size > 0)
			ws_flush(sender);
	}
}

static void ws_pass(struct ws *ws)
{
	struct epoll_event events[WS_EVENTS];
	int count = epoll_wait(ws->epoll, events, WS_EVENTS, WS_PASS_MS);

	for (int i = 0; i < count; i++) {
		while (ws_receive(ws, events[i].data.ptr, (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0))
			continue;
	}
	ws_speak(ws);
}

static void ws_pass_for(struct ws *ws, uint64_t duration_ns)
{
	uint64_t end_ns = net_now_ns() + duration_ns;

	while (!verdict_failed() && net_now_ns() < end_ns)
		ws_pass(ws);
}

/* ---- Coming. ---- */

static void ws_send(const struct ws_member *member, const char *bytes, size_t size)
{
	int error = net_send_all(member->fd, bytes, size);

	if (error != 0)
		verdict_abort("%s cannot send: %s", member->name, strerror(-error));
}

/* Receives until 'text' has come 'count' times; all that comes before the stream begins. */
static void ws_wait_text(struct ws *ws, struct ws_member *member, const char *text, long count)
{
	size_t size = 0;
	char *place = ws->buffer;

	while (count > 0) {
		ssize_t received = recv(member->fd, ws->buffer + size, WS_BUFFER_SIZE - size, 0);
		char *found;

		if (received <= 0)
			verdict_abort("%s was not let in: %.*s", member->name, (int)size, ws->buffer);
		size += (size_t)received;
		while (count > 0 && (found = memmem(place, (size_t)(ws->buffer + size - place), text, strlen(text))) != NULL) {
			place = found + strlen(text);
			count--;
		}
	}
}

static void ws_wait_joined(struct ws *ws, struct ws_member *member)
{
	char joined[64];

	snprintf(joined, sizeof joined, "%s%s", ws->wire->welcome, ws->wire->hides_own ? "" : member->name);
	ws_wait_text(ws, member, joined, 1);
}

static void ws_connect(struct ws *ws, struct ws_member *member)
{
	const char *target = ws->wire->target;
	char request[400];
	int size = snprintf(request, sizeof request,
		"GET %s%s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
		target, target[strlen(target) - 1] == '=' ? member->name : "");

	member->fd = net_connect(&ws->options->address, (int)ws->options->timeout_s * 1000);
	if (member->fd < 0)
		verdict_abort("%s cannot connect: %s", member->name, strerror(-member->fd));
	ws_send(member, request, (size_t)size);
}

static void ws_join(struct ws *ws, struct ws_member *member)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = member};

	ws_wait_joined(ws, member);
	if (epoll_ctl(ws->epoll, EPOLL_CTL_ADD, member->fd, &event) != 0)
		verdict_abort("epoll does not take %s: %s", member->name, strerror(errno));
}

static void ws_say(struct ws *ws, const struct ws_member *member, const char *text)
{
	char frame[WS_MASKED_HEAD_SIZE + WS_TEXT_MAX];

	ws_send(member, frame, ws_put_message(ws, frame, member, text));
}

/* On Go-Chat's wire one has a name when one has said something; and no echo of it. */
static void ws_name_authors(struct ws *ws)
{
	long count = ws->options->senders;

	for (long i = 0; i < count; i++) {
		ws->members[i].is_deaf = true;
		ws->members[i].ready = true;
		ws->ready_count++;
		ws_say(ws, &ws->members[i], "hello");
	}
	ws_wait_text(ws, &ws->members[count], "\"hello\"}", count);
}

static void ws_join_all(struct ws *ws)
{
	long count = ws->options->members;
	uint64_t end_ns;

	for (long i = 0; i < count + WS_JOINING; i++) {
		if (i < count)
			ws_connect(ws, &ws->members[i]);
		if (i >= WS_JOINING && i - WS_JOINING < count)
			ws_join(ws, &ws->members[i - WS_JOINING]);
	}
	if (ws->wire->hides_own)
		ws_name_authors(ws);
	ws_say(ws, &ws->members[0], "ready");
	end_ns = net_now_ns() + (uint64_t)ws->options->timeout_s * 1000000000ULL;
	while (ws->ready_count < (size_t)ws->options->members && !verdict_failed() && net_now_ns() < end_ns)
		ws_pass(ws);
	if (ws->ready_count < (size_t)ws->options->members)
		verdict_abort("only %zu members are ready", ws->ready_count);
}

/* ---- The run. ---- */

static void ws_open(struct ws *ws, const struct options *options, const struct ws_wire *wire)
{
	size_t line_size = (size_t)options->line_size;

	ws->options = options;
	ws->wire = wire;
	ws->epoll = epoll_create1(EPOLL_CLOEXEC);
	ws->buffer = ws_allocate(1, WS_BUFFER_SIZE);
	ws->ring_size = 2 * (size_t)options->window_bytes;
	ws->ring = ws_allocate(1, ws->ring_size);
	ws->members = ws_allocate((size_t)options->members, sizeof *ws->members);
	ws->senders = ws_allocate((size_t)options->senders, sizeof *ws->senders);
	for (long i = 0; i < options->members; i++)
		snprintf(ws->members[i].name, WS_NAME_SIZE, i < options->senders ? "s%03u" : "m%05u", (unsigned)i % 100000);
	for (long i = 0; i < options->senders; i++) {
		ws->senders[i].member = &ws->members[i];
		ws->senders[i].line = ws_allocate(1, line_size);
		ws->senders[i].pending = ws_allocate((size_t)(2 * ws_window(ws)), WS_MASKED_HEAD_SIZE + line_size + ws->wire->object_size);
		wire_write_line(ws->senders[i].line, line_size, 0, 0);
	}
}

static void ws_close(struct ws *ws)
{
	for (long i = 0; i < ws->options->members; i++)
		close(ws->members[i].fd);
	for (long i = 0; i < ws->options->senders; i++) {
		free(ws->senders[i].line);
		free(ws->senders[i].pending);
	}
	close(ws->epoll);
	free(ws->senders);
	free(ws->members);
	free(ws->ring);
	free(ws->buffer);
}

/* Nobody speaks any more: everybody has to get all of it. */
static void ws_settle(struct ws *ws)
{
	uint64_t end_ns = net_now_ns() + (uint64_t)ws->options->timeout_s * 1000000000ULL;

	ws->speaks = false;
	while ((ws->frame_count < ws->sent || ws_slowest(ws) < ws->end) && !verdict_failed() && net_now_ns() < end_ns)
		ws_pass(ws);
	if (!verdict_failed() && (ws->frame_count < ws->sent || ws_slowest(ws) < ws->end))
		verdict_fault("time ran out: of %llu messages the slowest member has %llu %%", (unsigned long long)ws->sent,
			(unsigned long long)(100 * ws_slowest(ws) / (ws->end + 1)));
}

static void ws_run_wire(const struct options *options, struct report *report, const struct ws_wire *wire)
{
	struct ws ws = {0};
	uint64_t delivered;
	uint64_t start_ns;
	uint64_t cpu_ns;
	double count;

	ws_open(&ws, options, wire);
	ws_join_all(&ws);
	ws.speaks = true;
	ws_pass_for(&ws, (uint64_t)options->warmup_ms * 1000000ULL);
	delivered = ws.delivered;
	cpu_ns = process_cpu_ns((pid_t)options->server_pid);
	start_ns = net_now_ns();
	ws_pass_for(&ws, (uint64_t)options->seconds * 1000000000ULL);
	start_ns = net_now_ns() - start_ns;
	cpu_ns = process_cpu_ns((pid_t)options->server_pid) - cpu_ns;
	count = (double)(ws.delivered - delivered) * (double)ws.frame_count / (double)(ws.end + 1);
	report_add(report, "deliveries_per_s", count * 1e9 / (double)start_ns);
	if (cpu_ns > 0 && count > 0)
		report_add(report, "server_cpu_us_per_delivery", (double)cpu_ns / 1e3 / count);
	report_add(report, "frame_bytes", (double)ws.end / (double)(ws.frame_count + 1));
	ws_settle(&ws);
	report_add(report, "lines", (double)ws.sent);
	report_add(report, "members", (double)options->members);
	report_add(report, "senders", (double)options->senders);
	ws_close(&ws);
}

void ws_run(const struct options *options, struct report *report)
{
	ws_run_wire(options, report, &ws_events);
}

void wsshort_run(const struct options *options, struct report *report)
{
	ws_run_wire(options, report, &ws_short);
}

void wstext_run(const struct options *options, struct report *report)
{
	ws_run_wire(options, report, &ws_lines);
}

void gochat_run(const struct options *options, struct report *report)
{
	ws_run_wire(options, report, &ws_go_chat);
}
