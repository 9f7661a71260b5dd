/*
 * Threads, mutexes, and the words by which clang checks locks.
 *
 * A lock class names all locks of one kind. It is declared, never defined; fields say which class guards them
 * (GUARDED_BY), functions say what they need (REQUIRES) or take (ACQUIRES, RELEASES). The few functions that touch the
 * mutex itself are UNCHECKED. With gcc all of this vanishes.
 *
 * A pthread call that fails where only our own bug could make it fail ends the program.
 */
#ifndef COMMON_SYNC_H
#define COMMON_SYNC_H

#include <pthread.h>
#include <stddef.h>
#include <time.h>

#if defined(__clang__)
#define CLANG_ATTRIBUTE(x) __attribute__((x))
#else
#define CLANG_ATTRIBUTE(x)
#endif

struct CLANG_ATTRIBUTE(capability("mutex")) lock_class {
	char unused;
};

#define ACQUIRED_AFTER(...) CLANG_ATTRIBUTE(acquired_after(__VA_ARGS__))
#define GUARDED_BY(lock)    CLANG_ATTRIBUTE(guarded_by(lock))
#define REQUIRES(...)       CLANG_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define EXCLUDES(...)       CLANG_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define ACQUIRES(...)       CLANG_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define TRY_ACQUIRES(...)   CLANG_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define RELEASES(...)       CLANG_ATTRIBUTE(release_capability(__VA_ARGS__))
#define UNCHECKED           CLANG_ATTRIBUTE(no_thread_safety_analysis)

#define MUST_CHECK         __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a)  __attribute__((format(printf, f, a)))

void mutex_init(pthread_mutex_t *mutex);
void mutex_fini(pthread_mutex_t *mutex);
void mutex_lock(pthread_mutex_t *mutex);
/* Returns whether the mutex was free and is now held. */
int mutex_try_lock(pthread_mutex_t *mutex) MUST_CHECK;
void mutex_unlock(pthread_mutex_t *mutex);

/* Conditions here wait on CLOCK_MONOTONIC. */
void condition_init(pthread_cond_t *condition);
void condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
/* Waits until 'deadline_ms' of clock_ms(). Returns 0, or -ETIMEDOUT. */
int condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, long long deadline_ms) MUST_CHECK;
void condition_broadcast(pthread_cond_t *condition);
/* Wakes one of those that wait, where all wait for the same. */
void condition_signal(pthread_cond_t *condition);

/*
 * Starts a thread whose stack has 'stack_size' bytes (more under a sanitizer, which needs it); 0 is the system's default.
 * Owns: somebody has to join it. Errors: -EAGAIN and -ENOMEM when the system has no room for one more.
 */
int thread_start(pthread_t *thread, size_t stack_size, void *(*run)(void *), void *argument) MUST_CHECK;
/* Names the calling thread for ps, top and debuggers; longer than 15 bytes is cut. */
void thread_name(const char *name);
void thread_join(pthread_t thread);

/*
 * Gives the pages of the calling thread's stack that lie below the caller's frame back to the system: for a thread that
 * has gone deep once and will wait for long. Not for the main thread.
 */
void thread_trim_stack(void);

/* Milliseconds of CLOCK_MONOTONIC. */
long long clock_ms(void);
/* Nanoseconds of the same. */
long long clock_ns(void);
/* Nanoseconds since 1970 (CLOCK_REALTIME). */
long long clock_wall_ns(void);

#endif
