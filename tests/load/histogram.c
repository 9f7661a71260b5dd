#include "tests/load/histogram.h"

static unsigned histogram_bucket(uint64_t value)
{
	unsigned shift;

	if (value < (1U << HISTOGRAM_STEP_BITS))
		return (unsigned)value;
	shift = 63 - HISTOGRAM_STEP_BITS - (unsigned)__builtin_clzll(value);
	return ((shift + 1) << HISTOGRAM_STEP_BITS) + (unsigned)(value >> shift) - (1U << HISTOGRAM_STEP_BITS);
}

/* The largest value that falls into 'bucket'. */
static uint64_t histogram_bucket_end(unsigned bucket)
{
	unsigned power = bucket >> HISTOGRAM_STEP_BITS;
	uint64_t step = bucket & ((1U << HISTOGRAM_STEP_BITS) - 1);

	if (power == 0)
		return step;
	return ((step + (1U << HISTOGRAM_STEP_BITS) + 1) << (power - 1)) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t duration_ns)
{
	histogram->count++;
	histogram->buckets[histogram_bucket(duration_ns)]++;
	if (duration_ns > histogram->max_ns)
		histogram->max_ns = duration_ns;
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
	histogram->count += other->count;
	if (other->max_ns > histogram->max_ns)
		histogram->max_ns = other->max_ns;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		histogram->buckets[i] += other->buckets[i];
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
	double wanted = (double)histogram->count * percent / 100.0;
	uint64_t seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t end = histogram_bucket_end(i);

		seen += histogram->buckets[i];
		if (seen > 0 && (double)seen >= wanted)
			return end < histogram->max_ns ? end : histogram->max_ns;
	}
	return histogram->max_ns;
}
