#include "tcpclient/outbox.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpclient/buffer.h"
#include "tcpclient/heard.h"
#include "tcpclient/locks.h"
#include "tcpclient/request.h"

struct entry {
	struct entry *next;
	long long id;     /* its number, 1 and up               */
	long long put_at; /* clock_ms(); 0: long ago            */
	bool kept;        /* on disk, by the same number        */
	bool is_request;  /* to be sent as it is                */
	char room[NAME_SIZE];
	size_t size;
	char line[];
};

struct queue {
	struct entry *first;
	struct entry **end; /* where the next one is hung */
	size_t count;
	size_t asked; /* of them, by outbox_ask() */
};

struct outbox {
	pthread_mutex_t mutex;  /* OUTBOX_LOCK */
	pthread_cond_t changed; /* there may be room, or it has stopped */
	struct queue waiting GUARDED_BY(OUTBOX_LOCK);
	struct queue sent GUARDED_BY(OUTBOX_LOCK);
	size_t bytes GUARDED_BY(OUTBOX_LOCK); /* of both queues */
	long long last_id GUARDED_BY(OUTBOX_LOCK);
	struct unsent *unsent GUARDED_BY(OUTBOX_LOCK); /* owned, or NULL */
	enum outbox_plan plan GUARDED_BY(OUTBOX_LOCK);
	bool stopped GUARDED_BY(OUTBOX_LOCK);
	bool held GUARDED_BY(OUTBOX_LOCK);
	bool abandoned GUARDED_BY(OUTBOX_LOCK);
	bool unheard GUARDED_BY(OUTBOX_LOCK); /* answers are waited for, or were not dealt with */
};

static void outbox_lock(struct outbox *outbox) ACQUIRES(OUTBOX_LOCK) UNCHECKED;
static void outbox_unlock(struct outbox *outbox) RELEASES(OUTBOX_LOCK) UNCHECKED;

static void outbox_lock(struct outbox *outbox)
{
	mutex_lock(&outbox->mutex);
}

static void outbox_unlock(struct outbox *outbox)
{
	mutex_unlock(&outbox->mutex);
}

static void queue_init(struct queue *queue)
{
	*queue = (struct queue){.end = &queue->first};
}

static void queue_append(struct queue *queue, struct entry *entry)
{
	entry->next = NULL;
	*queue->end = entry;
	queue->end = &entry->next;
	queue->count++;
	queue->asked += entry->id < 0;
}

/* Takes out the entry that '*place' (queue->first, or the 'next' of an entry) points to. */
static struct entry *queue_remove(struct queue *queue, struct entry **place)
{
	struct entry *entry = *place;

	*place = entry->next;
	if (queue->end == &entry->next)
		queue->end = place;
	queue->count--;
	queue->asked -= entry->id < 0;
	return entry;
}

static void queue_fini(struct queue *queue)
{
	while (queue->first != NULL)
		free(queue_remove(queue, &queue->first));
}

struct outbox *outbox_create(void) UNCHECKED /* nobody else knows it yet */
{
	struct outbox *outbox = memory_get(sizeof *outbox);

	*outbox = (struct outbox){.plan = OUTBOX_GO_ON};
	mutex_init(&outbox->mutex);
	condition_init(&outbox->changed);
	queue_init(&outbox->waiting);
	queue_init(&outbox->sent);
	return outbox;
}

void outbox_destroy(struct outbox *outbox) UNCHECKED /* nobody else knows it any more */
{
	if (outbox == NULL)
		return;
	queue_fini(&outbox->waiting);
	queue_fini(&outbox->sent);
	unsent_close(outbox->unsent);
	(void)pthread_cond_destroy(&outbox->changed); /* nobody waits for it */
	mutex_fini(&outbox->mutex);
	free(outbox);
}

static bool has_room(const struct outbox *outbox, size_t lines, size_t bytes) REQUIRES(OUTBOX_LOCK)
{
	size_t count = outbox->waiting.count + outbox->sent.count;

	return lines <= OUTBOX_LINES_MAX - count && bytes <= OUTBOX_BYTES_MAX - outbox->bytes;
}

bool outbox_has_room(struct outbox *outbox, size_t lines, size_t bytes)
{
	bool room;

	outbox_lock(outbox);
	room = has_room(outbox, lines, bytes);
	outbox_unlock(outbox);
	return room;
}

bool outbox_wait(struct outbox *outbox)
{
	bool go_on;

	outbox_lock(outbox);
	while (!outbox->stopped && !has_room(outbox, 1, OUTBOX_LINE_SIZE_MAX))
		condition_wait(&outbox->changed, &outbox->mutex);
	go_on = !outbox->stopped;
	outbox_unlock(outbox);
	return go_on;
}

void outbox_stop(struct outbox *outbox)
{
	outbox_lock(outbox);
	outbox->stopped = true;
	condition_broadcast(&outbox->changed);
	outbox_unlock(outbox);
}

void outbox_hold(struct outbox *outbox, bool held)
{
	outbox_lock(outbox);
	outbox->held = held;
	outbox_unlock(outbox);
}

void outbox_abandon(struct outbox *outbox)
{
	outbox_lock(outbox);
	queue_fini(&outbox->waiting);
	queue_init(&outbox->waiting);
	outbox->abandoned = true;
	outbox->stopped = true;
	condition_broadcast(&outbox->changed);
	outbox_unlock(outbox);
}

void outbox_heard(struct outbox *outbox)
{
	outbox_lock(outbox);
	if (outbox->waiting.count == 0 && outbox->sent.count == 0) {
		outbox->unheard = false;
		condition_broadcast(&outbox->changed);
	}
	outbox_unlock(outbox);
}

void outbox_wait_heard(struct outbox *outbox)
{
	outbox_lock(outbox);
	while (!outbox->stopped && outbox->unheard)
		condition_wait(&outbox->changed, &outbox->mutex);
	outbox_unlock(outbox);
}

static struct entry *make_entry(const char *room, const char *line, size_t size)
{
	struct entry *entry = memory_get(sizeof *entry + size);

	*entry = (struct entry){.size = size};
	(void)snprintf(entry->room, sizeof entry->room, "%s", room);
	if (size > 0)
		memcpy(entry->line, line, size);
	return entry;
}

static void append(struct outbox *outbox, struct entry *entry) REQUIRES(OUTBOX_LOCK)
{
	queue_append(&outbox->waiting, entry);
	outbox->bytes += entry->size;
}

/* Keeps what is said on disk. Without it, or when the disk fails, a line is sent all the same, but dies with us. */
static bool keep(struct outbox *outbox, struct entry *entry) REQUIRES(OUTBOX_LOCK)
{
	long long number;

	if (outbox->unsent == NULL || !request_is_message(entry->line, entry->size))
		return false;
	number = unsent_add(outbox->unsent, entry->room, entry->line, entry->size);
	if (number > 0)
		entry->id = number;
	return number > 0;
}

static bool put(struct outbox *outbox, bool asked, const char *room, const char *line, size_t size)
	REQUIRES(OUTBOX_LOCK)
{
	struct entry *entry;

	if (size > OUTBOX_LINE_SIZE_MAX || !has_room(outbox, 1, size) || outbox->abandoned)
		return false;
	entry = make_entry(room, line, size);
	entry->put_at = clock_ms();
	entry->kept = !asked && keep(outbox, entry);
	if (!entry->kept)
		entry->id = ++outbox->last_id;
	if (asked)
		entry->id = OUTBOX_QUIET - entry->id;
	append(outbox, entry);
	outbox->unheard = true;
	return true;
}

void outbox_keep(struct outbox *outbox, struct unsent *unsent)
{
	struct unsent_line line = {.number = 0};

	outbox_lock(outbox);
	outbox->unsent = unsent;
	outbox->last_id = OUTBOX_COMMANDS;
	while (unsent_next(unsent, line.number, &line)) {
		struct entry *entry = make_entry(line.room, line.line, line.size);

		entry->id = line.number;
		entry->kept = true;
		append(outbox, entry);
	}
	outbox_unlock(outbox);
}

bool outbox_put(struct outbox *outbox, const char *line, size_t size)
{
	return outbox_put_to(outbox, "", line, size);
}

bool outbox_put_to(struct outbox *outbox, const char *room, const char *line, size_t size)
{
	bool taken;

	outbox_lock(outbox);
	taken = put(outbox, false, room, line, size);
	outbox_unlock(outbox);
	return taken;
}

bool outbox_put_request(struct outbox *outbox, const char *line, size_t size)
{
	struct entry *entry;
	bool taken;

	outbox_lock(outbox);
	taken = size <= OUTBOX_LINE_SIZE_MAX && has_room(outbox, 1, size) && !outbox->abandoned;
	if (taken) {
		entry = make_entry("", line, size);
		entry->is_request = true;
		entry->put_at = clock_ms();
		append(outbox, entry);
	}
	outbox_unlock(outbox);
	return taken;
}

bool outbox_ask(struct outbox *outbox, const char *line)
{
	bool asked;

	outbox_lock(outbox);
	asked = put(outbox, true, "", line, strlen(line)); /* a person's lines fill it: what is asked is worth less */
	outbox_unlock(outbox);
	return asked;
}

void outbox_plan(struct outbox *outbox, enum outbox_plan plan)
{
	outbox_lock(outbox);
	if (plan > outbox->plan)
		outbox->plan = plan;
	outbox_unlock(outbox);
}

static void forget(struct outbox *outbox, struct entry *entry) REQUIRES(OUTBOX_LOCK)
{
	outbox->bytes -= entry->size;
	if (entry->kept)
		unsent_done(outbox->unsent, entry->id);
	free(entry);
	condition_broadcast(&outbox->changed);
}

void outbox_forget_asked(struct outbox *outbox)
{
	struct entry **place;

	outbox_lock(outbox);
	place = &outbox->waiting.first;
	while (*place != NULL) {
		if ((*place)->id < 0)
			forget(outbox, queue_remove(&outbox->waiting, place));
		else
			place = &(*place)->next;
	}
	outbox_unlock(outbox);
}

bool outbox_has(struct outbox *outbox, bool (*is)(const char *line, size_t size, const void *context), const void *context)
{
	const struct entry *entry;
	bool found;

	outbox_lock(outbox);
	entry = outbox->waiting.first;
	while (entry != NULL && !is(entry->line, entry->size, context))
		entry = entry->next;
	found = entry != NULL;
	outbox_unlock(outbox);
	return found;
}

static bool is_quit(const struct entry *entry)
{
	return entry->size == 5 && memcmp(entry->line, "/quit", 5) == 0;
}

size_t outbox_take(struct outbox *outbox, char *out, size_t size, bool again, bool *quit)
{
	size_t taken = 0;
	struct entry *entry;

	assert(size > OUTBOX_LINE_SIZE_MAX);
	outbox_lock(outbox);
	while (!outbox->held && (entry = outbox->waiting.first) != NULL && entry->size < size - taken) {
		memcpy(out + taken, entry->line, entry->size);
		taken += entry->size;
		out[taken++] = '\n';
		(void)queue_remove(&outbox->waiting, &outbox->waiting.first);
		if (is_quit(entry))
			*quit = true;
		if (entry->kept && !again) { /* who is killed now shall not say it twice */
			unsent_done(outbox->unsent, entry->id);
			entry->kept = false;
		}
		if (heard_is_echoed(entry->line, entry->size))
			queue_append(&outbox->sent, entry);
		else
			forget(outbox, entry);
	}
	outbox_unlock(outbox);
	return taken;
}

/* Takes the first waiting line as a request, or as the line itself when there is none for it. */
static void take_request(struct outbox *outbox, struct buffer *out, bool *quit, size_t *too_long)
	REQUIRES(OUTBOX_LOCK)
{
	struct entry *entry = queue_remove(&outbox->waiting, &outbox->waiting.first);
	size_t before = out->size;
	bool numbered = !entry->is_request && request_write(out, entry->room, entry->line, entry->size, entry->id);

	if (!numbered) {
		buffer_add(out, entry->line, entry->size);
		buffer_add_text(out, "\n");
	}
	if (is_quit(entry))
		*quit = true;
	if (out->size - before > REQUEST_SIZE_MAX) {
		out->size = before;
		*too_long += 1;
		numbered = false;
	}
	if (numbered)
		queue_append(&outbox->sent, entry);
	else
		forget(outbox, entry);
}

void outbox_take_requests(struct outbox *outbox, struct buffer *out, size_t size, bool *quit, size_t *too_long)
{
	outbox_lock(outbox);
	while (!outbox->held && outbox->waiting.first != NULL && out->size < size)
		take_request(outbox, out, quit, too_long);
	outbox_unlock(outbox);
}

bool outbox_answered(struct outbox *outbox, long long id, struct buffer *line)
{
	struct entry **place;
	bool found;

	outbox_lock(outbox);
	place = &outbox->sent.first;
	while (*place != NULL && (*place)->id != id)
		place = &(*place)->next;
	found = *place != NULL;
	if (found) {
		buffer_add(line, (*place)->line, (*place)->size);
		buffer_add(line, "", 1);
		forget(outbox, queue_remove(&outbox->sent, place));
	}
	outbox_unlock(outbox);
	return found;
}

void outbox_acknowledge(struct outbox *outbox, const char *text, size_t size, bool certain)
{
	struct entry **place;

	outbox_lock(outbox);
	place = &outbox->sent.first;
	while (*place != NULL && ((*place)->size != size || memcmp((*place)->line, text, size) != 0))
		place = &(*place)->next;
	if (*place == NULL && certain)
		place = &outbox->sent.first;
	if (*place != NULL)
		forget(outbox, queue_remove(&outbox->sent, place));
	outbox_unlock(outbox);
}

void outbox_refused(struct outbox *outbox)
{
	outbox_lock(outbox);
	if (outbox->sent.first != NULL)
		forget(outbox, queue_remove(&outbox->sent, &outbox->sent.first));
	outbox_unlock(outbox);
}

/* The sent ones come before those that wait. */
static void take_back(struct outbox *outbox) REQUIRES(OUTBOX_LOCK)
{
	struct queue *sent = &outbox->sent;
	struct queue *waiting = &outbox->waiting;

	if (sent->first == NULL)
		return;
	*sent->end = waiting->first;
	if (waiting->first == NULL)
		waiting->end = sent->end;
	waiting->first = sent->first;
	waiting->count += sent->count;
	waiting->asked += sent->asked;
	queue_init(sent);
}

/* Those that ask for something once. */
static void drop_commands(struct outbox *outbox) REQUIRES(OUTBOX_LOCK)
{
	struct entry **place = &outbox->sent.first;

	while (*place != NULL) {
		if (request_is_lasting((*place)->line, (*place)->size))
			place = &(*place)->next;
		else
			forget(outbox, queue_remove(&outbox->sent, place));
	}
}

size_t outbox_lost(struct outbox *outbox, bool again)
{
	size_t count;

	outbox_lock(outbox);
	drop_commands(outbox);
	count = outbox->sent.count;
	if (again)
		take_back(outbox);
	while (outbox->sent.first != NULL)
		forget(outbox, queue_remove(&outbox->sent, &outbox->sent.first));
	outbox_unlock(outbox);
	return count;
}

size_t outbox_pending(struct outbox *outbox, int age_ms, size_t most, struct buffer *lines, int *next_ms)
{
	long long now = clock_ms();
	size_t count = 0;

	*next_ms = -1;
	outbox_lock(outbox);
	for (int pass = 0; pass < 2; pass++) {
		const struct entry *entry = pass == 0 ? outbox->sent.first : outbox->waiting.first;

		for (; entry != NULL; entry = entry->next) {
			long long left = entry->put_at + age_ms - now;

			if (entry->id < 0) /* nobody typed it */
				continue;
			if (left > 0 && (*next_ms < 0 || left < *next_ms))
				*next_ms = (int)left;
			if (left > 0 || count++ >= most)
				continue;
			buffer_add(lines, entry->line, entry->size);
			buffer_add_text(lines, "\n");
		}
	}
	outbox_unlock(outbox);
	return count;
}

struct outbox_state outbox_state(struct outbox *outbox)
{
	struct outbox_state state;

	outbox_lock(outbox);
	state = (struct outbox_state){
		.waiting = outbox->waiting.count,
		.sent = outbox->sent.count,
		.asked_waiting = outbox->waiting.asked,
		.asked_sent = outbox->sent.asked,
		.kept = outbox->unsent == NULL ? 0 : unsent_count(outbox->unsent),
		.held = outbox->held,
		.plan = outbox->plan,
	};
	outbox_unlock(outbox);
	return state;
}
