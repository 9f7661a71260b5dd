#include "tcpserver/core/metrics.h"

#include <stdatomic.h>
#include <string.h>

#include "tcpserver/core/door.h"
#include "tcpserver/core/metrics_counters.h"

enum {
	SHARDS = 16,
	CACHE_LINE = 64,
};

/* All additions are relaxed: each counter stands for itself, and who reads is content with what was there a moment ago. */
struct shard {
	_Alignas(CACHE_LINE) _Atomic uint64_t counters[METRICS_COUNTERS];
};

static struct shard shards[SHARDS];
static atomic_uint next_shard;
static _Thread_local struct shard *own_shard; /* of the thread; NULL before it counts something */
static _Atomic uint64_t http_counts[METRICS_HTTP_CODES]; /* a request costs more than that line of the cache */

#define MICROSECONDS(n) ((n) * UINT64_C(1000))
#define MILLISECONDS(n) ((n) * UINT64_C(1000000))
#define TIMES                                                                                                          \
	MICROSECONDS(100), MICROSECONDS(250), MICROSECONDS(500), MILLISECONDS(1), MICROSECONDS(2500), MILLISECONDS(5), \
		MILLISECONDS(10), MILLISECONDS(25), MILLISECONDS(50), MILLISECONDS(100), MILLISECONDS(250),            \
		MILLISECONDS(500), MILLISECONDS(1000), MILLISECONDS(2500), MILLISECONDS(5000), MILLISECONDS(10000)

const struct metrics_histogram_form metrics_histogram_forms[METRICS_HISTOGRAMS] = {
	[METRICS_COMMIT_SECONDS] = {.bound_count = 16, .bounds = {TIMES}},
	[METRICS_COMMIT_MESSAGES] = {.bound_count = 13,
		.bounds = {1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000}},
	[METRICS_DELIVERY_SECONDS] = {.bound_count = 16, .bounds = {TIMES}},
};

const char *const metrics_door_names[METRICS_DOORS] = {
	"sniff", "line", "event", "http", "websocket", "go-chat", "sse", "jsonl", "text", "tls", "http2",
	"grpc", "grpc-subscribe", "chatroom", "other"};

static struct shard *metrics_own_shard(void)
{
	if (own_shard == NULL)
		own_shard = &shards[atomic_fetch_add_explicit(&next_shard, 1, memory_order_relaxed) % SHARDS];
	return own_shard;
}

static void count(unsigned counter, uint64_t by)
{
	(void)atomic_fetch_add_explicit(&metrics_own_shard()->counters[counter], by, memory_order_relaxed);
}

uint64_t metrics_sum(unsigned counter)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < SHARDS; i++)
		sum += atomic_load_explicit(&shards[i].counters[counter], memory_order_relaxed);
	return sum;
}

uint64_t metrics_gauge(unsigned counter)
{
	uint64_t sum = metrics_sum(counter);

	return sum > INT64_MAX ? 0 : sum;
}

static void observe(enum metrics_histogram histogram, uint64_t value)
{
	const struct metrics_histogram_form *form = &metrics_histogram_forms[histogram];
	unsigned first = METRICS_BUCKETS + (unsigned)histogram * (METRICS_BOUNDS_MOST + 2);
	unsigned bucket = 0;

	while (bucket < form->bound_count && value > form->bounds[bucket])
		bucket++;
	count(first + bucket, 1);
	count(first + METRICS_BOUNDS_MOST + 1, value);
}

static uint64_t nanoseconds(int64_t took_ns)
{
	return took_ns < 0 ? 0 : (uint64_t)took_ns;
}

/* ---- Connections. ---- */

void metrics_accepted(void)
{
	count(METRICS_ACCEPTED, 1);
}

void metrics_refused(enum metrics_refusal why)
{
	count(METRICS_REFUSED + (unsigned)why, 1);
}

static unsigned door_counter(const struct door *door)
{
	unsigned i = 0;

	while (i < METRICS_DOORS - 1 && strcmp(metrics_door_names[i], door->name) != 0)
		i++;
	return METRICS_CONNECTIONS + i;
}

void metrics_move_connection(const struct door *from, const struct door *to)
{
	if (from == to)
		return;
	if (from != NULL)
		count(door_counter(from), UINT64_MAX);
	if (to != NULL)
		count(door_counter(to), 1);
}

void metrics_sent(size_t size)
{
	count(METRICS_SENT, size);
}

void metrics_received(size_t size)
{
	count(METRICS_RECEIVED, size);
}

void metrics_answered_http(unsigned code)
{
	size_t index = code - METRICS_HTTP_LEAST;

	if (code >= METRICS_HTTP_LEAST && index < METRICS_HTTP_CODES)
		(void)atomic_fetch_add_explicit(&http_counts[index], 1, memory_order_relaxed);
}

uint64_t metrics_http_count(size_t index)
{
	return atomic_load_explicit(&http_counts[index], memory_order_relaxed);
}

/* ---- Messages. ---- */

void metrics_handed_over(void)
{
	count(METRICS_HANDED_OVER, 1);
}

void metrics_published(enum message_kind kind)
{
	count(METRICS_PUBLISHED + (unsigned)kind, 1);
}

void metrics_repeated(void)
{
	count(METRICS_REPEATED, 1);
}

void metrics_refused_message(void)
{
	count(METRICS_REFUSED_MESSAGES, 1);
}

void metrics_committed(size_t messages, int64_t took_ns)
{
	observe(METRICS_COMMIT_MESSAGES, messages);
	observe(METRICS_COMMIT_SECONDS, nanoseconds(took_ns));
}

void metrics_delivered(int64_t took_ns)
{
	observe(METRICS_DELIVERY_SECONDS, nanoseconds(took_ns));
}

void metrics_changed_behind(int by)
{
	count(METRICS_BEHIND, (uint64_t)by);
}
