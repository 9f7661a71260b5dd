#include "tcpclient/scene.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tcpclient/complete.h"
#include "tcpclient/crowd.h"
#include "tcpclient/ignored.h"
#include "tcpclient/locks.h"
#include "tcpclient/people.h"
#include "tcpclient/places.h"
#include "tcpclient/progress.h"
#include "tcpclient/record.h"
#include "tcpclient/request.h"

enum {
	ID_ROOMS = -1,        /* numbers of what is asked first; its answers are not shown, unless they are errors */
	ID_WHO = -2,
	ID_SWITCH = -3,
	ID_LEAVE = -5,
	ID_READ = -10,        /* and down: the same rooms, read from where we were */
	ID_JOIN = -100,       /* and down: the rooms where we were */
	DAY_SIZE = 64,
	DATE_CLOCK_SIZE = 32,
};

#define HISTORY_USUAL "20" /* as the server's */

/* What was said before is being looked for. */
struct search {
	size_t count;             /* of typed commands that were not answered to the end */
	long long id;             /* of the one whose answer comes; 0: none              */
	char room[NAME_SIZE];     /* where something was found                           */
	long long seq;            /* and the message                                     */
	bool shows;               /* the event at hand is a part of the answer           */
};

/* What is new in a room. */
struct news {
	char room[NAME_SIZE];
	long long mark; /* messages after this one */
	long long last; /* up to this one          */
	size_t count;   /* that were heard         */
	bool recalled;  /* without who came and went, and as many as were asked for, at most */
	bool first;     /* nothing was heard before them */
};

struct scene {
	struct scene_settings settings; /* constant */
	pthread_mutex_t mutex;          /* SCENE_LOCK */
	struct places places GUARDED_BY(SCENE_LOCK);
	struct places asked GUARDED_BY(SCENE_LOCK); /* the rooms that were asked for on this connection first */
	struct people people GUARDED_BY(SCENE_LOCK);
	struct people rooms GUARDED_BY(SCENE_LOCK); /* all that we know of */
	struct ignored ignored GUARDED_BY(SCENE_LOCK);
	bool may_correct GUARDED_BY(SCENE_LOCK); /* the server may be asked once more to ignore, or not */
	bool only_toggles GUARDED_BY(SCENE_LOCK); /* it cannot be told which of the two                 */
	struct record record GUARDED_BY(SCENE_LOCK);
	struct progress progress GUARDED_BY(SCENE_LOCK);
	struct search search GUARDED_BY(SCENE_LOCK);
	struct news news GUARDED_BY(SCENE_LOCK);
	bool events GUARDED_BY(SCENE_LOCK); /* the server speaks in them          */
	bool lines GUARDED_BY(SCENE_LOCK);  /* it does not; until it is known, neither */
	char day[DAY_SIZE] GUARDED_BY(SCENE_LOCK);
	char fold_room[NAME_SIZE] GUARDED_BY(SCENE_LOCK); /* "": nothing is folded */
	struct crowd fold GUARDED_BY(SCENE_LOCK);
	enum scene_entry entry GUARDED_BY(SCENE_LOCK);
};

static void scene_lock(struct scene *scene) ACQUIRES(SCENE_LOCK) UNCHECKED;
static void scene_unlock(struct scene *scene) RELEASES(SCENE_LOCK) UNCHECKED;

static void scene_lock(struct scene *scene)
{
	mutex_lock(&scene->mutex);
}

static void scene_unlock(struct scene *scene)
{
	mutex_unlock(&scene->mutex);
}

/* What is known of the server, and of the last time there. */
static void recall_progress(struct scene *scene) REQUIRES(SCENE_LOCK)
{
	struct progress *progress = &scene->progress;

	if (scene->settings.progress_path == NULL)
		return;
	progress_read(progress, scene->settings.progress_path);
	if (!scene->settings.goes_on)
		progress->count = 0;
	for (size_t i = 0; i < progress->count; i++)
		places_add(&scene->places, progress->rooms[i].name, false);
	if (scene->settings.goes_on && places_have(&scene->places, progress->current))
		places_go(&scene->places, progress->current);
}

struct scene *scene_create(const struct scene_settings *settings) UNCHECKED /* nobody else knows it yet */
{
	struct scene *scene = memory_get(sizeof *scene);

	*scene = (struct scene){.settings = *settings};
	mutex_init(&scene->mutex);
	places_init(&scene->places);
	people_add(&scene->rooms, PLACES_LOBBY);
	ignored_init(&scene->ignored, settings->ignored_path);
	recall_progress(scene);
	if (settings->room != NULL) {
		places_add(&scene->places, settings->room, false);
		places_go(&scene->places, settings->room);
	}
	return scene;
}

void scene_destroy(struct scene *scene) UNCHECKED /* nobody else knows it any more */
{
	if (scene == NULL)
		return;
	people_fini(&scene->people);
	people_fini(&scene->rooms);
	ignored_fini(&scene->ignored);
	record_fini(&scene->record);
	mutex_fini(&scene->mutex);
	free(scene);
}

/* ---- Lines. ---- */

/* The time of an event, or the time now without one. */
static void clock_of(const struct scene *scene, const struct event *event, char clock[RENDER_CLOCK_SIZE])
{
	if (scene->settings.plain)
		clock[0] = '\0';
	else if (event == NULL)
		render_clock(clock);
	else
		render_event_clock(clock, event);
}

static void say_at(const struct scene *scene, const struct event *event, struct buffer *out, enum render_tone tone,
	const char *text)
{
	char clock[RENDER_CLOCK_SIZE];

	clock_of(scene, event, clock);
	render_own(out, scene->settings.colors, clock, tone, text);
}

void scene_say(const struct scene *scene, struct buffer *out, enum render_tone tone, const char *text)
{
	say_at(scene, NULL, out, tone, text);
}

bool scene_has_keys(const struct scene *scene)
{
	return !scene->settings.plain;
}

/* ---- Asking. ---- */

/* "/who tea", with the name in quotes. */
static void ask(struct scene *scene, const char *command, const char *name)
{
	struct buffer line = {0};

	buffer_add_format(&line, "/%s \"%s\"", command, name);
	buffer_add(&line, "", 1);
	(void)outbox_ask(scene->settings.outbox, line.bytes);
	buffer_fini(&line);
}

/* ---- How far rooms were read. ---- */

static bool hides_history(const struct scene *scene)
{
	const char *history = scene->settings.history;

	return history == NULL ? scene->settings.unseen : strcmp(history, "none") == 0 || strspn(history, "0") == strlen(history);
}

/* How much of what was said before is asked for. Without any the last message tells where one is, and is not shown. */
static const char *history_wanted(const struct scene *scene)
{
	if (hides_history(scene))
		return "1";
	return scene->settings.history == NULL ? HISTORY_USUAL : scene->settings.history;
}

/* The same as a number. */
static long long history_count(const struct scene *scene)
{
	const char *wanted = history_wanted(scene);

	if (hides_history(scene))
		return 0;
	return strcmp(wanted, "all") == 0 ? LLONG_MAX : atoll(wanted);
}

/* Reads a room from where we were, or with what was said there before. */
static void read_room(struct scene *scene, const char *name, long long id, struct buffer *out) REQUIRES(SCENE_LOCK)
{
	const struct progress_room *room = progress_find(&scene->progress, name);
	struct request_reading reading = {.history = history_wanted(scene)};
	long long place = room == NULL ? -1 : progress_place(room, history_count(scene));

	if (place >= 0) {
		reading.after = place;
		reading.room_id = room->id;
	}
	request_write_join(out, name, &reading, id);
	progress_joining(&scene->progress, name, hides_history(scene));
}

/* Something is missing: asks for it. */
static void mend(struct scene *scene, const char *name) REQUIRES(SCENE_LOCK)
{
	const struct progress_room *room = progress_find(&scene->progress, name);
	struct buffer line = {0};

	buffer_add_format(&line, "/join \"%s\" after %lld of %s", name, progress_place(room, 0), room->id);
	buffer_add(&line, "", 1);
	if (outbox_ask(scene->settings.outbox, line.bytes)) {
		progress_joining(&scene->progress, name, room->hides);
		if (scene->places.current[0] != '\0' && !places_are_same(scene->places.current, name))
			ask(scene, "switch", scene->places.current);
	}
	buffer_fini(&line);
}

/* The answer to read_room() or mend(); or else to what brought us to a room. */
static void on_room(struct scene *scene, const char *name, const struct event *event, bool read) REQUIRES(SCENE_LOCK)
{
	struct progress_answer answer = {.id = event->room_id, .last = event->last, .mark = event->mark, .read = read};

	if (event->room_id[0] == '\0' && read)
		progress_refused(&scene->progress, name);
	else if (event->room_id[0] != '\0' && progress_joined(&scene->progress, name, &answer))
		mend(scene, name);
}

static bool has_number(const struct event *event)
{
	switch (event->kind) {
	case EVENT_MESSAGE:
	case EVENT_ACTION:
	case EVENT_JOINED:
	case EVENT_LEFT:
	case EVENT_NICK:
	case EVENT_TOPIC:
	case EVENT_ROOM_CLOSED:
	case EVENT_OTHER:
		return event->seq > 0;
	default:
		return false;
	}
}

static bool is_said(const struct event *event)
{
	return event->kind == EVENT_MESSAGE || event->kind == EVENT_ACTION;
}

static enum scene_take take(struct scene *scene, const struct event *event) REQUIRES(SCENE_LOCK)
{
	const struct progress_room *room;
	enum progress_verdict verdict =
		progress_take(&scene->progress, event->room, event->seq, event->history, scene->search.count > 0);

	scene->search.shows = verdict == PROGRESS_LOOKED_UP;
	if (verdict == PROGRESS_HOLE)
		mend(scene, event->room);
	if (verdict == PROGRESS_OLD || verdict == PROGRESS_HOLE)
		return SCENE_DROPS;
	room = progress_find(&scene->progress, event->room);
	if (room == NULL || !room->has_news || verdict == PROGRESS_LOOKED_UP || !is_said(event) || event->seq <= room->mark)
		return SCENE_TAKES;
	return event->seq <= room->last ? SCENE_NEWS : SCENE_TAKES;
}

enum scene_take scene_take(struct scene *scene, const struct event *event)
{
	enum scene_take result = SCENE_TAKES;

	scene_lock(scene);
	scene->search.shows = false;
	if (has_number(event))
		result = take(scene, event);
	scene_unlock(scene);
	return result;
}

void scene_begin_news(struct scene *scene, const struct event *event)
{
	struct progress_room *room;

	scene_lock(scene);
	room = progress_find(&scene->progress, event->room);
	scene->news = (struct news){.count = 0};
	if (room != NULL) {
		room->has_news = false;
		memcpy(scene->news.room, room->name, NAME_SIZE);
		scene->news.mark = room->mark;
		scene->news.last = room->last;
		scene->news.recalled = event->history;
		scene->news.first = room->first == event->seq;
	}
	scene_unlock(scene);
}

static void count_news(struct scene *scene, const struct event *event) REQUIRES(SCENE_LOCK)
{
	struct news *news = &scene->news;

	if (is_said(event) && event->seq > news->mark && event->seq <= news->last && places_are_same(news->room, event->room))
		news->count++;
}

/* Whether there is more that is new, before or after what was counted. */
static bool is_more_new(struct scene *scene) REQUIRES(SCENE_LOCK)
{
	const struct news *news = &scene->news;
	const struct progress_room *room = progress_find(&scene->progress, news->room);
	long long wanted = atoll(history_wanted(scene)); /* 0 for all */

	if (news->recalled)
		return news->first && wanted > 0 && news->count >= (size_t)wanted;
	return room != NULL && room->heard < news->last;
}

void scene_tell_news(struct scene *scene, struct buffer *out)
{
	char text[100];

	scene_lock(scene);
	(void)snprintf(text, sizeof text, "--- %zu%s new since you were here ---", scene->news.count,
		is_more_new(scene) ? "+" : "");
	if (scene->news.count > 0)
		render_own(out, scene->settings.colors, "", RENDER_CALM, text);
	scene->news = (struct news){.count = 0};
	scene_unlock(scene);
}

bool scene_shown(struct scene *scene)
{
	bool more;

	scene_lock(scene);
	more = progress_show(&scene->progress) || scene->progress.changed;
	scene_unlock(scene);
	return more;
}

/* Rooms with strangers are over the next time. */
static void leave_out_fleeting(struct progress *progress, const struct places *places)
{
	for (size_t i = 0; i < places->count; i++) {
		if (places->items[i].fleeting)
			progress_forget(progress, places->items[i].name);
	}
}

void scene_keep(struct scene *scene)
{
	struct progress *progress;

	if (scene->settings.progress_path == NULL || !scene->settings.keeps_progress)
		return;
	progress = memory_get(sizeof *progress);
	scene_lock(scene);
	*progress = scene->progress;
	memcpy(progress->current, scene->places.current, NAME_SIZE);
	leave_out_fleeting(progress, &scene->places);
	scene->progress.changed = false;
	scene_unlock(scene);
	if (progress->changed)
		(void)!progress_write(progress, scene->settings.progress_path); /* the next time one reads some twice */
	free(progress);
}

bool scene_mark(struct scene *scene)
{
	struct progress *progress = &scene->progress;
	bool any = false;

	scene_lock(scene);
	for (size_t i = 0; i < progress->count && scene->events; i++) {
		struct progress_room *room = &progress->rooms[i];
		struct buffer line = {0};

		if (room->id[0] == '\0' || room->shown <= room->marked)
			continue;
		buffer_add_format(&line, "/mark %lld \"%s\"", room->shown, room->name);
		buffer_add(&line, "", 1);
		if (outbox_ask(scene->settings.outbox, line.bytes)) {
			room->marked = room->shown;
			any = true;
		}
		buffer_fini(&line);
	}
	scene_unlock(scene);
	return any;
}

bool scene_knows_session(struct scene *scene)
{
	bool knows;

	scene_lock(scene);
	knows = scene->progress.knows_session;
	scene_unlock(scene);
	return knows;
}

void scene_expect(struct scene *scene, const char *room)
{
	scene_lock(scene);
	places_add(&scene->places, room, false);
	scene_unlock(scene);
}

enum scene_entry scene_entry(struct scene *scene)
{
	enum scene_entry entry;

	scene_lock(scene);
	entry = scene->entry;
	scene_unlock(scene);
	return entry;
}

bool scene_is_in_events(struct scene *scene)
{
	bool events;

	scene_lock(scene);
	events = scene->events;
	scene_unlock(scene);
	return events;
}

/* The server has to agree about the current room, since commands without a room are about it. */
static void settle(struct scene *scene) REQUIRES(SCENE_LOCK)
{
	places_settle(&scene->places);
	ask(scene, "switch", scene->places.current);
}

/* Rooms with strangers are over when the connection is. */
static void forget_fleeting(struct places *places)
{
	for (size_t i = places->count; i > 0; i--) {
		if (places->items[i - 1].fleeting)
			places_remove(places, places->items[i - 1].name);
	}
}

static bool goes_to(const char *line, size_t size, const void *context)
{
	const char *room = context;
	const char *arguments;
	char name[NAME_SIZE] = "";
	struct buffer text = {0};
	bool goes;

	buffer_add(&text, line, size);
	buffer_add(&text, "", 1);
	goes = request_is(text.bytes, "join", &arguments) || request_is(text.bytes, "new-room", &arguments);
	if (goes && arguments[0] != '\0')
		goes = request_take_name(&arguments, name);
	goes = goes && places_are_same(name, room);
	buffer_fini(&text);
	return goes;
}

/* Has the server ignore a name, also for those who come with it later; or no longer. A server of earlier times changes
 * what was so, of who is there now: see on_ignored(). */
static void ask_to_ignore(struct scene *scene, const char *name, bool on) REQUIRES(SCENE_LOCK)
{
	struct buffer line = {0};

	buffer_add_format(&line, "/ignore \"%s\"%s", name, scene->only_toggles ? "" : on ? " --on" : " --off");
	buffer_add(&line, "", 1);
	(void)outbox_ask(scene->settings.outbox, line.bytes);
	buffer_fini(&line);
}

/* Who is here or will come is ignored by the server, too, for what it keeps from us: private messages, invitations. */
static void tell_ignored(struct scene *scene) REQUIRES(SCENE_LOCK)
{
	scene->only_toggles = false;
	for (size_t i = 0; i < scene->ignored.count; i++) {
		struct ignored_person *person = &scene->ignored.people[i];

		person->told = false;
		ask_to_ignore(scene, person->name, true);
		if (person->now != NULL)
			ask_to_ignore(scene, person->now, true);
	}
}

/* Where everybody begins: there is no need to ask. */
static void enter_lobby(struct scene *scene) REQUIRES(SCENE_LOCK)
{
	const char *wanted = scene->settings.room;

	if (scene->entry == ENTRY_AWAITED && wanted != NULL && places_are_same(wanted, PLACES_LOBBY))
		scene->entry = ENTRY_MADE;
}

static void greet_in_events(struct scene *scene, struct buffer *out) REQUIRES(SCENE_LOCK)
{
	struct places *places = &scene->places;
	struct places after;
	bool settled;
	bool going;

	forget_fleeting(places);
	settled = places->current[0] != '\0' && places_have(places, places->current);
	/* A "/join" that was typed meanwhile, and will be asked for soon. */
	going = !settled && outbox_has(scene->settings.outbox, goes_to, places->current);
	scene->asked = *places;
	after = *places;
	places_settle(&after);
	for (size_t i = 0; i < places->count; i++) {
		const char *name = places->items[i].name;

		if (!places_are_same(name, PLACES_LOBBY)) /* first to be there: its answer comes before what is read then */
			request_write_join(out, name, &(struct request_reading){.history = "none"}, ID_JOIN - (long long)i);
		else
			enter_lobby(scene);
		read_room(scene, name, ID_READ - (long long)i, out);
	}
	if (places->count > 1)
		request_write_op(out, "switch", "room", after.current, ID_SWITCH);
	if (places->count > 0 && !places_have(places, PLACES_LOBBY)) /* where everybody begins, but which we had left */
		request_write_op(out, "leave", "room", PLACES_LOBBY, ID_LEAVE);
	if (!going)
		*places = after;
	if (scene->settings.unseen)
		return;
	request_write_op(out, "who", NULL, NULL, ID_WHO);
	request_write_op(out, "rooms", NULL, NULL, ID_ROOMS);
	tell_ignored(scene);
}

void scene_greet(struct scene *scene, enum dialect dialect, struct buffer *out)
{
	scene_lock(scene);
	scene->events = dialect == DIALECT_EVENTS;
	scene->lines = !scene->events;
	outbox_forget_asked(scene->settings.outbox); /* of the last connection */
	scene->search = (struct search){.count = 0};
	if (dialect == DIALECT_EVENTS)
		greet_in_events(scene, out);
	else if (dialect == DIALECT_TCPCHAT && scene->settings.room != NULL)
		buffer_add_format(out, "/join \"%s\"\n", scene->settings.room);
	scene_unlock(scene);
}

/* ---- What answers tell. ---- */

/* "2 here: ann, bob" or "2 in tea: ann, bob". */
static void learn_people(struct scene *scene, const char *text) REQUIRES(SCENE_LOCK)
{
	const char *at = strstr(text, ": ");

	while (at != NULL) {
		char name[NAME_SIZE];
		size_t size = strcspn(at + 2, ",");

		if (size > 0 && size < sizeof name && strncmp(at + 2, "and ", 4) != 0) {
			(void)snprintf(name, sizeof name, "%.*s", (int)size, at + 2);
			people_add(&scene->people, name);
		}
		at = at[2 + size] == '\0' ? NULL : at + 2 + size;
	}
}

/* "tea time (2) - its topic". */
static void learn_room(struct scene *scene, const char *text) REQUIRES(SCENE_LOCK)
{
	const char *end = strstr(text, " (");
	char name[NAME_SIZE];

	if (end == NULL || (size_t)(end - text) >= sizeof name)
		return;
	(void)snprintf(name, sizeof name, "%.*s", (int)(end - text), text);
	people_add(&scene->rooms, name);
}

/* The room that an answer to "/join" speaks of: "You are in tea, 2 here." or "... in room 0123456789abcdef0123 ...". */
static void room_of_answer(const struct event *event, char room[NAME_SIZE])
{
	static const char here[] = "You are in ";
	static const char pair[] = " in room ";
	const char *start = strstr(event->text, pair);

	room[0] = '\0';
	if (event->room[0] != '\0')
		(void)snprintf(room, NAME_SIZE, "%s", event->room);
	else if (strncmp(event->text, here, sizeof here - 1) == 0)
		(void)snprintf(room, NAME_SIZE, "%.*s", (int)strcspn(event->text + sizeof here - 1, ","),
			event->text + sizeof here - 1);
	else if (start != NULL && strspn(start + sizeof pair - 1, "0123456789abcdef") == PLACES_ID_LENGTH)
		(void)snprintf(room, NAME_SIZE, "%.*s", PLACES_ID_LENGTH, start + sizeof pair - 1);
}

static void on_joined(struct scene *scene, const char *wanted, const struct event *event) REQUIRES(SCENE_LOCK)
{
	struct places *places = &scene->places;
	bool waited_for = places->current[0] == '\0' || places_are_same(places->current, wanted);
	char room[NAME_SIZE];

	if (event->kind == EVENT_ERROR) {
		if (!waited_for)
			return;
		if (!places_have(places, places->current))
			settle(scene);
		return;
	}
	room_of_answer(event, room);
	if (room[0] == '\0')
		(void)snprintf(room, sizeof room, "%s", wanted);
	places_add(places, room, wanted[0] == '\0');
	on_room(scene, room, event, false);
	if (wanted[0] != '\0')
		people_add(&scene->rooms, room);
	if (waited_for)
		places_go(places, room);
	if (room[0] != '\0' && !scene->settings.unseen)
		ask(scene, "who", room);
}

static void on_switched(struct scene *scene, const char *wanted, const struct event *event) REQUIRES(SCENE_LOCK)
{
	if (event->kind == EVENT_ERROR && places_are_same(scene->places.current, wanted))
		settle(scene);
}

static void on_gone(struct scene *scene, const char *room) REQUIRES(SCENE_LOCK)
{
	bool was_here = scene->places.current[0] == '\0' || places_are_same(scene->places.current, room);

	places_remove(&scene->places, room);
	progress_forget(&scene->progress, room);
	if (was_here || scene->places.count == 0)
		settle(scene);
}

static void on_ignored(struct scene *scene, const char *name, const char *how, const struct event *event)
	REQUIRES(SCENE_LOCK)
{
	struct ignored_person *person = ignored_find(&scene->ignored, name);
	bool begun = strncmp(event->text, "you ignore ", 11) == 0;

	if (event->kind == EVENT_ERROR) { /* nobody of that name is there now */
		if (how[0] != '\0' && strcmp(event->code, "bad-request") == 0) {
			scene->only_toggles = true;
			ask_to_ignore(scene, name, person != NULL);
		}
		return;
	}
	if (person != NULL)
		person->told = begun;
	if (begun != (person != NULL) && scene->may_correct) { /* it did not know what we did */
		scene->may_correct = false;
		ask_to_ignore(scene, name, person != NULL);
	}
}

/* To a command that looks for what was said. Of a search several notices come, one for each message that was found. */
static void on_search(struct scene *scene, const struct event *event) REQUIRES(SCENE_LOCK)
{
	struct search *search = &scene->search;

	if (strcmp(event->code, "found") != 0) {
		search->count -= search->count > 0;
		search->id = 0;
		return;
	}
	search->id = event->id;
	search->seq = event->seq;
	(void)snprintf(search->room, sizeof search->room, "%s", event->room);
}

/* We have asked to read a room from where we were. */
static bool is_mending(const char *request, const struct event *event, char name[NAME_SIZE])
{
	const char *arguments;

	return event->id < OUTBOX_QUIET && request_is(request, "join", &arguments) && request_take_name(&arguments, name);
}

/* The first event of an answer came. */
static void on_answer(struct scene *scene, const char *request, const struct event *event, struct buffer *out)
	REQUIRES(SCENE_LOCK)
{
	char name[NAME_SIZE] = "";
	const char *arguments;
	struct buffer text = {0};

	if (is_mending(request, event, name)) {
		on_room(scene, name, event, true);
	} else if (request_is(request, "history", &arguments) || request_is(request, "search", &arguments)) {
		on_search(scene, event);
	} else if (request_is(request, "latest", &arguments)) {
		progress_skips(&scene->progress, event->room);
	} else if (request_is(request, "join", &arguments) || request_is(request, "new-room", &arguments)) {
		(void)!request_take_name(&arguments, name);
		on_joined(scene, name, event);
	} else if (request_is(request, "switch", &arguments) && request_take_name(&arguments, name)) {
		on_switched(scene, name, event);
	} else if (request_is(request, "leave", &arguments)) {
		(void)!request_take_name(&arguments, name);
		if (event->kind != EVENT_ERROR) {
			on_gone(scene, name);
			const char *shown = name[0] == '\0' ? "room" : places_shown(name);

			buffer_add_format(&text, "* You left %s%s.", shown == name ? "" : "the ", shown);
			buffer_add(&text, "", 1);
			say_at(scene, event, out, RENDER_CALM, text.bytes);
			buffer_fini(&text);
		} else if (!places_have(&scene->places, scene->places.current)) {
			settle(scene);
		}
	} else if (request_is(request, "ignore", &arguments) && request_take_name(&arguments, name)) {
		on_ignored(scene, name, arguments, event);
	} else if (request_is(request, "who", &arguments) && event->kind == EVENT_NOTICE) {
		learn_people(scene, event->text);
	}
}

/* ---- What events tell. ---- */

/* Somebody came whom the server does not ignore for us, since it goes by connections, not by names. */
static void greet_ignored(struct scene *scene, const char *name) REQUIRES(SCENE_LOCK)
{
	struct ignored_person *person = ignored_find(&scene->ignored, name);

	if (person == NULL || person->told || scene->settings.unseen)
		return;
	person->told = true;
	ask_to_ignore(scene, name, true);
}

/* Who is ignored may change the name or leave, which is not shown; so this is learned afterwards. */
static void follow_ignored(struct scene *scene, const struct event *event) REQUIRES(SCENE_LOCK)
{
	if (event->history)
		return;
	if (event->kind == EVENT_NICK)
		ignored_rename(&scene->ignored, event->participant, event->text);
	else if (event->kind == EVENT_LEFT && strcmp(event->text, "for another room") != 0)
		ignored_left(&scene->ignored, event->participant);
}

static void learn(struct scene *scene, const char *name, const struct event *event) REQUIRES(SCENE_LOCK)
{
	if (event->history)
		return; /* it may be long ago, and of another room */
	switch (event->kind) {
	case EVENT_WELCOME:
		if (places_have(&scene->places, event->room)) /* else we had left it, and shall again */
			on_room(scene, event->room, event, false);
		break;
	case EVENT_MESSAGE:
	case EVENT_ACTION:
		places_add(&scene->places, event->room, false); /* then we are there, whatever we believe */
		if (strcmp(name, event->participant) != 0)
			people_spoke(&scene->people, event->participant);
		break;
	case EVENT_DIRECT:
		if (strcmp(name, event->participant) != 0)
			people_spoke(&scene->people, event->participant);
		break;
	case EVENT_JOINED:
		people_add(&scene->people, event->participant);
		greet_ignored(scene, event->participant);
		break;
	case EVENT_LEFT:
		people_remove(&scene->people, event->participant);
		break;
	case EVENT_NICK:
		people_rename(&scene->people, event->participant, event->text);
		break;
	case EVENT_ROOM_CLOSED:
		people_remove(&scene->rooms, event->room);
		on_gone(scene, event->room);
		break;
	default:
		break;
	}
}

static bool is_quiet(long long id)
{
	return (id < 0 && id > ID_JOIN) || id < OUTBOX_QUIET; /* where we are again is told */
}

/* The answer to a "/join" of the first requests. */
static void on_entry(struct scene *scene, const char *room, const struct event *event) REQUIRES(SCENE_LOCK)
{
	const char *wanted = scene->settings.room;

	if (scene->entry == ENTRY_AWAITED && wanted != NULL && places_are_same(wanted, room))
		scene->entry = event->kind == EVENT_ERROR ? ENTRY_REFUSED : ENTRY_MADE;
}

/* What we asked ourselves. Returns whether the person need not see the answer. */
static bool hear_quietly(struct scene *scene, const struct event *event) REQUIRES(SCENE_LOCK)
{
	size_t place = (size_t)(ID_JOIN - event->id);
	size_t read_place = (size_t)(ID_READ - event->id);

	if (event->id >= 0)
		return false;
	if (event->id == REQUEST_ID_SESSION && event->kind != EVENT_ERROR && !scene->progress.knows_session) {
		scene->progress.knows_session = true;
		scene->progress.changed = true;
	} else if (event->id <= ID_READ && read_place < scene->asked.count)
		on_room(scene, scene->asked.items[read_place].name, event, true);
	if (event->id == ID_LEAVE && event->kind != EVENT_ERROR)
		places_remove(&scene->places, PLACES_LOBBY); /* something may have been said there before */
	if (event->id == ID_WHO)
		learn_people(scene, event->text);
	else if (event->id == ID_ROOMS)
		learn_room(scene, event->text);
	if (event->id <= ID_JOIN && place < scene->asked.count && event->kind != EVENT_ERROR)
		on_room(scene, scene->asked.items[place].name, event, false);
	if (event->id <= ID_JOIN && place < scene->asked.count)
		on_entry(scene, scene->asked.items[place].name, event);
	if (event->id <= ID_JOIN && place < scene->asked.count && event->kind == EVENT_ERROR) {
		on_gone(scene, scene->asked.items[place].name);
		return false;
	}
	return is_quiet(event->id);
}

bool scene_asked_for(const struct event *event)
{
	return is_quiet(event->id) || (event->kind == EVENT_PONG && event->id == 0);
}

bool scene_is_refusal(const struct event *event)
{
	return event->kind == EVENT_ERROR && !is_quiet(event->id);
}

static bool is_called(const struct scene *scene, const char *name, const struct event *event)
{
	const struct option_list *words = scene->settings.highlights;
	size_t size = strlen(event->text);

	if (text_has_word(event->text, size, name, true))
		return true;
	for (size_t i = 0; words != NULL && i < words->count; i++) {
		if (text_has_word(event->text, size, words->items[i], true))
			return true;
	}
	return false;
}

static enum scene_call call_of(const struct scene *scene, const char *name, const struct event *event)
{
	if ((!is_said(event) && event->kind != EVENT_DIRECT) || event->history)
		return CALL_NOBODY;
	if (strcmp(event->participant, name) == 0)
		return CALL_NOBODY;
	if (event->kind == EVENT_DIRECT)
		return CALL_DIRECT;
	return is_called(scene, name, event) ? CALL_MENTION : CALL_MESSAGE;
}

static bool is_ignored(struct scene *scene, const char *name, const char *participant) REQUIRES(SCENE_LOCK)
{
	return strcmp(participant, name) != 0 && ignored_find(&scene->ignored, participant) != NULL;
}

/* We went, and came back: from before we were told that we are there. */
static bool is_own_return(struct scene *scene, const char *name, const struct event *event) REQUIRES(SCENE_LOCK)
{
	const struct progress_room *room = progress_find(&scene->progress, event->room);

	return (event->kind == EVENT_JOINED || event->kind == EVENT_LEFT) && strcmp(event->participant, name) == 0 &&
	       room != NULL && event->seq > 0 && event->seq <= room->last;
}

static bool is_hidden(struct scene *scene, const char *name, const char *request, const struct event *event)
	REQUIRES(SCENE_LOCK)
{
	if (hear_quietly(scene, event) || event->kind == EVENT_WELCOME)
		return true;
	if (event->kind == EVENT_PONG)
		return request == NULL; /* the answer to our own */
	if (event->kind == EVENT_NOTICE && (strcmp(event->code, "said") == 0 || strcmp(event->code, "done") == 0))
		return true;
	return is_ignored(scene, name, event->participant) || is_own_return(scene, name, event);
}

static void day_of_today(char day[DAY_SIZE])
{
	time_t now = (time_t)(clock_wall_ns() / 1000000000);
	struct tm local;

	if (localtime_r(&now, &local) == NULL || strftime(day, DAY_SIZE, "%A, %e %B %Y", &local) == 0)
		day[0] = '\0';
}

/* A line between two days. Returns whether there is one. */
static bool add_day(struct scene *scene, const struct event *event, struct buffer *out) REQUIRES(SCENE_LOCK)
{
	time_t at = (time_t)event->at;
	struct tm local;
	char day[DAY_SIZE];
	struct buffer text = {0};
	bool changed;

	if (at == 0 || localtime_r(&at, &local) == NULL || strftime(day, sizeof day, "%A, %e %B %Y", &local) == 0)
		return false;
	if (scene->day[0] == '\0' && event->history)
		day_of_today(scene->day);
	if (strcmp(day, scene->day) == 0)
		return false;
	changed = scene->day[0] != '\0';
	if (changed) {
		buffer_add_format(&text, "--- %s ---", day);
		buffer_add(&text, "", 1);
		render_own(out, scene->settings.colors, scene->settings.plain ? "" : "00:00", RENDER_CALM, text.bytes);
		buffer_fini(&text);
	}
	memcpy(scene->day, day, sizeof day);
	return changed;
}

/* Whether the line of an event shows its room. Without a prompt, which tells where one is, all of several rooms do. */
static bool is_marked(const struct scene *scene, const struct event *event) REQUIRES(SCENE_LOCK)
{
	if (strcmp(event->code, "behind") == 0 || strcmp(event->code, "skipped") == 0)
		return scene->places.count > 1;
	if (event->room[0] == '\0' || event->kind == EVENT_NOTICE || event->kind == EVENT_WELCOME ||
		event->kind == EVENT_ERROR)
		return false;
	if (scene->settings.plain)
		return scene->places.count > 1;
	return !places_are_same(event->room, scene->places.current);
}

/* What was refused is shown once more, so that it can be said again. */
static void add_refused(
	const struct scene *scene, const struct event *event, const char *request, struct buffer *out)
{
	struct buffer text = {0};

	if (!request_is_message(request, strlen(request)))
		return;
	buffer_add_format(&text, "(refused) %s", request);
	buffer_add(&text, "", 1);
	say_at(scene, event, out, RENDER_WARNING, text.bytes);
	buffer_fini(&text);
}

/* ---- Who came and went. ---- */

static void unfold(struct scene *scene) REQUIRES(SCENE_LOCK)
{
	scene->fold_room[0] = '\0';
	crowd_clear(&scene->fold);
}

void scene_unfold(struct scene *scene)
{
	scene_lock(scene);
	unfold(scene);
	scene_unlock(scene);
}

static enum scene_fold fold_event(struct scene *scene, const struct event *event) REQUIRES(SCENE_LOCK)
{
	bool again = scene->fold_room[0] != '\0' && places_are_same(scene->fold_room, event->room);

	if (scene->settings.plain || (event->kind != EVENT_JOINED && event->kind != EVENT_LEFT)) {
		unfold(scene);
		return FOLD_NONE;
	}
	if (!again)
		unfold(scene);
	(void)snprintf(scene->fold_room, sizeof scene->fold_room, "%s", event->room);
	if (event->kind == EVENT_JOINED)
		crowd_came(&scene->fold, event->participant);
	else
		crowd_went(&scene->fold, event->participant);
	return again ? FOLD_AGAIN : FOLD_BEGIN;
}

static void show_fold(struct scene *scene, const char *clock, bool marked, struct buffer *out) REQUIRES(SCENE_LOCK)
{
	struct buffer text = {0};

	if (marked)
		buffer_add_format(&text, "[%s] ", places_shown(scene->fold_room));
	crowd_tell(&scene->fold, &text);
	buffer_add(&text, "", 1);
	render_own(out, scene->settings.colors, clock, RENDER_CALM, text.bytes);
	buffer_fini(&text);
}

/* ---- What was looked for. ---- */

static void date_clock(char clock[DATE_CLOCK_SIZE], const struct event *event)
{
	time_t at = (time_t)event->at;
	struct tm local;

	if (localtime_r(&at, &local) == NULL || strftime(clock, DATE_CLOCK_SIZE, "%Y-%m-%d %H:%M", &local) == 0)
		clock[0] = '\0';
}

/* What was said around it is dimmed. */
static void show_found(struct scene *scene, const char *name, const struct event *event, struct buffer *out)
	REQUIRES(SCENE_LOCK)
{
	const struct search *search = &scene->search;
	bool around = search->id != 0 && (event->seq != search->seq || !places_are_same(event->room, search->room));
	char clock[DATE_CLOCK_SIZE];
	struct buffer text = {0};

	unfold(scene);
	date_clock(clock, event);
	if (!around) {
		render_event(out, scene->settings.colors, clock, name, event, search->id != 0, false);
		return;
	}
	render_event(&text, RENDER_NO_COLORS, "", name, event, true, false);
	text.bytes[text.size - 1] = '\0'; /* its LF */
	render_own(out, scene->settings.colors, clock, RENDER_CALM, text.bytes);
	buffer_fini(&text);
}

static enum scene_fold show(struct scene *scene, const char *name, const struct event *event, bool stands_out, struct buffer *out)
	REQUIRES(SCENE_LOCK)
{
	struct buffer plain = {0};
	char clock[RENDER_CLOCK_SIZE];
	bool marked = is_marked(scene, event);
	enum scene_fold fold;

	count_news(scene, event);
	if (add_day(scene, event, out))
		unfold(scene);
	clock_of(scene, event, clock);
	fold = fold_event(scene, event);
	if (fold == FOLD_AGAIN)
		show_fold(scene, clock, marked, out);
	else
		render_event(out, scene->settings.colors, clock, name, event, marked, stands_out);
	render_event(&plain, RENDER_NO_COLORS, clock, name, event, marked, false);
	record_add(&scene->record, plain.bytes, plain.size);
	buffer_fini(&plain);
	return fold;
}

enum scene_call scene_hear(struct scene *scene, const char *name, const struct event *event, const char *request,
	struct buffer *out, enum scene_fold *fold)
{
	enum scene_call call = CALL_NOBODY;

	*fold = FOLD_NONE;
	scene_lock(scene);
	learn(scene, name, event);
	if (!is_hidden(scene, name, request, event) && !scene->settings.unseen) {
		call = call_of(scene, name, event);
		if (scene->search.shows)
			show_found(scene, name, event, out);
		else
			*fold = show(scene, name, event, call >= CALL_MENTION, out);
	}
	follow_ignored(scene, event);
	if (strcmp(event->code, "skipped") == 0)
		progress_skips(&scene->progress, event->room);
	if (request == NULL && event->id != 0 && event->id == scene->search.id)
		on_search(scene, event);
	if (request != NULL && event->kind == EVENT_ERROR)
		add_refused(scene, event, request, out);
	if (request != NULL)
		on_answer(scene, request, event, out);
	scene_unlock(scene);
	return call;
}

bool scene_hides(struct scene *scene, const char *name, const struct heard *heard)
{
	char speaker[NAME_SIZE];
	bool hidden;

	if (heard->kind != HEARD_MESSAGE || heard->name_size >= sizeof speaker)
		return false;
	(void)snprintf(speaker, sizeof speaker, "%.*s", (int)heard->name_size, heard->name);
	scene_lock(scene);
	hidden = is_ignored(scene, name, speaker);
	scene_unlock(scene);
	return hidden;
}

void scene_note(struct scene *scene, const char *line, size_t size)
{
	scene_lock(scene);
	record_add(&scene->record, line, size);
	scene_unlock(scene);
}

/* ---- For the keyboard. ---- */

void scene_room(struct scene *scene, char room[NAME_SIZE])
{
	scene_lock(scene);
	(void)snprintf(room, NAME_SIZE, "%s", places_shown(scene->places.current));
	if (places_are_same(room, PLACES_LOBBY) || !scene->events)
		room[0] = '\0';
	scene_unlock(scene);
}

/* What is none, as a command with more words than it takes, is only explained by the server, and leads nowhere. */
static bool is_request(const char *line)
{
	struct buffer request = {0};
	bool is = request_write(&request, "", line, strlen(line), 1);

	buffer_fini(&request);
	return is;
}

static void typed_command(struct scene *scene, const char *line, struct buffer *instead) REQUIRES(SCENE_LOCK)
{
	struct places *places = &scene->places;
	char name[NAME_SIZE] = "";
	const char *arguments;

	if (!is_request(line))
		return;
	if (request_is(line, "join", &arguments) || request_is(line, "new-room", &arguments)) {
		if (arguments[0] == '\0' || request_take_name(&arguments, name))
			places_go(places, name);
		if (name[0] != '\0' && arguments[0] == '\0' && scene->events && scene->settings.history != NULL && line[1] == 'j')
			buffer_add_format(instead, "/join \"%s\" --history %s", name, scene->settings.history);
	} else if (request_is(line, "switch", &arguments)) {
		if (request_take_name(&arguments, name))
			places_go(places, name);
	} else if (request_is(line, "history", &arguments) || request_is(line, "search", &arguments)) {
		scene->search.count += scene->events;
	} else if (request_is(line, "latest", &arguments) && arguments[0] == '\0' && places->current[0] != '\0') {
		if (scene->events)
			buffer_add_format(instead, "/latest \"%s\"", places->current);
	} else if (request_is(line, "leave", &arguments) && arguments[0] == '\0' && places->current[0] != '\0') {
		if (scene->events)
			buffer_add_format(instead, "/leave \"%s\"", places->current);
		places_go(places, "");
	}
}

void scene_typed(
	struct scene *scene, const char *line, size_t size, char room[NAME_SIZE], struct buffer *instead)
{
	struct buffer text = {0};

	buffer_add(&text, line, size);
	buffer_add(&text, "", 1);
	scene_lock(scene);
	(void)snprintf(room, NAME_SIZE, "%s", scene->lines ? "" : scene->places.current);
	if (!scene->lines && !heard_is_echoed(line, size))
		typed_command(scene, text.bytes, instead);
	scene_unlock(scene);
	buffer_fini(&text);
}

size_t scene_complete(struct scene *scene, const char *line, size_t point, size_t turn, struct buffer *out)
{
	size_t start;

	scene_lock(scene);
	start = complete(line, point, turn, &scene->people, &scene->rooms, out);
	scene_unlock(scene);
	return start;
}

/* ---- Whom one ignores. ---- */

static void say_ignored(
	struct scene *scene, const char *name, enum ignored_result result, int error, struct buffer *out)
{
	const char *quote = strchr(name, ' ') == NULL ? "" : "\"";
	struct buffer text = {0};

	if (result == IGNORED_BEGUN)
		buffer_add_format(&text, "* you ignore %s; /ignore %s%s%s again ends that", name, quote, name, quote);
	else if (result == IGNORED_ENDED)
		buffer_add_format(&text, "* you no longer ignore %s", name);
	else if (result == IGNORED_TOO_MANY)
		buffer_add_format(&text, "! too-many-ignored: you ignore %d people, which is the most; end one first", IGNORED_MAX);
	else
		buffer_add_format(&text, "! bad-name: nobody can have that name");
	if (error != 0)
		buffer_add_format(&text, " (until you leave; it cannot be kept: %s)", strerrordesc_np(-error));
	buffer_add(&text, "", 1);
	scene_say(scene, out, result == IGNORED_BEGUN || result == IGNORED_ENDED ? RENDER_CALM : RENDER_WARNING, text.bytes);
	buffer_fini(&text);
}

void scene_ignore(struct scene *scene, const char *name, struct buffer *out)
{
	enum ignored_result result;
	int error;

	scene_lock(scene);
	result = ignored_change(&scene->ignored, name, &error);
	if (scene->events && (result == IGNORED_BEGUN || result == IGNORED_ENDED)) {
		scene->may_correct = true;
		ask_to_ignore(scene, name, result == IGNORED_BEGUN);
	}
	scene_unlock(scene);
	say_ignored(scene, name, result, error, out);
}

void scene_list_ignored(struct scene *scene, struct buffer *out)
{
	struct buffer text = {0};

	scene_lock(scene);
	buffer_add_text(&text, scene->ignored.count == 0 ? "* you ignore nobody; /ignore USER does" : "* you ignore ");
	for (size_t i = 0; i < scene->ignored.count; i++)
		buffer_add_format(&text, "%s%s", i == 0 ? "" : ", ", scene->ignored.people[i].name);
	scene_unlock(scene);
	buffer_add(&text, "", 1);
	scene_say(scene, out, RENDER_CALM, text.bytes);
	buffer_fini(&text);
}

size_t scene_search(struct scene *scene, const char *words, size_t most, struct buffer *out)
{
	size_t count;

	scene_lock(scene);
	count = record_search(&scene->record, words, most, out);
	scene_unlock(scene);
	return count;
}

int scene_save(struct scene *scene, const char *path)
{
	int error;

	scene_lock(scene);
	error = record_save(&scene->record, path);
	scene_unlock(scene);
	return error;
}
