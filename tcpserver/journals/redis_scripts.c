#include "tcpserver/journals/redis_scripts.h"

#define SOURCE(name)                                                                                                   \
	{                                                                                                              \
		redis_lua_##name, &redis_lua_##name##_size                                                              \
	}

const struct redis_source redis_sources[REDIS_SCRIPTS] = {
	[REDIS_OPEN_ROOM] = SOURCE(open_room),
	[REDIS_FORGET_ROOM] = SOURCE(forget_room),
	[REDIS_FORGET_UNUSED] = SOURCE(forget_unused),
	[REDIS_FIND_ROOM] = SOURCE(find_room),
	[REDIS_LIST_ROOMS] = SOURCE(list_rooms),
	[REDIS_APPEND] = SOURCE(append),
	[REDIS_LAST] = SOURCE(last),
	[REDIS_TRIM] = SOURCE(trim),
	[REDIS_SET_MARK] = SOURCE(set_mark),
	[REDIS_BEAT] = SOURCE(beat),
	[REDIS_SUCCEED] = SOURCE(succeed),
	[REDIS_GHOSTS] = SOURCE(ghosts),
	[REDIS_CLEAR] = SOURCE(clear),
	[REDIS_CLAIM_NAME] = SOURCE(claim_name),
	[REDIS_RELEASE_NAME] = SOURCE(release_name),
	[REDIS_FIND_NAME] = SOURCE(find_name),
	[REDIS_ABSENT] = SOURCE(absent),
	[REDIS_SET_WAITS] = SOURCE(set_waits),
	[REDIS_OFFER] = SOURCE(offer),
	[REDIS_MEET] = SOURCE(meet),
};
