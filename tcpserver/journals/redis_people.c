#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/journals/redis_link.h"
#include "tcpserver/journals/redis_parts.h"
#include "tcpserver/journals/redis_reply.h"

/* ---- Names. ---- */

int redis_claim_name(struct link *link, const char *server, const struct name_claim *claim, struct name_holder *holder)
{
	struct redis_command arguments = redis_link_script(link);
	redisReply *reply;
	uint64_t granted;

	redis_command_text(&arguments, server);
	redis_command_text(&arguments, claim->key);
	redis_command_text(&arguments, claim->name);
	redis_command_client(&arguments, claim->client);
	redis_command_number(&arguments, claim->number);
	reply = redis_link_run(link, REDIS_CLAIM_NAME, &arguments);
	if (reply == NULL)
		return link->error;
	if (!redis_reply_is_array(reply, 4) || !redis_reply_number(reply->element[0], 1, &granted) ||
		!redis_reply_holder(reply->element + 1, holder))
		return redis_link_distrust(link, reply);
	freeReplyObject(reply);
	return granted == 1 ? 0 : -EEXIST;
}

int redis_release_name(struct link *link, const char *server, const char *key, uint64_t number)
{
	struct redis_command arguments = redis_link_script(link);
	long long answer;

	redis_command_text(&arguments, server);
	redis_command_text(&arguments, key);
	redis_command_number(&arguments, number);
	answer = redis_link_run_number(link, REDIS_RELEASE_NAME, &arguments);
	return answer < 0 ? (int)answer : 0;
}

int redis_find_name(struct link *link, const char *key, struct name_holder *holder)
{
	struct redis_command arguments = redis_link_script(link);
	redisReply *reply;
	bool found;

	redis_command_text(&arguments, key);
	reply = redis_link_run(link, REDIS_FIND_NAME, &arguments);
	if (reply == NULL)
		return link->error;
	found = redis_reply_is_array(reply, 3) && redis_reply_holder(reply->element, holder);
	freeReplyObject(reply);
	return found ? 0 : -ENOENT;
}

/* ---- Who is in a room. ---- */

/* A key and what goes with it, as HGETALL gives them. */
static int people_compare(const void *one, const void *other)
{
	const redisReply *key = *(redisReply *const *)one;
	const redisReply *other_key = *(redisReply *const *)other;
	size_t size = key->len < other_key->len ? key->len : other_key->len;
	int order = size == 0 ? 0 : memcmp(key->str, other_key->str, size);

	return order != 0 ? order : key->len < other_key->len ? -1 : key->len > other_key->len;
}

static bool people_are_texts(const redisReply *reply)
{
	for (size_t i = 0; i < reply->elements; i++) {
		if (reply->element[i]->type != REDIS_REPLY_STRING)
			return false;
	}
	return reply->elements % 2 == 0;
}

static redisReply *people_ask(struct link *link, const char *id)
{
	struct redis_command command = {0};
	char key[REDIS_PREFIX_SIZE + 16 + ROOM_ID_SIZE];
	redisReply *reply;

	(void)snprintf(key, sizeof key, "%speople:%.20s", link->engine->url.prefix, id);
	redis_command_text(&command, "HGETALL");
	redis_command_text(&command, key);
	reply = redis_link_ask(link, &command);
	if (reply == NULL || (reply->type == REDIS_REPLY_ARRAY && people_are_texts(reply)))
		return reply;
	(void)redis_link_distrust(link, reply);
	return NULL;
}

ssize_t redis_people(struct link *link, const char *id, char (*names)[NAME_SIZE], size_t capacity, size_t *count)
{
	redisReply *reply = people_ask(link, id);
	size_t given = 0;

	if (reply == NULL)
		return link->error;
	*count = reply->elements / 2;
	if (*count > 0)
		qsort(reply->element, *count, 2 * sizeof *reply->element, people_compare);
	for (size_t i = 0; i < *count && given < capacity; i++)
		given += redis_reply_person(reply->element[2 * i + 1], names[given]);
	freeReplyObject(reply);
	return (ssize_t)given;
}

int redis_absent(struct link *link, const char *server, const char *id, const char *key)
{
	struct redis_command arguments = redis_link_script(link);

	redis_command_text(&arguments, server);
	redis_command_text(&arguments, id);
	redis_command_text(&arguments, key);
	return (int)redis_link_run_number(link, REDIS_ABSENT, &arguments);
}
