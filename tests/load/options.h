/*
 * What the command line of chatload asks for.
 */
#ifndef TCPCHAT_LOAD_OPTIONS_H
#define TCPCHAT_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tests/load/net.h"
#include "tests/load/report.h"

struct options {
	struct net_address address;
	const struct mode *mode; /* one of 'modes' in chatload.c */
	long members;
	long senders;
	long readers;
	long line_size;
	long window_bytes;
	long seconds;
	long warmup_ms;
	long rate;
	long churners;
	long churner_lines;
	long rooms;
	long sleepers;
	long streams;
	long timeout_s;
	long server_pid; /* 0: not known */
	bool no_senders; /* the server makes the lines itself                          */
	bool any_order;  /* each sender's lines in order, but no one order for the room */
	bool remote;     /* other machines may be loaded                               */
	enum report_format format;
};

struct mode {
	const char *name;
	const char *help;
	/* Runs the mode, adds its values to 'report'; faults go to the verdict. */
	void (*run)(const struct options *options, struct report *report);
};

/* Reads the command line; ends the program on --help and, with exit code 2, on anything it cannot take. */
void options_read(struct options *options, const struct mode *modes, int argument_count, char **arguments);

#endif
