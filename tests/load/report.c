#include "tests/load/report.h"

#include <assert.h>
#include <stdio.h>

void report_add(struct report *report, const char *name, double value)
{
	assert(report->count < REPORT_VALUES_MAX);
	report->values[report->count].name = name;
	report->values[report->count].value = value;
	report->count++;
}

/* Whole numbers as such; others to four digits behind the point. */
static void report_print_value(double value)
{
	if (value == (double)(long long)value)
		printf("%lld", (long long)value);
	else
		printf("%.4f", value);
}

static void report_print_values(const struct report *report, const char *before, const char *between)
{
	for (int i = 0; i < report->count; i++) {
		printf("%s%s%s", before, report->values[i].name, between);
		report_print_value(report->values[i].value);
	}
}

void report_print(const struct report *report, const char *mode, const char *verdict, enum report_format format)
{
	printf("%s: %s", mode, verdict);
	report_print_values(report, ", ", " ");
	printf("\n");
	if (format == REPORT_TSV) {
		printf("%s\tverdict=%s", mode, verdict);
		report_print_values(report, "\t", "=");
		printf("\n");
	} else if (format == REPORT_JSON) {
		printf("{\"mode\":\"%s\",\"verdict\":\"%s\"", mode, verdict);
		report_print_values(report, ",\"", "\":");
		printf("}\n");
	}
	fflush(stdout);
}
