#include "tcpserver/doors/websocket_frame.h"

#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "tcpserver/doors/websocket.h"

/* ---- Sending. ---- */

size_t websocket_head_size(size_t payload_size)
{
	if (payload_size < 126)
		return 2;
	return payload_size <= UINT16_MAX ? 4 : 10;
}

size_t websocket_write_head(char *out, enum websocket_first_byte first, size_t payload_size)
{
	size_t size = websocket_head_size(payload_size);

	out[0] = (char)first;
	out[1] = (char)(size == 2 ? payload_size : size == 4 ? 126 : 127);
	for (size_t i = 2; i < size; i++)
		out[i] = (char)(payload_size >> 8 * (size - 1 - i));
	return size;
}

/* Writes behind room for a head. */
static size_t write_behind(websocket_writer *write, const void *what, size_t head, char *out, size_t size)
{
	return head < size ? write(what, out + head, size - head) : write(what, NULL, 0);
}

size_t websocket_write_text(websocket_writer *write, const void *what, size_t guess, char *out, size_t size)
{
	size_t guessed = websocket_head_size(guess);
	size_t payload = write_behind(write, what, guessed, out, size);
	size_t head = websocket_head_size(payload);

	if (head + payload > size)
		return head + payload;
	if (head != guessed)
		(void)write_behind(write, what, head, out, size);
	return websocket_write_head(out, WEBSOCKET_TEXT, payload) + payload;
}

char *websocket_make_text(websocket_writer *write, const void *what, size_t *size)
{
	size_t payload = write(what, NULL, 0);
	size_t whole = websocket_head_size(payload) + payload;
	char *frame = malloc(whole);

	if (frame != NULL)
		*size = websocket_write_text(write, what, payload, frame, whole);
	return frame;
}

/* ---- Receiving. ---- */

bool websocket_close_code_is_valid(unsigned code)
{
	static const unsigned reserved[] = {1004, 1005, 1006};

	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
		if (code == reserved[i])
			return false;
	}
	return (code >= 1000 && code <= 1014) || (code >= 3000 && code <= 4999);
}

void websocket_reader_init(struct websocket_reader *reader, size_t limit)
{
	*reader = (struct websocket_reader){.limit = limit};
}

static void websocket_reader_forget_message(struct websocket_reader *reader)
{
	free(reader->message);
	reader->message = NULL;
	reader->message_size = 0;
	reader->message_capacity = 0;
	reader->message_was_read = false;
}

static void websocket_reader_forget_wslay(struct websocket_reader *reader)
{
	if (reader->wslay != NULL)
		wslay_frame_context_free(reader->wslay);
	reader->wslay = NULL;
}

void websocket_reader_fini(struct websocket_reader *reader)
{
	websocket_reader_forget_message(reader);
	websocket_reader_forget_wslay(reader);
}

void websocket_reader_feed(struct websocket_reader *reader, const char *bytes, size_t size)
{
	reader->next = bytes;
	reader->next_size = size;
}

static enum websocket_heard websocket_reader_fail(struct websocket_reader *reader, unsigned close_code)
{
	reader->close_code = close_code;
	reader->ended = true;
	return WEBSOCKET_HEARD_FAULT;
}

/* What wslay calls for more bytes; -1: there are none now. */
static ssize_t give_bytes(uint8_t *out, size_t size, int flags, void *context)
{
	struct websocket_reader *reader = context;

	(void)flags;
	if (reader->next_size == 0)
		return -1;
	if (size > reader->next_size)
		size = reader->next_size;
	memcpy(out, reader->next, size);
	reader->next += size;
	reader->next_size -= size;
	reader->held += size;
	return (ssize_t)size;
}

static bool websocket_reader_open_wslay(struct websocket_reader *reader)
{
	static const struct wslay_frame_callbacks callbacks = {.recv_callback = give_bytes};

	if (reader->wslay == NULL && wslay_frame_context_init(&reader->wslay, &callbacks, reader) != 0)
		reader->wslay = NULL;
	return reader->wslay != NULL;
}

static bool is_control(unsigned opcode)
{
	return (opcode & 8U) != 0;
}

/* What is wrong with the head of a frame, as a close code; wslay has seen to the length of a control frame, and that it
 * is no fragment. */
static unsigned websocket_reader_head_fault(const struct websocket_reader *reader, const struct wslay_frame_iocb *frame)
{
	bool continues = frame->opcode == WSLAY_CONTINUATION_FRAME;

	if (frame->rsv != 0 || !frame->mask)
		return WEBSOCKET_CLOSE_PROTOCOL;
	if (is_control(frame->opcode))
		return frame->opcode <= WSLAY_PONG ? WEBSOCKET_CLOSE_NONE : WEBSOCKET_CLOSE_PROTOCOL;
	if (frame->opcode > WSLAY_BINARY_FRAME || continues != reader->in_message)
		return WEBSOCKET_CLOSE_PROTOCOL;
	if (frame->opcode == WSLAY_BINARY_FRAME)
		return WEBSOCKET_CLOSE_UNSUPPORTED;
	if (frame->payload_length > reader->limit - reader->message_size)
		return WEBSOCKET_CLOSE_TOO_BIG;
	return WEBSOCKET_CLOSE_NONE;
}

/* The bytes of a client's head: as the server's, and the mask. */
static size_t masked_head_size(uint64_t payload_size)
{
	return websocket_head_size(payload_size > UINT16_MAX ? (size_t)UINT16_MAX + 1 : (size_t)payload_size) + 4;
}

static void websocket_reader_begin_frame(struct websocket_reader *reader, const struct wslay_frame_iocb *frame)
{
	reader->held -= masked_head_size(frame->payload_length);
	reader->frame_rest = frame->payload_length;
	reader->in_frame = true;
	reader->opcode = frame->opcode;
	reader->is_final = frame->fin != 0;
	if (is_control(frame->opcode))
		reader->control_size = 0;
	else
		reader->in_message = true;
}

/* Adds to the message at hand, in a buffer that grows with it: a frame's length alone, which is only a promise, takes
 * none. */
static bool websocket_reader_keep(struct websocket_reader *reader, const char *bytes, size_t size)
{
	size_t needed = reader->message_size + size;
	size_t capacity = needed > 2 * reader->message_capacity ? needed : 2 * reader->message_capacity;
	char *grown;

	if (needed > reader->message_capacity) {
		grown = realloc(reader->message, capacity);
		if (grown == NULL)
			return false;
		reader->message = grown;
		reader->message_capacity = capacity;
	}
	memcpy(reader->message + reader->message_size, bytes, size);
	reader->message_size = needed;
	return true;
}

/* The message is whole, and no copy of it was needed: all of it is in 'bytes'. */
static bool websocket_reader_has_all(const struct websocket_reader *reader)
{
	return reader->message_size == 0 && reader->is_final && reader->frame_rest == 0;
}

static unsigned websocket_reader_take_text(struct websocket_reader *reader, const char *bytes, size_t size)
{
	if (!utf8_check_feed(&reader->utf8, bytes, size))
		return WEBSOCKET_CLOSE_INVALID_DATA;
	if (size > 0 && !websocket_reader_has_all(reader) && !websocket_reader_keep(reader, bytes, size))
		return WEBSOCKET_CLOSE_TRY_LATER;
	return WEBSOCKET_CLOSE_NONE;
}

static unsigned websocket_reader_take(struct websocket_reader *reader, const char *bytes, size_t size)
{
	reader->held -= size;
	reader->frame_rest -= size;
	if (!is_control(reader->opcode))
		return websocket_reader_take_text(reader, bytes, size);
	if (size > 0)
		memcpy(reader->control + reader->control_size, bytes,
			size); /* wslay sees to it that there are no more */
	reader->control_size += size;
	return WEBSOCKET_CLOSE_NONE;
}

static enum websocket_heard websocket_reader_end_text(
	struct websocket_reader *reader, const char *bytes, size_t bytes_size, const char **payload, size_t *size)
{
	if (!utf8_check_is_whole(&reader->utf8))
		return websocket_reader_fail(reader, WEBSOCKET_CLOSE_INVALID_DATA);
	*payload = reader->message_size > 0 ? reader->message : bytes;
	*size = reader->message_size > 0 ? reader->message_size : bytes_size;
	reader->in_message = false;
	reader->message_was_read = true;
	return WEBSOCKET_HEARD_TEXT;
}

static enum websocket_heard websocket_reader_close(struct websocket_reader *reader)
{
	const unsigned char *bytes = (const unsigned char *)reader->control;
	struct utf8_check reason = {.rest = 0};

	if (reader->control_size == 1)
		return websocket_reader_fail(reader, WEBSOCKET_CLOSE_PROTOCOL);
	reader->close_code = reader->control_size == 0 ? WEBSOCKET_CLOSE_NO_CODE : 256U * bytes[0] + bytes[1];
	if (reader->control_size > 0 && !websocket_close_code_is_valid(reader->close_code))
		return websocket_reader_fail(reader, WEBSOCKET_CLOSE_PROTOCOL);
	if (reader->control_size > 2 && (!utf8_check_feed(&reason, reader->control + 2, reader->control_size - 2) ||
						!utf8_check_is_whole(&reason)))
		return websocket_reader_fail(reader, WEBSOCKET_CLOSE_INVALID_DATA);
	reader->ended = true;
	return WEBSOCKET_HEARD_CLOSE;
}

static enum websocket_heard websocket_reader_end_control(
	struct websocket_reader *reader, const char **payload, size_t *size)
{
	*payload = reader->control;
	*size = reader->control_size;
	if (reader->opcode == WSLAY_CONNECTION_CLOSE)
		return websocket_reader_close(reader);
	return reader->opcode == WSLAY_PING ? WEBSOCKET_HEARD_PING : WEBSOCKET_HEARD_PONG;
}

/* A part of a frame, or all of it. Returns what it completes. */
static enum websocket_heard websocket_reader_part(
	struct websocket_reader *reader, const struct wslay_frame_iocb *part, const char **payload, size_t *size)
{
	const char *bytes = (const char *)part->data;
	unsigned fault = reader->in_frame ? WEBSOCKET_CLOSE_NONE : websocket_reader_head_fault(reader, part);

	if (fault == WEBSOCKET_CLOSE_NONE && !reader->in_frame)
		websocket_reader_begin_frame(reader, part);
	if (fault == WEBSOCKET_CLOSE_NONE)
		fault = websocket_reader_take(reader, bytes, part->data_length);
	if (fault != WEBSOCKET_CLOSE_NONE)
		return websocket_reader_fail(reader, fault);
	if (reader->frame_rest > 0)
		return WEBSOCKET_HEARD_NOTHING;
	reader->in_frame = false;
	if (is_control(reader->opcode))
		return websocket_reader_end_control(reader, payload, size);
	if (!reader->is_final)
		return WEBSOCKET_HEARD_NOTHING;
	return websocket_reader_end_text(reader, bytes, part->data_length, payload, size);
}

/* All that was fed was looked at. */
static enum websocket_heard websocket_reader_rest(struct websocket_reader *reader)
{
	if (!reader->in_frame && reader->held == 0)
		websocket_reader_forget_wslay(
			reader); /* its buffer is large for a client that is silent for most of the time */
	return WEBSOCKET_HEARD_NOTHING;
}

enum websocket_heard websocket_reader_next(struct websocket_reader *reader, const char **payload, size_t *size)
{
	enum websocket_heard heard = WEBSOCKET_HEARD_NOTHING;

	if (reader->message_was_read)
		websocket_reader_forget_message(reader);
	if (reader->ended)
		return WEBSOCKET_HEARD_NOTHING;
	if (!websocket_reader_open_wslay(reader))
		return websocket_reader_fail(reader, WEBSOCKET_CLOSE_TRY_LATER);
	while (heard == WEBSOCKET_HEARD_NOTHING) {
		struct wslay_frame_iocb part = {.opcode = 0};
		ssize_t found = wslay_frame_recv(reader->wslay, &part);

		if (found == WSLAY_ERR_WANT_READ)
			return websocket_reader_rest(reader);
		if (found < 0)
			return websocket_reader_fail(reader, WEBSOCKET_CLOSE_PROTOCOL);
		heard = websocket_reader_part(reader, &part, payload, size);
	}
	return heard;
}
