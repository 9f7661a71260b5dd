/*
 * Lines of an archive: whatever they are, what is taken from them is what the server could have kept, and written again it
 * is read as the same.
 *
 * Input: the lines.
 */
#include "tcpserver/journals/archive.h"

#include "common/text.h"
#include "tcpserver/core/message.h"
#include "tcpserver/doors/event.h"
#include "tests/fuzz/fuzz.h"

static void check_room(const struct archive_room *room)
{
	const struct room_record *record = &room->record;
	struct archive_room again = {.open = false};
	struct message *message;
	char *line;
	size_t size;
	FILE *out = open_memstream(&line, &size);

	MUST(room->open && room->last == 0);
	MUST(text_is_clean(record->topic, strlen(record->topic)) && strlen(record->id) == ROOM_ID_SIZE - 1);
	MUST(out != NULL && archive_write_room(record, out) == 0 && fclose(out) == 0);
	MUST(line[size - 1] == '\n');
	MUST(archive_read(line, size - 1, &again, &message) == NULL && message == NULL);
	MUST(strcmp(again.record.id, record->id) == 0 && strcmp(again.record.name, record->name) == 0);
	MUST(again.record.attributes.created_ns == record->attributes.created_ns);
	free(line);
}

static void check_message(const struct archive_room *room, const struct message *message)
{
	struct archive_room again = *room;
	struct message *other;
	size_t size = event_format.encode(message, NULL, 0);
	char *line = fuzz_room(size);

	MUST(text_is_clean(message->text, message->text_size));
	MUST(message->seq == room->last && message->at_ns >= 0 && message->kind < MESSAGE_KINDS);
	again.last = message->seq - 1;
	MUST(event_format.encode(message, line, size) == size);
	MUST(archive_read(line, size - 1, &again, &other) == NULL && other != NULL);
	MUST(other->kind == message->kind && other->at_ns == message->at_ns && other->text_size == message->text_size);
	MUST(memcmp(other->text, message->text, message->text_size) == 0);
	message_release(other);
	free(line);
}

static void read_line(const uint8_t *bytes, size_t size, struct archive_room *room)
{
	char *line = fuzz_copy(bytes, size);
	struct message *message;
	const char *wrong = archive_read(line, size, room, &message);

	free(line);
	MUST(wrong == NULL || message == NULL);
	if (wrong == NULL && message == NULL)
		check_room(room);
	if (message == NULL)
		return;
	check_message(room, message);
	message_release(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct archive_room room = {.open = false};

	while (size > 0) {
		const uint8_t *end = memchr(bytes, '\n', size);
		size_t length = end == NULL ? size : (size_t)(end - bytes);

		read_line(bytes, length, &room);
		length += end == NULL ? 0 : 1;
		bytes += length;
		size -= length;
	}
	return 0;
}
