/*
 * Wakes a thread that polls, once, when something is to be done later.
 *
 * Threads: any may set it.
 */
#ifndef TCPCLIENT_TIMER_H
#define TCPCLIENT_TIMER_H

/* A descriptor for poll(), or -errno. It is closed with close(). */
int timer_open(void);
/* Makes it readable in 'delay_ms', unless it will be before. */
void timer_set(int timer, int delay_ms);
/* It was readable: the next timer_set() counts. */
void timer_take(int timer);

#endif
