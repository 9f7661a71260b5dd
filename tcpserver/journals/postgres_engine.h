/*
 * The functions of PostgreSQL's table of functions (engine.h), each in the file of its subject; and how rows are read. What the database
 * gives is checked: a row that cannot be is -EUCLEAN.
 */
#ifndef TCPSERVER_JOURNALS_POSTGRES_ENGINE_H
#define TCPSERVER_JOURNALS_POSTGRES_ENGINE_H

#include "tcpserver/journals/postgres_link.h"

/* ---- Rooms (postgres_rooms.c). ---- */

/* What postgres_record() reads, from a room 'r'. */
#define POSTGRES_RECORD \
	"r.id, r.name, r.creator, r.creator_id, r.topic, r.created, r.capacity, r.flags, r.last," \
	" (SELECT count(DISTINCT h.key) FROM chat_people h WHERE h.room = r.number)"

int postgres_record(struct link *link, const PGresult *result, int row, struct room_record *record) MUST_CHECK;
int postgres_open_room(struct link *link, const struct room_attributes *attributes, struct room_record *record);
int postgres_forget_room(struct link *link, const char *id);
int postgres_forget_unused(struct link *link, const char *id);
int postgres_find_room(struct link *link, const char *key, const char *id, struct room_record *record);
ssize_t postgres_list_rooms(struct link *link, const char *after, bool listed, struct room_record *records, size_t capacity);
int postgres_set_waits(struct link *link, const char *id, bool waits);

/* ---- Messages (postgres_append.c, postgres_messages.c). ---- */

/* A message of the row, whose columns from 'column' on are seq, at, kind, username, message. NULL: '*error' is -EUCLEAN or -ENOMEM. */
struct message *postgres_message(
	struct link *link, const PGresult *result, int row, int column, const char *label, int *error) MUST_CHECK;
int postgres_append(struct link *link, struct entry *entries, size_t count);
ssize_t postgres_fetch(struct link *link, const char *id, const char *label, uint64_t from, struct message **messages, size_t capacity);
/* What is trimmed is in the room of the negative number, without its words, until nobody may send it again. */
int postgres_trim(struct link *link, const char *id, uint64_t seq);
int postgres_last(struct link *link, const char *const *ids, uint64_t *last, size_t count);
int postgres_descriptor(const struct link *link);
ssize_t postgres_news(struct link *link, struct engine_news *news, size_t capacity);

/* ---- Reading (postgres_marks.c, postgres_search.c). ---- */

int postgres_set_mark(struct link *link, const char *id, const char *key, uint64_t seq);
int postgres_mark(struct link *link, const char *id, const char *key, uint64_t *seq);
/* The words by which a message is found, with a space between them, in new memory; NULL without. */
char *postgres_words(const struct message *message) MUST_CHECK;
ssize_t postgres_search(struct link *link, const struct search *search, struct found *found, size_t capacity, uint64_t *behind);

/* ---- Several servers (postgres_servers.c, postgres_people.c). ---- */

int postgres_beat(struct link *link, const char *server);
ssize_t postgres_ghosts(struct link *link, struct ghost *ghosts, size_t capacity);
int postgres_succeed(struct link *link, const char *server, const char *place);
int postgres_retire(struct link *link, const char *server);
int postgres_claim_name(struct link *link, const char *server, const struct name_claim *claim, struct name_holder *holder);
int postgres_release_name(struct link *link, const char *server, const char *key, uint64_t number);
int postgres_find_name(struct link *link, const char *key, struct name_holder *holder);
ssize_t postgres_people(struct link *link, const char *id, char (*names)[NAME_SIZE], size_t capacity, size_t *count);
int postgres_absent(struct link *link, const char *server, const char *id, const char *key);
int postgres_offer(struct link *link, const char *server, const char *id, const struct stranger_offer *offer);
int postgres_meet(struct link *link, const struct stranger_offer *seeker, struct room_record *record);

#endif
