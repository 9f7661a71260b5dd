/*
 * What chatload can do. Each function runs one mode from the first connection to the last check, adds its values to
 * the report, and leaves its faults to the verdict.
 *
 * Threads: the main thread.
 */
#ifndef TCPCHAT_LOAD_MODES_H
#define TCPCHAT_LOAD_MODES_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/load/options.h"
#include "tests/load/report.h"

struct crowd;
struct senders;

void fanout_run(const struct options *options, struct report *report);
void latency_run(const struct options *options, struct report *report);
void asleep_run(const struct options *options, struct report *report);
void idle_run(const struct options *options, struct report *report);
void slow_run(const struct options *options, struct report *report);
void churn_run(const struct options *options, struct report *report);
void manyrooms_run(const struct options *options, struct report *report);
void ws_run(const struct options *options, struct report *report);
void wsshort_run(const struct options *options, struct report *report);
void wstext_run(const struct options *options, struct report *report);
void gochat_run(const struct options *options, struct report *report);
void grpc_run(const struct options *options, struct report *report);
void grpctalk_run(const struct options *options, struct report *report);
void grpcidle_run(const struct options *options, struct report *report);

/* Sends 'line_count' lines, as latency does; '*sent' is how many there were before. Returns when everybody has them. */
void latency_talk(struct crowd *crowd, uint64_t line_count, uint64_t lines_per_s, bool measured, uint64_t *sent);
/* Reports how long the measured lines took. After crowd_stop(). */
void latency_report(struct crowd *crowd, struct report *report);

/* Opens a crowd with senders at full speed, and lets it join. */
void fanout_open(struct crowd *crowd, struct senders *senders, const struct options *options);

/*
 * Waits until everybody has all that was sent; then nobody may get any more. Returns how many lines that are in all.
 */
uint64_t fanout_settle(struct crowd *crowd, struct senders *senders);

/* Checks and closes all that fanout_open() opened. */
void fanout_close(struct crowd *crowd, struct senders *senders, uint64_t line_count);

#endif
