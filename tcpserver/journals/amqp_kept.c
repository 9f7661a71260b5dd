#include "tcpserver/journals/amqp_kept.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/core/message.h"

enum { BUCKETS = 1 << 17 };

#define FNV_BASIS UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * FNV_PRIME;
	return hash;
}

static size_t bucket(uint64_t hash)
{
	return (size_t)((hash ^ hash >> 32) % BUCKETS);
}

static struct amqp_kept **sent_bucket(const struct amqp_tail *tail, const unsigned char *client, uint64_t number)
{
	return &tail->sent[bucket(hash_bytes(hash_bytes(FNV_BASIS, client, CLIENT_ID_SIZE), &number, sizeof number))];
}

static struct amqp_kept **seq_bucket(const struct amqp_tail *tail, const char *room, uint64_t seq)
{
	return &tail->seqs[bucket(hash_bytes(hash_bytes(FNV_BASIS, room, strlen(room)), &seq, sizeof seq))];
}

bool amqp_tail_init(struct amqp_tail *tail)
{
	*tail = (struct amqp_tail){
		.sent = calloc(BUCKETS, sizeof(struct amqp_kept *)), .seqs = calloc(BUCKETS, sizeof(struct amqp_kept *))};
	return tail->sent != NULL && tail->seqs != NULL;
}

static void drop_message(struct amqp_tail *tail, struct amqp_kept *kept)
{
	if (kept->message == NULL)
		return;
	tail->bytes -= message_memory(kept->message);
	message_release(kept->message);
	kept->message = NULL;
}

static void drop_first(struct amqp_tail *tail)
{
	struct amqp_kept *kept = tail->first;
	struct amqp_kept **sent = sent_bucket(tail, kept->client, kept->number);
	struct amqp_kept **seq = seq_bucket(tail, kept->room, kept->seq);

	while (*sent != kept)
		sent = &(*sent)->next_sent;
	*sent = kept->next_sent;
	while (*seq != kept)
		seq = &(*seq)->next_seq;
	*seq = kept->next_seq;
	drop_message(tail, kept);
	tail->first = kept->next;
	if (tail->first == NULL)
		tail->last = NULL;
	if (tail->first_held == kept)
		tail->first_held = kept->next;
	tail->count--;
	free(kept);
}

/* What has not been confirmed keeps its message. */
static void drop_surplus(struct amqp_tail *tail)
{
	while (tail->bytes > AMQP_TAIL_BYTES && tail->first_held != NULL && tail->first_held->is_confirmed) {
		drop_message(tail, tail->first_held);
		tail->first_held = tail->first_held->next;
	}
	while (tail->count > AMQP_KEPT_MOST && tail->first != tail->first_unstored)
		drop_first(tail);
}

static void link_kept(struct amqp_tail *tail, struct amqp_kept *kept)
{
	struct amqp_kept **sent = sent_bucket(tail, kept->client, kept->number);
	struct amqp_kept **seq = seq_bucket(tail, kept->room, kept->seq);

	kept->next_sent = *sent;
	*sent = kept;
	kept->next_seq = *seq;
	*seq = kept;
	if (tail->last == NULL)
		tail->first = kept;
	else
		tail->last->next = kept;
	tail->last = kept;
	if (tail->first_unstored == NULL)
		tail->first_unstored = kept;
	if (tail->first_held == NULL)
		tail->first_held = kept;
}

struct amqp_kept *amqp_tail_add(struct amqp_tail *tail, const struct entry *entry, uint64_t position)
{
	struct amqp_kept *kept = calloc(1, sizeof *kept);

	if (kept == NULL)
		return NULL;
	kept->message = message_acquire((struct message *)(uintptr_t)entry->message); /* counts references alone */
	kept->position = position;
	kept->number = entry->number;
	kept->seq = entry->seq;
	kept->at_ns = entry->at_ns;
	memcpy(kept->client, entry->client, CLIENT_ID_SIZE);
	(void)snprintf(kept->room, sizeof kept->room, "%s", entry->room);
	link_kept(tail, kept);
	tail->count++;
	tail->unstored++;
	tail->bytes += message_memory(kept->message);
	drop_surplus(tail);
	return kept;
}

struct amqp_kept *amqp_tail_find_sent(
	const struct amqp_tail *tail, const unsigned char client[CLIENT_ID_SIZE], uint64_t number)
{
	struct amqp_kept *kept = *sent_bucket(tail, client, number);

	while (kept != NULL && (kept->number != number || memcmp(kept->client, client, CLIENT_ID_SIZE) != 0))
		kept = kept->next_sent;
	return kept;
}

struct amqp_kept *amqp_tail_find_seq(const struct amqp_tail *tail, const char *room, uint64_t seq)
{
	struct amqp_kept *kept = *seq_bucket(tail, room, seq);

	while (kept != NULL && (kept->seq != seq || strcmp(kept->room, room) != 0))
		kept = kept->next_seq;
	return kept;
}

void amqp_tail_note_stored(struct amqp_tail *tail, uint64_t position)
{
	while (tail->first_unstored != NULL && tail->first_unstored->position <= position && tail->first_unstored->is_confirmed) {
		drop_message(tail, tail->first_unstored);
		if (tail->first_held == tail->first_unstored)
			tail->first_held = tail->first_unstored->next;
		tail->first_unstored = tail->first_unstored->next;
		tail->unstored--;
	}
	drop_surplus(tail);
}

void amqp_tail_fini(struct amqp_tail *tail)
{
	while (tail->first != NULL)
		drop_first(tail);
	free(tail->sent);
	free(tail->seqs);
	*tail = (struct amqp_tail){0};
}
