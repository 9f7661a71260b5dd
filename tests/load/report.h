/*
 * One result: named values in the order in which they were added, as one line for people and, if asked, one for
 * programs.
 *
 * Threads: one.
 */
#ifndef TCPCHAT_LOAD_REPORT_H
#define TCPCHAT_LOAD_REPORT_H

enum { REPORT_VALUES_MAX = 32 };

struct report {
	int count;
	struct {
		const char *name; /* constant, with its unit */
		double value;
	} values[REPORT_VALUES_MAX];
};

enum report_format {
	REPORT_TEXT, /* for people only                             */
	REPORT_TSV,  /* and mode, then name=value, tabs between     */
	REPORT_JSON, /* and one object                              */
};

void report_add(struct report *report, const char *name, double value);

/* Prints it to stdout. */
void report_print(const struct report *report, const char *mode, const char *verdict, enum report_format format);

#endif
