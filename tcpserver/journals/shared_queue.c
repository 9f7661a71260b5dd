#include "tcpserver/journals/shared_queue.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/message.h"

static bool queue_grow(struct shared_queue *queue)
{
	size_t capacity = queue->capacity == 0 ? 64 : 2 * queue->capacity;
	struct shared_item *grown = realloc(queue->items, capacity * sizeof *grown);

	if (grown == NULL)
		return false;
	queue->items = grown;
	queue->capacity = capacity;
	return true;
}

static void queue_compact(struct shared_queue *queue)
{
	memmove(queue->items, queue->items + queue->first, (queue->count - queue->first) * sizeof *queue->items);
	queue->count -= queue->first;
	queue->first = 0;
}

bool shared_queue_push(struct shared_queue *queue, const struct shared_item *item)
{
	if (queue->first > 0 && queue->first >= queue->count / 2)
		queue_compact(queue);
	if (queue->count == queue->capacity && !queue_grow(queue))
		return false;
	queue->items[queue->count++] = *item;
	if (item->deed == DEED_APPEND) {
		queue->drafts++;
		queue->bytes += message_memory(item->draft->message);
	}
	return true;
}

bool shared_queue_merge(struct shared_queue *queue, const struct shared_item *mark)
{
	struct shared_item *last = queue->count > queue->first ? &queue->items[queue->count - 1] : NULL;

	if (last == NULL || last->deed != mark->deed || strcmp(last->id, mark->id) != 0 || strcmp(last->key, mark->key) != 0)
		return false;
	if (mark->seq > last->seq)
		last->seq = mark->seq;
	return true;
}

struct shared_item *shared_queue_first(struct shared_queue *queue)
{
	while (queue->first < queue->count && queue->items[queue->first].deed == DEED_NONE)
		queue->first++;
	if (queue->first < queue->count)
		return &queue->items[queue->first];
	queue->first = queue->count = 0;
	return NULL;
}

void shared_queue_drop(struct shared_queue *queue, struct shared_item *item)
{
	if (item->deed == DEED_APPEND) {
		queue->drafts--;
		queue->bytes -= message_memory(item->draft->message);
	}
	item->deed = DEED_NONE;
	(void)!shared_queue_first(queue);
}

/* Drafts stand in the order in which their time is over. */
struct shared_item *shared_queue_late(struct shared_queue *queue, long long now_ms)
{
	for (size_t i = queue->first; i < queue->count && queue->drafts > 0; i++) {
		struct shared_item *item = &queue->items[i];

		if (item->deed != DEED_APPEND || item->unknown)
			continue;
		return item->until_ms <= now_ms ? item : NULL;
	}
	return NULL;
}

struct shared_item *shared_queue_draft(struct shared_queue *queue)
{
	for (size_t i = queue->first; i < queue->count; i++) {
		if (queue->items[i].deed == DEED_APPEND)
			return &queue->items[i];
	}
	return NULL;
}

void shared_queue_fini(struct shared_queue *queue)
{
	assert(queue->drafts == 0);
	for (size_t i = queue->first; i < queue->count; i++)
		free(queue->items[i].key);
	free(queue->items);
	*queue = (struct shared_queue){.items = NULL};
}
