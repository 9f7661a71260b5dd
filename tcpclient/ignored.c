#include "tcpclient/ignored.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/text.h"
#include "tcpclient/buffer.h"

enum { FILE_SIZE_MAX = 2 * IGNORED_MAX * NAME_SIZE };

static char *copy(const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(memory_get(size), text, size);
}

static char *key_of(const char *name)
{
	char key[NAME_KEY_SIZE];

	(void)name_key(name, key);
	return copy(key);
}

static void person_fini(struct ignored_person *person)
{
	free(person->name);
	free(person->key);
	free(person->now);
}

static void add(struct ignored *ignored, const char *name)
{
	ignored->people[ignored->count++] = (struct ignored_person){.name = copy(name), .key = key_of(name)};
}

static void take_out(struct ignored *ignored, struct ignored_person *person)
{
	size_t place = (size_t)(person - ignored->people);

	person_fini(person);
	ignored->count--;
	memmove(person, person + 1, (ignored->count - place) * sizeof *person);
}

/* Servers differ in what a name is, but no name has this. */
static bool is_name(const char *name)
{
	size_t size = strlen(name);

	return size > 0 && size < NAME_SIZE && strchr(name, '\t') == NULL && text_is_clean(name, size);
}

/* ---- The file. ---- */

static void read_names(struct ignored *ignored, char *bytes)
{
	char *rest = bytes;
	char *name;

	while (ignored->count < IGNORED_MAX && (name = strsep(&rest, "\n")) != NULL) {
		if (is_name(name) && ignored_find(ignored, name) == NULL)
			add(ignored, name);
	}
}

static void read_file(struct ignored *ignored)
{
	int file = open(ignored->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char *bytes;
	size_t size = 0;
	ssize_t got;

	if (file < 0)
		return;
	bytes = memory_get(FILE_SIZE_MAX + 1);
	while (size < FILE_SIZE_MAX && (got = read(file, bytes + size, FILE_SIZE_MAX - size)) > 0)
		size += (size_t)got;
	bytes[size] = '\0'; /* the names end at the first NUL, which nobody has in one */
	read_names(ignored, bytes);
	free(bytes);
	(void)close(file);
}

static int write_all(int file, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t written = write(file, bytes, size);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			bytes += written;
			size -= (size_t)written;
		}
	}
	return 0;
}

/* Puts a new file in the place of the old one, so that there is always a whole one. */
static int write_file(const char *path, const struct buffer *bytes)
{
	char *temporary;
	int error = 0;
	int file;

	if (asprintf(&temporary, "%s.new", path) < 0)
		return -ENOMEM;
	(void)unlink(temporary); /* of a client that was killed here; if it is something else, open() tells */
	file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file < 0) {
		error = -errno;
	} else {
		error = write_all(file, bytes->bytes, bytes->size);
		(void)close(file);
		if (error == 0 && rename(temporary, path) != 0)
			error = -errno;
		if (error != 0)
			(void)unlink(temporary);
	}
	free(temporary);
	return error;
}

/* Another client may have changed the file since: only what was asked for changes in it. */
static int keep(const char *path, const char *name, bool begin)
{
	struct ignored kept;
	struct ignored_person *person;
	struct buffer bytes = {0};
	int error;

	if (path == NULL)
		return 0;
	ignored_init(&kept, path);
	person = ignored_find(&kept, name);
	if (!begin && person != NULL)
		take_out(&kept, person);
	if (begin && person == NULL && kept.count < IGNORED_MAX)
		add(&kept, name);
	for (size_t i = 0; i < kept.count; i++)
		buffer_add_format(&bytes, "%s\n", kept.people[i].name);
	error = write_file(path, &bytes);
	buffer_fini(&bytes);
	ignored_fini(&kept);
	return error;
}

/* ---- Who it is. ---- */

void ignored_init(struct ignored *ignored, const char *path)
{
	*ignored = (struct ignored){.path = path == NULL ? NULL : copy(path)};
	if (path != NULL)
		read_file(ignored);
}

void ignored_fini(struct ignored *ignored)
{
	while (ignored->count > 0)
		person_fini(&ignored->people[--ignored->count]);
	free(ignored->path);
	ignored->path = NULL;
}

struct ignored_person *ignored_find(struct ignored *ignored, const char *name)
{
	char key[NAME_KEY_SIZE];

	if (ignored->count == 0 || name[0] == '\0')
		return NULL;
	(void)name_key(name, key);
	for (size_t i = 0; i < ignored->count; i++) {
		struct ignored_person *person = &ignored->people[i];

		if (strcmp(person->key, key) == 0 || (person->now != NULL && strcmp(person->now, key) == 0))
			return person;
	}
	return NULL;
}

enum ignored_result ignored_change(struct ignored *ignored, const char *name, int *error)
{
	struct ignored_person *person = ignored_find(ignored, name);

	*error = 0;
	if (person != NULL) {
		*error = keep(ignored->path, person->name, false);
		take_out(ignored, person);
		return IGNORED_ENDED;
	}
	if (!is_name(name))
		return IGNORED_NO_NAME;
	if (ignored->count == IGNORED_MAX)
		return IGNORED_TOO_MANY;
	add(ignored, name);
	*error = keep(ignored->path, name, true);
	return IGNORED_BEGUN;
}

void ignored_rename(struct ignored *ignored, const char *name, const char *now)
{
	struct ignored_person *person = ignored_find(ignored, name);

	if (person == NULL)
		return;
	free(person->now);
	person->now = key_of(now);
}

void ignored_left(struct ignored *ignored, const char *name)
{
	struct ignored_person *person = ignored_find(ignored, name);

	if (person == NULL)
		return;
	free(person->now);
	person->now = NULL;
	person->told = false;
}
