/*
 * What the person sees of the talk in event mode: the rooms where they are, who speaks there, whom they ignore, and the
 * lines that the events become.
 *
 * The connection's thread tells it what was heard, the keyboard's what was typed.
 *
 * Threads: any.
 */
#ifndef TCPCLIENT_SCENE_H
#define TCPCLIENT_SCENE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/options.h"
#include "common/text.h"
#include "tcpclient/buffer.h"
#include "tcpclient/event.h"
#include "tcpclient/heard.h"
#include "tcpclient/outbox.h"
#include "tcpclient/render.h"

enum scene_bell { BELL_OFF, BELL_MENTION, BELL_DM, BELL_ALL };

/* How much an event wants to be noticed. */
enum scene_call {
	CALL_NOBODY,
	CALL_MESSAGE,
	CALL_MENTION, /* of our name, or of a highlighted word */
	CALL_DIRECT,
};

/* Whether the lines of an event are about who came and went, which is one line for several that come in a row. */
enum scene_fold {
	FOLD_NONE,
	FOLD_BEGIN,
	FOLD_AGAIN, /* the line stands for the ones before it, too */
};

struct scene_settings {
	enum render_colors colors;
	const char *room;                     /* to be in from the start, or NULL */
	const struct option_list *highlights; /* words that stand out             */
	const char *ignored_path;             /* whom one ignores: see ignored.h  */
	bool plain;                           /* without times, and each line stays as it is */
	bool unseen;                          /* nobody sees lines: only where we are counts */
	const char *history;                  /* of a room where one comes: a number, "all", "none"; NULL: the usual */
	const char *progress_path;            /* how far one has read: see progress.h; or NULL */
	bool goes_on;                         /* from there, in the rooms of the last time     */
	bool keeps_progress;                  /* for the next time                             */
	struct outbox *outbox;                /* borrowed                         */
};

struct scene;

struct scene *scene_create(const struct scene_settings *settings);
void scene_destroy(struct scene *scene);

/* What is asked first on a new connection: see connection.h. */
void scene_greet(struct scene *scene, enum dialect dialect, struct buffer *out);

/* Whether the server understands our session as a first line: as it did the last time. */
bool scene_knows_session(struct scene *scene);

/* We shall be in this room, too, from the start. */
void scene_expect(struct scene *scene, const char *room);

/* What is to become of an event. */
enum scene_take {
	SCENE_DROPS, /* nothing: it was heard before, or will come once more                      */
	SCENE_TAKES, /* scene_hear()                                                              */
	SCENE_NEWS,  /* the same; and it is the first of a room that is new to the person: call
			scene_begin_news() before, and put scene_tell_news() in front of it later  */
};
enum scene_take scene_take(struct scene *scene, const struct event *event);
void scene_begin_news(struct scene *scene, const struct event *event);
/* Adds the line that tells how much is new, of what was heard until now. */
void scene_tell_news(struct scene *scene, struct buffer *out);

/* All that was heard has been shown. Returns whether that is more than before: then it is time for scene_keep() soon. */
bool scene_shown(struct scene *scene);

/* Keeps how far one has read; not on every occasion, since it writes a file. */
void scene_keep(struct scene *scene);

/* Tells the server, soon, that the person has read what was shown. Returns whether there was anything to tell. */
bool scene_mark(struct scene *scene);

/* Whether we came into the room of the settings, as the first connection has asked for. */
enum scene_entry { ENTRY_AWAITED, ENTRY_MADE, ENTRY_REFUSED };
enum scene_entry scene_entry(struct scene *scene);

/* Whether what is typed goes to a server that searches itself. */
bool scene_is_in_events(struct scene *scene);

/* Adds the lines that an event becomes, and tells how much they call. 'name' is who we are. */
enum scene_call scene_hear(struct scene *scene, const char *name, const struct event *event, const char *request,
	struct buffer *out, enum scene_fold *fold);

/* Whether an event means something to the scene or the connection alone, which asked for it; that we are in a room (again)
 * means something to others, too, though not its number. */
bool scene_asked_for(const struct event *event);

/* Whether an event refuses something that was wanted: not a detail of what was asked by the scene itself. */
bool scene_is_refusal(const struct event *event);

/* Whether a line is not shown, since who said it is ignored. 'name' is who we are. */
bool scene_hides(struct scene *scene, const char *name, const struct heard *heard);

/* Adds a line of the client's own. */
void scene_say(const struct scene *scene, struct buffer *out, enum render_tone tone, const char *text);

/* Something else was shown: who comes or goes next begins a line. */
void scene_unfold(struct scene *scene);

/* Adds a line that came in lines, to be searched. */
void scene_note(struct scene *scene, const char *line, size_t size);

/* The current room, for the prompt; "" for the lobby. */
void scene_room(struct scene *scene, char room[NAME_SIZE]);

/*
 * A line was typed: 'room' is where it is meant for, if it is a message. Commands that go somewhere take effect at once,
 * for the lines typed after them. When the line is better sent in other words, they are added to 'instead'.
 */
void scene_typed(
	struct scene *scene, const char *line, size_t size, char room[NAME_SIZE], struct buffer *instead);

/* As complete() does. */
size_t scene_complete(struct scene *scene, const char *line, size_t point, size_t turn, struct buffer *out);

/* Whether the person has keys for more than lines. */
bool scene_has_keys(const struct scene *scene);

/* Ignores somebody, or no longer; adds what is to be said about that. */
void scene_ignore(struct scene *scene, const char *name, struct buffer *out);
void scene_list_ignored(struct scene *scene, struct buffer *out);

/* As record.h has it. */
size_t scene_search(struct scene *scene, const char *words, size_t most, struct buffer *out);
int scene_save(struct scene *scene, const char *path) MUST_CHECK;

#endif
