/*
 * Our own service, tcpchat.v1.Chat: its calls, each held by a function for the table in grpc_talk.c.
 *
 * Threads: the call's own.
 */
#ifndef TCPSERVER_DOORS_GRPC_TALK_H
#define TCPSERVER_DOORS_GRPC_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sync.h"
#include "tcpserver/core/rooms.h"
#include "tcpserver/doors/grpc_call.h"

struct room;

extern const struct grpc_method grpc_tcpchat_methods[];

/* Where a client asks to begin to read, as several messages have it. */
struct grpc_start {
	const char *room_id;
	bool resumes;
	uint64_t after;
	bool has_past;
	size_t past; /* SIZE_MAX: all */
};

/* The same for the session. Returns false when 'room_id' is neither "" nor an id. */
bool grpc_reading(const struct session *session, const struct grpc_start *start, struct reading *reading) MUST_CHECK;
/* The same from a message that has the fields. */
#define GRPC_START(message, PREFIX)                                                                                    \
	((struct grpc_start){.room_id = (message)->room_id,                                                            \
		.resumes = (message)->resume_case == PREFIX##__RESUME_AFTER,                                           \
		.after = (message)->resume_case == PREFIX##__RESUME_AFTER ? (message)->after : 0,                      \
		.has_past = (message)->past_case == PREFIX##__PAST_HISTORY ||                                          \
			    ((message)->past_case == PREFIX##__PAST_ALL_HISTORY && (message)->all_history),            \
		.past = (message)->past_case == PREFIX##__PAST_HISTORY ? (size_t)(message)->history : SIZE_MAX})

/* The room of that name or id ("": the lobby), with a reference that rooms_give_back() takes. NULL: the call has ended,
 * and says why. */
struct room *grpc_find_room(struct session *session, struct grpc_call *call, const char *name) MUST_CHECK;
/* The same room, unless it is one of two strangers: that one is given back, and is not to be found. */
struct room *grpc_unless_pair(
	struct session *session, struct grpc_call *call, const char *name, struct room *room) MUST_CHECK;
/* Ends the call, because there is no way to the room of that name, or none can be made. */
void grpc_refuse_room(struct session *session, struct grpc_call *call, const char *name, enum rooms_result result);

void grpc_talk_talk(struct session *session, struct grpc_call *call);
void grpc_talk_subscribe(struct session *session, struct grpc_call *call);
void grpc_talk_send(struct session *session, struct grpc_call *call);
void grpc_talk_list_rooms(struct session *session, struct grpc_call *call);
void grpc_talk_get_room(struct session *session, struct grpc_call *call);
void grpc_talk_create_room(struct session *session, struct grpc_call *call);
void grpc_talk_delete_room(struct session *session, struct grpc_call *call);
void grpc_talk_list_messages(struct session *session, struct grpc_call *call);

#endif
