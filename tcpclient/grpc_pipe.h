/*
 * What carriers of gRPC (carrier.h) have in common: a thread between a call and the socket that the connection has. Lines come from
 * that socket, and lines for it wait here.
 *
 *         grpc_pipe_init(&pipe, socket, &settings, line_size);
 *         grpc_pipe_start(&pipe, run, context, &lines);
 *
 * and in the thread, which is 'run':
 *
 *         while (!grpc_is_over(pipe->grpc) && !pipe->nobody_reads && ...)
 *                 grpc_pipe_step(pipe, may_take, until, on_line, context);
 *         grpc_pipe_finish(pipe, ...);
 *
 * Threads: the pipe's own between grpc_pipe_start() and grpc_pipe_fini(), but for grpc_pipe_judge().
 */
#ifndef TCPCLIENT_GRPC_PIPE_H
#define TCPCLIENT_GRPC_PIPE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/lines.h"
#include "tcpclient/buffer.h"
#include "tcpclient/carrier.h"
#include "tcpclient/grpc.h"

struct grpc_pipe {
	struct grpc *grpc;
	int inner; /* our end of the pair */
	pthread_t thread;
	struct lines typed;
	struct buffer shown; /* lines for the other end */
	size_t shown_from;
	bool input_ended;
	bool nobody_reads;
	/* Published by 'is_over', released before the end is seen through the pair. */
	enum carrier_end end;
	char words[CARRIER_WORDS_SIZE];
	atomic_bool is_over;
};

/* Begins the call on 'socket', which it takes. Lines that are typed have at most 'line_size' bytes. */
void grpc_pipe_init(struct grpc_pipe *pipe, int socket, const struct grpc_settings *settings, size_t line_size);
/* Starts the thread; '*lines' is the socket that speaks in lines. Returns whether that was possible; if not, there is nothing left
 * but grpc_pipe_forget(). */
bool grpc_pipe_start(struct grpc_pipe *pipe, void *(*run)(void *context), void *context, int *lines) MUST_CHECK;
/* Ends what grpc_pipe_init() began, without a thread. */
void grpc_pipe_forget(struct grpc_pipe *pipe);
/* Waits for the thread, then the same. */
void grpc_pipe_fini(struct grpc_pipe *pipe);
/* As a carrier's. Threads: any. */
enum carrier_end grpc_pipe_judge(const struct grpc_pipe *pipe, char words[CARRIER_WORDS_SIZE]);

/* ---- Within the thread. ---- */

/*
 * Waits for something to do, until clock_ms() is 'until' at most (0: without an end), and does it. Each line that came, if 'may_take',
 * is given to 'on_line'; 'input_ended' says that there are no more. Nothing is read of the call while what it said is not shown.
 */
void grpc_pipe_step(struct grpc_pipe *pipe, bool may_take, long long until,
	void (*on_line)(void *context, const char *line, size_t size), void *context);
/* Tries to give what is to be shown to the other end. */
void grpc_pipe_show(struct grpc_pipe *pipe);

/* Whether a call that ended so would end so the next time, too. */
bool grpc_pipe_is_lasting(int code);
void grpc_pipe_explain(struct grpc_pipe *pipe, const char *words);
/* The same with how the call ended, which is not with OK. */
void grpc_pipe_explain_outcome(struct grpc_pipe *pipe, const struct grpc_outcome *outcome);
/* Shows the rest, then says how it ended, as 'end' and 'words' have it. */
void grpc_pipe_finish(struct grpc_pipe *pipe);

#endif
