/*
 * The tables and functions in the database, and how they are brought up to date.
 *
 * chat_rooms: the rooms; 'number' is what other tables call one. A room that was forgotten stays a while, so that other servers see how
 * it ended; one that is made anew under the same id has another number. flags: 1 listed, 2 persistent, 4 ends with a member, 8 waits.
 * chat_room: what was said. chat_people, chat_servers, chat_names, chat_offers: who is where. chat_marks: who has read how far.
 */
#ifndef TCPSERVER_JOURNALS_POSTGRES_SCHEMA_H
#define TCPSERVER_JOURNALS_POSTGRES_SCHEMA_H

#include "common/sync.h"

struct link;

/*
 * Makes the schema, or brings it up to date, all of it or nothing; of several servers that start at once, one does. Returns 0 or -errno,
 * -EINVAL when a newer server has made it; the link's fault says why.
 */
int postgres_schema_bring(struct link *link) MUST_CHECK;

#endif
