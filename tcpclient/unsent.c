#include "tcpclient/unsent.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tcpclient/buffer.h"

/*
 * A file is lines of text:
 *
 *         tcpchat-unsent 1
 *         SUM session 0123456789abcdef0123456789abcdef
 *         SUM last 41
 *         SUM add 42 tea<tab>what was said
 *         SUM done 42
 *
 * SUM is the checksum of what follows it in the line, 16 hex digits. 'last' is the number that was given
 * last. What cannot be read, and all that follows it, was not written to its end and does not count.
 */
enum {
	FILE_SIZE_MAX = 2 * UNSENT_BYTES_MAX + 1024 * 1024, /* then done lines are taken out */
	SUM_SIZE = 17,                                      /* with the space after it       */
	PATH_TRIES = 10,
};

static const char magic[] = "tcpchat-unsent 1\n";
static const char magic_of_any_version[] = "tcpchat-unsent ";
static const long long number_most = INT64_MAX / 2; /* a hostile file shall not exhaust the numbers */

struct entry {
	struct entry *next;
	long long number;
	char room[NAME_SIZE];
	size_t size;
	char line[];
};

struct unsent {
	char *path;
	int file;
	size_t size;    /* of the part of the file that counts; what is behind it is overwritten */
	bool has_start; /* the magic line and the session are written                            */
	char session[UNSENT_SESSION_SIZE];
	long long last_number;
	struct entry *first; /* in the order of their numbers */
	struct entry **end;
	size_t count;
	size_t bytes;
};

/* ---- The lines. ---- */

static void append(struct unsent *unsent, long long number, const char *room, const char *line, size_t size)
{
	struct entry *entry = memory_get(sizeof *entry + size);

	entry->next = NULL;
	entry->number = number;
	(void)snprintf(entry->room, sizeof entry->room, "%s", room);
	entry->size = size;
	if (size > 0)
		memcpy(entry->line, line, size);
	*unsent->end = entry;
	unsent->end = &entry->next;
	unsent->count++;
	unsent->bytes += size;
	unsent->last_number = number;
}

static bool forget(struct unsent *unsent, long long number)
{
	struct entry **place = &unsent->first;
	struct entry *entry;

	while (*place != NULL && (*place)->number != number)
		place = &(*place)->next;
	entry = *place;
	if (entry == NULL)
		return false;
	*place = entry->next;
	if (unsent->end == &entry->next)
		unsent->end = place;
	unsent->count--;
	unsent->bytes -= entry->size;
	free(entry);
	return true;
}

static bool fits(const struct unsent *unsent, size_t size)
{
	return unsent->count < UNSENT_LINES_MAX && size <= UNSENT_BYTES_MAX - unsent->bytes;
}

/* ---- Writing records. ---- */

/* FNV-1a: it finds what was cut off or garbled, not what was forged. */
static uint64_t sum_of(const char *bytes, size_t size)
{
	uint64_t value = 14695981039346656037U;

	for (size_t i = 0; i < size; i++)
		value = (value ^ (unsigned char)bytes[i]) * 1099511628211U;
	return value;
}

static void add_record(struct buffer *out, const char *record, size_t size)
{
	buffer_add_format(out, "%016" PRIx64 " ", sum_of(record, size));
	buffer_add(out, record, size);
	buffer_add_text(out, "\n");
}

static void add_start(const struct unsent *unsent, struct buffer *out)
{
	char record[UNSENT_SESSION_SIZE + 10];
	int size = snprintf(record, sizeof record, "session %s", unsent->session);

	buffer_add_text(out, magic);
	add_record(out, record, (size_t)size);
}

static void add_number(struct buffer *out, const char *word, long long number)
{
	char record[40];
	int size = snprintf(record, sizeof record, "%s %lld", word, number);

	add_record(out, record, (size_t)size);
}

static void add_line(struct buffer *out, long long number, const char *room, const char *line, size_t size)
{
	struct buffer record = {0};

	buffer_add_format(&record, "add %lld %s\t", number, room);
	buffer_add(&record, line, size);
	add_record(out, record.bytes, record.size);
	buffer_fini(&record);
}

static int write_at(int file, const char *bytes, size_t size, size_t place)
{
	while (size > 0) {
		ssize_t written = pwrite(file, bytes, size, (off_t)place);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			bytes += written;
			size -= (size_t)written;
			place += (size_t)written;
		}
	}
	return 0;
}

/* Adds to the end of the file, which stays what it was when that fails. */
static int write_records(struct unsent *unsent, const struct buffer *records)
{
	struct buffer out = {0};
	int error;

	if (!unsent->has_start) {
		add_start(unsent, &out);
		add_number(&out, "last", unsent->last_number);
	}
	buffer_add(&out, records->bytes, records->size);
	error = write_at(unsent->file, out.bytes, out.size, unsent->size);
	if (error == 0) {
		unsent->size += out.size;
		unsent->has_start = true;
	} else {
		(void)!ftruncate(unsent->file, (off_t)unsent->size); /* else the part of it has a wrong checksum */
	}
	buffer_fini(&out);
	return error;
}

static int write_done(struct unsent *unsent, long long number)
{
	struct buffer records = {0};
	int error;

	add_number(&records, "done", number);
	error = write_records(unsent, &records);
	buffer_fini(&records);
	return error;
}

/* Begins the file anew, since nothing of it is needed any more. */
static void empty(struct unsent *unsent)
{
	if (ftruncate(unsent->file, 0) != 0)
		return; /* then it goes on growing, and write_anew() comes to help */
	unsent->size = 0;
	unsent->has_start = false;
}

/* Puts a file without the done lines into the place of this one. */
static int write_anew(struct unsent *unsent)
{
	struct buffer out = {0};
	char *path;
	int error = 0;
	int file;

	if (asprintf(&path, "%s.new", unsent->path) < 0)
		return -ENOMEM;
	add_start(unsent, &out);
	for (const struct entry *entry = unsent->first; entry != NULL; entry = entry->next)
		add_line(&out, entry->number, entry->room, entry->line, entry->size);
	add_number(&out, "last", unsent->last_number);
	(void)unlink(path); /* of a client that was killed here; if it is something else, open() tells */
	file = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file < 0)
		error = -errno;
	if (error == 0 && flock(file, LOCK_EX | LOCK_NB) != 0)
		error = -errno;
	if (error == 0)
		error = write_at(file, out.bytes, out.size, 0);
	if (error == 0 && rename(path, unsent->path) != 0)
		error = -errno;
	if (error == 0) {
		(void)close(unsent->file);
		unsent->file = file;
		unsent->size = out.size;
		unsent->has_start = true;
	} else if (file >= 0) {
		(void)unlink(path);
		(void)close(file);
	}
	buffer_fini(&out);
	free(path);
	return error;
}

/* ---- Reading them. ---- */

/* Takes a number and the byte 'end' after it. Returns -1 when it is none. */
static long long take_number(const char **at, const char *stop, char end)
{
	long long number = 0;
	const char *start = *at;

	while (*at < stop && **at >= '0' && **at <= '9' && number <= number_most / 10 - 1)
		number = number * 10 + (*(*at)++ - '0');
	if (*at == start || (*at == stop ? end != '\0' : **at != end))
		return -1;
	*at += *at < stop;
	return number;
}

static bool starts(const char **at, const char *stop, const char *word)
{
	size_t size = strlen(word);

	if ((size_t)(stop - *at) < size || memcmp(*at, word, size) != 0)
		return false;
	*at += size;
	return true;
}

static bool read_session(struct unsent *unsent, const char *at, const char *stop)
{
	const size_t digits = UNSENT_SESSION_SIZE - 1;

	if (!starts(&at, stop, "session ") || (size_t)(stop - at) != digits)
		return false;
	for (size_t i = 0; i < digits; i++) {
		if (strchr("0123456789abcdef", at[i]) == NULL || at[i] == '\0')
			return false;
	}
	memcpy(unsent->session, at, digits);
	unsent->session[digits] = '\0';
	return true;
}

static bool read_last(struct unsent *unsent, const char *at, const char *stop)
{
	long long number = take_number(&at, stop, '\0');

	if (number < unsent->last_number)
		return false;
	unsent->last_number = number;
	return true;
}

static bool read_add(struct unsent *unsent, const char *at, const char *stop)
{
	long long number = take_number(&at, stop, ' ');
	const char *tab = number < 0 ? NULL : memchr(at, '\t', (size_t)(stop - at));
	char room[NAME_SIZE];
	size_t size;

	if (tab == NULL || (size_t)(tab - at) >= sizeof room || number <= unsent->last_number)
		return false;
	(void)snprintf(room, sizeof room, "%.*s", (int)(tab - at), at);
	size = (size_t)(stop - tab - 1);
	if (strlen(room) != (size_t)(tab - at) || !text_is_clean(room, strlen(room)) || !text_is_clean(tab + 1, size))
		return false;
	if (size > UNSENT_LINE_SIZE_MAX || !fits(unsent, size))
		return false;
	append(unsent, number, room, tab + 1, size);
	return true;
}

/* Returns whether a line, without its LF, is a record that may stand there. */
static bool read_record(struct unsent *unsent, const char *at, size_t size)
{
	const char *stop = at + size;
	char sum[SUM_SIZE + 1];
	long long number;

	if (size < SUM_SIZE)
		return false;
	(void)snprintf(sum, sizeof sum, "%016" PRIx64 " ", sum_of(at + SUM_SIZE, size - SUM_SIZE));
	if (memcmp(sum, at, SUM_SIZE) != 0)
		return false;
	at += SUM_SIZE;
	if (unsent->session[0] == '\0')
		return read_session(unsent, at, stop);
	if (starts(&at, stop, "add "))
		return read_add(unsent, at, stop);
	if (starts(&at, stop, "last "))
		return read_last(unsent, at, stop);
	if (!starts(&at, stop, "done "))
		return false;
	number = take_number(&at, stop, '\0');
	if (number < 0)
		return false;
	(void)forget(unsent, number);
	return true;
}

static void read_records(struct unsent *unsent, const char *bytes, size_t size)
{
	const char *at = bytes + sizeof magic - 1;
	const char *stop = bytes + size;
	const char *end;

	if (size < sizeof magic - 1 || memcmp(bytes, magic, sizeof magic - 1) != 0)
		return;
	while (at < stop && (end = memchr(at, '\n', (size_t)(stop - at))) != NULL) {
		if (!read_record(unsent, at, (size_t)(end - at)))
			break;
		at = end + 1;
		unsent->has_start = true; /* the first record is the session */
		unsent->size = (size_t)(at - bytes);
	}
}

static int begin_session(struct unsent *unsent)
{
	unsigned char random[(UNSENT_SESSION_SIZE - 1) / 2];

	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return -EIO; /* not for so few bytes */
	for (size_t i = 0; i < sizeof random; i++)
		(void)snprintf(unsent->session + 2 * i, 3, "%02x", random[i]);
	unsent->last_number = 0;
	return 0;
}

/* Returns 0, or -errno: -EINVAL when a newer client has written the file. */
static int read_file(struct unsent *unsent)
{
	char *bytes = memory_get(FILE_SIZE_MAX);
	size_t size = 0;
	ssize_t got = 1;
	int error = 0;

	while (size < FILE_SIZE_MAX && (got = pread(unsent->file, bytes + size, FILE_SIZE_MAX - size, (off_t)size)) > 0)
		size += (size_t)got;
	if (got < 0)
		error = -errno;
	else if (size >= sizeof magic && memcmp(bytes, magic_of_any_version, sizeof magic_of_any_version - 1) == 0 &&
		 memcmp(bytes, magic, sizeof magic - 1) != 0)
		error = -EINVAL;
	else
		read_records(unsent, bytes, size);
	free(bytes);
	if (error != 0)
		return error;
	if (unsent->count > 0) /* what is behind the last good record shall not count again one day */
		return ftruncate(unsent->file, (off_t)unsent->size) == 0 ? 0 : -errno;
	empty(unsent);
	return unsent->size == 0 ? begin_session(unsent) : -EIO;
}

/* ---- Files. ---- */

static bool is_ours(int file, const char *path)
{
	struct stat there;
	struct stat here;

	if (fstat(file, &here) != 0 || !S_ISREG(here.st_mode) || here.st_uid != geteuid())
		return false;
	/* Another client may have removed it, or put another in its place, before it was ours. */
	return lstat(path, &there) == 0 && there.st_ino == here.st_ino && there.st_dev == here.st_dev;
}

/* Opens and locks a file. Returns it, or -errno: -EBUSY when somebody holds it, or it is none of ours. */
static int take_file(const char *path, int flags)
{
	int file = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0600);

	if (file < 0)
		return errno == ELOOP || errno == EISDIR || errno == ENXIO ? -EBUSY : -errno;
	if (flock(file, LOCK_EX | LOCK_NB) == 0 && is_ours(file, path) && fchmod(file, 0600) == 0)
		return file;
	(void)close(file);
	return -EBUSY;
}

static void release(struct unsent *unsent)
{
	while (unsent->first != NULL)
		(void)forget(unsent, unsent->first->number);
	(void)close(unsent->file); /* and with it the lock */
	free(unsent->path);
	free(unsent);
}

static int open_one(const char *path, int flags, struct unsent **out)
{
	int file = take_file(path, flags);
	struct unsent *unsent;
	int error;

	if (file < 0)
		return file;
	unsent = memory_get(sizeof *unsent);
	*unsent = (struct unsent){.path = strdup(path), .file = file};
	unsent->end = &unsent->first;
	error = unsent->path == NULL ? -ENOMEM : read_file(unsent);
	if (error != 0)
		release(unsent);
	else
		*out = unsent;
	return error;
}

void unsent_close(struct unsent *unsent)
{
	if (unsent == NULL)
		return;
	if (unsent->count == 0)
		(void)unlink(unsent->path); /* an empty file does no harm */
	release(unsent);
}

static char *path_of(const char *path, int number)
{
	char *name;
	int size = number == 0 ? asprintf(&name, "%s", path) : asprintf(&name, "%s-%d", path, number);

	if (size < 0)
		abort(); /* no memory: see buffer.h */
	return name;
}

/* Looks at all files that are there. Returns the one to take, or NULL. */
static struct unsent *choose(const char *path, bool go_on, size_t *left)
{
	struct unsent *chosen = NULL;

	*left = 0;
	for (int i = 0; i < UNSENT_FILES_MAX; i++) {
		char *name = path_of(path, i);
		struct unsent *found = NULL;

		if (open_one(name, 0, &found) != 0) {
			/* it is not there, or not for us */
		} else if (found->count > 0 && !(go_on && (chosen == NULL || chosen->count == 0))) {
			*left += found->count;
			release(found);
		} else if (chosen == NULL || found->count > 0) {
			unsent_close(chosen);
			chosen = found;
		} else {
			unsent_close(found);
		}
		free(name);
	}
	return chosen;
}

static int make_one(const char *path, struct unsent **out)
{
	int error = -EBUSY;

	for (int i = 0; i < UNSENT_FILES_MAX && (error == -EBUSY || error == -EEXIST); i++) {
		char *name = path_of(path, i);

		error = open_one(name, O_CREAT | O_EXCL, out);
		free(name);
	}
	return error == -EEXIST ? -EBUSY : error;
}

int unsent_open(const char *path, bool go_on, size_t *left, struct unsent **out)
{
	struct unsent *chosen = NULL;
	int error = -EBUSY;

	for (int i = 0; i < PATH_TRIES && error == -EBUSY; i++) { /* others may come and go meanwhile */
		chosen = choose(path, go_on, left);
		error = chosen != NULL ? 0 : make_one(path, &chosen);
	}
	if (error == 0)
		*out = chosen;
	return error;
}

/* ---- What is kept. ---- */

const char *unsent_session(const struct unsent *unsent)
{
	return unsent->session;
}

static int write_line(struct unsent *unsent, const char *room, const char *line, size_t size)
{
	struct buffer records = {0};
	int error = 0;

	add_line(&records, unsent->last_number + 1, room, line, size);
	if (unsent->size + records.size > FILE_SIZE_MAX)
		error = write_anew(unsent);
	if (error == 0)
		error = write_records(unsent, &records);
	buffer_fini(&records);
	return error;
}

long long unsent_add(struct unsent *unsent, const char *room, const char *line, size_t size)
{
	int error;

	assert(strlen(room) < NAME_SIZE);
	if (size > UNSENT_LINE_SIZE_MAX)
		return -EMSGSIZE;
	if (!fits(unsent, size))
		return -ENOBUFS;
	if (strchr(room, '\t') != NULL || !text_is_clean(room, strlen(room)) || !text_is_clean(line, size))
		return -EINVAL;
	error = write_line(unsent, room, line, size);
	if (error != 0)
		return error;
	append(unsent, unsent->last_number + 1, room, line, size);
	return unsent->last_number;
}

void unsent_done(struct unsent *unsent, long long number)
{
	if (!forget(unsent, number))
		return;
	if (unsent->count == 0)
		empty(unsent);
	if (unsent->size > 0)
		(void)write_done(unsent, number); /* if it is lost the line is sent again, and known by its number */
}

size_t unsent_count(const struct unsent *unsent)
{
	return unsent->count;
}

bool unsent_next(const struct unsent *unsent, long long after, struct unsent_line *line)
{
	const struct entry *entry = unsent->first;

	while (entry != NULL && entry->number <= after)
		entry = entry->next;
	if (entry == NULL)
		return false;
	*line = (struct unsent_line){
		.number = entry->number, .room = entry->room, .line = entry->line, .size = entry->size};
	return true;
}
