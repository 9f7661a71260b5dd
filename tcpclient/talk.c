#include "tcpclient/talk.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/text.h"
#include "tcpclient/attention.h"
#include "tcpclient/carrier.h"
#include "tcpclient/commands.h"
#include "tcpclient/connection.h"
#include "tcpclient/locks.h"
#include "tcpclient/news.h"
#include "tcpclient/outbox.h"
#include "tcpclient/resume.h"
#include "tcpclient/scene.h"
#include "tcpclient/screen.h"
#include "tcpclient/secret.h"
#include "tcpclient/timer.h"

enum {
	READ_SIZE = 4096,
	TEXT_SIZE = 512,
	PAUSE_MS = 15,     /* show what comes 60 times a second at most       */
	CHORES_MS = 1000,  /* what has been read is kept and told not more often than this */
	PENDING_MS = 300,  /* a line that is acknowledged in this time does not show as one that waits */
	PENDING_MOST = 3,  /* lines that wait and are shown                       */
	STUCK_AFTER_S = 5, /* a terminal that takes nothing shall not hold us */
};

struct talk {
	const char *wanted_name;   /* constant */
	const char *wanted_room;   /* constant; or NULL */
	const struct carrier *carrier; /* constant; or NULL */
	enum render_colors colors; /* constant */
	enum scene_bell bell;      /* constant */
	struct outbox *outbox;
	struct scene *scene;
	struct connection *connection;
	int signals; /* signalfd */
	int timer;   /* timerfd: chores are due */
	long long chores_at; /* owned by the main thread: clock_ms(), not before */
	struct resume resume; /* owned by the main thread */
	int exit_code;
	bool over;
	struct buffer shown;  /* owned by the connection's thread: the lines of this batch */
	struct buffer folded; /* owned by the connection's thread: who came and went after them */
	bool folds_again;     /* owned by the connection's thread: 'folded' replaces what was shown last */
	char name[NAME_SIZE]; /* owned by the connection's thread: who we are              */
	bool has_news;        /* owned by the connection's thread: a line about them is to be put into 'shown' */
	size_t news_at;       /* owned by the connection's thread: there                                       */

	pthread_mutex_t prompt_mutex; /* PROMPT_LOCK */
	char prompt_state[NAME_SIZE + 2] GUARDED_BY(PROMPT_LOCK);
	char prompt_name[NAME_SIZE] GUARDED_BY(PROMPT_LOCK);
	struct buffer prompt GUARDED_BY(PROMPT_LOCK); /* as it is shown */

	pthread_mutex_t mutex; /* TALK_LOCK */
	char address[NEWS_ADDRESS_SIZE] GUARDED_BY(TALK_LOCK);
	bool online GUARDED_BY(TALK_LOCK);
	size_t unseen GUARDED_BY(TALK_LOCK); /* messages since the person looked away */
	char unseen_since[RENDER_CLOCK_SIZE] GUARDED_BY(TALK_LOCK);
};

static void talk_lock(struct talk *talk) ACQUIRES(TALK_LOCK) UNCHECKED;
static void talk_unlock(struct talk *talk) RELEASES(TALK_LOCK) UNCHECKED;

static void talk_lock(struct talk *talk)
{
	mutex_lock(&talk->mutex);
}

static void talk_unlock(struct talk *talk)
{
	mutex_unlock(&talk->mutex);
}

static void prompt_lock(struct talk *talk) ACQUIRES(PROMPT_LOCK) UNCHECKED;
static void prompt_unlock(struct talk *talk) RELEASES(PROMPT_LOCK) UNCHECKED;

static void prompt_lock(struct talk *talk)
{
	mutex_lock(&talk->prompt_mutex);
}

static void prompt_unlock(struct talk *talk)
{
	mutex_unlock(&talk->prompt_mutex);
}

static bool is_online(struct talk *talk)
{
	bool online;

	talk_lock(talk);
	online = talk->online;
	talk_unlock(talk);
	return online;
}

static void set_online(struct talk *talk, bool online)
{
	talk_lock(talk);
	talk->online = online;
	talk_unlock(talk);
}

static void set_address(struct talk *talk, const char *address)
{
	talk_lock(talk);
	(void)snprintf(talk->address, sizeof talk->address, "%s", address);
	talk_unlock(talk);
}

static void get_address(struct talk *talk, char address[NEWS_ADDRESS_SIZE])
{
	talk_lock(talk);
	memcpy(address, talk->address, NEWS_ADDRESS_SIZE);
	talk_unlock(talk);
}

static void add_own(const struct talk *talk, struct buffer *out, enum render_tone tone, const char *text)
{
	char clock[RENDER_CLOCK_SIZE];

	render_clock(clock);
	render_own(out, talk->colors, clock, tone, text);
}

/* ---- The prompt, and above it what waits for the server. ---- */

static void add_pending_lines(const struct talk *talk, struct buffer *out, char *lines)
{
	char hidden[] = "(a command with a password)";
	char *rest = NULL;

	for (char *line = strtok_r(lines, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		struct buffer text = {0};

		if (secret_is_in(line, strlen(line)))
			line = hidden;
		buffer_add_format(&text, "(waits for the server) %.*s", (int)text_prefix(line, strlen(line), TEXT_SIZE), line);
		buffer_add(&text, "", 1);
		render_own(out, talk->colors, "", RENDER_CALM, text.bytes);
		buffer_fini(&text);
	}
}

/* Returns when there will be more, in milliseconds, or -1. Without a server a line waits at once, and one that does not speak
 * in events cannot acknowledge it. */
static int add_pending(struct talk *talk, struct buffer *out)
{
	bool online = is_online(talk);
	struct buffer lines = {0};
	char text[TEXT_SIZE];
	int next_ms;
	size_t count;

	if (online && !scene_is_in_events(talk->scene))
		return -1;
	count = outbox_pending(talk->outbox, online ? PENDING_MS : 0, PENDING_MOST, &lines, &next_ms);
	buffer_add(&lines, "", 1);
	(void)snprintf(text, sizeof text, "(waits for the server: %zu lines)", count);
	if (count > PENDING_MOST)
		render_own(out, talk->colors, "", RENDER_CALM, text);
	else
		add_pending_lines(talk, out, lines.bytes);
	buffer_fini(&lines);
	return next_ms;
}

/* As add_pending(). */
static int draw_prompt(struct talk *talk) REQUIRES(PROMPT_LOCK)
{
	struct buffer prompt = {0};
	int next_ms = add_pending(talk, &prompt);

	render_prompt(&prompt, talk->colors, talk->prompt_state, talk->prompt_name);
	buffer_add(&prompt, "", 1);
	if (talk->prompt.size == prompt.size && memcmp(talk->prompt.bytes, prompt.bytes, prompt.size) == 0) {
		buffer_fini(&prompt);
		return next_ms;
	}
	screen_set_prompt(prompt.bytes);
	buffer_fini(&talk->prompt);
	talk->prompt = prompt;
	return next_ms;
}

/* What waits may have changed. */
static void refresh_prompt(struct talk *talk)
{
	int next_ms;

	prompt_lock(talk);
	next_ms = draw_prompt(talk);
	prompt_unlock(talk);
	if (next_ms >= 0)
		timer_set(talk->timer, next_ms);
}

static void set_prompt(struct talk *talk, const char *state)
{
	prompt_lock(talk);
	(void)snprintf(talk->prompt_state, sizeof talk->prompt_state, "%s", state);
	memcpy(talk->prompt_name, talk->name, sizeof talk->prompt_name);
	(void)draw_prompt(talk);
	prompt_unlock(talk);
}

/* ---- What the connection's thread tells. ---- */

static void set_name(struct talk *talk, const char *name)
{
	(void)snprintf(talk->name, sizeof talk->name, "%s", name);
}

/* Puts the line about what is new in front of it. */
static void tell_news(struct talk *talk)
{
	struct buffer rest = {0};

	if (!talk->has_news)
		return;
	talk->has_news = false;
	buffer_add(&rest, talk->shown.bytes + talk->news_at, talk->shown.size - talk->news_at);
	talk->shown.size = talk->news_at;
	scene_tell_news(talk->scene, &talk->shown);
	buffer_add(&talk->shown, rest.bytes, rest.size);
	buffer_fini(&rest);
}

/* Shows the line about who came and went, and what came before it. */
static void show_folded(struct talk *talk)
{
	if (talk->folded.size == 0)
		return;
	tell_news(talk);
	if (talk->shown.size > 0)
		screen_print(talk->shown.bytes, talk->shown.size);
	buffer_clear(&talk->shown);
	screen_print_folded(talk->folded.bytes, talk->folded.size, talk->folds_again);
	buffer_clear(&talk->folded);
	talk->folds_again = true;
}

static void on_line(void *context, const char *line, size_t size, const struct heard *heard)
{
	struct talk *talk = context;
	char clock[RENDER_CLOCK_SIZE];
	struct buffer plain = {0};

	(void)line;
	(void)size;
	if (scene_hides(talk->scene, talk->name, heard))
		return;
	show_folded(talk);
	talk->folds_again = false;
	scene_unfold(talk->scene);
	render_clock(clock);
	render_line(&talk->shown, talk->colors, clock, talk->name, heard);
	render_line(&plain, RENDER_NO_COLORS, clock, talk->name, heard);
	scene_note(talk->scene, plain.bytes, plain.size);
	buffer_fini(&plain);
}

static void set_room_prompt(struct talk *talk)
{
	char room[NAME_SIZE];
	char state[NAME_SIZE + 2];

	scene_room(talk->scene, room);
	(void)snprintf(state, sizeof state, "[%s]", room);
	set_prompt(talk, room[0] == '\0' ? "" : state);
}

/* Counts what comes while the person looks elsewhere. */
static void count_unseen(struct talk *talk, const struct event *event)
{
	talk_lock(talk);
	if (talk->unseen++ == 0)
		render_event_clock(talk->unseen_since, event);
	talk_unlock(talk);
}

static bool rings(const struct talk *talk, enum scene_call call)
{
	switch (talk->bell) {
	case BELL_MENTION:
		return call >= CALL_MENTION;
	case BELL_DM:
		return call == CALL_DIRECT;
	case BELL_ALL:
		return call >= CALL_MESSAGE;
	default:
		return false;
	}
}

static void call_person(struct talk *talk, enum scene_call call, const struct event *event)
{
	const char *tmux = getenv("TMUX");

	if (call == CALL_NOBODY)
		return;
	if (rings(talk, call))
		buffer_add_text(&talk->shown, "\a");
	if (screen_is_focused())
		return;
	count_unseen(talk, event);
	if (call >= CALL_MENTION)
		attention_notify(&talk->shown, attention_choose(), tmux != NULL && tmux[0] != '\0', event->participant,
			event->text);
}

/* What an event becomes is added to 'folded' or to 'shown'. */
static enum scene_call hear(struct talk *talk, const struct event *event, const char *request)
{
	struct buffer lines = {0};
	enum scene_fold fold;
	enum scene_call call = scene_hear(talk->scene, talk->name, event, request, &lines, &fold);

	if (fold != FOLD_AGAIN && lines.size > 0) {
		show_folded(talk);
		talk->folds_again = false;
	}
	if (fold != FOLD_NONE) {
		buffer_clear(&talk->folded);
		buffer_add(&talk->folded, lines.bytes, lines.size);
	} else {
		buffer_add(&talk->shown, lines.bytes, lines.size);
	}
	buffer_fini(&lines);
	return call;
}

/* Returns whether an event is for the person to see. */
static bool take(struct talk *talk, const struct event *event)
{
	enum scene_take taken = scene_take(talk->scene, event);

	if (taken == SCENE_NEWS) {
		show_folded(talk);
		talk->folds_again = false;
		scene_unfold(talk->scene);
		tell_news(talk);
		scene_begin_news(talk->scene, event);
		talk->has_news = true;
		talk->news_at = talk->shown.size;
	}
	return taken != SCENE_DROPS;
}

static void on_heard(void *context, const char *line, size_t size, const struct event *event, const char *request)
{
	struct talk *talk = context;
	char state[NAME_SIZE];
	char state_now[NAME_SIZE];
	bool renamed = event->kind == EVENT_NICK && strcmp(event->participant, talk->name) == 0;

	(void)line;
	(void)size;
	if (!take(talk, event))
		return;
	scene_room(talk->scene, state);
	call_person(talk, hear(talk, event, request), event);
	if (renamed)
		set_name(talk, event->text);
	scene_room(talk->scene, state_now);
	if (renamed || request != NULL || strcmp(state, state_now) != 0)
		set_room_prompt(talk);
}

static void on_greet(void *context, enum dialect dialect, struct buffer *out)
{
	struct talk *talk = context;

	scene_greet(talk->scene, dialect, out);
	if (dialect == DIALECT_PLAIN && talk->wanted_room != NULL)
		add_own(talk, &talk->shown, RENDER_WARNING, "This server knows no rooms: what you say is heard by all (--room).");
	set_room_prompt(talk);
}

static void on_pause(void *context)
{
	struct talk *talk = context;

	show_folded(talk);
	tell_news(talk);
	if (talk->shown.size > 0)
		screen_print(talk->shown.bytes, talk->shown.size);
	buffer_clear(&talk->shown);
	if (scene_shown(talk->scene))
		timer_set(talk->timer, CHORES_MS);
	refresh_prompt(talk);
}

static void add_news(struct talk *talk, enum connection_event event, const char *detail)
{
	char address[NEWS_ADDRESS_SIZE];
	struct buffer text = {0};
	enum render_tone tone;

	get_address(talk, address);
	tone = news_add(&text, event, address, talk->carrier, detail);
	buffer_add(&text, "", 1);
	for (char *rest = text.bytes, *line; (line = strsep(&rest, "\n")) != NULL;) {
		if (line[0] != '\0')
			add_own(talk, &talk->shown, tone, line);
	}
	buffer_fini(&text);
}

/* Who asked for a name that somebody has, got another one. */
static void tell_name(struct talk *talk, const char *name)
{
	size_t wanted_size = strlen(talk->wanted_name);
	char text[TEXT_SIZE];

	if (strcmp(name, talk->name) == 0 || strncmp(name, talk->wanted_name, wanted_size) != 0 || name[wanted_size] != '#')
		return;
	(void)snprintf(text, sizeof text, "Somebody here is %s already: you are %s.", talk->wanted_name, name);
	add_own(talk, &talk->shown, RENDER_CALM, text);
}

static void on_event(void *context, enum connection_event event, const char *detail)
{
	struct talk *talk = context;

	show_folded(talk);
	talk->folds_again = false;
	scene_unfold(talk->scene);
	add_news(talk, event, detail);
	if (event == CONNECTION_MADE) {
		set_address(talk, detail);
	} else if (event == CONNECTION_READY) {
		set_online(talk, true);
		tell_name(talk, detail);
		set_name(talk, detail);
	} else if (event == CONNECTION_LOST) {
		set_online(talk, false);
		set_prompt(talk, "(offline)");
	}
}

static const struct connection_listener listener = {
	.line = on_line, .heard = on_heard, .greet = on_greet, .pause = on_pause, .event = on_event};

/* What the person does. */

static void say(const struct talk *talk, enum render_tone tone, const char *text)
{
	struct buffer out = {0};

	add_own(talk, &out, tone, text);
	screen_print(out.bytes, out.size);
	buffer_fini(&out);
}

static void leave(struct talk *talk, int exit_code)
{
	if (screen_is_focused())
		(void)scene_mark(talk->scene);
	outbox_plan(talk->outbox, OUTBOX_LEAVE);
	talk->exit_code = exit_code;
	talk->over = true;
}

/* Typed lines, made clean: what is sent is what is echoed. */
struct typed {
	struct buffer clean; /* each line with its LF */
	size_t lines;
	size_t longest;
};

static void typed_read(struct typed *typed, const char *text, size_t size)
{
	const char *end;

	for (const char *line = text; line != NULL; line = end == NULL ? NULL : end + 1) {
		size_t left = size - (size_t)(line - text);
		size_t before = typed->clean.size;
		size_t clean_size;

		end = memchr(line, '\n', left);
		buffer_add_clean(&typed->clean, line, end == NULL ? left : (size_t)(end - line));
		clean_size = typed->clean.size - before;
		buffer_add(&typed->clean, "\n", 1);
		typed->lines++;
		if (clean_size > typed->longest)
			typed->longest = clean_size;
	}
}

/* Whether the lines are taken; if not, the person is told. */
static bool are_taken(struct talk *talk, const struct typed *typed)
{
	char text[TEXT_SIZE];

	if (typed->longest > OUTBOX_LINE_SIZE_MAX) {
		(void)snprintf(text, sizeof text,
			"This is not sent: a line may have %d bytes, and here one has %zu. Make it shorter.",
			OUTBOX_LINE_SIZE_MAX, typed->longest);
		say(talk, RENDER_WARNING, text);
		return false;
	}
	if (!outbox_has_room(talk->outbox, typed->lines, typed->clean.size)) {
		(void)snprintf(text, sizeof text,
			"This is not sent: no more than %d lines can wait for the server. Try again when it has taken "
			"some.",
			OUTBOX_LINES_MAX);
		say(talk, RENDER_WARNING, text);
		return false;
	}
	return true;
}

/* Through a carrier of lines: all that goes is said. */
static bool has_no_commands(const struct talk *talk)
{
	return talk->carrier != NULL && !talk->carrier->in_events;
}

/* Returns whether a line is not for a server without commands; then it is said why. */
static bool is_refused(struct talk *talk, const char *line, size_t size)
{
	struct buffer out = {0};
	bool refused = has_no_commands(talk) && commands_refuse(talk->scene, line, size, &out);

	screen_print(out.bytes, out.size);
	buffer_fini(&out);
	return refused;
}

static bool put_line(struct talk *talk, const char *line, size_t size)
{
	struct buffer instead = {0};
	char room[NAME_SIZE];
	bool taken;

	if (is_refused(talk, line, size))
		return true;
	if (has_no_commands(talk))
		commands_unquote(&line, &size);
	scene_typed(talk->scene, line, size, room, &instead);
	if (instead.size > 0)
		taken = outbox_put_to(talk->outbox, room, instead.bytes, instead.size);
	else
		taken = outbox_put_to(talk->outbox, room, line, size);
	buffer_fini(&instead);
	return taken;
}

static void put_lines(struct talk *talk, const struct typed *typed)
{
	const char *line = typed->clean.bytes;
	const char *end = line + typed->clean.size;

	while (line < end) {
		const char *line_end = memchr(line, '\n', (size_t)(end - line));

		if (!put_line(talk, line, (size_t)(line_end - line)))
			say(talk, RENDER_WARNING, "(a line could not be sent)"); /* are_taken() was wrong: our bug */
		line = line_end + 1;
	}
	connection_wake(talk->connection);
}

static bool is_goodbye(struct talk *talk, const struct typed *typed)
{
	const char *line = typed->clean.bytes;
	size_t size = typed->clean.size - 1;

	if (typed->lines != 1)
		return false;
	if (size == 5 && memcmp(line, "/quit", 5) == 0)
		return talk->carrier != NULL || !is_online(talk);
	return heard_is_exit(line, size);
}

/* Commands of the client itself. Returns whether it was one of them. */
static bool work_here(struct talk *talk, const struct typed *typed)
{
	struct buffer out = {0};
	bool ours;

	if (typed->lines != 1)
		return false;
	ours = commands_work(talk->scene, typed->clean.bytes, typed->clean.size - 1, &out);
	screen_print(out.bytes, out.size);
	buffer_fini(&out);
	connection_wake(talk->connection); /* the server may have been asked for something */
	return ours;
}

static void on_looked_at(struct talk *talk)
{
	char text[TEXT_SIZE];
	size_t unseen;

	talk_lock(talk);
	unseen = talk->unseen;
	(void)snprintf(text, sizeof text, "--- %zu new since you looked away, from %s on ---", unseen, talk->unseen_since);
	talk->unseen = 0;
	talk_unlock(talk);
	timer_set(talk->timer, CHORES_MS); /* what was shown meanwhile has been read now */
	if (unseen > 0)
		say(talk, RENDER_CALM, text);
}

static void on_typed(struct talk *talk, const char *text, size_t size)
{
	struct typed typed = {0};

	typed_read(&typed, text, size);
	if (is_goodbye(talk, &typed)) {
		leave(talk, EXIT_SUCCESS);
	} else if (work_here(talk, &typed)) {
		/* done */
	} else if (typed.clean.size > 1) { /* Enter alone says nothing */
		if (!are_taken(talk, &typed)) {
			screen_put_back(text, size);
		} else {
			put_lines(talk, &typed);
			refresh_prompt(talk);
		}
	}
	buffer_fini(&typed.clean);
}

static void work_on_keys(struct talk *talk)
{
	enum screen_event event;
	const char *text = NULL;
	size_t size = 0;

	while (!talk->over && (event = screen_next(&text, &size)) != SCREEN_MORE) {
		if (event == SCREEN_LEAVE)
			leave(talk, EXIT_SUCCESS);
		else if (event == SCREEN_LOOKED_AT)
			on_looked_at(talk);
		else if (event == SCREEN_PASTE_TOO_LONG)
			say(talk, RENDER_WARNING, "This is not taken: it is more than 4 MiB. Paste it in parts.");
		else
			on_typed(talk, text, size);
	}
}

static void on_keys(struct talk *talk)
{
	char bytes[READ_SIZE];
	ssize_t size = read(STDIN_FILENO, bytes, sizeof bytes);

	if (size < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (size <= 0) { /* the terminal is gone */
		leave(talk, EXIT_SUCCESS);
		return;
	}
	screen_feed(bytes, (size_t)size);
	work_on_keys(talk);
}

static void on_signal(struct talk *talk)
{
	static const char interrupt = 'C' & 0x1F;
	struct signalfd_siginfo signal;

	if (read(talk->signals, &signal, sizeof signal) != sizeof signal)
		return;
	switch (signal.ssi_signo) {
	case SIGWINCH:
		screen_resize();
		break;
	case SIGTSTP:
		screen_suspend();
		break;
	case SIGCONT:
		screen_resume();
		break;
	case SIGINT:
		screen_feed(&interrupt, 1);
		work_on_keys(talk);
		break;
	default:
		(void)alarm(STUCK_AFTER_S);
		screen_abandon();
		leave(talk, 128 + (int)signal.ssi_signo);
		break;
	}
}

/* Keeps and tells how far the person has read, and shows what waits. */
static void on_timer(struct talk *talk)
{
	long long now = clock_ms();

	timer_take(talk->timer);
	refresh_prompt(talk);
	if (now < talk->chores_at) {
		timer_set(talk->timer, (int)(talk->chores_at - now));
		return;
	}
	talk->chores_at = now + CHORES_MS;
	scene_keep(talk->scene);
	if (screen_is_focused() && scene_mark(talk->scene))
		connection_wake(talk->connection);
}

static void talk_loop(struct talk *talk)
{
	struct pollfd polled[] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = talk->signals, .events = POLLIN},
		{.fd = connection_ended(talk->connection), .events = POLLIN},
		{.fd = talk->timer, .events = POLLIN},
	};

	while (!talk->over) {
		int ready = poll(polled, 4, screen_waiting());

		if (ready == 0) {
			screen_give_up();
			work_on_keys(talk);
		}
		if (ready <= 0)
			continue;
		if (polled[1].revents != 0)
			on_signal(talk);
		else if (polled[0].revents != 0)
			on_keys(talk);
		if (polled[3].revents != 0)
			on_timer(talk);
		if (polled[2].revents != 0)
			talk->over = true;
	}
}

/* Before any thread, so that all of them inherit it. */
static int take_signals(void)
{
	static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
		(void)sigaddset(&set, taken[i]);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* fails only for a wrong first argument */
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Whether it ended for a reason that stays, and that was told. */
static bool is_final(enum connection_end end)
{
	return end == CONNECTION_DISTRUSTED || end == CONNECTION_OVER || end == CONNECTION_TURNED_AWAY;
}

static void say_goodbye(struct talk *talk, enum connection_end end)
{
	char address[NEWS_ADDRESS_SIZE];
	struct outbox_state state = outbox_state(talk->outbox);
	size_t waiting = state.waiting - state.asked_waiting;

	screen_close();
	if (is_final(end))
		return; /* why was said */
	if (end == CONNECTION_REFUSED) {
		(void)fprintf(stderr,
			"tcpclient: the server refuses the name \"%s\"; choose another one with -username\n",
			talk->wanted_name);
		return;
	}
	if (state.kept > 0)
		(void)printf("What waited for the server was not sent (lines: %zu); --continue sends it the next time.\n",
			state.kept);
	else if (waiting > 0)
		(void)printf("What waited for the server was not sent (lines: %zu).\n", waiting);
	get_address(talk, address);
	(void)printf("Terminating TCP connection with the server(%s)\n", address);
	(void)fflush(stdout); /* a terminal that is gone needs no goodbye */
}

static size_t complete(void *context, const char *line, size_t point, size_t turn, struct buffer *out)
{
	return scene_complete(((struct talk *)context)->scene, line, point, turn, out);
}

static void tell_resume(struct talk *talk)
{
	struct buffer text = {0};

	resume_tell(&talk->resume, &text);
	buffer_add(&text, "", 1);
	if (text.size > 1)
		say(talk, talk->resume.left > 0 ? RENDER_WARNING : RENDER_CALM, text.bytes);
	buffer_fini(&text);
}

static int talk_start(struct talk *talk, const struct talk_settings *wanted)
{
	struct connection_settings settings = {.place = wanted->place,
		.secure = wanted->secure,
		.carrier = wanted->carrier,
		.name = talk->wanted_name,
		.persistent = true,
		.events = true,
		.pause_ms = PAUSE_MS,
		.listener = &listener,
		.context = talk,
		.outbox = talk->outbox,
		.session_is_known = scene_knows_session(talk->scene)};
	struct buffer prompt = {0};
	int error;

	memcpy(settings.session, talk->resume.session, sizeof settings.session);

	render_prompt(&prompt, talk->colors, "(offline)", talk->name);
	buffer_add(&prompt, "", 1);
	error = screen_open(prompt.bytes);
	buffer_fini(&prompt);
	if (error != 0)
		return error;
	screen_set_completer(complete, talk);
	if (wanted->history_path != NULL)
		screen_open_history(wanted->history_path);
	say(talk, RENDER_CALM, "Type and press Enter. /help lists the commands, !exit or Ctrl-D leaves.");
	tell_resume(talk);
	set_prompt(talk, "(offline)"); /* the connection's thread is not there yet */
	error = connection_open(&settings, &talk->connection);
	if (error != 0)
		screen_close();
	return error;
}

static void prompt_fini(struct talk *talk) UNCHECKED /* there is no other thread any more */
{
	buffer_fini(&talk->prompt);
	mutex_fini(&talk->prompt_mutex);
}

int talk_run(const struct talk_settings *settings)
{
	struct talk talk = {
		.wanted_name = settings->name, .wanted_room = settings->room, .carrier = settings->carrier, .colors = settings->colors, .bell = settings->bell, .signals = take_signals(), .timer = timer_open()};
	struct scene_settings scene = {
		.colors = settings->colors,
		.room = settings->room,
		.highlights = settings->highlights,
		.ignored_path = settings->ignored_path,
		.history = settings->history,
		.progress_path = settings->progress_path,
		.goes_on = settings->goes_on,
		.keeps_progress = true};
	enum connection_end end = CONNECTION_LEFT;
	char address[NEWS_ADDRESS_SIZE];
	int error;

	mutex_init(&talk.mutex);
	mutex_init(&talk.prompt_mutex);
	talk.outbox = outbox_create();
	scene.outbox = talk.outbox;
	talk.scene = scene_create(&scene);
	talk.resume = resume_begin(settings->unsent_path, settings->goes_on, talk.outbox, talk.scene);
	set_name(&talk, settings->name);
	news_address(&settings->place, address);
	set_address(&talk, address);
	error = talk_start(&talk, settings);
	if (error != 0) {
		(void)fprintf(stderr, "tcpclient: cannot start: %s\n", strerror(-error));
		return EXIT_FAILURE;
	}
	talk_loop(&talk);
	if (!connection_close(talk.connection, &end)) {
		scene_keep(talk.scene);
		say_goodbye(&talk, end);
		_exit(talk.exit_code); /* a thread is within connect() */
	}
	scene_keep(talk.scene);
	say_goodbye(&talk, end);
	scene_destroy(talk.scene);
	outbox_destroy(talk.outbox);
	buffer_fini(&talk.shown);
	buffer_fini(&talk.folded);
	prompt_fini(&talk);
	mutex_fini(&talk.mutex);
	(void)close(talk.timer);
	(void)close(talk.signals);
	return end == CONNECTION_REFUSED || is_final(end) ? EXIT_FAILURE : talk.exit_code;
}
