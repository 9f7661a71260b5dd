/*
 * The percentiles of chatload are what they claim to be.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/load/histogram.h"

/* No percentile is further from the truth than a step of its power of two. */
static void histogram_expect(const struct histogram *histogram, double percent, uint64_t truth)
{
	uint64_t found = histogram_percentile(histogram, percent);

	assert(found >= truth && found <= truth + (truth >> HISTOGRAM_STEP_BITS));
}

static void the_percentiles_of_a_million_durations_are_right(void)
{
	struct histogram *histogram = calloc(1, sizeof *histogram);

	assert(histogram != NULL);
	for (uint64_t i = 1; i <= 1000000; i++)
		histogram_add(histogram, i * 1000);
	histogram_expect(histogram, 50, 500000000);
	histogram_expect(histogram, 99, 990000000);
	histogram_expect(histogram, 99.9, 999000000);
	assert(histogram_percentile(histogram, 100) == 1000000000);
	assert(histogram->count == 1000000);
	free(histogram);
}

static void any_duration_has_a_place(void)
{
	struct histogram *histogram = calloc(1, sizeof *histogram);

	assert(histogram != NULL);
	histogram_add(histogram, 0);
	assert(histogram_percentile(histogram, 50) == 0);
	histogram_add(histogram, UINT64_MAX);
	assert(histogram_percentile(histogram, 100) == UINT64_MAX);
	free(histogram);
}

static void merged_histograms_count_together(void)
{
	struct histogram *histograms = calloc(2, sizeof *histograms);

	assert(histograms != NULL);
	histogram_add(&histograms[0], 10);
	histogram_add(&histograms[1], 20);
	histogram_merge(&histograms[0], &histograms[1]);
	assert(histograms[0].count == 2 && histograms[0].max_ns == 20);
	assert(histogram_percentile(&histograms[0], 50) == 10);
	free(histograms);
}

int main(void)
{
	the_percentiles_of_a_million_durations_are_right();
	any_duration_has_a_place();
	merged_histograms_count_together();
	return 0;
}
