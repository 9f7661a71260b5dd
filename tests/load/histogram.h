/*
 * How often each duration occurred, to within 1.6 %, in a fixed amount of memory.
 *
 * Threads: one at a time; each thread fills its own and they are added up at the end.
 */
#ifndef TCPCHAT_LOAD_HISTOGRAM_H
#define TCPCHAT_LOAD_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_STEP_BITS = 6, /* each power of two is cut into 2^6 steps */
	HISTOGRAM_BUCKETS = (64 - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS,
};

struct histogram {
	uint64_t count;
	uint64_t max_ns;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Counts one duration. */
void histogram_add(struct histogram *histogram, uint64_t duration_ns);

/* Adds all that 'other' counted. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/* The duration that 'percent' percent (0..100) of all do not exceed, in ns; 0 when there is none. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

#endif
