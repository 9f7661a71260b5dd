#include "tests/load/h2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/load/verdict.h"

enum h2_type {
	H2_DATA = 0,
	H2_HEADERS = 1,
	H2_RST_STREAM = 3,
	H2_SETTINGS = 4,
	H2_PING = 6,
	H2_GOAWAY = 7,
	H2_WINDOW_UPDATE = 8,
};

enum {
	H2_END_STREAM = 0x1,
	H2_ACK = 0x1,
	H2_END_HEADERS = 0x4,
	H2_PADDED = 0x8,
	H2_SETTING_WINDOW = 4,
	H2_SETTING_SIZE = 6,
	H2_PING_SIZE = 8,
	H2_STANDARD_WINDOW = 65535,
	H2_WINDOW = 1 << 30,    /* so large that the run's own window is what limits */
	H2_SAY_AFTER = 1 << 20, /* bytes, after which the server is told of them     */
	H2_HEADERS_SIZE = 256,
};

/* ---- Sending. ---- */

static void h2_put(struct h2 *h2, const void *bytes, size_t size)
{
	if (h2->out_size + size > h2->out_capacity) {
		h2->out_capacity = 2 * (h2->out_size + size);
		h2->out = realloc(h2->out, h2->out_capacity);
		if (h2->out == NULL)
			verdict_abort("not enough memory to send");
	}
	memcpy(h2->out + h2->out_size, bytes, size);
	h2->out_size += size;
}

static void h2_put_number(struct h2 *h2, uint32_t number)
{
	unsigned char bytes[] = {(unsigned char)(number >> 24), (unsigned char)(number >> 16), (unsigned char)(number >> 8),
		(unsigned char)number};

	h2_put(h2, bytes, sizeof bytes);
}

static uint32_t h2_get_number(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void h2_put_head(struct h2 *h2, size_t size, enum h2_type type, unsigned flags, uint32_t id)
{
	h2_put_number(h2, (uint32_t)(size << 8 | type));
	h2_put(h2, &(unsigned char){(unsigned char)flags}, 1);
	h2_put_number(h2, id);
}

static uint32_t h2_id(size_t stream)
{
	return 2 * (uint32_t)stream + 1;
}

static void h2_put_window(struct h2 *h2, uint32_t id, uint32_t more)
{
	h2_put_head(h2, 4, H2_WINDOW_UPDATE, 0, id);
	h2_put_number(h2, more);
}

bool h2_flush(struct h2 *h2)
{
	ssize_t sent = 0;

	if (h2->out_sent < h2->out_size)
		sent = send(h2->fd, h2->out + h2->out_sent, h2->out_size - h2->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		verdict_fault("%s cannot send: %s", h2->name, strerror(errno));
	if (sent > 0)
		h2->out_sent += (size_t)sent;
	if (h2->out_sent < h2->out_size)
		return false;
	h2->out_sent = h2->out_size = 0;
	return true;
}

void h2_open(struct h2 *h2, const struct net_address *address, int timeout_ms, const char *name, size_t stream_max)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

	*h2 = (struct h2){
		.fd = net_connect(address, timeout_ms),
		.name = name,
		.streams = calloc(stream_max, sizeof *h2->streams),
		.stream_max = stream_max,
		.credit = H2_STANDARD_WINDOW,
		.stream_credit = H2_STANDARD_WINDOW,
	};
	if (h2->fd < 0)
		verdict_abort("%s cannot connect: %s", name, strerror(-h2->fd));
	if (h2->streams == NULL)
		verdict_abort("not enough memory for streams");
	h2_put(h2, preface, sizeof preface - 1);
	h2_put_head(h2, H2_SETTING_SIZE, H2_SETTINGS, 0, 0);
	h2_put(h2, (unsigned char[]){0, H2_SETTING_WINDOW}, 2);
	h2_put_number(h2, H2_WINDOW);
	h2_put_window(h2, 0, H2_WINDOW - H2_STANDARD_WINDOW);
}

void h2_close(struct h2 *h2)
{
	close(h2->fd);
	free(h2->streams);
	free(h2->out);
}

/* A literal that no table keeps; 'name' is its place in the static table, as HPACK has it. */
static size_t h2_write_field(unsigned char *out, const char *name, size_t name_size, const char *value)
{
	size_t size = strlen(value);

	memcpy(out, name, name_size);
	out[name_size] = (unsigned char)size; /* below 127 */
	memcpy(out + name_size + 1, value, size);
	return name_size + 1 + size;
}

size_t h2_call(struct h2 *h2, const char *path)
{
	unsigned char block[H2_HEADERS_SIZE] = {0x83, 0x86}; /* :method POST, :scheme http */
	size_t size = 2;

	size += h2_write_field(block + size, "\x04", 1, path);
	size += h2_write_field(block + size, "\x01", 1, "localhost");
	size += h2_write_field(block + size, "\x0F\x10", 2, "application/grpc");
	size += h2_write_field(block + size, "\x00\x02te", 4, "trailers");
	h2_put_head(h2, size, H2_HEADERS, H2_END_HEADERS, h2_id(h2->stream_count));
	h2_put(h2, block, size);
	h2->streams[h2->stream_count].credit = h2->stream_credit;
	return h2->stream_count++;
}

size_t h2_credit(const struct h2 *h2, size_t stream)
{
	int64_t credit = h2->streams[stream].credit < h2->credit ? h2->streams[stream].credit : h2->credit;

	return credit < 0 ? 0 : (size_t)credit;
}

void h2_send(struct h2 *h2, size_t stream, const char *bytes, size_t size)
{
	h2_put_head(h2, size, H2_DATA, 0, h2_id(stream));
	h2_put(h2, bytes, size);
	h2->streams[stream].credit -= (int64_t)size;
	h2->credit -= (int64_t)size;
}

/* ---- Receiving. ---- */

static enum h2_type h2_frame_type(const struct h2 *h2)
{
	return (enum h2_type)h2->head[3];
}

/* The stream of the frame at hand; 'stream_max' when it is none of ours. */
static size_t h2_frame_stream(const struct h2 *h2)
{
	uint32_t id = h2_get_number(h2->head + 5);

	return id % 2 == 1 && id / 2 < h2->stream_count ? id / 2 : h2->stream_max;
}

/* The server may send that much again. */
static void h2_say_taken(struct h2 *h2, uint32_t id, uint32_t *unsaid, size_t size)
{
	*unsaid += (uint32_t)size;
	if (*unsaid < H2_SAY_AFTER)
		return;
	h2_put_window(h2, id, *unsaid);
	*unsaid = 0;
}

static bool h2_take_data(struct h2 *h2, const char *bytes, size_t size)
{
	size_t stream = h2_frame_stream(h2);

	h2_say_taken(h2, 0, &h2->unsaid, size);
	h2_say_taken(h2, h2_id(stream), &h2->streams[stream].unsaid, size);
	return h2->take(h2->context, h2, stream, bytes, size);
}

static void h2_take_settings(struct h2 *h2)
{
	for (const unsigned char *at = h2->control; at + H2_SETTING_SIZE <= h2->control + h2->control_size;
		at += H2_SETTING_SIZE) {
		int64_t window = h2_get_number(at + 2);

		if (at[0] != 0 || at[1] != H2_SETTING_WINDOW)
			continue;
		for (size_t i = 0; i < h2->stream_count; i++)
			h2->streams[i].credit += window - h2->stream_credit;
		h2->stream_credit = window;
	}
	h2_put_head(h2, 0, H2_SETTINGS, H2_ACK, 0);
}

static void h2_take_window(struct h2 *h2)
{
	size_t stream = h2_frame_stream(h2);
	uint32_t more = h2_get_number(h2->control);

	if (h2_get_number(h2->head + 5) == 0)
		h2->credit += more;
	else if (stream < h2->stream_count)
		h2->streams[stream].credit += more;
}

static bool h2_refuse(const struct h2 *h2, const char *what, uint32_t code)
{
	verdict_fault("%s was disconnected: stream %u: %s, code %u", h2->name, h2_get_number(h2->head + 5), what, code);
	return false;
}

/* The frame at hand is whole. */
static bool h2_end_frame(struct h2 *h2)
{
	unsigned flags = h2->head[4];

	switch (h2_frame_type(h2)) {
	case H2_DATA:
	case H2_HEADERS:
		return (flags & H2_END_STREAM) == 0 || h2_refuse(h2, "the call has ended", 0);
	case H2_RST_STREAM:
		return h2_refuse(h2, "RST_STREAM", h2_get_number(h2->control));
	case H2_GOAWAY:
		return h2_refuse(h2, "GOAWAY", h2_get_number(h2->control + 4));
	case H2_SETTINGS:
		if ((flags & H2_ACK) == 0)
			h2_take_settings(h2);
		break;
	case H2_PING:
		if ((flags & H2_ACK) == 0) {
			h2_put_head(h2, H2_PING_SIZE, H2_PING, H2_ACK, 0);
			h2_put(h2, h2->control, H2_PING_SIZE);
		}
		break;
	case H2_WINDOW_UPDATE:
		h2_take_window(h2);
		break;
	}
	return true;
}

/* The head of a frame is whole. */
static bool h2_begin_frame(struct h2 *h2)
{
	h2->rest = h2_get_number(h2->head) >> 8;
	h2->control_size = 0;
	memset(h2->control, 0, H2_PING_SIZE);
	if (h2_frame_type(h2) != H2_DATA)
		return true;
	if (h2_frame_stream(h2) == h2->stream_max)
		return h2_refuse(h2, "data of a stream that is not open", 0);
	return (h2->head[4] & H2_PADDED) == 0 || h2_refuse(h2, "padded data, which is not looked at here", 0);
}

static size_t h2_smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool h2_take_part(struct h2 *h2, const char *bytes, size_t size)
{
	if (h2_frame_type(h2) == H2_DATA)
		return h2_take_data(h2, bytes, size);
	size = h2_smaller(size, H2_CONTROL_SIZE - h2->control_size);
	memcpy(h2->control + h2->control_size, bytes, size);
	h2->control_size += size;
	return true;
}

bool h2_receive(struct h2 *h2, const char *bytes, size_t size)
{
	while (size > 0) {
		bool had_head = h2->head_size == H2_HEAD_SIZE;
		size_t part = h2_smaller(size, had_head ? h2->rest : H2_HEAD_SIZE - h2->head_size);

		if (had_head) {
			h2->rest -= part;
			if (!h2_take_part(h2, bytes, part))
				return false;
		} else {
			memcpy(h2->head + h2->head_size, bytes, part);
			h2->head_size += part;
			if (h2->head_size == H2_HEAD_SIZE && !h2_begin_frame(h2))
				return false;
		}
		bytes += part;
		size -= part;
		if (h2->head_size == H2_HEAD_SIZE && h2->rest == 0) {
			h2->head_size = 0;
			if (!h2_end_frame(h2))
				return false;
		}
	}
	return true;
}
