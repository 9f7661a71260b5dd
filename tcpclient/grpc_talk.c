#include "tcpclient/grpc_talk.h"

#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "tcpchat/v1/chat.pb-c.h"
#include "tcpclient/buffer.h"
#include "tcpclient/grpc.h"
#include "tcpclient/grpc_json.h"
#include "tcpclient/grpc_pipe.h"
#include "tcpclient/places.h"
#include "tcpclient/request.h"
#include "tcpclient/unpack.h"

enum {
	ANSWER_WITHIN_MS = 10000,
	QUIT_ID = -1000000, /* nobody else's: its answer is not shown */
};

struct carried {
	struct grpc_pipe pipe;
	/* The rest is the thread's own. */
	const struct grpc_talk *talk;
	bool was_closed; /* the room that was picked */
	bool is_homeless; /* and we are back in the lobby because of that */
	long long begun_at;
	long long ended_at;
};

/* ---- What comes. ---- */

/* The server sends who is in no room any more to the lobby, unasked. */
static void note_closing(struct carried *carried, const Tcpchat__V1__Event *event)
{
	bool is_here = places_are_same(event->room, carried->talk->room);

	if (event->kind == TCPCHAT__V1__EVENT__KIND__KIND_ROOM_CLOSED && is_here)
		carried->was_closed = true;
	else if (event->kind == TCPCHAT__V1__EVENT__KIND__KIND_NOTICE && is_here)
		carried->was_closed = false; /* it was made anew */
	else if (event->kind == TCPCHAT__V1__EVENT__KIND__KIND_NOTICE && event->id == 0 &&
		 strcmp(event->code, "room") == 0 && strcmp(event->room, PLACES_LOBBY) == 0)
		carried->is_homeless = carried->was_closed;
}

static void on_message(void *context, const unsigned char *bytes, size_t size)
{
	struct carried *carried = context;
	Tcpchat__V1__Event *event =
		(Tcpchat__V1__Event *)unpack(&tcpchat__v1__event__descriptor, bytes, size);

	if (event == NULL)
		return; /* what is no event says nothing */
	if (!carried->is_homeless)
		note_closing(carried, event);
	if (grpc_json_id(event->id) != QUIT_ID && !carried->is_homeless)
		grpc_json_event(&carried->pipe.shown, event);
	tcpchat__v1__event__free_unpacked(event, NULL);
}

/* ---- What goes. ---- */

static void send_line(struct carried *carried, const char *line, size_t size)
{
	struct buffer message = {0};
	long long id;

	if (grpc_json_request(&message, line, size, &id)) {
		grpc_send(carried->pipe.grpc, message.bytes, message.size);
	} else { /* as a server that does not know it would say */
		buffer_add_format(&carried->pipe.shown,
			"{\"kind\":\"error\",\"code\":\"bad-request\",\"id\":%lld,\"text\":\"this cannot be asked for over gRPC\"}\n",
			id);
	}
	buffer_fini(&message);
}

static void on_line(void *context, const char *line, size_t size)
{
	send_line(context, line, size);
}

/* All is acknowledged, or else we do not wait. */
static void end_input(struct carried *carried)
{
	struct buffer quit = {0};

	request_write_op(&quit, "quit", NULL, NULL, QUIT_ID);
	send_line(carried, quit.bytes, quit.size - 1);
	buffer_fini(&quit);
	grpc_send_end(carried->pipe.grpc);
	carried->ended_at = clock_ms();
}

/* ---- The thread. ---- */

static void judge_outcome(struct carried *carried, const struct grpc_outcome *outcome)
{
	struct grpc_pipe *pipe = &carried->pipe;
	bool is_told = outcome->is_told;

	/* A newer call of our session has taken our place: to come back would throw that one out. */
	pipe->end = grpc_pipe_is_lasting(outcome->code) || (is_told && outcome->code == GRPC_ABORTED) ? CARRIER_REFUSED
												      : CARRIER_BROKEN;
	if (!is_told || outcome->code != GRPC_OK) {
		grpc_pipe_explain_outcome(pipe, outcome);
		return;
	}
	pipe->end = pipe->input_ended ? CARRIER_LEFT : CARRIER_OVER;
	grpc_pipe_explain(pipe, "the server has ended the talk");
}

static void judge_end(struct carried *carried)
{
	struct grpc_pipe *pipe = &carried->pipe;

	if (grpc_is_over(pipe->grpc)) {
		judge_outcome(carried, grpc_outcome(pipe->grpc));
	} else if (carried->is_homeless) {
		pipe->end = CARRIER_OVER;
		grpc_pipe_explain(pipe, "the room was deleted");
	}
}

/* When to look again, even if nothing comes; 0: not at all. */
static long long alarm_at(const struct carried *carried)
{
	if (!grpc_was_heard(carried->pipe.grpc))
		return carried->begun_at + ANSWER_WITHIN_MS;
	return carried->pipe.input_ended ? carried->ended_at + ANSWER_WITHIN_MS : 0;
}

static void check_alarm(struct carried *carried)
{
	long long at = alarm_at(carried);

	if (at != 0 && clock_ms() >= at)
		grpc_fail(carried->pipe.grpc, GRPC_UNAVAILABLE, "no answer within 10 seconds");
}

static void step(struct carried *carried)
{
	struct grpc_pipe *pipe = &carried->pipe;
	bool had_ended = pipe->input_ended;

	grpc_pipe_step(pipe, !had_ended && !grpc_is_sending(pipe->grpc), alarm_at(carried), on_line, carried);
	if (pipe->input_ended && !had_ended)
		end_input(carried);
	grpc_pipe_show(pipe);
	check_alarm(carried);
}

static void *carry(void *argument)
{
	struct carried *carried = argument;
	struct grpc_pipe *pipe = &carried->pipe;

	thread_name("grpc");
	while (!grpc_is_over(pipe->grpc) && !pipe->nobody_reads && !carried->is_homeless)
		step(carried);
	judge_end(carried);
	grpc_pipe_finish(pipe);
	return NULL;
}

static struct carried *start(const void *context, int socket, bool is_encrypted, int *lines)
{
	const struct grpc_talk *talk = context;
	struct carried *carried = memory_get(sizeof *carried);
	const struct grpc_settings settings = {.authority = talk->authority,
		.path = GRPC_TALK_PATH,
		.is_encrypted = is_encrypted,
		.heard = on_message,
		.context = carried};

	*carried = (struct carried){.talk = talk, .begun_at = clock_ms()};
	grpc_pipe_init(&carried->pipe, socket, &settings, REQUEST_SIZE_MAX + 1);
	if (grpc_pipe_start(&carried->pipe, carry, carried, lines))
		return carried;
	grpc_pipe_forget(&carried->pipe);
	free(carried);
	return NULL;
}

static enum carrier_end judge(const struct carried *carried, char words[CARRIER_WORDS_SIZE])
{
	return grpc_pipe_judge(&carried->pipe, words);
}

static void end(struct carried *carried)
{
	grpc_pipe_fini(&carried->pipe);
	free(carried);
}

struct carrier grpc_talk_carrier(const struct grpc_talk *talk)
{
	return (struct carrier){
		.protocol = "grpc", .in_events = true, .context = talk, .start = start, .judge = judge, .end = end};
}
