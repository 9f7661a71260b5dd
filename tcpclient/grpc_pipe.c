#include "tcpclient/grpc_pipe.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TAKE_SIZE = 16 * 1024 };

void grpc_pipe_init(struct grpc_pipe *pipe, int socket, const struct grpc_settings *settings, size_t line_size)
{
	*pipe = (struct grpc_pipe){.grpc = grpc_begin(socket, settings), .inner = -1, .end = CARRIER_LEFT};
	lines_init(&pipe->typed, line_size);
}

bool grpc_pipe_start(struct grpc_pipe *pipe, void *(*run)(void *context), void *context, int *lines)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	pipe->inner = pair[0];
	if (thread_start(&pipe->thread, 0, run, context) != 0) {
		(void)close(pair[1]);
		return false;
	}
	*lines = pair[1];
	return true;
}

void grpc_pipe_forget(struct grpc_pipe *pipe)
{
	grpc_close(pipe->grpc);
	if (pipe->inner >= 0)
		(void)close(pipe->inner);
	lines_fini(&pipe->typed);
	buffer_fini(&pipe->shown);
}

void grpc_pipe_fini(struct grpc_pipe *pipe)
{
	thread_join(pipe->thread);
	grpc_pipe_forget(pipe);
}

enum carrier_end grpc_pipe_judge(const struct grpc_pipe *pipe, char words[CARRIER_WORDS_SIZE])
{
	words[0] = '\0';
	/* Acquire: see the struct. */
	if (!atomic_load_explicit(&pipe->is_over, memory_order_acquire))
		return CARRIER_BROKEN;
	memcpy(words, pipe->words, sizeof pipe->words);
	return pipe->end;
}

/* ---- What is shown. ---- */

static bool has_shown_all(const struct grpc_pipe *pipe)
{
	return pipe->shown_from == pipe->shown.size;
}

void grpc_pipe_show(struct grpc_pipe *pipe)
{
	size_t left = pipe->shown.size - pipe->shown_from;
	ssize_t size = left == 0 ? 0 : send(pipe->inner, pipe->shown.bytes + pipe->shown_from, left, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (size >= 0)
		pipe->shown_from += (size_t)size;
	else if (errno != EAGAIN && errno != EINTR)
		pipe->nobody_reads = true;
	if (pipe->shown_from < pipe->shown.size)
		return;
	pipe->shown_from = 0;
	buffer_clear(&pipe->shown);
}

/* What came before the end is seen before it. */
static void show_rest(struct grpc_pipe *pipe)
{
	struct pollfd polled = {.fd = pipe->inner, .events = POLLOUT};

	while (!has_shown_all(pipe) && !pipe->nobody_reads) {
		(void)poll(&polled, 1, -1);
		grpc_pipe_show(pipe);
	}
}

/* ---- What is typed. ---- */

/* A line that is too long is not there: the outbox has none. */
static void take_input(
	struct grpc_pipe *pipe, void (*on_line)(void *context, const char *line, size_t size), void *context)
{
	char bytes[TAKE_SIZE];
	ssize_t taken = recv(pipe->inner, bytes, sizeof bytes, MSG_DONTWAIT);
	enum lines_state state;
	const char *line = NULL;
	size_t size = 0;

	if (taken < 0)
		return; /* EAGAIN */
	pipe->input_ended = taken == 0;
	if (taken == 0 && lines_last(&pipe->typed, &line, &size) == LINES_LINE)
		on_line(context, line, size);
	if (taken == 0)
		return;
	lines_feed(&pipe->typed, bytes, (size_t)taken);
	while ((state = lines_next(&pipe->typed, &line, &size)) != LINES_MORE) {
		if (state == LINES_LINE)
			on_line(context, line, size);
	}
}

static int wait_ms(long long until)
{
	long long left = until - clock_ms();

	if (until == 0)
		return -1;
	return left > 0 ? (int)left : 0;
}

void grpc_pipe_step(struct grpc_pipe *pipe, bool may_take, long long until,
	void (*on_line)(void *context, const char *line, size_t size), void *context)
{
	bool may_read = has_shown_all(pipe);
	short wanted = grpc_wanted(pipe->grpc, may_read);
	struct pollfd polls[] = {
		{.fd = wanted == 0 ? -1 : grpc_socket(pipe->grpc), .events = wanted},
		{.fd = pipe->inner, .events = (short)((may_take ? POLLIN : 0) | (may_read ? 0 : POLLOUT))},
	};

	if (poll(polls, 2, wait_ms(until)) < 0)
		return; /* EINTR: the next round */
	if ((polls[1].revents & (POLLHUP | POLLERR)) != 0)
		pipe->nobody_reads = true;
	if (may_take && (polls[1].revents & POLLIN) != 0)
		take_input(pipe, on_line, context);
	grpc_work(pipe->grpc, may_read && (polls[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0);
}

/* ---- The end. ---- */

bool grpc_pipe_is_lasting(int code)
{
	switch (code) {
	case GRPC_INVALID_ARGUMENT:
	case GRPC_NOT_FOUND:
	case GRPC_ALREADY_EXISTS:
	case GRPC_PERMISSION_DENIED:
	case GRPC_FAILED_PRECONDITION:
	case GRPC_OUT_OF_RANGE:
	case GRPC_UNIMPLEMENTED:
	case GRPC_UNAUTHENTICATED:
		return true;
	default:
		return false;
	}
}

void grpc_pipe_explain(struct grpc_pipe *pipe, const char *words)
{
	(void)snprintf(pipe->words, sizeof pipe->words, "%s", words);
}

void grpc_pipe_explain_outcome(struct grpc_pipe *pipe, const struct grpc_outcome *outcome)
{
	if (outcome->is_told)
		(void)snprintf(pipe->words, sizeof pipe->words, "the server says: %s (%s)", outcome->words,
			grpc_code_name(outcome->code));
	else
		grpc_pipe_explain(pipe, outcome->words);
}

void grpc_pipe_finish(struct grpc_pipe *pipe)
{
	show_rest(pipe);
	atomic_store_explicit(&pipe->is_over, true, memory_order_release); /* see the struct */
	(void)shutdown(pipe->inner, SHUT_RDWR);
}
