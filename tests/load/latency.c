/*
 * One room at a given pace: how long does a line take, and what does a delivery cost the server?
 *
 * A line carries the time at which it was due, not the one at which it was sent: when the load itself is held up, the
 * wait counts.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/load/crowd.h"
#include "tests/load/histogram.h"
#include "tests/load/modes.h"
#include "tests/load/net.h"
#include "tests/load/process.h"
#include "tests/load/verdict.h"
#include "tests/load/wire.h"

static void latency_sleep_until(uint64_t due_ns)
{
	struct timespec due = {.tv_sec = (time_t)(due_ns / 1000000000ULL), .tv_nsec = (long)(due_ns % 1000000000ULL)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
		continue;
}

static void latency_send(struct crowd *crowd, size_t sender, uint64_t number, uint64_t stamp_ns)
{
	struct member *member = &crowd->members[CROWD_FIRST_SENDER + sender];
	size_t size = (size_t)crowd->options->line_size;
	char line[WIRE_LINE_MAX];
	int error;

	wire_write_line(line, size, number, stamp_ns);
	error = net_send_all(member->fd, line, size);
	if (error != 0)
		verdict_fault("%s cannot send: %s", member->name, strerror(-error));
}

/* The lines are evenly spaced, the senders taking turns. */
void latency_talk(struct crowd *crowd, uint64_t line_count, uint64_t lines_per_s, bool measured, uint64_t *sent)
{
	size_t sender_count = (size_t)crowd->options->senders;
	uint64_t pause_ns = 1000000000ULL / lines_per_s;
	uint64_t due_ns = net_now_ns();
	uint64_t expected;

	for (uint64_t i = 0; i < line_count && !verdict_failed(); i++) {
		due_ns += pause_ns;
		latency_sleep_until(due_ns);
		latency_send(crowd, *sent % sender_count, *sent / sender_count, measured ? due_ns : 0);
		++*sent;
	}
	expected = *sent * crowd->member_count;
	if (!crowd_wait(crowd, crowd_has_delivered, expected) && !verdict_failed())
		verdict_fault("time ran out: %llu of %llu lines were delivered",
			(unsigned long long)crowd_delivered(crowd), (unsigned long long)expected);
}

void latency_report(struct crowd *crowd, struct report *report)
{
	struct histogram *delays = crowd->readers[0].delays;

	for (size_t i = 1; i < crowd->reader_count; i++)
		histogram_merge(delays, crowd->readers[i].delays);
	report_add(report, "p50_us", (double)histogram_percentile(delays, 50) / 1e3);
	report_add(report, "p90_us", (double)histogram_percentile(delays, 90) / 1e3);
	report_add(report, "p99_us", (double)histogram_percentile(delays, 99) / 1e3);
	report_add(report, "p99.9_us", (double)histogram_percentile(delays, 99.9) / 1e3);
	report_add(report, "max_us", (double)delays->max_ns / 1e3);
	report_add(report, "deliveries", (double)delays->count);
}

static void latency_report_cpu(struct report *report, const char *name, uint64_t cpu_ns, uint64_t delivery_count)
{
	if (cpu_ns > 0)
		report_add(report, name, (double)cpu_ns / 1e3 / (double)delivery_count);
}

void latency_run(const struct options *options, struct report *report)
{
	struct crowd crowd = {.measures_delays = true};
	uint64_t lines_per_s = (uint64_t)(options->rate * options->senders);
	uint64_t line_count = lines_per_s * (uint64_t)options->seconds;
	uint64_t sent = 0;
	uint64_t cpu_ns;
	uint64_t own_cpu_ns;

	crowd_open(&crowd, options, CROWD_TALKER_ORDER, (size_t)options->senders);
	crowd_join(&crowd);
	(void)crowd_announce(&crowd);
	latency_talk(&crowd, lines_per_s * (uint64_t)options->warmup_ms / 1000, lines_per_s, false, &sent);
	cpu_ns = process_cpu_ns((pid_t)options->server_pid);
	own_cpu_ns = process_cpu_ns(getpid());
	latency_talk(&crowd, line_count, lines_per_s, true, &sent);
	cpu_ns = process_cpu_ns((pid_t)options->server_pid) - cpu_ns;
	own_cpu_ns = process_cpu_ns(getpid()) - own_cpu_ns;
	if (!verdict_failed())
		(void)crowd_announce(&crowd);
	crowd_stop(&crowd);
	if (!verdict_failed())
		crowd_check_counts(&crowd, sent);
	latency_report(&crowd, report);
	if (!verdict_failed()) {
		latency_report_cpu(report, "server_cpu_us_per_delivery", cpu_ns, line_count * crowd.member_count);
		latency_report_cpu(report, "load_cpu_us_per_delivery", own_cpu_ns, line_count * crowd.member_count);
	}
	crowd_close(&crowd);
}
