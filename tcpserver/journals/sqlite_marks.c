#include "tcpserver/journals/sqlite_marks.h"

#include <stdlib.h>
#include <string.h>

#include "tcpserver/journals/sqlite_store.h"

enum { WRITTEN_AT_ONCE = 256 };

struct sqlite_mark {
	struct sqlite_mark *next; /* in its bucket; only the writer takes one out */
	int64_t room;
	uint64_t seq;
	char name[];
};

/* What the writer writes of a mark, while others may set it anew. */
struct mark_written {
	struct sqlite_mark *mark;
	uint64_t seq;
};

static void marks_lock(struct sqlite_marks *marks) ACQUIRES(JOURNAL_MARKS_LOCK) UNCHECKED;
static void marks_unlock(struct sqlite_marks *marks) RELEASES(JOURNAL_MARKS_LOCK) UNCHECKED;

static void marks_lock(struct sqlite_marks *marks)
{
	mutex_lock(&marks->mutex);
}

static void marks_unlock(struct sqlite_marks *marks)
{
	mutex_unlock(&marks->mutex);
}

void sqlite_marks_init(struct sqlite_marks *marks)
{
	*marks = (struct sqlite_marks){.next_bucket = 0};
	mutex_init(&marks->mutex);
}

void sqlite_marks_fini(struct sqlite_marks *marks)
{
	marks_lock(marks);
	for (size_t i = 0; i < SQLITE_MARKS_BUCKETS; i++) {
		while (marks->buckets[i] != NULL) {
			struct sqlite_mark *mark = marks->buckets[i];

			marks->buckets[i] = mark->next;
			free(mark);
		}
	}
	marks_unlock(marks);
	mutex_fini(&marks->mutex);
}

/* FNV-1a */
static size_t marks_bucket(int64_t room, const char *name)
{
	uint64_t hash = UINT64_C(14695981039346656037) ^ (uint64_t)room;

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
	return (hash ^ hash >> 32) % SQLITE_MARKS_BUCKETS;
}

static struct sqlite_mark *marks_find(struct sqlite_marks *marks, int64_t room, const char *name)
	REQUIRES(JOURNAL_MARKS_LOCK);
static struct sqlite_mark *marks_find(struct sqlite_marks *marks, int64_t room, const char *name)
{
	struct sqlite_mark *mark = marks->buckets[marks_bucket(room, name)];

	while (mark != NULL && (mark->room != room || strcmp(mark->name, name) != 0))
		mark = mark->next;
	return mark;
}

static void marks_add(struct sqlite_marks *marks, int64_t room, const char *name, uint64_t seq)
	REQUIRES(JOURNAL_MARKS_LOCK);
static void marks_add(struct sqlite_marks *marks, int64_t room, const char *name, uint64_t seq)
{
	struct sqlite_mark **bucket = &marks->buckets[marks_bucket(room, name)];
	size_t size = strlen(name) + 1;
	struct sqlite_mark *mark = marks->count < SQLITE_MARKS_MOST ? malloc(sizeof *mark + size) : NULL;

	if (mark == NULL)
		return;
	*mark = (struct sqlite_mark){.next = *bucket, .room = room, .seq = seq};
	memcpy(mark->name, name, size);
	*bucket = mark;
	marks->count++;
}

void sqlite_marks_set(struct sqlite_marks *marks, int64_t room, const char *name, uint64_t seq)
{
	struct sqlite_mark *mark;

	marks_lock(marks);
	mark = marks_find(marks, room, name);
	if (mark == NULL)
		marks_add(marks, room, name, seq);
	else if (mark->seq < seq)
		mark->seq = seq;
	marks_unlock(marks);
}

uint64_t sqlite_marks_find(struct sqlite_marks *marks, int64_t room, const char *name)
{
	const struct sqlite_mark *mark;
	uint64_t seq;

	marks_lock(marks);
	mark = marks_find(marks, room, name);
	seq = mark == NULL ? 0 : mark->seq;
	marks_unlock(marks);
	return seq;
}

bool sqlite_marks_are_written(struct sqlite_marks *marks)
{
	bool written;

	marks_lock(marks);
	written = marks->count == 0;
	marks_unlock(marks);
	return written;
}

/* Some marks, those of bucket after bucket. */
static size_t marks_take(struct sqlite_marks *marks, struct mark_written *taken)
{
	size_t count = 0;

	marks_lock(marks);
	for (size_t i = 0; i < SQLITE_MARKS_BUCKETS && count < WRITTEN_AT_ONCE && count < marks->count; i++) {
		struct sqlite_mark *mark = marks->buckets[marks->next_bucket++ % SQLITE_MARKS_BUCKETS];

		for (; mark != NULL && count < WRITTEN_AT_ONCE; mark = mark->next)
			taken[count++] = (struct mark_written){.mark = mark, .seq = mark->seq};
	}
	marks_unlock(marks);
	return count;
}

static void marks_drop(struct sqlite_marks *marks, struct sqlite_mark *dropped) REQUIRES(JOURNAL_MARKS_LOCK);
static void marks_drop(struct sqlite_marks *marks, struct sqlite_mark *dropped)
{
	struct sqlite_mark **link = &marks->buckets[marks_bucket(dropped->room, dropped->name)];

	while (*link != dropped)
		link = &(*link)->next;
	*link = dropped->next;
	free(dropped);
	marks->count--;
}

/* Those that were not set anew meanwhile are in the file now. */
static void marks_settle(struct sqlite_marks *marks, const struct mark_written *taken, size_t count)
{
	marks_lock(marks);
	for (size_t i = 0; i < count; i++) {
		if (taken[i].mark->seq == taken[i].seq)
			marks_drop(marks, taken[i].mark);
	}
	marks_unlock(marks);
}

int sqlite_marks_write(struct sqlite_marks *marks, struct sqlite_store *store)
{
	struct mark_written taken[WRITTEN_AT_ONCE];
	size_t count = marks_take(marks, taken);
	int result = sqlite_store_begin(store);

	for (size_t i = 0; i < count && result == SQLITE_OK; i++)
		result = sqlite_store_set_mark(store, taken[i].mark->name, taken[i].mark->room, taken[i].seq);
	if (result == SQLITE_OK)
		result = sqlite_store_commit(store);
	if (result == SQLITE_OK)
		marks_settle(marks, taken, count);
	else
		sqlite_store_rollback(store);
	return result;
}
