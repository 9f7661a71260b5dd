/*
 * Which messages of clients are stored, by the numbers that the clients gave them.
 *
 * Threads: one at a time, as for the link. May block.
 */
#ifndef MESSAGEAPI_NUMBERS_H
#define MESSAGEAPI_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

#include "common/sync.h"
#include "tcpserver/journals/engine.h"

struct number {
	unsigned char client[CLIENT_ID_SIZE];
	uint64_t number;
	uint64_t seq;             /* out: 0: it is not stored       */
	int64_t at_ns;            /* out                            */
	uint64_t highest;         /* out: of this client; 0: none   */
	char room[ROOM_ID_SIZE];  /* out: id                        */
};

/* 'link' is one of the PostgreSQL engine's. Returns 0 or -errno. */
int numbers_find(struct link *link, struct number *numbers, size_t count) MUST_CHECK;

#endif
