#include <errno.h>

#include "tcpserver/journals/redis_link.h"
#include "tcpserver/journals/redis_parts.h"
#include "tcpserver/journals/redis_reply.h"

int redis_descriptor(const struct link *link)
{
	return link->wire.socket;
}

/* "message", the channel, what was published */
static bool news_is_word(const redisReply *reply)
{
	return redis_reply_is_array(reply, 3) && redis_reply_is(reply->element[0], "message") &&
	       reply->element[2]->type == REDIS_REPLY_STRING;
}

/* The next of what was published; false: there is none now. */
static bool news_next(struct link *link, struct engine_news *news)
{
	for (;;) {
		if (link->heard == NULL) {
			link->heard = redis_link_hear(link);
			link->heard_at = 0;
			if (link->heard == NULL)
				return false;
		}
		if (news_is_word(link->heard)) {
			const redisReply *word = link->heard->element[2];

			if (redis_reply_news(word->str, word->len, &link->heard_at, news))
				return true;
		}
		freeReplyObject(link->heard);
		link->heard = NULL;
	}
}

ssize_t redis_news(struct link *link, struct engine_news *news, size_t capacity)
{
	size_t count = 0;

	while (count < capacity && news_next(link, &news[count]))
		count++;
	return count == 0 && link->broken ? link->error : (ssize_t)count;
}
