#include "tcpclient/filter.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/lines.h"
#include "tcpclient/buffer.h"
#include "tcpclient/connection.h"
#include "tcpclient/heard.h"
#include "tcpclient/outbox.h"
#include "tcpclient/request.h"

enum { READ_SIZE = 64 * 1024, WRITE_SIZE = 64 * 1024, REASON_SIZE = 160, ID_JOIN = -1 };

struct filter {
	const struct filter_settings *settings;
	struct outbox *outbox;
	struct connection *connection;

	/* owned by the main thread */
	struct lines lines;
	struct buffer clean;
	unsigned long long line_number;
	bool input_ended;
	bool something_was_read;
	bool failed;

	/* owned by the connection's thread, and by the main one after it has ended */
	struct buffer out;
	bool deaf; /* standard output takes nothing any more */
	bool refused;
	char lost[REASON_SIZE];
};

static void complain(const char *what, const char *detail)
{
	(void)fprintf(stderr, "tcpclient: %s%s\n", what, detail);
}

/* What the connection's thread tells. */

static void write_out(struct filter *filter)
{
	const char *bytes = filter->out.bytes;
	size_t size = filter->out.size;

	while (size > 0 && !filter->deaf) {
		ssize_t written = write(STDOUT_FILENO, bytes, size);
		struct pollfd polled = {.fd = STDOUT_FILENO, .events = POLLOUT};

		if (written >= 0) {
			bytes += written;
			size -= (size_t)written;
		} else if (errno == EAGAIN) {
			(void)poll(&polled, 1, -1);
		} else if (errno != EINTR) {
			filter->deaf = true;
			if (errno != EPIPE) { /* a reader that has enough is no error */
				complain("cannot write to standard output: ", strerrordesc_np(errno));
				filter->refused = true;
			}
		}
	}
	buffer_clear(&filter->out);
}

static void print_line(struct filter *filter, const char *line, size_t size)
{
	buffer_add(&filter->out, line, size);
	buffer_add(&filter->out, "\n", 1);
	if (filter->out.size >= WRITE_SIZE)
		write_out(filter);
}

static void on_line(void *context, const char *line, size_t size, const struct heard *heard)
{
	struct filter *filter = context;

	if (heard->kind == HEARD_ERROR) {
		(void)fprintf(stderr, "tcpclient: the server refused: %.*s\n", (int)size, line);
		filter->refused = true;
	}
	if (!filter->settings->json)
		print_line(filter, line, size);
}

static void on_heard(void *context, const char *line, size_t size, const struct event *event, const char *request)
{
	struct filter *filter = context;

	(void)request;
	if (event->kind == EVENT_ERROR) {
		(void)fprintf(stderr, "tcpclient: the server refused: %s: %s\n", event->code, event->text);
		filter->refused = true;
	}
	print_line(filter, line, size);
}

static void on_greet(void *context, enum dialect dialect, struct buffer *out)
{
	const struct filter_settings *settings = ((struct filter *)context)->settings;

	if (settings->json && dialect != DIALECT_EVENTS) {
		complain("the server knows no events, so there is nothing for --json", "");
		((struct filter *)context)->refused = true;
	}
	if (settings->room == NULL || dialect == DIALECT_PLAIN)
		return;
	if (dialect == DIALECT_EVENTS)
		request_write_op(out, "join", "room", settings->room, ID_JOIN);
	else
		buffer_add_format(out, "/join \"%s\"\n", settings->room);
}

static void on_pause(void *context)
{
	write_out(context);
}

static void on_event(void *context, enum connection_event event, const char *detail)
{
	struct filter *filter = context;

	if (event == CONNECTION_UNREACHABLE)
		(void)fprintf(stderr, "tcpclient: cannot connect to %s port %s: %s\n", filter->settings->place.host,
			filter->settings->place.port, detail);
	else if (event == CONNECTION_LOST)
		(void)snprintf(filter->lost, sizeof filter->lost, "%s", detail);
	else if (event == CONNECTION_UNSENT) {
		complain("lines were too long to be sent: ", detail);
		filter->refused = true;
	} else if (event == CONNECTION_CUT) {
		complain("a line from the server was too long, and is left out", "");
		filter->refused = true;
	}
}

static const struct connection_listener listener = {
	.line = on_line, .heard = on_heard, .greet = on_greet, .pause = on_pause, .event = on_event};

/* Standard input. */

static void end_input(struct filter *filter)
{
	filter->input_ended = true;
	if (!filter->something_was_read)
		return; /* only listening */
	outbox_plan(filter->outbox, OUTBOX_FINISH);
	connection_wake(filter->connection);
}

static void refuse_line(struct filter *filter)
{
	(void)fprintf(stderr, "tcpclient: line %llu of the input is longer than %d bytes and was not sent\n",
		filter->line_number, OUTBOX_LINE_SIZE_MAX);
	filter->failed = true;
}

static void send_line(struct filter *filter, enum lines_state state, const char *line, size_t size)
{
	filter->line_number++;
	if (state == LINES_LINE && heard_is_exit(line, size)) {
		end_input(filter);
		return;
	}
	buffer_clear(&filter->clean);
	if (state == LINES_LINE)
		buffer_add_clean(&filter->clean, line, size);
	if (state != LINES_LINE || filter->clean.size > OUTBOX_LINE_SIZE_MAX) {
		refuse_line(filter);
		return;
	}
	if (!outbox_wait(filter->outbox) || !outbox_put(filter->outbox, filter->clean.bytes, filter->clean.size))
		return; /* the connection has ended, which filter_judge() tells */
	connection_wake(filter->connection);
}

static void send_lines(struct filter *filter, const char *bytes, size_t size)
{
	enum lines_state state;
	const char *line = NULL;
	size_t line_size = 0;

	filter->something_was_read = true;
	lines_feed(&filter->lines, bytes, size);
	while (!filter->input_ended && (state = lines_next(&filter->lines, &line, &line_size)) != LINES_MORE)
		send_line(filter, state, line, line_size);
}

static void read_input(struct filter *filter)
{
	char bytes[READ_SIZE];
	ssize_t size = read(STDIN_FILENO, bytes, sizeof bytes);
	enum lines_state state;
	const char *line = NULL;
	size_t line_size = 0;

	if (size > 0) {
		send_lines(filter, bytes, (size_t)size);
		return;
	}
	if (size < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (size < 0) {
		complain("cannot read standard input: ", strerrordesc_np(errno));
		filter->failed = true;
	}
	state = lines_last(&filter->lines, &line, &line_size);
	if (state != LINES_MORE)
		send_line(filter, state, line, line_size);
	if (!filter->input_ended)
		end_input(filter);
}

/* Lines that were given instead of an input. */
static void send_given(struct filter *filter, const char *text)
{
	enum lines_state state;
	const char *line = NULL;
	size_t size = 0;

	send_lines(filter, text, strlen(text));
	state = lines_last(&filter->lines, &line, &size);
	if (state != LINES_MORE && !filter->input_ended)
		send_line(filter, state, line, size);
	if (!filter->input_ended)
		end_input(filter);
}

/* Nobody reads what we print: that ends the listening, but not the sending. */
static void on_reader_gone(struct filter *filter)
{
	if (filter->something_was_read)
		return;
	outbox_plan(filter->outbox, OUTBOX_LEAVE);
	connection_wake(filter->connection);
	filter->input_ended = true;
}

static void filter_loop(struct filter *filter)
{
	struct pollfd polled[] = {
		{.fd = connection_ended(filter->connection), .events = POLLIN},
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = STDOUT_FILENO, .events = 0},
	};

	while (polled[0].revents == 0) {
		polled[1].fd = filter->input_ended ? -1 : STDIN_FILENO;
		if (poll(polled, 3, -1) < 0) {
			polled[0].revents = 0; /* EINTR */
			continue;
		}
		if (polled[2].revents != 0) {
			polled[2].fd = -1;
			polled[2].revents = 0;
			on_reader_gone(filter);
		}
		if (polled[1].revents != 0 && polled[0].revents == 0 && !filter->input_ended)
			read_input(filter);
	}
}

/* Says what went wrong, if anything did; returns the exit code. */
static int filter_judge(struct filter *filter, enum connection_end end)
{
	struct outbox_state state = outbox_state(filter->outbox);
	size_t missing = state.waiting + state.sent;

	if (end == CONNECTION_NOT_REACHED || end == CONNECTION_REFUSED || filter->refused || filter->failed)
		filter->failed = true; /* said already */
	if (end == CONNECTION_NOT_REACHED || end == CONNECTION_REFUSED)
		return EXIT_FAILURE;
	if (missing > 0) {
		(void)fprintf(stderr,
			"tcpclient: the connection ended before all was said (%s); lines without an echo: %zu\n",
			end == CONNECTION_LEFT ? "/quit" : filter->lost, missing);
		filter->failed = true;
	} else if (end != CONNECTION_LEFT && filter->something_was_read && !filter->input_ended) {
		(void)fprintf(stderr, "tcpclient: the connection ended before the input did (%s)\n", filter->lost);
		filter->failed = true;
	} else if (end == CONNECTION_BROKEN && !filter->something_was_read) {
		complain("the connection broke: ", filter->lost);
		filter->failed = true;
	}
	return filter->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int filter_run(const struct filter_settings *wanted)
{
	struct filter filter = {.settings = wanted, .outbox = outbox_create()};
	struct connection_settings settings = {.place = wanted->place,
		.name = wanted->name,
		.events = wanted->json,
		.listener = &listener,
		.context = &filter,
		.outbox = filter.outbox};
	enum connection_end end = CONNECTION_LEFT;
	int error;
	int exit_code;

	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail; write() tells */
	lines_init(&filter.lines, OUTBOX_LINE_SIZE_MAX);
	error = connection_open(&settings, &filter.connection);
	if (error != 0) {
		complain("cannot start: ", strerrordesc_np(-error));
		return EXIT_FAILURE;
	}
	if (wanted->lines != NULL)
		send_given(&filter, wanted->lines);
	filter_loop(&filter);
	if (!connection_close(filter.connection, &end))
		_exit(EXIT_SUCCESS); /* the reader is gone, and a thread is within connect() */
	exit_code = filter_judge(&filter, end);
	lines_fini(&filter.lines);
	buffer_fini(&filter.clean);
	buffer_fini(&filter.out);
	outbox_destroy(filter.outbox);
	return exit_code;
}
