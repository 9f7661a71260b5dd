/*
 * One call of gRPC, and what a method needs to answer it.
 *
 * A call is a session of its own, with a thread of its own: its socket is one end of a pair, through which the connection's thread
 * (grpc.c) carries the bytes of messages as they are on the wire, finished, so that a room's log in the call's format goes to the
 * client as it is, and a slow reader is what it is through every door. A method reads its requests with grpc_receive(), answers
 * with grpc_reply() or by being a member of a room, and says with grpc_finish() how the call ends.
 *
 * Threads: the call's own; the connection's reads status and words after the call's has closed its socket.
 */
#ifndef TCPSERVER_DOORS_GRPC_CALL_H
#define TCPSERVER_DOORS_GRPC_CALL_H

#include <protobuf-c/protobuf-c.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/grpc_frame.h"
#include "common/grpc_status.h"
#include "common/sync.h"
#include "tcpserver/core/session.h"

struct grpc_call;

/* A method; the table of all is in grpc_methods.c. */
struct grpc_method {
	const char *path; /* as in "/rpc.ChatService/Chat" */
	/* Holds the whole conversation. When it returns without grpc_finish() the call has ended well. */
	void (*serve)(struct session *session, struct grpc_call *call);
};

enum { GRPC_METADATA_SIZE = 512 }; /* bytes of a field that is kept, with a NUL; a longer one counts as none */

struct grpc_call {
	struct carrier carrier; /* its context is the call */
	const struct grpc_method *method;
	char authorization[GRPC_METADATA_SIZE]; /* the client's metadata of that name; "": none              */
	char chat_session[GRPC_METADATA_SIZE];  /* "chat-session": 32 hex digits, as HTTP has it; "": none    */
	struct grpc_frame reader;               /* the call's thread's                                       */
	bool is_finished;                       /* the same: the status says how                             */
	_Atomic int status;                     /* enum grpc_code; released by the call's thread. At first that there is no such thread */
	char words[GRPC_WORDS_SIZE];            /* before that                                               */
	char name[NAME_SIZE];                   /* of the client: told by the metadata "chat-name" if 'has_name'                    */
	atomic_bool has_name;                   /* released by the call's thread before it sends anything                          */
	atomic_int broken;                      /* as struct carrier has it; the connection's                */
	atomic_bool is_cancelled;               /* released by the connection's thread before it says the end: the client went by itself */
};

enum { GRPC_MESSAGE_SPARE = 4096 }; /* bytes that a message may have beside the longest text (--max-line) */

/* Of a call, before its method has set another one: it says nothing in words of its own. */
extern const struct door grpc_call_door;

/* Readies a call for its connection: all but the carrier and what the client's headers say. */
void grpc_call_init(struct grpc_call *call);

/* NULL: there is no such method. Threads: any. */
const struct grpc_method *grpc_method_find(const char *path, size_t size);

/* ---- For methods. ---- */

enum grpc_got {
	GRPC_GOT_MESSAGE,
	GRPC_GOT_END,     /* the client has said all; it still reads. Said once; then the session is deaf (session.h)       */
	GRPC_GOT_TIMEOUT, /* 'timeout_ms' is over                                                                           */
	GRPC_GOT_OVER,    /* the session has ended: the client went, a message was wrong, or the server stops; the status is set */
};

/* Waits for the next message of the client, sending meanwhile what there is for it. '*message' is valid until the next call. */
enum grpc_got grpc_receive(struct session *session, struct grpc_call *call, int timeout_ms, const unsigned char **message,
	size_t *size) MUST_CHECK;
/* Reads the one message of a request and unpacks it, in new memory that the caller frees (protobuf_c_message_free_unpacked()); NULL:
 * the status says why not. */
ProtobufCMessage *grpc_receive_request(struct session *session, struct grpc_call *call,
	const ProtobufCMessageDescriptor *descriptor) MUST_CHECK;
/* Unpacks a message of a stream; NULL: it is none, or has a text that is no UTF-8; the status says so, and the session has ended. */
ProtobufCMessage *grpc_unpack(struct session *session, struct grpc_call *call, const ProtobufCMessageDescriptor *descriptor,
	const unsigned char *message, size_t size) MUST_CHECK;
/* Sends a message: into the outbox, which session_receive() or the end of the session empties. */
void grpc_reply(struct session *session, const ProtobufCMessage *message);
/* Ends the call, and the session: what it was told and sent comes before that. */
void grpc_finish(struct session *session, struct grpc_call *call, enum grpc_code code, const char *format, ...) PRINTF_LIKE(4, 5);

/* Tells the client, before anything else, which name it has: by the metadata "chat-name" of the answer. */
void grpc_tell_name(struct session *session, struct grpc_call *call);

/* ---- For formats and words. ---- */

/* Writes a message of a room's log, with its head, if it fits in 'size' bytes. Returns its size in any case. */
size_t grpc_write(const ProtobufCMessage *message, char *out, size_t size);
/* The same in new memory, which the caller frees; NULL without memory. */
char *grpc_make(const ProtobufCMessage *message, size_t *size) MUST_CHECK;
/* A text of a given size, as the string that protobuf-c wants, ended by NUL; in 'out', of size + 1 bytes. */
char *grpc_string(const char *text, size_t size, char *out);

#endif
