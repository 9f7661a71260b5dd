#include "tcpserver/journals/redis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpserver/journals/redis_link.h"
#include "tcpserver/journals/redis_parts.h"

static void redis_destroy(struct engine *engine)
{
	struct redis_engine *redis = (struct redis_engine *)engine;

	SSL_CTX_free(redis->context);
	OPENSSL_cleanse(&redis->url, sizeof redis->url);
	free(redis);
}

static const struct engine_ops redis_ops = {
	.name = "redis",
	.connect = redis_link_open,
	.disconnect = redis_link_close,
	.works = redis_link_works,
	.fault = redis_link_fault,
	.describe = redis_describe,
	.open_room = redis_open_room,
	.forget_room = redis_forget_room,
	.find_room = redis_find_room,
	.list_rooms = redis_list_rooms,
	.append = redis_append,
	.fetch = redis_fetch,
	.last = redis_last,
	.descriptor = redis_descriptor,
	.news = redis_news,
	.trim = redis_trim,
	.set_mark = redis_set_mark,
	.mark = redis_mark,
	.beat = redis_beat,
	.ghosts = redis_ghosts,
	.succeed = redis_succeed,
	.retire = redis_retire,
	.claim_name = redis_claim_name,
	.release_name = redis_release_name,
	.find_name = redis_find_name,
	.people = redis_people,
	.absent = redis_absent,
	.forget_unused = redis_forget_unused,
	.set_waits = redis_set_waits,
	.offer = redis_offer,
	.meet = redis_meet,
	.destroy = redis_destroy,
};

int redis_engine_create(const struct engine_options *options, struct engine **engine, char fault[ENGINE_FAULT_SIZE])
{
	struct redis_engine *redis = calloc(1, sizeof *redis);
	int error = -EINVAL;

	if (redis == NULL) {
		(void)snprintf(fault, ENGINE_FAULT_SIZE, "no memory");
		return -ENOMEM;
	}
	redis->engine.ops = &redis_ops;
	if (!redis_url_read(options->url, &redis->url, fault))
		goto fail;
	if (options->password != NULL && strlen(options->password) >= sizeof redis->url.password) {
		(void)snprintf(fault, ENGINE_FAULT_SIZE, "the password is too long");
		goto fail;
	}
	if (options->password != NULL)
		(void)strcpy(redis->url.password, options->password);
	if (redis->url.is_tls) {
		redis->context = redis_wire_context(&redis->url, fault);
		if (redis->context == NULL)
			goto fail;
	}
	*engine = &redis->engine;
	return 0;

fail:
	redis_destroy(&redis->engine);
	return error;
}
