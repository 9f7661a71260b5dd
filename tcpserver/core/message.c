#include "tcpserver/core/message.h"

#include <stdlib.h>
#include <string.h>

struct message *message_create(
	enum message_kind kind, const char *room, const char *participant, const char *text, size_t text_size)
{
	size_t room_size = strlen(room);
	size_t participant_size = strlen(participant);
	struct message *message = malloc(sizeof *message + room_size + 1 + participant_size + 1 + text_size);
	char *bytes;

	if (message == NULL)
		return NULL;
	bytes = (char *)(message + 1);
	*message = (struct message){
		.references = 1,
		.kind = kind,
		.room_size = room_size,
		.participant_size = participant_size,
		.text_size = text_size,
		.room = bytes,
		.participant = bytes + room_size + 1,
		.text = bytes + room_size + 1 + participant_size + 1,
	};
	memcpy(bytes, room, room_size + 1);
	memcpy(bytes + room_size + 1, participant, participant_size + 1);
	if (text_size > 0)
		memcpy(bytes + room_size + 1 + participant_size + 1, text, text_size);
	return message;
}

struct message *message_acquire(struct message *message)
{
	/* Relaxed: whoever adds a reference has one already. */
	(void)atomic_fetch_add_explicit(&message->references, 1, memory_order_relaxed);
	return message;
}

void message_release(struct message *message)
{
	/* Acquire and release: all uses by others come before the memory is given back. */
	if (atomic_fetch_sub_explicit(&message->references, 1, memory_order_acq_rel) == 1)
		free(message);
}

bool message_is_said(const struct message *message)
{
	return message->kind == MESSAGE_TEXT || message->kind == MESSAGE_ACTION || message->kind == MESSAGE_TOPIC;
}

size_t message_memory(const struct message *message)
{
	return sizeof *message + message->room_size + 1 + message->participant_size + 1 + message->text_size;
}
