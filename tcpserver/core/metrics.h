/*
 * What an operator wants to know of the running server, in the text format of Prometheus: counters, gauges, histograms.
 *
 * They are the process's own. Counting is a relaxed addition to one of a few shards, each in cache lines of its own, that
 * the threads share out among themselves, so that it costs a few nanoseconds wherever it happens; nothing is counted per
 * delivery. What can be looked up (people, rooms, memory) is not counted but looked up when somebody asks.
 *
 * Threads: any. Counting takes no lock.
 */
#ifndef TCPSERVER_CORE_METRICS_H
#define TCPSERVER_CORE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcpserver/core/message.h"

struct door;
struct talk;

/* The type of what metrics_print() writes, for a Content-Type header. Source: prometheus.io, exposition formats. */
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Why a connection gets no session. */
enum metrics_refusal {
	METRICS_SERVER_FULL,  /* --max-clients                       */
	METRICS_ADDRESS_FULL, /* --max-per-address                   */
	METRICS_NO_MEMORY,
	METRICS_NO_THREAD,
	METRICS_REFUSALS,
};

/* ---- Connections. ---- */

/* A connection was accepted, whatever becomes of it. */
void metrics_accepted(void);
void metrics_refused(enum metrics_refusal why);
/* A connection that was served by door 'from' is served by 'to'; NULL: it was not, or is not any more. */
void metrics_move_connection(const struct door *from, const struct door *to);
/* Bytes that went to clients, and came from them. */
void metrics_sent(size_t size);
void metrics_received(size_t size);
/* A request was answered with this status code. */
void metrics_answered_http(unsigned code);

/* ---- Messages. ---- */

/* A message is handed to the journal; one of the next three follows. */
void metrics_handed_over(void);
/* A message was kept and published. */
void metrics_published(enum message_kind kind);
/* A client's message had been kept before, and was acknowledged again. */
void metrics_repeated(void);
/* A message could not be kept. */
void metrics_refused_message(void);
/* A journal wrote 'messages' messages in one go, which took 'took_ns'. */
void metrics_committed(size_t messages, int64_t took_ns);
/* A pass over the members of a room has ended that sent a message which was handed to the journal 'took_ns' before. */
void metrics_delivered(int64_t took_ns);
/* So many members more, or less, read the journal, because they are behind or read history. */
void metrics_changed_behind(int by);

/* ---- What is asked for. ---- */

/* All of it, in new memory that the caller frees, ended by NUL, which '*size' does not count. NULL without memory. Takes the
 * locks of the client list, of the rooms, and, while members are behind, of outlets; reads /proc. */
char *metrics_print(struct talk *talk, size_t *size) MUST_CHECK;

#endif
