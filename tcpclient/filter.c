#include "tcpclient/filter.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/lines.h"
#include "common/text.h"
#include "tcpclient/buffer.h"
#include "tcpclient/carrier.h"
#include "tcpclient/commands.h"
#include "tcpclient/connection.h"
#include "tcpclient/heard.h"
#include "tcpclient/locks.h"
#include "tcpclient/news.h"
#include "tcpclient/outbox.h"
#include "tcpclient/resume.h"
#include "tcpclient/scene.h"
#include "tcpclient/timer.h"

enum { READ_SIZE = 64 * 1024, WRITE_SIZE = 64 * 1024, REASON_SIZE = 160, CHORES_MS = 1000 };

struct filter {
	const struct filter_settings *settings;
	struct outbox *outbox;
	struct scene *scene; /* NULL in FILTER_AS_IT_CAME */
	struct connection *connection;
	bool is_person; /* constant: lines are read from a terminal and shown to a person */
	int timer;      /* constant: timerfd, when it is time to keep how far one has read */
	/* Sequentially consistent: the connection is woken after the input has ended, and then sees it. */
	atomic_bool input_ended;

	/* owned by the main thread */
	struct lines lines;
	struct buffer clean;
	unsigned long long line_number;
	bool something_was_read;
	bool failed;
	struct resume resume;

	/* owned by the connection's thread, and by the main one after it has ended */
	struct buffer out;
	size_t news_at; /* in 'out': where the line about what is new belongs */
	bool has_news;
	bool was_made; /* at least once */
	bool awaits_room; /* nothing is said before we are in the room of the settings */
	bool refused;
	char lost[REASON_SIZE];
	char name[NAME_SIZE]; /* who we are */
	char address[NEWS_ADDRESS_SIZE];

	pthread_mutex_t mutex;                  /* OUTPUT_LOCK */
	bool deaf GUARDED_BY(OUTPUT_LOCK);      /* standard output takes nothing any more */
	bool unwritten GUARDED_BY(OUTPUT_LOCK); /* and that is an error                 */
};

static void filter_lock(struct filter *filter) ACQUIRES(OUTPUT_LOCK) UNCHECKED;
static void filter_unlock(struct filter *filter) RELEASES(OUTPUT_LOCK) UNCHECKED;

static void filter_lock(struct filter *filter)
{
	mutex_lock(&filter->mutex);
}

static void filter_unlock(struct filter *filter)
{
	mutex_unlock(&filter->mutex);
}

static void complain(const char *what, const char *detail)
{
	(void)fprintf(stderr, "tcpclient: %s%s\n", what, detail);
}

/* Standard output. */

/* Waits until it can be written to again, or finds that it cannot. */
static void on_write_error(struct filter *filter, int error) REQUIRES(OUTPUT_LOCK)
{
	struct pollfd polled = {.fd = STDOUT_FILENO, .events = POLLOUT};

	if (error == EINTR)
		return;
	if (error == EAGAIN) {
		(void)poll(&polled, 1, -1);
		return;
	}
	filter->deaf = true;
	if (error == EPIPE) /* a reader that has enough is no error */
		return;
	complain("cannot write to standard output: ", strerrordesc_np(error));
	filter->unwritten = true;
}

/* Writes whole lines. */
static void write_out(struct filter *filter, struct buffer *out)
{
	const char *bytes = out->bytes;
	size_t size = out->size;

	filter_lock(filter);
	while (size > 0 && !filter->deaf) {
		ssize_t written = write(STDOUT_FILENO, bytes, size);

		if (written < 0) {
			on_write_error(filter, errno);
		} else {
			bytes += written;
			size -= (size_t)written;
		}
	}
	filter_unlock(filter);
	buffer_clear(out);
}

/* What the connection's thread tells. */

/* Puts the line about what is new in front of it. */
static void tell_news(struct filter *filter)
{
	struct buffer rest = {0};

	if (!filter->has_news)
		return;
	filter->has_news = false;
	buffer_add(&rest, filter->out.bytes + filter->news_at, filter->out.size - filter->news_at);
	filter->out.size = filter->news_at;
	scene_tell_news(filter->scene, &filter->out);
	buffer_add(&filter->out, rest.bytes, rest.size);
	buffer_fini(&rest);
}

static void flush(struct filter *filter)
{
	tell_news(filter);
	write_out(filter, &filter->out);
}

static void flush_if_much(struct filter *filter)
{
	if (filter->out.size >= WRITE_SIZE)
		flush(filter);
}

static void print_line(struct filter *filter, const char *line, size_t size)
{
	buffer_add(&filter->out, line, size);
	buffer_add(&filter->out, "\n", 1);
	flush_if_much(filter);
}

/* A person has seen it on standard output, and has not failed with it. */
static void refuse(struct filter *filter, const char *code, const char *text)
{
	if (filter->is_person)
		return;
	(void)fprintf(stderr, "tcpclient: the server refused: %s%s%s\n", code, code[0] == '\0' ? "" : ": ", text);
	filter->refused = true;
}

/* We are in the room, or never shall be: then nothing is said anywhere else. A person sees that, and says what is next. */
static void end_wait(struct filter *filter, bool entered)
{
	if (!filter->awaits_room)
		return;
	filter->awaits_room = false;
	if (!entered && !filter->is_person) {
		filter->refused = true;
		filter->input_ended = true;
		outbox_abandon(filter->outbox);
		outbox_plan(filter->outbox, OUTBOX_LEAVE);
	}
	outbox_hold(filter->outbox, false);
}

/* Nothing was asked but to join: the first error is the answer to that. */
static void wait_in_lines(struct filter *filter, const struct heard *heard)
{
	static const char here[] = "* You are in ";
	bool is_here = heard->kind == HEARD_NOTICE && heard->text_size > sizeof here &&
		       memcmp(heard->text, here, sizeof here - 1) == 0;

	if (is_here || heard->kind == HEARD_ERROR)
		end_wait(filter, is_here);
}

static void on_line(void *context, const char *line, size_t size, const struct heard *heard)
{
	struct filter *filter = context;
	struct buffer text = {0};

	if (filter->settings->form == FILTER_PLAIN && scene_hides(filter->scene, filter->name, heard))
		return;
	buffer_add(&text, line, size);
	buffer_add(&text, "", 1);
	if (heard->kind == HEARD_ERROR)
		refuse(filter, "", text.bytes);
	wait_in_lines(filter, heard);
	text.bytes[size] = '\n';
	if (filter->settings->form == FILTER_PLAIN)
		text.size = text_straighten(text.bytes, text.size);
	if (filter->settings->form == FILTER_PLAIN)
		scene_note(filter->scene, text.bytes, text.size);
	if (filter->settings->form != FILTER_JSON)
		buffer_add(&filter->out, text.bytes, text.size);
	buffer_fini(&text);
	flush_if_much(filter);
}

static void print_event(struct filter *filter, const char *line, size_t size, const struct event *event)
{
	if (event->id < 0) /* a number of our own */
		event_write_without_id(&filter->out, line, size);
	else
		print_line(filter, line, size);
}

/* Returns whether an event is to be seen. */
static bool take(struct filter *filter, const struct event *event)
{
	enum scene_take taken = scene_take(filter->scene, event);

	if (taken == SCENE_NEWS && filter->settings->form == FILTER_PLAIN) {
		tell_news(filter);
		scene_begin_news(filter->scene, event);
		filter->has_news = true;
		filter->news_at = filter->out.size;
	}
	return taken != SCENE_DROPS;
}

static void on_heard(void *context, const char *line, size_t size, const struct event *event, const char *request)
{
	struct filter *filter = context;
	enum scene_fold fold;

	if (!take(filter, event))
		return;
	if (scene_is_refusal(event))
		refuse(filter, event->code, event->text);
	if (filter->settings->form == FILTER_JSON && !scene_asked_for(event))
		print_event(filter, line, size, event);
	(void)scene_hear(filter->scene, filter->name, event, request, &filter->out, &fold);
	if (scene_entry(filter->scene) != ENTRY_AWAITED)
		end_wait(filter, scene_entry(filter->scene) == ENTRY_MADE);
	if (event->kind == EVENT_NICK && strcmp(event->participant, filter->name) == 0)
		(void)snprintf(filter->name, sizeof filter->name, "%s", event->text);
	flush_if_much(filter);
}

static void on_greet(void *context, enum dialect dialect, struct buffer *out)
{
	struct filter *filter = context;
	const char *room = filter->settings->room;

	if (filter->settings->form == FILTER_JSON && dialect != DIALECT_EVENTS) {
		complain("the server knows no events, so there is nothing for --json", "");
		filter->refused = true;
	}
	if (dialect == DIALECT_PLAIN && filter->awaits_room) {
		complain("the server knows no rooms, so nothing is said: --room ", room);
		end_wait(filter, false);
	}
	if (filter->scene != NULL)
		scene_greet(filter->scene, dialect, out);
	else if (room != NULL && dialect != DIALECT_PLAIN)
		buffer_add_format(out, "/join \"%s\"\n", room);
}

static bool is_deaf(struct filter *filter)
{
	bool deaf;

	filter_lock(filter);
	deaf = filter->deaf;
	filter_unlock(filter);
	return deaf;
}

static void on_pause(void *context)
{
	struct filter *filter = context;

	flush(filter);
	outbox_heard(filter->outbox);
	if (filter->scene != NULL && !is_deaf(filter) && scene_shown(filter->scene))
		timer_set(filter->timer, CHORES_MS);
}

static bool on_again(void *context)
{
	struct filter *filter = context;

	return filter->was_made && !filter->input_ended;
}

static void say_lines(struct filter *filter, enum render_tone tone, char *lines)
{
	for (char *line; (line = strsep(&lines, "\n")) != NULL;) {
		if (line[0] != '\0')
			scene_say(filter->scene, &filter->out, tone, line);
	}
}

/* News for a person, and those of a lost connection for a program. */
static void add_news(struct filter *filter, enum connection_event event, const char *detail)
{
	struct buffer text = {0};
	enum render_tone tone = news_add(&text, event, filter->address, filter->settings->carrier, detail);

	buffer_add(&text, "", 1);
	if (text.size > 1 && filter->settings->form == FILTER_PLAIN)
		say_lines(filter, tone, text.bytes);
	else if (text.size > 1 && filter->settings->form == FILTER_JSON)
		event_write_notice(&filter->out, text.bytes);
	buffer_fini(&text);
}

static void on_made(struct filter *filter, const char *address)
{
	if (filter->was_made || filter->settings->form == FILTER_PLAIN)
		add_news(filter, CONNECTION_MADE, address);
	filter->was_made = true;
	(void)snprintf(filter->address, sizeof filter->address, "%s", address);
}

static void on_secured(struct filter *filter, const char *detail)
{
	if (filter->settings->form == FILTER_PLAIN) /* the others read no news */
		add_news(filter, CONNECTION_SECURED, detail);
}

static void on_lost(struct filter *filter, const char *why)
{
	(void)snprintf(filter->lost, sizeof filter->lost, "%s", why);
	if (on_again(filter))
		add_news(filter, CONNECTION_LOST, why);
}

static void on_event(void *context, enum connection_event event, const char *detail)
{
	struct filter *filter = context;

	switch (event) {
	case CONNECTION_UNREACHABLE:
		(void)fprintf(stderr, "tcpclient: cannot connect to %s port %s: %s\n", filter->settings->place.host,
			filter->settings->place.port, detail);
		break;
	case CONNECTION_MADE:
		on_made(filter, detail);
		break;
	case CONNECTION_READY:
		(void)snprintf(filter->name, sizeof filter->name, "%s", detail);
		break;
	case CONNECTION_LOST:
		on_lost(filter, detail);
		break;
	case CONNECTION_FORGOT:
		add_news(filter, event, detail);
		break;
	case CONNECTION_UNSENT:
		complain("lines were too long to be sent: ", detail);
		filter->refused = true;
		break;
	case CONNECTION_SECURED:
		on_secured(filter, detail);
		break;
	case CONNECTION_INSECURE:
		complain(detail, "");
		break;
	case CONNECTION_ENDED:
		(void)snprintf(filter->lost, sizeof filter->lost, "%s", detail);
		complain(detail, "");
		break;
	case CONNECTION_CUT:
		complain("a line from the server was too long, and is left out", "");
		filter->refused = true;
		break;
	}
}

static const struct connection_listener listener = {
	.line = on_line, .heard = on_heard, .greet = on_greet, .pause = on_pause, .event = on_event, .again = on_again};

/* Standard input. */

/* A person has read what was shown. */
static void tell_read(struct filter *filter)
{
	if (filter->is_person && scene_mark(filter->scene))
		connection_wake(filter->connection);
}

static void end_input(struct filter *filter)
{
	filter->input_ended = true;
	connection_wake(filter->connection);
	if (!filter->something_was_read && !filter->is_person && filter->resume.taken == 0)
		return; /* only listening */
	tell_read(filter);
	outbox_plan(filter->outbox, OUTBOX_FINISH);
	connection_wake(filter->connection);
}

static void refuse_line(struct filter *filter)
{
	(void)fprintf(stderr, "tcpclient: line %llu of the input is longer than %d bytes and was not sent\n",
		filter->line_number, OUTBOX_LINE_SIZE_MAX);
	filter->failed = true;
}

/* Through a carrier of lines: all that goes is said. */
static bool has_no_commands(const struct filter *filter)
{
	return filter->settings->carrier != NULL && !filter->settings->carrier->in_events;
}

/* Whether a line is a command that looks at what was received. */
static bool is_own(const struct filter *filter)
{
	const struct buffer *line = &filter->clean;

	return (line->size >= 5 && memcmp(line->bytes, "/save", 5) == 0) ||
	       (line->size >= 5 && memcmp(line->bytes, "/find", 5) == 0);
}

/* Until what was said before came back. That it was kept is told earlier; but a command is answered after it. */
static void wait_heard(struct filter *filter)
{
	outbox_wait_heard(filter->outbox);
	if (!scene_is_in_events(filter->scene) || !outbox_ask(filter->outbox, "/ping"))
		return;
	connection_wake(filter->connection);
	outbox_wait_heard(filter->outbox);
}

/* Commands of the client itself, and lines that mean nothing. Returns whether there is nothing to be sent. */
static bool work_here(struct filter *filter)
{
	struct buffer out = {0};
	bool ours;

	if (filter->settings->form != FILTER_PLAIN)
		return false;
	/* Enter alone says nothing; nor does an empty line over gRPC. */
	if (filter->clean.size == 0 && (filter->is_person || filter->settings->carrier != NULL))
		return true;
	if (!filter->is_person && is_own(filter))
		wait_heard(filter);
	ours = commands_work(filter->scene, filter->clean.bytes, filter->clean.size, &out);
	write_out(filter, &out);
	buffer_fini(&out);
	connection_wake(filter->connection); /* the server may have been asked for something */
	return ours;
}

/* A command would be said to all. */
static bool put_text(struct filter *filter)
{
	const char *line = filter->clean.bytes;
	size_t size = filter->clean.size;
	struct buffer out = {0};
	bool refused = commands_refuse(filter->scene, line, size, &out);

	write_out(filter, &out);
	buffer_fini(&out);
	if (refused && filter->scene == NULL) {
		(void)fprintf(stderr, "tcpclient: line %llu of the input begins with / and was not sent: here are no commands; //x says /x\n",
			filter->line_number);
		filter->failed = true;
	}
	commands_unquote(&line, &size);
	return refused || outbox_put(filter->outbox, line, size);
}

static bool put_line(struct filter *filter)
{
	struct buffer *line = &filter->clean;
	struct buffer instead = {0};
	char room[NAME_SIZE] = "";

	if (has_no_commands(filter))
		return put_text(filter);
	if (filter->settings->form == FILTER_JSON && line->size > 0 && line->bytes[0] == '{')
		return outbox_put_request(filter->outbox, line->bytes, line->size);
	if (filter->scene != NULL)
		scene_typed(filter->scene, line->bytes, line->size, room, &instead);
	if (instead.size > 0) {
		buffer_clear(line);
		buffer_add(line, instead.bytes, instead.size);
	}
	buffer_fini(&instead);
	return outbox_put_to(filter->outbox, room, line->bytes, line->size);
}

/* A carrier knows no commands, so the server cannot be told. */
static bool is_quit(const struct filter *filter, const char *line, size_t size)
{
	return filter->settings->carrier != NULL && size == 5 && memcmp(line, "/quit", 5) == 0;
}

static void send_line(struct filter *filter, enum lines_state state, const char *line, size_t size)
{
	filter->line_number++;
	if (state == LINES_LINE && (heard_is_exit(line, size) || is_quit(filter, line, size))) {
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
	if (work_here(filter) || !outbox_wait(filter->outbox) || !put_line(filter))
		return; /* done; or the connection has ended, which filter_judge() tells */
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

/* Keeps and tells how far one has read. */
static void on_timer(struct filter *filter)
{
	timer_take(filter->timer);
	scene_keep(filter->scene);
	tell_read(filter);
}

static void filter_loop(struct filter *filter)
{
	struct pollfd polled[] = {
		{.fd = connection_ended(filter->connection), .events = POLLIN},
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = STDOUT_FILENO, .events = 0},
		{.fd = filter->timer, .events = POLLIN},
	};

	while (polled[0].revents == 0) {
		polled[1].fd = filter->input_ended ? -1 : STDIN_FILENO;
		if (poll(polled, 4, -1) < 0) {
			polled[0].revents = 0; /* EINTR */
			continue;
		}
		if (polled[2].revents != 0) {
			polled[2].fd = -1;
			polled[2].revents = 0;
			on_reader_gone(filter);
		}
		if (polled[3].revents != 0)
			on_timer(filter);
		if (polled[1].revents != 0 && polled[0].revents == 0 && !filter->input_ended)
			read_input(filter);
	}
}

static bool filter_is_unwritten(struct filter *filter)
{
	bool unwritten;

	filter_lock(filter);
	unwritten = filter->unwritten;
	filter_unlock(filter);
	return unwritten;
}

/* Says what went wrong, if anything did; returns the exit code. */
static int filter_judge(struct filter *filter, enum connection_end end)
{
	struct outbox_state state = outbox_state(filter->outbox);
	size_t missing = state.waiting - state.asked_waiting + state.sent - state.asked_sent;

	if (filter->refused || filter_is_unwritten(filter))
		filter->failed = true; /* said already */
	if (end == CONNECTION_REFUSED && !filter->refused)
		complain("the server refuses the name: ", filter->settings->name);
	if (end == CONNECTION_REFUSED || end == CONNECTION_DISTRUSTED || end == CONNECTION_TURNED_AWAY || !filter->was_made)
		return EXIT_FAILURE;
	if (missing > 0) {
		(void)fprintf(stderr,
			"tcpclient: the connection ended before all was said (%s); lines without an echo: %zu\n",
			end == CONNECTION_LEFT ? "/quit" : filter->lost, missing);
		filter->failed = true;
	} else if (end != CONNECTION_LEFT && filter->something_was_read && !filter->input_ended) {
		(void)fprintf(stderr, "tcpclient: the connection ended before the input did (%s)\n", filter->lost);
		filter->failed = true;
	} else if (end == CONNECTION_BROKEN && !filter->is_person && (!filter->something_was_read || has_no_commands(filter))) {
		/* what a carrier echoed was written, and perhaps not taken */
		complain("the connection broke: ", filter->lost);
		filter->failed = true;
	}
	return filter->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static struct scene *make_scene(const struct filter_settings *wanted, bool is_person, struct outbox *outbox)
{
	struct scene_settings settings = {.colors = RENDER_NO_COLORS,
		.room = wanted->room,
		.highlights = wanted->highlights,
		.ignored_path = wanted->ignored_path,
		.outbox = outbox,
		.plain = true,
		.history = wanted->history,
		.progress_path = wanted->progress_path,
		.goes_on = wanted->goes_on,
		.keeps_progress = wanted->goes_on || is_person,
		.unseen = wanted->form == FILTER_JSON};

	return wanted->form == FILTER_AS_IT_CAME ? NULL : scene_create(&settings);
}

static int filter_start(struct filter *filter)
{
	const struct filter_settings *wanted = filter->settings;
	struct connection_settings settings = {.place = wanted->place,
		.secure = wanted->secure,
		.carrier = wanted->carrier,
		.name = wanted->name,
		.persistent = wanted->form != FILTER_AS_IT_CAME,
		.events = wanted->form != FILTER_AS_IT_CAME,
		.listener = &listener,
		.context = filter,
		.outbox = filter->outbox};

	if (filter->scene != NULL)
		settings.session_is_known = scene_knows_session(filter->scene);
	memcpy(settings.session, filter->resume.session, sizeof settings.session);
	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail; write() tells */
	lines_init(&filter->lines, OUTBOX_LINE_SIZE_MAX);
	(void)snprintf(filter->name, sizeof filter->name, "%s", wanted->name);
	news_address(&wanted->place, filter->address);
	return connection_open(&settings, &filter->connection);
}

/* Where an earlier client stopped. */
static void begin(struct filter *filter)
{
	bool keeps = filter->settings->goes_on || filter->is_person;
	struct buffer text = {0};

	filter->resume = resume_begin(
		keeps ? filter->settings->unsent_path : NULL, filter->settings->goes_on, filter->outbox, filter->scene);
	resume_tell(&filter->resume, &text);
	buffer_add(&text, "", 1);
	if (text.size > 1)
		complain(text.bytes, "");
	buffer_fini(&text);
}

int filter_run(const struct filter_settings *wanted)
{
	struct filter filter = {.settings = wanted, .outbox = outbox_create(), .timer = timer_open()};
	enum connection_end end = CONNECTION_LEFT;
	int error;
	int exit_code;

	mutex_init(&filter.mutex);
	filter.is_person = wanted->form == FILTER_PLAIN && wanted->lines == NULL && isatty(STDIN_FILENO);
	filter.scene = make_scene(wanted, filter.is_person, filter.outbox);
	filter.awaits_room = wanted->room != NULL;
	outbox_hold(filter.outbox, filter.awaits_room);
	if (filter.scene != NULL)
		begin(&filter);
	error = filter_start(&filter);
	if (error != 0) {
		complain("cannot start: ", strerrordesc_np(-error));
		return EXIT_FAILURE;
	}
	if (wanted->lines != NULL)
		send_given(&filter, wanted->lines);
	filter_loop(&filter);
	if (!connection_close(filter.connection, &end))
		_exit(EXIT_SUCCESS); /* the reader is gone, and a thread is within connect() */
	if (filter.scene != NULL)
		scene_keep(filter.scene);
	exit_code = filter_judge(&filter, end);
	lines_fini(&filter.lines);
	buffer_fini(&filter.clean);
	buffer_fini(&filter.out);
	scene_destroy(filter.scene);
	outbox_destroy(filter.outbox);
	mutex_fini(&filter.mutex);
	(void)close(filter.timer);
	return exit_code;
}
