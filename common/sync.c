#include "common/sync.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif

/* A sanitizer's frames are several times as large as ours. */
#if HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer) || defined(__SANITIZE_ADDRESS__) ||                \
	defined(__SANITIZE_THREAD__)
#define STACK_SIZE_FACTOR 8
#else
#define STACK_SIZE_FACTOR 1
#endif

/* Bytes below a frame that the function itself, and the red zone of the ABI, may use. */
#define STACK_IN_USE 1024

static void must_succeed(int error, const char *what)
{
	if (error == 0)
		return;
	(void)fprintf(stderr, "%s: %s\n", what, strerror(error));
	abort();
}

void mutex_init(pthread_mutex_t *mutex)
{
	must_succeed(pthread_mutex_init(mutex, NULL), "pthread_mutex_init");
}

void mutex_fini(pthread_mutex_t *mutex)
{
	must_succeed(pthread_mutex_destroy(mutex), "pthread_mutex_destroy");
}

void mutex_lock(pthread_mutex_t *mutex)
{
	must_succeed(pthread_mutex_lock(mutex), "pthread_mutex_lock");
}

int mutex_try_lock(pthread_mutex_t *mutex)
{
	int error = pthread_mutex_trylock(mutex);

	if (error == EBUSY)
		return 0;
	must_succeed(error, "pthread_mutex_trylock");
	return 1;
}

void mutex_unlock(pthread_mutex_t *mutex)
{
	must_succeed(pthread_mutex_unlock(mutex), "pthread_mutex_unlock");
}

void condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;

	must_succeed(pthread_condattr_init(&attributes), "pthread_condattr_init");
	must_succeed(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC), "pthread_condattr_setclock");
	must_succeed(pthread_cond_init(condition, &attributes), "pthread_cond_init");
	must_succeed(pthread_condattr_destroy(&attributes), "pthread_condattr_destroy");
}

void condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
	must_succeed(pthread_cond_wait(condition, mutex), "pthread_cond_wait");
}

int condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, long long deadline_ms)
{
	struct timespec deadline = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
	int error = pthread_cond_timedwait(condition, mutex, &deadline);

	if (error == ETIMEDOUT)
		return -ETIMEDOUT;
	must_succeed(error, "pthread_cond_timedwait");
	return 0;
}

void condition_broadcast(pthread_cond_t *condition)
{
	must_succeed(pthread_cond_broadcast(condition), "pthread_cond_broadcast");
}

void condition_signal(pthread_cond_t *condition)
{
	must_succeed(pthread_cond_signal(condition), "pthread_cond_signal");
}

int thread_start(pthread_t *thread, size_t stack_size, void *(*run)(void *), void *argument)
{
	pthread_attr_t attributes;
	int error;

	must_succeed(pthread_attr_init(&attributes), "pthread_attr_init");
	if (stack_size != 0)
		must_succeed(
			pthread_attr_setstacksize(&attributes, stack_size * STACK_SIZE_FACTOR), "pthread_attr_setstacksize");
	error = pthread_create(thread, &attributes, run, argument);
	must_succeed(pthread_attr_destroy(&attributes), "pthread_attr_destroy");
	return -error;
}

void thread_name(const char *name)
{
	char cut[16];

	(void)snprintf(cut, sizeof cut, "%s", name);
	must_succeed(pthread_setname_np(pthread_self(), cut), "pthread_setname_np");
}

void thread_join(pthread_t thread)
{
	must_succeed(pthread_join(thread, NULL), "pthread_join");
}

void thread_trim_stack(void)
{
	pthread_attr_t attributes;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	void *lowest;
	size_t size;

	if (pthread_getattr_np(pthread_self(), &attributes) != 0)
		return; /* it only saves memory */
	if (pthread_attr_getstack(&attributes, &lowest, &size) == 0) {
		uintptr_t start = ((uintptr_t)lowest + page - 1) & ~(page - 1);
		uintptr_t end = (here - STACK_IN_USE) & ~(page - 1);

		if (end > start && end - start < size)
			(void)madvise((void *)start, end - start, MADV_DONTNEED); /* as above */
	}
	must_succeed(pthread_attr_destroy(&attributes), "pthread_attr_destroy");
}

long long clock_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

long long clock_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

long long clock_wall_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}
