#include "tcpclient/timer.h"

#include <errno.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <unistd.h>

int timer_open(void)
{
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	return timer < 0 ? -errno : timer;
}

static long long left_ns(int timer)
{
	struct itimerspec left = {.it_value = {0}};

	(void)timerfd_gettime(timer, &left); /* fails only for what is no timer */
	return left.it_value.tv_sec * 1000000000LL + left.it_value.tv_nsec;
}

void timer_set(int timer, int delay_ms)
{
	struct itimerspec when = {.it_value = {.tv_sec = delay_ms / 1000, .tv_nsec = delay_ms % 1000 * 1000000L + 1}};
	long long left = left_ns(timer);

	/* Two threads at a time: the later call wins, and the work of the other one comes a little late. */
	if (left == 0 || left > delay_ms * 1000000LL)
		(void)timerfd_settime(timer, 0, &when, NULL);
}

void timer_take(int timer)
{
	uint64_t count;

	(void)!read(timer, &count, sizeof count); /* EAGAIN: it was set anew meanwhile */
}
