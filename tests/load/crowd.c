#include "tests/load/crowd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "tests/load/member.h"
#include "tests/load/net.h"
#include "tests/load/verdict.h"
#include "tests/load/wire.h"

enum {
	CROWD_BUFFER_SIZE = 256 * 1024,
	CROWD_EVENTS = 512,
	CROWD_PASS_TIMEOUT_MS = 50, /* how long a reader may take to see that it shall stop */
	CROWD_LOOK_NS = 1000000,    /* how often the main thread looks whether what it waits for is there */
	CROWD_JOINING_MAX = 1024,   /* connected and not yet welcomed, at most: fewer than a backlog */
	CROWD_ANNOUNCE_AGAIN_MS = 200,
	CROWD_MARKS = 8, /* 'slowest' is found anew about so many times a window */
};

/* Finds how far all members of this reader are. Its cost is spread: it is done once for each mark that all passed. */
static void crowd_find_slowest(struct reader *reader)
{
	struct crowd *crowd = reader->crowd;
	uint64_t slowest = UINT64_MAX;

	for (size_t i = reader->index; i < crowd->member_count; i += crowd->reader_count) {
		if (crowd->members[i].position < slowest)
			slowest = crowd->members[i].position;
	}
	reader->mark = slowest + (crowd->window_lines / CROWD_MARKS + 1) * crowd->record_size;
	reader->below_mark = 0;
	for (size_t i = reader->index; i < crowd->member_count; i += crowd->reader_count)
		reader->below_mark += crowd->members[i].position < reader->mark;
	atomic_store_explicit(&reader->tally.slowest, slowest, memory_order_relaxed);
}

static void crowd_publish_tally(struct reader *reader)
{
	struct tally *tally = &reader->tally;

	if (reader->below_mark == 0)
		crowd_find_slowest(reader);
	atomic_store_explicit(&tally->record_bytes, reader->record_bytes, memory_order_relaxed);
	atomic_store_explicit(&tally->ready_count, reader->ready_count, memory_order_relaxed);
	atomic_store_explicit(&tally->welcome_count, reader->welcome_count, memory_order_relaxed);
	atomic_store_explicit(&tally->foreign_count, reader->foreign_count, memory_order_relaxed);
	atomic_store_explicit(&tally->heard_last_ns, reader->heard_last_ns, memory_order_relaxed);
	/* Released last: who sees an announcement heard sees the records before it, too. */
	atomic_store_explicit(&tally->announcement, (uint64_t)reader->announcement << 32 | reader->announcement_heard,
		memory_order_release);
}

/* A member of which nothing more can be told. */
static void crowd_drop(struct reader *reader, struct member *member)
{
	epoll_ctl(reader->epoll, EPOLL_CTL_DEL, member->fd, NULL);
}

/* Receives once. Returns whether there may be more now. */
static bool crowd_receive(struct reader *reader, struct member *member, bool hung_up)
{
	ssize_t received = recv(member->fd, reader->buffer, CROWD_BUFFER_SIZE, MSG_DONTWAIT);
	uint64_t before = member->position;

	if (received < 0 && errno == EAGAIN)
		return false;
	if (received <= 0) {
		verdict_fault(
			"%s was disconnected: %s", member->name, received == 0 ? "end of stream" : strerror(errno));
		crowd_drop(reader, member);
		return false;
	}
	if (reader->delays != NULL)
		reader->received_ns = net_now_ns();
	if (!member_take(reader, member, reader->buffer, (size_t)received)) {
		crowd_drop(reader, member);
		return false;
	}
	reader->record_bytes += member->position - before;
	if (before < reader->mark && member->position >= reader->mark)
		reader->below_mark--;
	return hung_up || received == CROWD_BUFFER_SIZE;
}

/* Edge-triggered: who is read until the buffer is no longer filled need not be looked at again before more comes. */
static void crowd_receive_all(struct reader *reader, const struct epoll_event *event)
{
	bool hung_up = (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;

	while (crowd_receive(reader, event->data.ptr, hung_up))
		continue;
}

static void *crowd_read(void *argument)
{
	struct reader *reader = argument;
	struct crowd *crowd = reader->crowd;
	struct epoll_event events[CROWD_EVENTS];

	while (!atomic_load_explicit(&crowd->stopping, memory_order_relaxed)) {
		int count = epoll_wait(reader->epoll, events, CROWD_EVENTS, CROWD_PASS_TIMEOUT_MS);

		for (int i = 0; i < count; i++)
			crowd_receive_all(reader, &events[i]);
		crowd_publish_tally(reader);
		if (crowd->after_pass != NULL)
			crowd->after_pass(crowd);
	}
	return NULL;
}

static void *crowd_allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL)
		verdict_abort("not enough memory for %zu members", count);
	return memory;
}

static void crowd_init_reader(struct crowd *crowd, size_t index)
{
	struct reader *reader = &crowd->readers[index];

	*reader = (struct reader){
		.crowd = crowd,
		.index = index,
		.epoll = epoll_create1(EPOLL_CLOEXEC),
		.buffer = crowd_allocate(1, CROWD_BUFFER_SIZE),
	};
	if (reader->epoll < 0)
		verdict_abort("no epoll: %s", strerror(errno));
	if (score_init(&reader->score, (size_t)crowd->options->line_size, (unsigned)crowd->options->senders,
		    crowd->window_lines + 2) != 0)
		verdict_abort("not enough memory for a window");
	crowd_find_slowest(reader);
	if (crowd->measures_delays)
		reader->delays = crowd_allocate(1, sizeof *reader->delays);
}

static void crowd_start_readers(struct crowd *crowd)
{
	for (size_t i = 0; i < crowd->reader_count; i++) {
		if (pthread_create(&crowd->readers[i].thread, NULL, crowd_read, &crowd->readers[i]) != 0)
			verdict_abort("no thread for a reader");
		pthread_setname_np(crowd->readers[i].thread, "load-reader");
	}
}

static void crowd_name_member(struct crowd *crowd, size_t index)
{
	struct member *member = &crowd->members[index];
	unsigned number = (unsigned)index % 100000;

	if (index == CROWD_ANNOUNCER)
		snprintf(member->name, sizeof member->name, "p%05u", number);
	else if (index < CROWD_FIRST_SENDER + (size_t)crowd->options->senders)
		snprintf(member->name, sizeof member->name, "s%03u", (number - CROWD_FIRST_SENDER) % 1000);
	else
		snprintf(member->name, sizeof member->name, "m%05u", number);
}

static void crowd_make_members(struct crowd *crowd)
{
	crowd->members = crowd_allocate(crowd->member_count, sizeof *crowd->members);
	crowd->carries = crowd_allocate(crowd->member_count, CROWD_CARRY_SIZE);
	crowd->nexts = crowd_allocate(crowd->member_count * (crowd->talker_count + 1), sizeof *crowd->nexts);
	for (size_t i = 0; i < crowd->member_count; i++) {
		crowd->members[i].fd = -1;
		crowd->members[i].carry = crowd->carries + i * CROWD_CARRY_SIZE;
		crowd->members[i].next = crowd->nexts + i * crowd->talker_count;
		crowd_name_member(crowd, i);
	}
}

void crowd_open(struct crowd *crowd, const struct options *options, enum crowd_order order, size_t talker_count)
{
	crowd->options = options;
	crowd->record_size = wire_record_size((size_t)options->line_size);
	crowd->window_lines = (size_t)options->window_bytes / crowd->record_size;
	crowd->member_count = (size_t)options->members;
	crowd->reader_count = (size_t)options->readers;
	crowd->talker_count = order == CROWD_TALKER_ORDER ? talker_count : 0;
	crowd_make_members(crowd);
	crowd->readers = crowd_allocate(crowd->reader_count, sizeof *crowd->readers);
	for (size_t i = 0; i < crowd->reader_count; i++)
		crowd_init_reader(crowd, i);
}

/* The sum over all readers of one counter in their tallies. */
static uint64_t crowd_sum(struct crowd *crowd, size_t offset)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < crowd->reader_count; i++) {
		char *tally = (char *)&crowd->readers[i].tally;

		sum += atomic_load_explicit((_Atomic uint64_t *)(void *)(tally + offset), memory_order_relaxed);
	}
	return sum;
}

static uint64_t crowd_ready_count(struct crowd *crowd)
{
	return crowd_sum(crowd, offsetof(struct tally, ready_count));
}

uint64_t crowd_delivered(struct crowd *crowd)
{
	return crowd_sum(crowd, offsetof(struct tally, record_bytes)) / crowd->record_size;
}

uint64_t crowd_foreign_lines(struct crowd *crowd)
{
	return crowd_sum(crowd, offsetof(struct tally, foreign_count));
}

uint64_t crowd_slowest(struct crowd *crowd)
{
	uint64_t slowest = UINT64_MAX;

	for (size_t i = 0; i < crowd->reader_count; i++) {
		uint64_t one = atomic_load_explicit(&crowd->readers[i].tally.slowest, memory_order_relaxed);

		if (one < slowest)
			slowest = one;
	}
	return slowest / crowd->record_size;
}

bool crowd_has_delivered(struct crowd *crowd, uint64_t record_count)
{
	return crowd_delivered(crowd) >= record_count;
}

bool crowd_has_heard(struct crowd *crowd, uint64_t announcement)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < crowd->reader_count; i++) {
		uint64_t heard = atomic_load_explicit(&crowd->readers[i].tally.announcement, memory_order_acquire);

		if (heard >> 32 == announcement)
			sum += heard & UINT32_MAX;
	}
	return sum == crowd->member_count;
}

static bool crowd_is_ready(struct crowd *crowd, uint64_t count)
{
	return crowd_ready_count(crowd) >= count;
}

bool crowd_let_pass(uint64_t duration_ns)
{
	uint64_t end_ns = net_now_ns() + duration_ns;

	while (!verdict_failed() && net_now_ns() < end_ns)
		nanosleep(&(struct timespec){.tv_nsec = CROWD_LOOK_NS}, NULL);
	return !verdict_failed();
}

static bool crowd_wait_ms(
	struct crowd *crowd, bool (*condition)(struct crowd *crowd, uint64_t value), uint64_t value, long timeout_ms)
{
	uint64_t end_ns = net_now_ns() + (uint64_t)timeout_ms * 1000000ULL;

	while (!condition(crowd, value)) {
		if (verdict_failed() || net_now_ns() >= end_ns)
			return false;
		nanosleep(&(struct timespec){.tv_nsec = CROWD_LOOK_NS}, NULL);
	}
	return !verdict_failed();
}

bool crowd_wait(struct crowd *crowd, bool (*condition)(struct crowd *crowd, uint64_t value), uint64_t value)
{
	return crowd_wait_ms(crowd, condition, value, crowd->options->timeout_s * 1000);
}

static void crowd_send(struct member *member, const char *text)
{
	int error = net_send_all(member->fd, text, strlen(text));

	if (error != 0)
		verdict_abort("%s cannot send: %s", member->name, strerror(-error));
}

static void crowd_say_announcement(struct crowd *crowd)
{
	char line[64];

	snprintf(line, sizeof line, "announcement %u\n", ++crowd->announcement);
	crowd_send(&crowd->members[CROWD_ANNOUNCER], line);
}

bool crowd_announce(struct crowd *crowd)
{
	crowd_say_announcement(crowd);
	if (crowd_wait(crowd, crowd_has_heard, crowd->announcement))
		return true;
	if (!verdict_failed())
		verdict_fault("not everybody heard announcement %u within %ld s", crowd->announcement,
			crowd->options->timeout_s);
	return false;
}

static void crowd_connect(struct crowd *crowd, size_t index)
{
	struct member *member = &crowd->members[index];
	struct reader *reader = &crowd->readers[index % crowd->reader_count];
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = member};
	char line[CROWD_NAME_SIZE + 1];

	member->fd = net_connect(&crowd->options->address, (int)crowd->options->timeout_s * 1000);
	if (member->fd < 0)
		verdict_abort("member %zu cannot connect: %s", index, strerror(-member->fd));
	snprintf(line, sizeof line, "%s\n", member->name);
	crowd_send(member, line);
	if (epoll_ctl(reader->epoll, EPOLL_CTL_ADD, member->fd, &event) != 0)
		verdict_abort("epoll does not take member %zu: %s", index, strerror(errno));
}

/* Lets the announcer speak until all 'count' members have shown that they are in the room. */
static void crowd_join_unwelcomed(struct crowd *crowd, uint64_t count)
{
	long tries = crowd->options->timeout_s * 1000 / CROWD_ANNOUNCE_AGAIN_MS;

	while (!crowd_is_ready(crowd, count)) {
		if (tries-- == 0 || verdict_failed())
			verdict_abort("only %llu of %llu members are in the room",
				(unsigned long long)crowd_ready_count(crowd), (unsigned long long)count);
		crowd_say_announcement(crowd);
		(void)crowd_wait_ms(crowd, crowd_is_ready, count, CROWD_ANNOUNCE_AGAIN_MS);
	}
}

/* A server that welcomes does so before it repeats the announcer's first line: so no guessing by time is needed. */
static void crowd_join_announcer(struct crowd *crowd)
{
	crowd_connect(crowd, CROWD_ANNOUNCER);
	if (crowd->options->no_senders) {
		crowd->greets = true;
		return;
	}
	crowd_join_unwelcomed(crowd, 1);
	crowd->greets = crowd_sum(crowd, offsetof(struct tally, welcome_count)) > 0;
}

static void crowd_wait_ready(struct crowd *crowd, uint64_t count)
{
	if (!crowd_wait(crowd, crowd_is_ready, count))
		verdict_abort("only %llu of %llu members were welcomed within %ld s",
			(unsigned long long)crowd_ready_count(crowd), (unsigned long long)count,
			crowd->options->timeout_s);
}

void crowd_join(struct crowd *crowd)
{
	crowd_start_readers(crowd);
	crowd_join_announcer(crowd);
	for (size_t i = 1; i < crowd->member_count; i++) {
		crowd_connect(crowd, i);
		if (crowd->greets && i > CROWD_JOINING_MAX)
			crowd_wait_ready(crowd, i - CROWD_JOINING_MAX);
	}
	if (crowd->greets)
		crowd_wait_ready(crowd, crowd->member_count);
	else
		crowd_join_unwelcomed(crowd, crowd->member_count);
}

void crowd_stop(struct crowd *crowd)
{
	atomic_store(&crowd->stopping, true);
	for (size_t i = 0; i < crowd->reader_count; i++)
		pthread_join(crowd->readers[i].thread, NULL);
}

void crowd_check_counts(struct crowd *crowd, uint64_t record_count)
{
	for (size_t i = 0; i < crowd->member_count; i++) {
		const struct member *member = &crowd->members[i];

		if (member->position != record_count * crowd->record_size)
			verdict_fault("%s got %llu lines of %llu", member->name,
				(unsigned long long)(member->position / crowd->record_size),
				(unsigned long long)record_count);
	}
}

void crowd_close(struct crowd *crowd)
{
	for (size_t i = 0; i < crowd->member_count; i++) {
		if (crowd->members[i].fd >= 0)
			close(crowd->members[i].fd);
	}
	for (size_t i = 0; i < crowd->reader_count; i++) {
		close(crowd->readers[i].epoll);
		score_fini(&crowd->readers[i].score);
		free(crowd->readers[i].delays);
		free(crowd->readers[i].buffer);
	}
	free(crowd->readers);
	free(crowd->nexts);
	free(crowd->carries);
	free(crowd->members);
}
