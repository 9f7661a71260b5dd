/*
 * Many members who say nothing: how fast do they come in, and what does each of them cost?
 */
#include "tests/load/crowd.h"
#include "tests/load/modes.h"
#include "tests/load/net.h"
#include "tests/load/process.h"
#include "tests/load/verdict.h"

static double idle_seconds_since(uint64_t start_ns)
{
	return (double)(net_now_ns() - start_ns) / 1e9;
}

/* How long until the last member heard an announcement. */
static double idle_measure_announcement(struct crowd *crowd)
{
	uint64_t start_ns = net_now_ns();
	uint64_t last_ns = start_ns;

	if (!crowd_announce(crowd))
		return 0;
	for (size_t i = 0; i < crowd->reader_count; i++) {
		uint64_t heard_ns = atomic_load(&crowd->readers[i].tally.heard_last_ns);

		if (heard_ns > last_ns)
			last_ns = heard_ns;
	}
	return (double)(last_ns - start_ns) / 1e6;
}

static void idle_report_server(const struct options *options, struct report *report, uint64_t pss_before)
{
	pid_t pid = (pid_t)options->server_pid;

	if (pid == 0)
		return;
	report_add(report, "pss_kb_per_client",
		((double)process_pss(pid) - (double)pss_before) / 1e3 / (double)options->members);
	report_add(report, "threads", (double)process_threads(pid));
}

void idle_run(const struct options *options, struct report *report)
{
	struct crowd crowd = {0};
	uint64_t pss_before = process_pss((pid_t)options->server_pid);
	uint64_t start_ns;

	crowd_open(&crowd, options, CROWD_ROOM_ORDER, 0);
	start_ns = net_now_ns();
	crowd_join(&crowd);
	report_add(report, "joined_s", idle_seconds_since(start_ns));
	/* Everybody has heard of every other member when this has reached all. */
	(void)crowd_announce(&crowd);
	report_add(report, "quiet_s", idle_seconds_since(start_ns));
	if (!verdict_failed()) {
		idle_report_server(options, report, pss_before);
		report_add(report, "line_to_all_ms", idle_measure_announcement(&crowd));
	}
	report_add(report, "foreign_lines", (double)crowd_foreign_lines(&crowd));
	report_add(report, "members", (double)options->members);
	crowd_stop(&crowd);
	crowd_close(&crowd);
}
