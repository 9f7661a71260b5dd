/*
 * The parts of the Redis engine: functions of struct engine_ops (engine.h), which redis.c puts together.
 */
#ifndef TCPSERVER_JOURNALS_REDIS_PARTS_H
#define TCPSERVER_JOURNALS_REDIS_PARTS_H

#include "tcpserver/journals/engine.h"

/* redis_promise.c */
void redis_describe(struct link *link, char *words, size_t size);

/* redis_rooms.c */
int redis_open_room(struct link *link, const struct room_attributes *attributes, struct room_record *record);
int redis_forget_room(struct link *link, const char *id);
int redis_find_room(struct link *link, const char *key, const char *id, struct room_record *record);
ssize_t redis_list_rooms(struct link *link, const char *after, bool listed, struct room_record *records, size_t capacity);

/* redis_append.c */
int redis_append(struct link *link, struct entry *entries, size_t count);

/* redis_messages.c */
ssize_t redis_fetch(struct link *link, const char *id, const char *label, uint64_t from, struct message **messages, size_t capacity);
int redis_last(struct link *link, const char *const *ids, uint64_t *last, size_t count);
int redis_trim(struct link *link, const char *id, uint64_t seq);
int redis_set_mark(struct link *link, const char *id, const char *key, uint64_t seq);
int redis_mark(struct link *link, const char *id, const char *key, uint64_t *seq);

/* redis_news.c */
int redis_descriptor(const struct link *link);
ssize_t redis_news(struct link *link, struct engine_news *news, size_t capacity);

/* redis_servers.c */
int redis_beat(struct link *link, const char *server);
ssize_t redis_ghosts(struct link *link, struct ghost *ghosts, size_t capacity);
int redis_succeed(struct link *link, const char *server, const char *place);
int redis_retire(struct link *link, const char *server);

/* redis_people.c */
int redis_claim_name(struct link *link, const char *server, const struct name_claim *claim, struct name_holder *holder);
int redis_release_name(struct link *link, const char *server, const char *key, uint64_t number);
int redis_find_name(struct link *link, const char *key, struct name_holder *holder);
ssize_t redis_people(struct link *link, const char *id, char (*names)[NAME_SIZE], size_t capacity, size_t *count);
int redis_forget_unused(struct link *link, const char *id);
int redis_absent(struct link *link, const char *server, const char *id, const char *key);

/* redis_strangers.c */
int redis_set_waits(struct link *link, const char *id, bool waits);
int redis_offer(struct link *link, const char *server, const char *id, const struct stranger_offer *offer);
int redis_meet(struct link *link, const struct stranger_offer *seeker, struct room_record *record);

#endif
