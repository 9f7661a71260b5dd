#include "tcpserver/doors/grpc_speech.h"

#include <string.h>

#include "common/grpc_frame.h"
#include "common/protobuf_wire.h"
#include "tcpserver/core/message.h"

enum { NAME_FIELD = 1, TEXT_FIELD = 2 }; /* their numbers */

static char *add(char *out, const char *bytes, size_t size)
{
	if (bytes != NULL)
		memcpy(out, bytes, size);
	return out + size;
}

static size_t field_size(size_t size)
{
	return size == 0 ? 0 : protobuf_head_size(size) + size;
}

struct grpc_speech grpc_speech_of(const struct message *message)
{
	return (struct grpc_speech){
		.name = message->participant,
		.name_size = message->participant_size,
		.mark = message->kind == MESSAGE_ACTION ? "~ " : "",
		.text = message->text,
		.text_size = message->text_size,
	};
}

size_t grpc_speech_size(const struct grpc_speech *speech)
{
	return field_size(speech->name_size) + field_size(strlen(speech->mark) + speech->text_size);
}

char *grpc_speech_write(const struct grpc_speech *speech, char *out)
{
	size_t mark_size = strlen(speech->mark);

	if (speech->name_size > 0)
		out = add(protobuf_head_write(NAME_FIELD, speech->name_size, out), speech->name, speech->name_size);
	if (mark_size + speech->text_size == 0)
		return out;
	out = protobuf_head_write(TEXT_FIELD, mark_size + speech->text_size, out);
	return add(add(out, speech->mark, mark_size), speech->text, speech->text_size);
}

size_t grpc_speech_write_whole(const struct grpc_speech *speech, char *out, size_t size)
{
	size_t message_size = grpc_speech_size(speech);

	if (GRPC_FRAME_HEAD_SIZE + message_size > size)
		return GRPC_FRAME_HEAD_SIZE + message_size;
	grpc_frame_write_head((unsigned char *)out, message_size);
	(void)grpc_speech_write(speech, out + GRPC_FRAME_HEAD_SIZE);
	return GRPC_FRAME_HEAD_SIZE + message_size;
}
