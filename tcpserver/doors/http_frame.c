#include "tcpserver/doors/http_frame.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/hex.h"

enum { HEADER_CAPACITY_FIRST = 1024 };

void http_frame_init(struct http_frame *frame, size_t body_limit)
{
	*frame = (struct http_frame){.body_limit = body_limit};
}

void http_frame_fini(struct http_frame *frame)
{
	free(frame->header);
	frame->header = NULL;
}

void http_frame_reset(struct http_frame *frame)
{
	size_t limit = frame->body_limit;

	http_frame_fini(frame);
	http_frame_init(frame, limit);
}

bool http_frame_has_begun(const struct http_frame *frame)
{
	return frame->header_size > 0;
}

static void frame_refuse(struct http_frame *frame, int status, const char *wrong)
{
	frame->state = HTTP_FRAME_WRONG;
	frame->status = status;
	frame->wrong = wrong;
}

/* ---- The header. ---- */

/* Source: RFC 9110, 5.6.2. */
static bool is_token_char(unsigned char byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
	       (byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static size_t token_size(const char *text, size_t size)
{
	size_t length = 0;

	while (length < size && is_token_char((unsigned char)text[length]))
		length++;
	return length;
}

static bool is_printable(const char *text, size_t size, const char *also)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)text[i];

		if ((byte <= ' ' || byte == 0x7F) && (byte == '\0' || strchr(also, byte) == NULL))
			return false;
	}
	return true;
}

/* METHOD SP TARGET SP HTTP/1.x; sets whether it is HTTP/1.0. */
static void check_request_line(struct http_frame *frame, const char *line, size_t size, bool *is_old)
{
	size_t method = token_size(line, size);
	const char *target = line + method + 1;
	const char *space = method == 0 || method >= size || line[method] != ' '
		? NULL : memchr(target, ' ', size - method - 1);
	const char *version = space == NULL ? NULL : space + 1;
	size_t version_size = space == NULL ? 0 : size - (size_t)(version - line);

	if (space == NULL || space == target || !is_printable(target, (size_t)(space - target), ""))
		frame_refuse(frame, 400, "the first line of a request has to be a method, a path and HTTP/1.1");
	else if (version_size != 8 || memcmp(version, "HTTP/", 5) != 0 || version[6] != '.')
		frame_refuse(frame, 400, "the first line of a request has to end with HTTP/1.1");
	else if (version[5] != '1' || version[7] < '0' || version[7] > '9')
		frame_refuse(frame, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
	else
		*is_old = version[7] == '0';
}

/* What the fields say about the request as a whole. */
struct fields {
	size_t count;
	size_t hosts;
	size_t lengths;
	size_t encodings;
	bool is_old;
};

static void take_length(struct http_frame *frame, const char *value, size_t size)
{
	frame->left = 0;
	if (size == 0 || size > 18) {
		frame_refuse(frame, 400, "Content-Length has to be a number");
		return;
	}
	for (size_t i = 0; i < size; i++) {
		if (value[i] < '0' || value[i] > '9') {
			frame_refuse(frame, 400, "Content-Length has to be a number");
			return;
		}
		frame->left = frame->left * 10 + (uint64_t)(value[i] - '0');
	}
}

/* Source: RFC 3986, 3.2.2; what a name or an address with a port is made of. */
static void check_host(struct http_frame *frame, const char *value, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (!is_token_char((unsigned char)value[i]) && strchr("[]:()=,;", value[i]) == NULL) {
			frame_refuse(frame, 400, "Host has to be a name or an address");
			return;
		}
	}
}

static bool is_named(const char *name, size_t size, const char *wanted)
{
	return strlen(wanted) == size && strncasecmp(name, wanted, size) == 0;
}

/* Its calls go both ways at a time, so their bodies may never end: who waits for that is answered before. */
static bool is_grpc(const char *value, size_t size)
{
	static const char type[] = "application/grpc";

	return size >= sizeof type - 1 && strncasecmp(value, type, sizeof type - 1) == 0;
}

static void note_field(
	struct http_frame *frame, struct fields *fields, const char *name, size_t name_size, const char *value, size_t size)
{
	fields->count++;
	if (is_named(name, name_size, "host")) {
		fields->hosts++;
		check_host(frame, value, size);
	} else if (is_named(name, name_size, "content-length")) {
		fields->lengths++;
		take_length(frame, value, size);
	} else if (is_named(name, name_size, "transfer-encoding")) {
		fields->encodings++;
		if (!is_named(value, size, "chunked"))
			frame_refuse(frame, 501, "the only Transfer-Encoding that is understood is chunked");
	} else if (is_named(name, name_size, "content-type") && is_grpc(value, size)) {
		frame_refuse(frame, 505, "gRPC is spoken over HTTP/2 alone");
	}
}

/* NAME ":" VALUE. A line that begins with a space would be a fold, which is no longer allowed: it has no name. */
static void check_field(struct http_frame *frame, struct fields *fields, const char *line, size_t size)
{
	size_t name = token_size(line, size);
	const char *value = line + name + 1;
	const char *end = line + size;

	if (name == 0 || name == size || line[name] != ':' || !is_printable(value, (size_t)(end - value), " \t")) {
		frame_refuse(frame, 400, "a field in the header is not like \"Name: value\"");
		return;
	}
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (value < end && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	note_field(frame, fields, line, name, value, (size_t)(end - value));
}

static void judge_fields(struct http_frame *frame, const struct fields *fields)
{
	if (fields->hosts > 1 || (fields->hosts == 0 && !fields->is_old))
		frame_refuse(frame, 400, "a request needs one Host");
	else if (fields->lengths > 1)
		frame_refuse(frame, 400, "a request may have one Content-Length");
	else if (fields->encodings > 1 || (fields->encodings == 1 && (fields->lengths > 0 || fields->is_old)))
		frame_refuse(frame, 400, "a request may have one Transfer-Encoding, and no Content-Length with it");
	else if (fields->lengths == 1 && frame->left > frame->body_limit)
		frame_refuse(frame, 413, "the body is too large");
}

/* The header is complete. */
static void frame_check_header(struct http_frame *frame)
{
	struct fields fields = {.count = 0};
	const char *line = frame->header;
	const char *end = frame->header + frame->header_size - 2; /* the blank line */
	const char *stop = memchr(line, '\r', frame->header_size);

	frame->state = HTTP_FRAME_BODY;
	check_request_line(frame, line, (size_t)(stop - line), &fields.is_old);
	for (line = stop + 2; line < end && frame->state == HTTP_FRAME_BODY; line = stop + 2) {
		stop = memchr(line, '\r', (size_t)(end - line));
		check_field(frame, &fields, line, (size_t)(stop - line));
		if (fields.count > HTTP_FIELDS_MAX)
			frame_refuse(frame, 431, "the header has too many fields");
	}
	if (frame->state == HTTP_FRAME_BODY)
		judge_fields(frame, &fields);
	frame->is_chunked = fields.encodings == 1;
	if (frame->state == HTTP_FRAME_BODY && !frame->is_chunked && frame->left == 0)
		frame->state = HTTP_FRAME_WHOLE;
}

static bool frame_reserve(struct http_frame *frame)
{
	size_t capacity = frame->header_capacity == 0 ? HEADER_CAPACITY_FIRST : 2 * frame->header_capacity;
	char *grown;

	if (frame->header_size < frame->header_capacity)
		return true;
	grown = realloc(frame->header, capacity);
	if (grown == NULL)
		return false;
	frame->header = grown;
	frame->header_capacity = capacity;
	return true;
}

/* Adds a byte to the header. Lines end with CR LF and nothing else: some readers take a lone CR or LF for an end, some not. */
static void frame_take_header_byte(struct http_frame *frame, char byte)
{
	size_t size = frame->header_size;
	bool after_cr = size > 0 && frame->header[size - 1] == '\r';

	if ((byte == '\n') != after_cr) {
		frame_refuse(frame, 400, "each line of a header has to end with CR LF");
	} else if (size == HTTP_HEADER_SIZE_MAX) {
		frame_refuse(frame, 431, "the header is too large");
	} else if (!frame_reserve(frame)) {
		frame_refuse(frame, 500, "the server has no memory for the request now");
	} else {
		frame->header[frame->header_size++] = byte;
		if (frame->header_size == 2 && byte == '\n')
			frame->header_size = 0; /* a blank line before the request is left out: RFC 9112, 2.2 */
		else if (byte == '\n' && size >= 3 && frame->header[size - 2] == '\n')
			frame_check_header(frame);
	}
}

static size_t frame_take_header(struct http_frame *frame, const char *bytes, size_t size)
{
	size_t taken = 0;

	while (taken < size && frame->state == HTTP_FRAME_HEADER)
		frame_take_header_byte(frame, bytes[taken++]);
	return taken;
}

/* ---- The body. ---- */

static void frame_expect(struct http_frame *frame, char byte, char wanted, enum http_chunk_state next)
{
	if (byte == wanted)
		frame->chunk = next;
	else
		frame_refuse(frame, 400, "the body is not chunked as it should be");
}

static void frame_take_size(struct http_frame *frame, char byte)
{
	if (hex_digit(byte) >= 0 && frame->digits < 8) {
		frame->left = frame->left * 16 + (uint64_t)hex_digit(byte);
		frame->digits++;
	} else if (frame->digits == 0 || hex_digit(byte) >= 0) {
		frame_refuse(frame, 400, "the size of a chunk has to be a hexadecimal number");
	} else if (byte == ';') {
		frame->chunk = HTTP_CHUNK_EXTENSION;
	} else {
		frame_expect(frame, byte, '\r', HTTP_CHUNK_SIZE_LF);
	}
}

/* The line before a chunk has ended. */
static void frame_begin_chunk(struct http_frame *frame)
{
	frame->digits = 0;
	frame->line_size = 0;
	frame->body_size += frame->left;
	frame->chunk = frame->left == 0 ? HTTP_CHUNK_TRAILER : HTTP_CHUNK_DATA;
	if (frame->body_size > frame->body_limit)
		frame_refuse(frame, 413, "the body is too large");
}

/* A line inside of which CR and LF may only be its end, and other control characters but tab may not be. */
static void frame_take_line_byte(struct http_frame *frame, char byte, enum http_chunk_state next)
{
	if (byte == '\r')
		frame->chunk = next;
	else if (!is_printable(&byte, 1, " \t"))
		frame_refuse(frame, 400, "the body is not chunked as it should be");
}

static void frame_take_chunk_byte(struct http_frame *frame, char byte)
{
	frame->line_size++;
	switch (frame->chunk) {
	case HTTP_CHUNK_SIZE:
		frame_take_size(frame, byte);
		break;
	case HTTP_CHUNK_EXTENSION:
		frame_take_line_byte(frame, byte, HTTP_CHUNK_SIZE_LF);
		break;
	case HTTP_CHUNK_SIZE_LF:
		frame_expect(frame, byte, '\n', HTTP_CHUNK_SIZE);
		if (frame->state == HTTP_FRAME_BODY)
			frame_begin_chunk(frame);
		break;
	case HTTP_CHUNK_DATA_CR:
		frame_expect(frame, byte, '\r', HTTP_CHUNK_DATA_LF);
		break;
	case HTTP_CHUNK_DATA_LF:
		frame_expect(frame, byte, '\n', HTTP_CHUNK_SIZE);
		frame->line_size = 0;
		break;
	case HTTP_CHUNK_TRAILER:
		if (byte == '\r')
			frame->chunk = HTTP_CHUNK_LAST_LF;
		else if (is_token_char((unsigned char)byte))
			frame->chunk = HTTP_CHUNK_NAME;
		else
			frame_refuse(frame, 400, "what follows the last chunk is no field of a header");
		break;
	case HTTP_CHUNK_NAME:
		if (!is_token_char((unsigned char)byte))
			frame_expect(frame, byte, ':', HTTP_CHUNK_FIELD);
		break;
	case HTTP_CHUNK_FIELD:
		frame_take_line_byte(frame, byte, HTTP_CHUNK_FIELD_LF);
		break;
	case HTTP_CHUNK_FIELD_LF:
		frame_expect(frame, byte, '\n', HTTP_CHUNK_TRAILER);
		break;
	case HTTP_CHUNK_LAST_LF:
		frame_expect(frame, byte, '\n', HTTP_CHUNK_SIZE);
		if (frame->state == HTTP_FRAME_BODY)
			frame->state = HTTP_FRAME_WHOLE;
		break;
	case HTTP_CHUNK_DATA: /* frame_take_data() */
		break;
	}
}

static size_t frame_take_data(struct http_frame *frame, size_t size)
{
	size_t taken = size < frame->left ? size : (size_t)frame->left;

	frame->left -= taken;
	return taken;
}

static size_t frame_take_chunks(struct http_frame *frame, const char *bytes, size_t size)
{
	size_t taken = 0;

	while (taken < size && frame->state == HTTP_FRAME_BODY) {
		size_t most = frame->chunk < HTTP_CHUNK_DATA ? HTTP_CHUNK_LINE_MAX : HTTP_TRAILER_SIZE_MAX;

		if (frame->chunk == HTTP_CHUNK_DATA) {
			taken += frame_take_data(frame, size - taken);
			if (frame->left == 0)
				frame->chunk = HTTP_CHUNK_DATA_CR;
		} else {
			frame_take_chunk_byte(frame, bytes[taken++]);
		}
		if (frame->state == HTTP_FRAME_BODY && frame->line_size > most)
			frame_refuse(frame, 431, "the lines between the chunks are too long");
	}
	return taken;
}

static size_t frame_take_body(struct http_frame *frame, const char *bytes, size_t size)
{
	size_t taken;

	if (frame->is_chunked)
		return frame_take_chunks(frame, bytes, size);
	taken = frame_take_data(frame, size);
	if (frame->left == 0)
		frame->state = HTTP_FRAME_WHOLE;
	return taken;
}

size_t http_frame_take(struct http_frame *frame, const char *bytes, size_t size)
{
	if (frame->state == HTTP_FRAME_HEADER)
		return frame_take_header(frame, bytes, size);
	if (frame->state == HTTP_FRAME_BODY)
		return frame_take_body(frame, bytes, size);
	return 0;
}
