/*
 * What Redis answers, made ours. Others may have written what is kept there: whatever it holds, what comes out of here is clean text that fits,
 * and numbers within their range; or false.
 *
 * Threads: any.
 */
#ifndef TCPSERVER_JOURNALS_REDIS_REPLY_H
#define TCPSERVER_JOURNALS_REDIS_REPLY_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sync.h"
#include "tcpserver/core/journal.h"
#include "tcpserver/journals/engine.h"

/* Whether it is an array of so many. */
bool redis_reply_is_array(const redisReply *reply, size_t count) MUST_CHECK;
/* Whether it is this text. */
bool redis_reply_is(const redisReply *reply, const char *text) MUST_CHECK;
/* Copies a text that is clean and fits. */
bool redis_reply_text(const redisReply *reply, char *text, size_t size) MUST_CHECK;
/* The same; and it has the form of an id: neither empty nor with a space. */
bool redis_reply_id(const redisReply *reply, char id[ROOM_ID_SIZE]) MUST_CHECK;
/* A number of 0 to 'most', as such or in digits. */
bool redis_reply_number(const redisReply *reply, uint64_t most, uint64_t *number) MUST_CHECK;

/* What redis/prelude.lua calls a record. */
bool redis_reply_record(const redisReply *reply, struct room_record *record) MUST_CHECK;
/* Three elements: server, client, name. */
bool redis_reply_holder(redisReply *const *elements, struct name_holder *holder) MUST_CHECK;
/* The name of one of a room's people. */
bool redis_reply_person(const redisReply *reply, char name[NAME_SIZE]) MUST_CHECK;

/* The number of an entry of a stream; 0: it is not one of ours. */
uint64_t redis_reply_seq(const redisReply *entry) MUST_CHECK;
/* A message of it; its text is cleaned. NULL: it is not one of ours, or there is no memory, as '*lacks_memory' says. */
struct message *redis_reply_message(const redisReply *entry, const char *label, bool *lacks_memory) MUST_CHECK;

/* The next "ID NUMBER" of what was published, from '*at' on. Returns whether there is one. */
bool redis_reply_news(const char *text, size_t size, size_t *at, struct engine_news *news) MUST_CHECK;

#endif
