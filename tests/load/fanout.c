/*
 * One room at full speed: how many lines a second arrive, at all members together?
 */
#include <stddef.h>

#include "tests/load/crowd.h"
#include "tests/load/modes.h"
#include "tests/load/net.h"
#include "tests/load/process.h"
#include "tests/load/senders.h"
#include "tests/load/verdict.h"

static void fanout_after_pass(struct crowd *crowd)
{
	senders_pump(crowd->context);
}

void fanout_open(struct crowd *crowd, struct senders *senders, const struct options *options)
{
	crowd->context = senders;
	crowd->after_pass = fanout_after_pass;
	crowd_open(
		crowd, options, options->any_order ? CROWD_TALKER_ORDER : CROWD_ROOM_ORDER, (size_t)options->senders);
	senders_open(senders, crowd);
	crowd_join(crowd);
	/* What the joins still make the server say shall not be measured. */
	if (!options->no_senders)
		(void)crowd_announce(crowd);
}

uint64_t fanout_settle(struct crowd *crowd, struct senders *senders)
{
	uint64_t line_count = senders_stop(senders);
	uint64_t expected = line_count * crowd->member_count;

	if (!crowd_wait(crowd, crowd_has_delivered, expected) && !verdict_failed())
		verdict_fault("time ran out: %llu of %llu lines were delivered",
			(unsigned long long)crowd_delivered(crowd), (unsigned long long)expected);
	/* A line too many would arrive before this one. */
	if (!verdict_failed() && !crowd->options->no_senders)
		(void)crowd_announce(crowd);
	return line_count;
}

void fanout_close(struct crowd *crowd, struct senders *senders, uint64_t line_count)
{
	crowd_stop(crowd);
	if (!verdict_failed())
		crowd_check_counts(crowd, line_count);
	senders_close(senders);
	crowd_close(crowd);
}

void fanout_run(const struct options *options, struct report *report)
{
	struct crowd crowd = {0};
	struct senders senders;
	uint64_t delivered;
	uint64_t start_ns;
	uint64_t cpu_ns;
	uint64_t lines;

	fanout_open(&crowd, &senders, options);
	senders_start(&senders);
	(void)crowd_let_pass((uint64_t)options->warmup_ms * 1000000ULL);
	delivered = crowd_delivered(&crowd);
	cpu_ns = process_cpu_ns((pid_t)options->server_pid);
	start_ns = net_now_ns();
	(void)crowd_let_pass((uint64_t)options->seconds * 1000000000ULL);
	delivered = crowd_delivered(&crowd) - delivered;
	cpu_ns = process_cpu_ns((pid_t)options->server_pid) - cpu_ns;
	if (!verdict_failed())
		report_add(report, "deliveries_per_s", (double)delivered * 1e9 / (double)(net_now_ns() - start_ns));
	if (!verdict_failed() && delivered > 0 && cpu_ns > 0)
		report_add(report, "server_cpu_us_per_delivery", (double)cpu_ns / 1e3 / (double)delivered);
	lines = fanout_settle(&crowd, &senders);
	report_add(report, "lines", (double)lines);
	report_add(report, "members", (double)options->members);
	report_add(report, "senders", (double)options->senders);
	fanout_close(&crowd, &senders, lines);
}
