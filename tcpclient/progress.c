#include "tcpclient/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tcpclient/buffer.h"
#include "tcpclient/places.h"

/*
 * A file is lines of text, in any order after the first; what is none of these is left out:
 *
 *         tcpchat-progress 1
 *         session
 *         current tea time
 *         room 0123456789abcdef0123 17 tea time
 */
enum {
	FILE_SIZE_MAX = 32 * 1024,
	NUMBER_DIGITS_MAX = 18,
};

static const char magic[] = "tcpchat-progress 1\n";

/* ---- Rooms. ---- */

struct progress_room *progress_find(struct progress *progress, const char *name)
{
	for (size_t i = 0; i < progress->count; i++) {
		if (places_are_same(progress->rooms[i].name, name))
			return &progress->rooms[i];
	}
	return NULL;
}

/* NULL when there are too many. */
static struct progress_room *get(struct progress *progress, const char *name)
{
	struct progress_room *room = progress_find(progress, name);

	if (room != NULL)
		return room;
	if (progress->count == PROGRESS_ROOMS_MAX || name[0] == '\0' || strlen(name) >= NAME_SIZE)
		return NULL;
	room = &progress->rooms[progress->count++];
	*room = (struct progress_room){.heard = 0};
	(void)snprintf(room->name, sizeof room->name, "%s", name);
	return room;
}

void progress_forget(struct progress *progress, const char *name)
{
	struct progress_room *room = progress_find(progress, name);

	if (room == NULL)
		return;
	*room = progress->rooms[--progress->count];
	progress->changed = true;
}

/* ---- Messages. ---- */

static enum progress_verdict take_recalled(struct progress_room *room, long long seq, bool looks_up)
{
	if (room->recalled && seq > room->heard) {
		room->first = room->first == 0 ? seq : room->first;
		room->heard = seq;
		return room->hides ? PROGRESS_OLD : PROGRESS_NEW;
	}
	return looks_up ? PROGRESS_LOOKED_UP : PROGRESS_OLD;
}

/* What was said before comes without who came and went, and a part may have been left out. */
static bool may_skip(const struct progress_room *room)
{
	return room->heard == 0 || room->recalled || room->may_skip || room->id[0] == '\0' || room->mended == room->heard;
}

static enum progress_verdict take_live(struct progress_room *room, long long seq)
{
	if (seq <= room->heard)
		return PROGRESS_OLD;
	if (seq != room->heard + 1 && !may_skip(room))
		return PROGRESS_HOLE;
	room->first = room->first == 0 ? seq : room->first;
	room->heard = seq;
	room->recalled = false;
	room->may_skip = false;
	room->mended = 0;
	return PROGRESS_NEW;
}

enum progress_verdict progress_take(
	struct progress *progress, const char *name, long long seq, bool history, bool looks_up)
{
	struct progress_room *room = progress_find(progress, name);

	if (seq <= 0)
		return PROGRESS_NEW;
	if (room == NULL && history && looks_up)
		return PROGRESS_LOOKED_UP;
	if (room == NULL) {
		room = get(progress, name);
		if (room == NULL)
			return PROGRESS_NEW;
		room->recalled = history;
	}
	if (history && looks_up && (room->awaited || !room->recalled))
		return PROGRESS_LOOKED_UP;
	if (room->awaited)
		return PROGRESS_OLD;
	return history ? take_recalled(room, seq, looks_up) : take_live(room, seq);
}

long long progress_place(const struct progress_room *room, long long recalled)
{
	if (room->id[0] == '\0' || (room->heard == 0 && room->begun == 0))
		return -1;
	if (room->heard > 0)
		return room->heard;
	return room->begun > recalled ? room->begun - recalled : 0;
}

void progress_joining(struct progress *progress, const char *name, bool hides)
{
	struct progress_room *room = get(progress, name);

	if (room == NULL)
		return;
	room->awaited = true;
	room->anew = progress_place(room, 0) < 0;
	room->hides = hides;
}

/* Begins to read a room of which nothing is known. */
static void begin(struct progress_room *room)
{
	room->heard = 0;
	room->shown = 0;
	room->marked = 0;
	room->recalled = true;
}

bool progress_joined(struct progress *progress, const char *name, const struct progress_answer *answer)
{
	struct progress_room *room = get(progress, name);
	bool is_another;

	if (room == NULL || strlen(answer->id) >= sizeof room->id || strpbrk(answer->id, " \t") != NULL)
		return false;
	is_another = room->id[0] != '\0' && strcmp(room->id, answer->id) != 0;
	if (is_another || (room->heard == 0 && room->begun == 0))
		room->begun = answer->last;
	if (is_another || (answer->read && room->heard == 0))
		begin(room);
	else if (answer->read)
		room->mended = room->heard; /* when there is a hole now, nobody has what is missing */
	(void)snprintf(room->id, sizeof room->id, "%s", answer->id);
	if (answer->read) {
		room->awaited = false;
		room->first = 0;
	}
	room->last = answer->last;
	room->mark = answer->mark;
	if (room->marked < answer->mark)
		room->marked = answer->mark;
	room->has_news = answer->read && answer->mark > 0 && answer->last > answer->mark;
	progress->changed = true;
	return answer->read && room->anew && room->hides && room->heard == 0 && room->begun < room->last;
}

void progress_refused(struct progress *progress, const char *name)
{
	struct progress_room *room = progress_find(progress, name);

	if (room == NULL)
		return;
	room->awaited = false;
	room->may_skip = true;
	room->id[0] = '\0';
}

void progress_skips(struct progress *progress, const char *name)
{
	struct progress_room *room = progress_find(progress, name);

	if (room != NULL)
		room->may_skip = true;
}

bool progress_show(struct progress *progress)
{
	bool more = false;

	for (size_t i = 0; i < progress->count; i++) {
		struct progress_room *room = &progress->rooms[i];

		more = more || room->shown < room->heard;
		room->shown = room->heard;
	}
	progress->changed = progress->changed || more;
	return more;
}

/* ---- The file. ---- */

static void read_room(struct progress *progress, const char *text)
{
	size_t id_size = strcspn(text, " ");
	const char *number = text + id_size + (text[id_size] == ' ');
	size_t digits = strspn(number, "0123456789");
	const char *name = number + digits + 1;
	char clean[NAME_SIZE];
	struct progress_room *room;

	if (id_size == 0 || id_size >= PROGRESS_ID_SIZE || digits == 0 || digits > NUMBER_DIGITS_MAX || name[-1] != ' ')
		return;
	if (!text_is_clean(text, strlen(text)) || !name_make(name, strlen(name), clean))
		return;
	room = get(progress, clean);
	if (room == NULL)
		return;
	(void)snprintf(room->id, sizeof room->id, "%.*s", (int)id_size, text);
	room->heard = atoll(number);
	room->shown = room->heard;
}

static void read_line(struct progress *progress, const char *line)
{
	if (strcmp(line, "session") == 0)
		progress->knows_session = true;
	else if (strncmp(line, "room ", 5) == 0)
		read_room(progress, line + 5);
	else if (strncmp(line, "current ", 8) == 0)
		(void)!name_make(line + 8, strlen(line + 8), progress->current);
}

static void read_lines(struct progress *progress, char *text)
{
	char *rest = NULL;

	if (strncmp(text, magic, sizeof magic - 1) != 0)
		return;
	text += sizeof magic - 1;
	for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
		read_line(progress, line);
}

void progress_read(struct progress *progress, const char *path)
{
	int file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat status;
	char *text;
	ssize_t size;

	if (file < 0)
		return;
	text = memory_get(FILE_SIZE_MAX + 1);
	size = fstat(file, &status) == 0 && S_ISREG(status.st_mode) ? read(file, text, FILE_SIZE_MAX) : 0;
	(void)close(file);
	text[size < 0 ? 0 : size] = '\0';
	read_lines(progress, text);
	free(text);
}

static void write_lines(const struct progress *progress, struct buffer *out)
{
	buffer_add_text(out, magic);
	if (progress->knows_session)
		buffer_add_text(out, "session\n");
	if (progress->current[0] != '\0')
		buffer_add_format(out, "current %s\n", progress->current);
	for (size_t i = 0; i < progress->count; i++) {
		const struct progress_room *room = &progress->rooms[i];

		if (room->id[0] != '\0')
			buffer_add_format(out, "room %s %lld %s\n", room->id, room->heard == 0 ? room->begun : room->shown, room->name);
	}
}

static int write_file(const char *path, const struct buffer *text)
{
	int file;
	int error = 0;

	(void)unlink(path); /* of a client that was killed here; if it is something else, open() tells */
	file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file < 0)
		return -errno;
	if (write(file, text->bytes, text->size) != (ssize_t)text->size)
		error = errno != 0 ? -errno : -EIO;
	(void)close(file);
	return error;
}

int progress_write(struct progress *progress, const char *path)
{
	struct buffer text = {0};
	char *new_path;
	int error;

	if (asprintf(&new_path, "%s.new", path) < 0)
		return -ENOMEM;
	write_lines(progress, &text);
	error = write_file(new_path, &text);
	if (error == 0 && rename(new_path, path) != 0)
		error = -errno;
	if (error != 0)
		(void)unlink(new_path);
	progress->changed = progress->changed && error != 0;
	buffer_fini(&text);
	free(new_path);
	return error;
}
