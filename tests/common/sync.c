#include "common/sync.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/check.h"

struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t condition;
	int count;
	bool was_free;
};

static void shared_init(struct shared *shared)
{
	*shared = (struct shared){.count = 0};
	mutex_init(&shared->mutex);
	condition_init(&shared->condition);
}

static void shared_fini(struct shared *shared)
{
	CHECK(pthread_cond_destroy(&shared->condition) == 0);
	mutex_fini(&shared->mutex);
}

static void *try_once(void *argument)
{
	struct shared *shared = argument;

	shared->was_free = mutex_try_lock(&shared->mutex);
	if (shared->was_free)
		mutex_unlock(&shared->mutex);
	return NULL;
}

static bool is_free_for_others(struct shared *shared)
{
	pthread_t thread;

	CHECK_EQUAL(thread_start(&thread, 0, try_once, shared), 0);
	thread_join(thread);
	return shared->was_free;
}

TEST(a_mutex_that_is_held_cannot_be_taken)
{
	struct shared shared;

	shared_init(&shared);
	CHECK(is_free_for_others(&shared));
	mutex_lock(&shared.mutex);
	CHECK(!is_free_for_others(&shared));
	mutex_unlock(&shared.mutex);
	CHECK(mutex_try_lock(&shared.mutex));
	CHECK(!is_free_for_others(&shared));
	mutex_unlock(&shared.mutex);
	shared_fini(&shared);
}

static void *count_up(void *argument)
{
	struct shared *shared = argument;

	for (int i = 0; i < 1000; i++) {
		mutex_lock(&shared->mutex);
		shared->count++;
		mutex_unlock(&shared->mutex);
	}
	return NULL;
}

TEST(a_mutex_keeps_threads_apart)
{
	struct shared shared;
	pthread_t threads[4];

	shared_init(&shared);
	for (int i = 0; i < 4; i++)
		CHECK_EQUAL(thread_start(&threads[i], 0, count_up, &shared), 0);
	for (int i = 0; i < 4; i++)
		thread_join(threads[i]);
	CHECK_EQUAL(shared.count, 4000);
	shared_fini(&shared);
}

static void *wait_for_count(void *argument)
{
	struct shared *shared = argument;

	mutex_lock(&shared->mutex);
	while (shared->count == 0)
		condition_wait(&shared->condition, &shared->mutex);
	shared->count++;
	mutex_unlock(&shared->mutex);
	return NULL;
}

TEST(a_broadcast_wakes_everybody_who_waits)
{
	struct shared shared;
	pthread_t threads[4];

	shared_init(&shared);
	for (int i = 0; i < 4; i++)
		CHECK_EQUAL(thread_start(&threads[i], 0, wait_for_count, &shared), 0);
	mutex_lock(&shared.mutex);
	shared.count = 1;
	condition_broadcast(&shared.condition);
	mutex_unlock(&shared.mutex);
	for (int i = 0; i < 4; i++)
		thread_join(threads[i]);
	CHECK_EQUAL(shared.count, 5);
	shared_fini(&shared);
}

TEST(a_wait_ends_at_its_deadline)
{
	struct shared shared;
	long long deadline_ms = clock_ms() + 20;
	int error = 0;

	shared_init(&shared);
	mutex_lock(&shared.mutex);
	while (error == 0)
		error = condition_wait_until(&shared.condition, &shared.mutex, deadline_ms);
	CHECK_EQUAL(error, -ETIMEDOUT);
	CHECK(clock_ms() >= deadline_ms);
	CHECK(!is_free_for_others(&shared)); /* the mutex is held again */
	while (error == 0)
		error = condition_wait_until(&shared.condition, &shared.mutex, 0);
	CHECK_EQUAL(error, -ETIMEDOUT);
	mutex_unlock(&shared.mutex);
	shared_fini(&shared);
}

static void *wait_for_count_with_deadline(void *argument)
{
	struct shared *shared = argument;
	long long deadline_ms = clock_ms() + 3600 * 1000;

	mutex_lock(&shared->mutex);
	while (shared->count == 0)
		CHECK_EQUAL(condition_wait_until(&shared->condition, &shared->mutex, deadline_ms), 0);
	mutex_unlock(&shared->mutex);
	return NULL;
}

TEST(a_wait_with_a_deadline_can_be_woken)
{
	struct shared shared;
	pthread_t thread;

	shared_init(&shared);
	CHECK_EQUAL(thread_start(&thread, 0, wait_for_count_with_deadline, &shared), 0);
	mutex_lock(&shared.mutex);
	shared.count = 1;
	condition_broadcast(&shared.condition);
	mutex_unlock(&shared.mutex);
	thread_join(thread);
	shared_fini(&shared);
}

struct seen {
	size_t stack_size;
	char name[16];
};

static void *look_at_itself(void *argument)
{
	struct seen *seen = argument;
	pthread_attr_t attributes;

	thread_name("a name of more than fifteen bytes");
	CHECK(pthread_getname_np(pthread_self(), seen->name, sizeof seen->name) == 0);
	CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0);
	CHECK(pthread_attr_getstacksize(&attributes, &seen->stack_size) == 0);
	CHECK(pthread_attr_destroy(&attributes) == 0);
	return NULL;
}

TEST(a_thread_has_a_name_and_the_stack_that_was_asked_for)
{
	struct seen seen;
	pthread_t thread;

	CHECK_EQUAL(thread_start(&thread, 256 * 1024, look_at_itself, &seen), 0);
	thread_join(thread);
	CHECK_TEXT(seen.name, "a name of more ");
	CHECK(seen.stack_size >= 256 * 1024 && seen.stack_size <= 8 * 256 * 1024);
}

TEST(a_thread_for_which_there_is_no_room_is_told)
{
	pthread_t thread;
	int error = thread_start(&thread, (size_t)1 << 50, look_at_itself, NULL);

	CHECK(error == -EAGAIN || error == -ENOMEM);
}

enum { DEEP_SIZE = 100 * 1024, STACK_SIZE = 512 * 1024 };

/* How many pages of the calling thread's stack are in memory. */
static size_t stack_pages(void)
{
	static unsigned char pages[8 * STACK_SIZE / 4096 + 1];
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	pthread_attr_t attributes;
	size_t size;
	void *lowest;
	size_t count = 0;

	CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0);
	CHECK(pthread_attr_getstack(&attributes, &lowest, &size) == 0);
	CHECK(pthread_attr_destroy(&attributes) == 0);
	CHECK((uintptr_t)lowest % page_size == 0 && size / page_size < sizeof pages);
	CHECK(mincore(lowest, size, pages) == 0);
	for (size_t i = 0; i < size / page_size; i++)
		count += pages[i] & 1;
	return count;
}

static __attribute__((noinline)) int go_deep(void)
{
	volatile char deep[DEEP_SIZE];

	for (size_t i = 0; i < sizeof deep; i++)
		deep[i] = (char)i;
	return deep[DEEP_SIZE / 2];
}

static void *go_deep_once(void *argument)
{
	volatile int here[100];
	size_t deep_pages;

	(void)argument;
	for (int i = 0; i < 100; i++)
		here[i] = i + go_deep() * 0;
	deep_pages = stack_pages();
	thread_trim_stack();
	CHECK(stack_pages() <= deep_pages);
	CHECK(stack_pages() * (size_t)sysconf(_SC_PAGESIZE) < DEEP_SIZE);
	for (int i = 0; i < 100; i++)
		CHECK_EQUAL(here[i], i);
	(void)go_deep(); /* the pages come back when they are needed */
	return NULL;
}

TEST(a_trimmed_stack_gives_back_what_lies_below)
{
	pthread_t thread;

	CHECK_EQUAL(thread_start(&thread, STACK_SIZE, go_deep_once, NULL), 0);
	thread_join(thread);
}

TEST(the_clocks_go_forward)
{
	long long start_ms = clock_ms();
	long long wall_ns = clock_wall_ns();

	CHECK(clock_ms() >= start_ms);
	CHECK(wall_ns > 1700000000000000000);
}
