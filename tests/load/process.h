/*
 * What the server costs, read from /proc.
 *
 * Threads: any; there is no state. Each function answers 0 when the process is gone or hidden.
 */
#ifndef TCPCHAT_LOAD_PROCESS_H
#define TCPCHAT_LOAD_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/* User and system time of all threads, those that ended included, to 10 ms. */
uint64_t process_cpu_ns(pid_t pid);

/* Proportional set size: its memory, shared pages counted in part. */
uint64_t process_pss(pid_t pid);

uint64_t process_threads(pid_t pid);

#endif
