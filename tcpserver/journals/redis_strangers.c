#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/journals/redis_link.h"
#include "tcpserver/journals/redis_parts.h"
#include "tcpserver/journals/redis_reply.h"

int redis_set_waits(struct link *link, const char *id, bool waits)
{
	struct redis_command arguments = redis_link_script(link);

	redis_command_text(&arguments, id);
	redis_command_number(&arguments, waits ? 1 : 0);
	return (int)redis_link_run_number(link, REDIS_SET_WAITS, &arguments);
}

/* The offer as one text: its lines. NULL without memory. */
static char *strangers_lines(const struct stranger_offer *offer)
{
	size_t size = strlen(offer->key) + strlen(offer->last) + 3;
	char *lines;
	char *end;

	for (size_t i = 0; i < offer->avoid_count; i++)
		size += strlen(offer->avoid[i]) + 1;
	lines = malloc(size);
	if (lines == NULL)
		return NULL;
	end = stpcpy(stpcpy(stpcpy(stpcpy(lines, offer->key), "\n"), offer->last), "\n");
	for (size_t i = 0; i < offer->avoid_count; i++)
		end = stpcpy(stpcpy(end, offer->avoid[i]), "\n");
	return lines;
}

int redis_offer(struct link *link, const char *server, const char *id, const struct stranger_offer *offer)
{
	struct redis_command arguments = redis_link_script(link);
	char *lines = strangers_lines(offer);
	long long known;

	redis_command_text(&arguments, server);
	redis_command_text(&arguments, id);
	redis_command_text(&arguments, lines == NULL ? "" : lines);
	redis_command_number(&arguments, offer->always ? 1 : 0);
	arguments.lacks_memory = arguments.lacks_memory || lines == NULL;
	free(lines);
	known = redis_link_run_number(link, REDIS_OFFER, &arguments);
	return known < 0 ? (int)known : known == 0 ? -ENOENT : known == 2 ? -EEXIST : 0;
}

int redis_meet(struct link *link, const struct stranger_offer *seeker, struct room_record *record)
{
	struct redis_command arguments = redis_link_script(link);
	redisReply *reply;
	bool found;

	redis_command_text(&arguments, seeker->key);
	redis_command_text(&arguments, seeker->last);
	for (size_t i = 0; i < seeker->avoid_count; i++)
		redis_command_text(&arguments, seeker->avoid[i]);
	reply = redis_link_run(link, REDIS_MEET, &arguments);
	if (reply == NULL)
		return link->error;
	found = redis_reply_record(reply, record);
	freeReplyObject(reply);
	return found ? 0 : -ENOENT;
}
