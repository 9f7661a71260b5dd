/*
 * The counters behind metrics.h: counted in metrics.c, printed by metrics_print.c.
 *
 * Threads: any.
 */
#ifndef TCPSERVER_CORE_METRICS_COUNTERS_H
#define TCPSERVER_CORE_METRICS_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "tcpserver/core/message.h"
#include "tcpserver/core/metrics.h"

enum {
	METRICS_DOORS = 15,
	METRICS_BOUNDS_MOST = 16, /* of a histogram's buckets */
	METRICS_HTTP_LEAST = 100,
	METRICS_HTTP_CODES = 500, /* from there on */
};

enum metrics_histogram {
	METRICS_COMMIT_SECONDS,
	METRICS_COMMIT_MESSAGES,
	METRICS_DELIVERY_SECONDS,
	METRICS_HISTOGRAMS,
};

/* Places in a shard. A gauge is the sum of what was added and taken away, in whatever shard. */
enum metrics_counter {
	METRICS_ACCEPTED,
	METRICS_REFUSED,
	METRICS_CONNECTIONS = METRICS_REFUSED + METRICS_REFUSALS,
	METRICS_SENT = METRICS_CONNECTIONS + METRICS_DOORS,
	METRICS_RECEIVED,
	METRICS_PUBLISHED,
	METRICS_REPEATED = METRICS_PUBLISHED + MESSAGE_KINDS,
	METRICS_REFUSED_MESSAGES,
	METRICS_HANDED_OVER, /* of these, sooner or later; not printed: service.h compares them */
	METRICS_BEHIND,
	METRICS_BUCKETS, /* of each histogram: a bucket for each bound, one for what is above them all, and the sum of what was seen */
	METRICS_COUNTERS = METRICS_BUCKETS + METRICS_HISTOGRAMS * (METRICS_BOUNDS_MOST + 2),
};

struct metrics_histogram_form {
	size_t bound_count;
	uint64_t bounds[METRICS_BOUNDS_MOST]; /* nanoseconds, or messages; the greatest that belongs into the bucket */
};

/* The buckets of each histogram. */
extern const struct metrics_histogram_form metrics_histogram_forms[METRICS_HISTOGRAMS];
/* The names of doors that are counted; the last is that of any other. */
extern const char *const metrics_door_names[METRICS_DOORS];

/* The sum of a counter over all shards. */
uint64_t metrics_sum(unsigned counter) MUST_CHECK;
/* As a gauge: while it is added and taken away in two shards the sum may be one less than none for a moment. */
uint64_t metrics_gauge(unsigned counter) MUST_CHECK;
/* How many requests were answered with METRICS_HTTP_LEAST + 'index'. */
uint64_t metrics_http_count(size_t index) MUST_CHECK;

#endif
