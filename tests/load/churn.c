/*
 * People who come, say a few lines and leave, again and again: does the rest of the room get all of it?
 *
 * Each churner is a slot. Who is in it has a name of its own ("c012g00034": slot 12, the 34th), but the lines of a slot
 * are numbered through, so that the members check all of a slot's lines as those of one talker. A churner leaves when
 * it has read its own last line, which proves that the room has it. Nobody comes while the slowest member is a window
 * behind.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/load/crowd.h"
#include "tests/load/member.h"
#include "tests/load/modes.h"
#include "tests/load/net.h"
#include "tests/load/verdict.h"
#include "tests/load/wire.h"

enum {
	CHURN_BUFFER_SIZE = 64 * 1024,
	CHURN_EVENTS = 64,
	CHURN_PASS_MS = 5, /* how long an empty slot may wait when nothing happens */
	CHURN_NAME_SIZE = 32,
	CHURN_DIGITS_AT = 1,
	CHURN_DIGITS = 3,
};

struct churner {
	int fd; /* -1 when nobody is in the slot */
	unsigned generation;
	uint64_t line_count; /* in all generations of the slot */
	size_t carry_size;
	char name[CHURN_NAME_SIZE];
	char carry[CROWD_CARRY_SIZE];
};

struct churn {
	struct crowd *crowd;
	const struct options *options;
	int epoll;
	size_t present;      /* how many slots have somebody */
	uint64_t visits;     /* how many came and left       */
	uint64_t line_count; /* how many lines all of them said */
	struct churner *churners;
	char *buffer;
	char *speech; /* a name and lines */
};

/* Takes a churner's line at one of the members. */
static bool churn_take_line(struct reader *reader, struct member *member, const char *line, size_t size)
{
	const char *text = memmem(line, size, ": ", 2);
	uint64_t number;
	uint64_t stamp_ns;
	size_t slot = 0;

	if (line[0] != 'c' || text == NULL || text < line + CHURN_DIGITS_AT + CHURN_DIGITS)
		return false;
	for (int i = 0; i < CHURN_DIGITS; i++)
		slot = slot * 10 + (size_t)(line[CHURN_DIGITS_AT + i] - '0');
	text += 2;
	/* The LF is there, behind the line as it was given. */
	if (!wire_read_line(text, (size_t)(line + size + 1 - text), &number, &stamp_ns))
		return false;
	return member_count(reader, member, slot, number);
}

static void churn_write_speech(struct churn *churn, struct churner *churner, size_t *size)
{
	size_t line_size = (size_t)churn->options->line_size;

	*size = (size_t)snprintf(churn->speech, CHURN_NAME_SIZE + 1, "%s\n", churner->name);
	churn->line_count += (uint64_t)churn->options->churner_lines;
	for (long i = 0; i < churn->options->churner_lines; i++) {
		wire_write_line(churn->speech + *size, line_size, churner->line_count++, 0);
		*size += line_size;
	}
}

static void churn_enter(struct churn *churn, struct churner *churner)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = churner};
	size_t size;
	int error;

	churner->fd = net_connect(&churn->options->address, (int)churn->options->timeout_s * 1000);
	if (churner->fd < 0)
		verdict_abort("a churner cannot connect: %s", strerror(-churner->fd));
	snprintf(churner->name, sizeof churner->name, "c%03ug%05u", (unsigned)(churner - churn->churners) % 1000,
		churner->generation++);
	churner->carry_size = 0;
	churn_write_speech(churn, churner, &size);
	error = net_send_all(churner->fd, churn->speech, size);
	if (error != 0 || epoll_ctl(churn->epoll, EPOLL_CTL_ADD, churner->fd, &event) != 0)
		verdict_abort("%s cannot speak: %s", churner->name, strerror(error != 0 ? -error : errno));
	churn->present++;
}

static void churn_leave(struct churn *churn, struct churner *churner)
{
	close(churner->fd);
	churner->fd = -1;
	churn->present--;
	churn->visits++;
}

/* Whether this line, with its LF, is the last one that the churner said. */
static bool churn_is_last_line(const struct churner *churner, const char *line, size_t size)
{
	size_t name_size = strlen(churner->name);
	uint64_t number;
	uint64_t stamp_ns;

	if (size < name_size + 2 || memcmp(line, churner->name, name_size) != 0 || line[name_size] != ':')
		return false;
	return wire_read_line(line + name_size + 2, size - name_size - 2, &number, &stamp_ns) &&
	       number + 1 == churner->line_count;
}

/* Looks for the churner's last line in what it received; keeps a part of a line for the next time. */
static bool churn_find_last_line(struct churner *churner, char *bytes, size_t size)
{
	char *line = bytes;
	char *end;

	while ((end = memchr(line, '\n', (size_t)(bytes + size - line))) != NULL) {
		if (churn_is_last_line(churner, line, (size_t)(end - line) + 1))
			return true;
		if (line[0] == '!')
			verdict_fault("%s got an error: '%.*s'", churner->name, (int)(end - line), line);
		line = end + 1;
	}
	churner->carry_size = (size_t)(bytes + size - line);
	if (churner->carry_size > sizeof churner->carry)
		verdict_fault("%s got a line without an end", churner->name);
	else
		memcpy(churner->carry, line, churner->carry_size);
	return false;
}

static void churn_receive(struct churn *churn, struct churner *churner)
{
	ssize_t received;

	memcpy(churn->buffer, churner->carry, churner->carry_size);
	received = recv(churner->fd, churn->buffer + churner->carry_size, CHURN_BUFFER_SIZE - sizeof churner->carry,
		MSG_DONTWAIT);
	if (received < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (received <= 0) {
		verdict_fault("%s was disconnected before its last line came", churner->name);
		return;
	}
	if (churn_find_last_line(churner, churn->buffer, churner->carry_size + (size_t)received))
		churn_leave(churn, churner);
}

/* Lets somebody come into each slot that is empty. */
static void churn_fill(struct churn *churn)
{
	for (long i = 0; i < churn->options->churners && !verdict_failed(); i++) {
		if (churn->line_count - crowd_slowest(churn->crowd) >= churn->crowd->window_lines)
			return;
		if (churn->churners[i].fd < 0)
			churn_enter(churn, &churn->churners[i]);
	}
}

/* One look at all churners. */
static void churn_pass(struct churn *churn)
{
	struct epoll_event events[CHURN_EVENTS];
	int count = epoll_wait(churn->epoll, events, CHURN_EVENTS, CHURN_PASS_MS);

	for (int i = 0; i < count; i++)
		churn_receive(churn, events[i].data.ptr);
}

static void churn_open(struct churn *churn)
{
	size_t slot_count = (size_t)churn->options->churners;

	churn->epoll = epoll_create1(EPOLL_CLOEXEC);
	churn->churners = calloc(slot_count, sizeof *churn->churners);
	churn->buffer = malloc(CHURN_BUFFER_SIZE);
	churn->speech =
		malloc(CHURN_NAME_SIZE + 1 + (size_t)(churn->options->churner_lines * churn->options->line_size));
	if (churn->epoll < 0 || churn->churners == NULL || churn->buffer == NULL || churn->speech == NULL)
		verdict_abort("not enough memory for %zu churners", slot_count);
	for (size_t i = 0; i < slot_count; i++)
		churn->churners[i].fd = -1;
}

static void churn_close(struct churn *churn)
{
	for (long i = 0; i < churn->options->churners; i++) {
		if (churn->churners[i].fd >= 0)
			close(churn->churners[i].fd);
	}
	close(churn->epoll);
	free(churn->speech);
	free(churn->buffer);
	free(churn->churners);
}

/* Lets them come and go for the time of the options, and then leave. Returns how long all that took. */
static double churn_go(struct churn *churn)
{
	uint64_t start_ns = net_now_ns();
	uint64_t end_ns = start_ns + (uint64_t)churn->options->seconds * 1000000000ULL;
	uint64_t limit_ns = end_ns + (uint64_t)churn->options->timeout_s * 1000000000ULL;

	while (!verdict_failed()) {
		uint64_t now_ns = net_now_ns();

		if (now_ns < end_ns)
			churn_fill(churn);
		else if (churn->present == 0)
			break;
		if (now_ns > limit_ns)
			verdict_fault("time ran out: %zu churners never got their last line", churn->present);
		churn_pass(churn);
	}
	return (double)(net_now_ns() - start_ns) / 1e9;
}

static void churn_settle(struct crowd *crowd, uint64_t line_count)
{
	if (!verdict_failed() && !crowd_wait(crowd, crowd_has_delivered, line_count * crowd->member_count))
		verdict_fault("time ran out: the members have not got all lines");
	if (!verdict_failed())
		(void)crowd_announce(crowd);
	crowd_stop(crowd);
	if (!verdict_failed())
		crowd_check_counts(crowd, line_count);
}

void churn_run(const struct options *options, struct report *report)
{
	struct crowd crowd = {.take_line = churn_take_line};
	struct churn churn = {.crowd = &crowd, .options = options};
	double seconds;

	crowd_open(&crowd, options, CROWD_TALKER_ORDER, (size_t)options->churners);
	churn_open(&churn);
	crowd_join(&crowd);
	(void)crowd_announce(&crowd);
	seconds = churn_go(&churn);
	churn_settle(&crowd, churn.line_count);
	report_add(report, "joins_per_s", (double)churn.visits / seconds);
	report_add(report, "joins", (double)churn.visits);
	report_add(report, "lines", (double)churn.line_count);
	report_add(report, "foreign_lines", (double)crowd_foreign_lines(&crowd));
	report_add(report, "members", (double)options->members);
	churn_close(&churn);
	crowd_close(&crowd);
}
