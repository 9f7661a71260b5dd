/*
 * The URL of a Redis: where it is, and how it is used.
 *
 * Threads: any.
 */
#ifndef TCPSERVER_JOURNALS_REDIS_URL_H
#define TCPSERVER_JOURNALS_REDIS_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/net.h"
#include "common/sync.h"
#include "tcpserver/journals/engine.h"

enum {
	REDIS_USER_SIZE = 256,
	REDIS_PASSWORD_SIZE = 1024,
	REDIS_DATABASE_SIZE = 64,
	REDIS_PREFIX_SIZE = 64,
	REDIS_PATH_SIZE = 1024,
};

struct redis_url {
	struct net_place place;
	bool is_tls;
	char user[REDIS_USER_SIZE]; /* "": Redis's default one */
	char password[REDIS_PASSWORD_SIZE]; /* "": none */
	char database[REDIS_DATABASE_SIZE]; /* ""; or as Redis's SELECT takes it */
	char prefix[REDIS_PREFIX_SIZE];     /* of all keys */
	char authorities[REDIS_PATH_SIZE];  /* a file of certificates; "": the system's */
	uint64_t messages_most;             /* that a room keeps; 0: all */
	uint64_t replicas;                  /* that have to have a group before it is kept */
};

/* Returns false with a fault, which has no password in it. */
bool redis_url_read(const char *text, struct redis_url *url, char fault[ENGINE_FAULT_SIZE]) MUST_CHECK;

#endif
