/*
 * The scripts that run in Redis: redis/NAME.lua, each after redis/prelude.lua.
 */
#ifndef TCPSERVER_JOURNALS_REDIS_SCRIPTS_H
#define TCPSERVER_JOURNALS_REDIS_SCRIPTS_H

#include <stddef.h>

enum redis_script {
	REDIS_OPEN_ROOM,
	REDIS_FORGET_ROOM,
	REDIS_FORGET_UNUSED,
	REDIS_FIND_ROOM,
	REDIS_LIST_ROOMS,
	REDIS_APPEND,
	REDIS_LAST,
	REDIS_TRIM,
	REDIS_SET_MARK,
	REDIS_BEAT,
	REDIS_SUCCEED,
	REDIS_GHOSTS,
	REDIS_CLEAR,
	REDIS_CLAIM_NAME,
	REDIS_RELEASE_NAME,
	REDIS_FIND_NAME,
	REDIS_ABSENT,
	REDIS_SET_WAITS,
	REDIS_OFFER,
	REDIS_MEET,
	REDIS_SCRIPTS,
};

struct redis_source {
	const unsigned char *bytes;
	const size_t *size;
};

/* In the order of the enum. */
extern const struct redis_source redis_sources[REDIS_SCRIPTS];

/* The bytes of the files, which the build makes. */
extern const unsigned char redis_lua_prelude[];
extern const size_t redis_lua_prelude_size;
extern const unsigned char redis_lua_open_room[];
extern const size_t redis_lua_open_room_size;
extern const unsigned char redis_lua_forget_room[];
extern const size_t redis_lua_forget_room_size;
extern const unsigned char redis_lua_forget_unused[];
extern const size_t redis_lua_forget_unused_size;
extern const unsigned char redis_lua_find_room[];
extern const size_t redis_lua_find_room_size;
extern const unsigned char redis_lua_list_rooms[];
extern const size_t redis_lua_list_rooms_size;
extern const unsigned char redis_lua_append[];
extern const size_t redis_lua_append_size;
extern const unsigned char redis_lua_last[];
extern const size_t redis_lua_last_size;
extern const unsigned char redis_lua_trim[];
extern const size_t redis_lua_trim_size;
extern const unsigned char redis_lua_set_mark[];
extern const size_t redis_lua_set_mark_size;
extern const unsigned char redis_lua_beat[];
extern const size_t redis_lua_beat_size;
extern const unsigned char redis_lua_succeed[];
extern const size_t redis_lua_succeed_size;
extern const unsigned char redis_lua_ghosts[];
extern const size_t redis_lua_ghosts_size;
extern const unsigned char redis_lua_clear[];
extern const size_t redis_lua_clear_size;
extern const unsigned char redis_lua_claim_name[];
extern const size_t redis_lua_claim_name_size;
extern const unsigned char redis_lua_release_name[];
extern const size_t redis_lua_release_name_size;
extern const unsigned char redis_lua_find_name[];
extern const size_t redis_lua_find_name_size;
extern const unsigned char redis_lua_absent[];
extern const size_t redis_lua_absent_size;
extern const unsigned char redis_lua_set_waits[];
extern const size_t redis_lua_set_waits_size;
extern const unsigned char redis_lua_offer[];
extern const size_t redis_lua_offer_size;
extern const unsigned char redis_lua_meet[];
extern const size_t redis_lua_meet_size;

#endif
