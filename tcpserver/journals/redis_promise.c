/*
 * What is promised about a power cut is Redis's to keep: its settings say it. Some services do not let anybody ask for them.
 */
#include <stdio.h>
#include <string.h>

#include "tcpserver/journals/redis_link.h"
#include "tcpserver/journals/redis_parts.h"
#include "tcpserver/journals/redis_reply.h"

enum { VALUE_SIZE = 64 };

#define NOT_KNOWN "?"

/* One setting, as CONFIG GET has it; NOT_KNOWN when it may not be asked for. */
static void promise_setting(struct link *link, const char *name, char value[VALUE_SIZE])
{
	struct redis_command command = {0};
	redisReply *reply;

	(void)strcpy(value, NOT_KNOWN);
	redis_command_text(&command, "CONFIG");
	redis_command_text(&command, "GET");
	redis_command_text(&command, name);
	reply = redis_link_ask(link, &command);
	if (reply != NULL && redis_reply_is_array(reply, 2) && !redis_reply_text(reply->element[1], value, VALUE_SIZE))
		(void)strcpy(value, NOT_KNOWN);
	freeReplyObject(reply);
}

static const char *promise_log(const char *append_only, const char *sync, const char *rewrite)
{
	if (strcmp(append_only, "no") == 0)
		return "Redis keeps no log (appendonly no): what was said since its last snapshot is lost when it dies or the power fails";
	if (strcmp(append_only, "yes") != 0 || strcmp(sync, NOT_KNOWN) == 0)
		return "Redis does not say how it writes its log (CONFIG GET is not allowed): nothing is promised about a power cut";
	if (strcmp(sync, "always") == 0 && strcmp(rewrite, "yes") == 0)
		return "nothing that was acknowledged is lost in a power cut (appendfsync always), except while Redis rewrites its log "
		       "(no-appendfsync-on-rewrite yes): then up to the last half minute";
	if (strcmp(sync, "always") == 0)
		return "nothing that was acknowledged is lost in a power cut (appendfsync always)";
	if (strcmp(sync, "everysec") == 0)
		return "a power cut loses about the last second (appendfsync everysec)";
	return "a power cut loses what the system had not written yet, often half a minute (appendfsync no)";
}

static const char *promise_memory(const char *most, const char *policy)
{
	if (strcmp(policy, NOT_KNOWN) == 0 || strcmp(most, "0") == 0 || strcmp(policy, "noeviction") == 0)
		return "";
	return "; WARNING: when its memory is full, it throws messages and rooms away (maxmemory-policy): it has to be noeviction";
}

void redis_describe(struct link *link, char *words, size_t size)
{
	char append_only[VALUE_SIZE];
	char sync[VALUE_SIZE];
	char rewrite[VALUE_SIZE];
	char most[VALUE_SIZE];
	char policy[VALUE_SIZE];
	char replicas[64] = "";

	promise_setting(link, "appendonly", append_only);
	promise_setting(link, "appendfsync", sync);
	promise_setting(link, "no-appendfsync-on-rewrite", rewrite);
	promise_setting(link, "maxmemory", most);
	promise_setting(link, "maxmemory-policy", policy);
	if (link->engine->url.replicas > 0)
		(void)snprintf(replicas, sizeof replicas, "; and %llu replicas have it", (unsigned long long)link->engine->url.replicas);
	(void)snprintf(words, size, "%s%s%s", promise_log(append_only, sync, rewrite), promise_memory(most, policy), replicas);
}
